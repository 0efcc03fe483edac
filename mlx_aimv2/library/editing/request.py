"""What one edit is to change, as it is made in a library or kept beside it for later."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any
from uuid import uuid4

from mlx_aimv2.errors import OutputError, UsageError

from ..database.captions import Caption, Origin
from ..database.edits import now
from ..database.store import Store
from ..database.verdicts import Verdict
from ..duplicates.apart import say_apart
from ..duplicates.picks import set_picks


@dataclass(frozen=True)
class Request:
    """An edit that somebody asked for; photos are named by their contents.

    ``verdicts`` are the owner's words: content, tag, verdict. ``removed`` are tags to be taken
    off, the owner's yes and what the program gave: content, tag. ``renamed`` are names before and
    after, ``taught`` are tags with their words. ``undoes`` is an edit to be undone: its number, or
    the ``uuid`` of one that may still wait.
    ``captions`` are contents with who says what: origin, text (None: taken back), prompt, model.
    ``picks`` are files, each by content and id, and whether it is picked for removal. ``apart`` are
    contents that are no duplicates: content, number of the group, number in it, whether it is of
    several files. ``carried`` are values for a file by content and id: name, value.
    With ``is_part`` it is one of many requests of one run, all of one ``uuid`` and one edit.
    """

    kind: str
    said: str
    verdicts: tuple[tuple[bytes, str, Verdict], ...] = ()
    removed: tuple[tuple[bytes, str], ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    taught: tuple[tuple[str, str | None], ...] = ()
    captions: tuple[tuple[bytes, Origin, str | None, str | None, str | None], ...] = ()
    picks: tuple[tuple[bytes, int, bool], ...] = ()
    apart: tuple[tuple[bytes, int, int, bool], ...] = ()
    carried: tuple[tuple[bytes, int, str, str], ...] = ()
    undoes: int | str | None = None
    is_part: bool = False
    uuid: str = field(default_factory=lambda: uuid4().hex)
    at: str = field(default_factory=now)

    def to_line(self) -> bytes:
        """The request as a line of JSON."""
        return json.dumps(asdict(self), default=bytes.hex).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Request":
        """The request that a line holds.

        Errors: ValueError for a line that is cut off; OutputError for one of a newer version, or
        that is no request.
        """
        values: dict[str, Any] = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError("no request")
        if not values.keys() <= {each.name for each in fields(cls)}:
            raise OutputError(
                "an edit that waits beside the library is of a newer version of aimv2",
                hint="run the newer version once",
            )
        try:
            for name in ("verdicts", "removed", "captions", "picks", "apart", "carried"):
                rows = values.get(name, ())
                values[name] = tuple((bytes.fromhex(hash), *rest) for hash, *rest in rows)
            for name in ("renamed", "taught"):
                values[name] = tuple(map(tuple, values.get(name, ())))
            return cls(**values)
        except TypeError as error:  # nothing that aimv2 has written
            raise OutputError(
                "an edit that waits beside the library is damaged",
                hint="look at the file beside it that ends with .edits, and put it elsewhere",
            ) from error


@dataclass(frozen=True)
class Made:
    """An edit in the library: its number, None where it changed nothing; the files it touched."""

    number: int | None
    said: str
    file_ids: list[int]


def made(store: Store, uuid: str) -> Made | None:
    """The edit that was asked for by this uuid, if it has been made."""
    number = store.number_of_edit(uuid)
    edit = None if number is None else store.edit_with(number)
    if edit is None:
        return None
    return Made(edit.number if edit.changes else None, edit.said, store.files_of_edit(edit.number))


def make(store: Store, request: Request, also: Callable[[Store], object] | None = None) -> Made:
    """Make an edit, all of it or nothing, in few statements however many photos it is about.

    One that was made before is not made again. ``also`` is what follows from it and belongs to it.
    Errors: UsageError for undoing what cannot be undone.
    """
    is_new = store.number_of_edit(request.uuid) is None
    said = partial(store.edit, request.kind, request.said, uuid=request.uuid, at=request.at)
    with store.durable():
        if request.is_part:
            with store.transaction(), said() as number:
                write(store, request)
                store.put_captions_behind(hash for hash, *_ in request.captions)
            # Not all that the run has changed so far.
            ids = store.files_with_contents(hash for hash, *_ in request.captions)
            return Made(number, request.said, ids)
        if request.undoes is not None and is_new:
            undoes = edit_meant(store, request.undoes)
            with store.transaction():
                store.undo_edit(undoes, uuid=request.uuid, at=request.at)
                store.put_sidecars_behind(store.number_of_edit(request.uuid) or 0)
        elif is_new:
            with store.transaction(), said() as number:
                write(store, request)
                store.put_sidecars_behind(number)
            if also is not None:
                with store.transaction(), said() as number:
                    also(store)
                    store.put_sidecars_behind(number)
    done = made(store, request.uuid)
    assert done is not None
    return done


def edit_meant(store: Store, edit: int | str) -> int:
    """The number of an edit, given that or its uuid. Errors: UsageError where it is not there."""
    number = edit if isinstance(edit, int) else store.number_of_edit(edit)
    if number is None:
        raise UsageError("there is no such edit", hint="aimv2 tag history lists them")
    return number


def write(store: Store, request: Request) -> None:
    """Write what an edit is to change, inside the edit."""
    named = store.named()
    said: dict[tuple[str, Verdict], list[bytes]] = {}
    for hash, tag, verdict in request.verdicts:
        said.setdefault((tag, verdict), []).append(hash)
    for (tag, verdict), hashes in said.items():
        store.say_of_all(hashes, named(tag), verdict, at=request.at)
    removed: dict[str, list[bytes]] = {}
    for hash, tag in request.removed:
        removed.setdefault(tag, []).append(hash)
    for tag, hashes in removed.items():
        store.unsay(hashes, named(tag))
        store.take_off(hashes, named(tag))
    for was, lasting in request.renamed:
        store.rename(was, lasting)
    for tag, words in request.taught:
        store.teach(named(tag), words)
    for hash, origin, text, prompt, model in request.captions:
        if text is None:
            store.remove_caption(hash, origin)
        else:
            store.caption(hash, Caption(text, origin, prompt, model), at=request.at)
    set_picks(store, request.picks, request.at)
    say_apart(store, request.apart, request.uuid, request.at)
    if request.carried:
        from ..duplicates.carrying import set_carried  # noqa: PLC0415  (XML)

        set_carried(store, request.carried, request.at)
