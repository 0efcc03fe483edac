"""What one edit is to change, as it is made in a library or kept beside it for later."""

import json
import warnings
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from uuid import uuid4

from mlx_aimv2.errors import Aimv2Warning, OutputError, UsageError

from ..database.captions import Caption, Origin
from ..database.edits import now
from ..database.store import Store
from ..database.verdicts import Verdict


@dataclass(frozen=True)
class Request:
    """An edit that somebody asked for; photos are named by their contents.

    ``verdicts`` are the owner's words: content, tag, verdict. ``removed`` are tags to be taken
    off, the owner's yes and what the program gave: content, tag. ``renamed`` are names before and
    after, ``taught`` are tags with their words, ``undoes`` is the number of an edit to be undone.
    ``captions`` are contents with who says what: origin, text (None: taken back), prompt, model.
    With ``is_part`` it is one of many requests of one run, all of one ``uuid`` and one edit.
    """

    kind: str
    said: str
    verdicts: tuple[tuple[bytes, str, Verdict], ...] = ()
    removed: tuple[tuple[bytes, str], ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    taught: tuple[tuple[str, str | None], ...] = ()
    captions: tuple[tuple[bytes, Origin, str | None, str | None, str | None], ...] = ()
    undoes: int | None = None
    is_part: bool = False
    uuid: str = field(default_factory=lambda: uuid4().hex)
    at: str = field(default_factory=now)

    def to_line(self) -> bytes:
        """The request as a line of JSON."""
        return json.dumps(asdict(self), default=bytes.hex).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Request":
        """The request that a line holds.

        Errors: ValueError for a line that is cut off; OutputError for one of a newer version.
        """
        values: dict[str, Any] = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError("no request")
        if not values.keys() <= {each.name for each in fields(cls)}:
            raise OutputError(
                "an edit that waits beside the library is of a newer version of aimv2",
                hint="run the newer version once",
            )
        for name in ("verdicts", "removed", "captions"):
            rows = values.get(name, ())
            values[name] = tuple((bytes.fromhex(hash), *rest) for hash, *rest in rows)
        for name in ("renamed", "taught"):
            values[name] = tuple(map(tuple, values.get(name, ())))
        return cls(**values)


def make(store: Store, request: Request) -> list[int]:
    """Make an edit, all of it or nothing; returns the ids of the files that it touched.

    An edit that was made before, or undone before, is not made again. A warning tells of one that
    can no longer be undone, as its tags were renamed while it waited.
    """
    if request.undoes is not None:
        touched = store.files_of_edit(request.undoes)
        try:
            is_changed = store.undo_edit(request.undoes)
        except UsageError as error:
            if not store.was_undone(request.undoes):  # meanwhile, by somebody else
                warnings.warn(f"not undone: {error} ({error.hint})", Aimv2Warning, stacklevel=2)
            return []
        return touched if is_changed else []
    if store.knows_edit(request.uuid) and not request.is_part:
        return []
    with (
        store.transaction(),
        store.edit(request.kind, request.said, uuid=request.uuid, at=request.at) as number,
    ):
        write(store, request)
    if request.is_part:  # not all that the run has changed so far
        return store.files_with_contents(hash for hash, *_ in request.captions)
    return store.files_of_edit(number)


def write(store: Store, request: Request) -> None:
    """Write what an edit is to change, inside the edit."""
    named = store.named()
    for hash, tag, verdict in request.verdicts:
        store.say(hash, named(tag), verdict, at=request.at)
    for hash, tag in request.removed:
        store.unsay(hash, named(tag))
        store.take_off(hash, named(tag))
    for was, lasting in request.renamed:
        store.rename(was, lasting)
    for tag, words in request.taught:
        store.teach(named(tag), words)
    for hash, origin, text, prompt, model in request.captions:
        if text is None:
            store.remove_caption(hash, origin)
        else:
            store.caption(hash, Caption(text, origin, prompt, model), at=request.at)
