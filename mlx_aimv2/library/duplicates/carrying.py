"""What a photo gets from its copies before these are removed: only what people have said of them.

Tags and captions that the owner or another program gave become the owner's word; what this program
gave is not carried, as it is nobody's word. Of the stars of sidecars and photos the most count, and
a date is carried only to a photo that has none: both are written into the photo's sidecar.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.images.metadata.xmp_values import read_rating

from ..database.photos import FileRow
from ..database.store import Store
from ..database.verdicts import Verdict
from ..indexing.photo_reader import read_rating_inside
from ..sidecars import sidecar
from ..tag_names import tag_key

_OF_PEOPLE = {"you", "file", "sidecar"}


@dataclass(frozen=True)
class Carried:
    """What a photo is to get: tags with the owner's word, a caption, and values by name.

    ``said`` names it in words, in their order.
    """

    verdicts: dict[str, Verdict]
    caption: str | None
    values: dict[str, str]

    @property
    def said(self) -> str:
        """What is carried, in words; nothing where nothing is."""
        tags = len(self.verdicts)
        parts = [f"{tags} {'tag' if tags == 1 else 'tags'}"] if tags else []
        parts += ["the caption"] if self.caption else []
        if "rating" in self.values:
            stars = self.values["rating"]
            parts.append(f"{stars} {'star' if stars == '1' else 'stars'}")
        parts += ["the date"] if "date" in self.values else []
        return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def what_to_carry(store: Store, kept: FileRow, copies: Sequence[FileRow]) -> Carried:
    """What copies, the best first, have that the photo which is kept has not."""
    verdicts = _verdicts(store, kept, copies)
    return Carried(verdicts, _caption(store, kept, copies), _values(kept, copies))


def set_carried(store: Store, rows: Iterable[tuple[bytes, int, str, str]], at: str) -> None:
    """Keep values for photos of a content, and that the sidecar of one file has them.

    Content, file's id, name and value.
    """
    for hash, id, name, value in rows:
        store.run(
            "INSERT INTO carried (hash, name, value, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at",
            hash, name, value, at,
        )  # fmt: skip
        file = store.files_of([id]).get(id)
        if file is not None and file.uuid is None:
            style: sidecar.Style = "short" if store.setting("sidecar_names") == "short" else "full"
            path = os.fsencode(sidecar.existing_or_new(file.path, style))
            if not os.path.lexists(path):  # also one that was removed is written anew
                store.run("UPDATE sidecars SET before = NULL, after = x'' WHERE path = ?", path)
            store.run(  # nothing written yet: whoever brings sidecars up to date does
                "INSERT INTO sidecars (path, file_id, after, has_tags, has_carried) "
                "VALUES (?, ?, x'', 0, 1) ON CONFLICT DO UPDATE SET has_carried = 1",
                path, id,
            )  # fmt: skip


def _verdicts(store: Store, kept: FileRow, copies: Sequence[FileRow]) -> dict[str, Verdict]:
    origins = store.origins_of([kept.id, *(file.id for file in copies)])
    own = store.verdicts_of(store.last_hash(kept.id) or b"")
    known = own.keys() | {tag_key(tag) for tag, each in origins[kept.id].items() if _said(each)}
    verdicts: dict[str, tuple[str, Verdict]] = {}
    for file in copies:
        for tag, each in origins[file.id].items():
            if _said(each) and tag_key(tag) not in known:
                verdicts.setdefault(tag_key(tag), (tag, "added"))
    for file in copies:
        query = "SELECT key, tag FROM verdicts WHERE hash = ? AND verdict = 'rejected'"
        for key, tag in store.rows(query, (store.last_hash(file.id),)):
            if key not in known:
                verdicts.setdefault(key, (tag, "rejected"))
    return dict(verdicts.values())


def _said(origins: Sequence[str]) -> bool:
    return not _OF_PEOPLE.isdisjoint(origins)


def _caption(store: Store, kept: FileRow, copies: Sequence[FileRow]) -> str | None:
    """The first caption by a person, for a photo that has none by a person."""

    def own(file: FileRow) -> str | None:
        known = store.captions_of_content(store.last_hash(file.id) or b"")
        return next((known[each].text for each in ("you", "file") if each in known), None)

    if own(kept) is not None:
        return None
    return next(filter(None, map(own, copies)), None)


def _values(kept: FileRow, copies: Sequence[FileRow]) -> dict[str, str]:
    values = {}
    most = max((stars for file in copies for stars in _ratings(file)), default=0)
    if kept.uuid is None and most > max(_ratings(kept), default=0):  # Photos has no sidecars
        values["rating"] = str(most)
    dates = [file.facts.taken_at for file in copies if file.facts and file.facts.taken_at]
    if dates and not (kept.facts and kept.facts.taken_at):
        values["date"] = min(dates)
    return values


def _ratings(file: FileRow) -> Iterator[int]:
    """The stars in a photo and in its sidecars, of what can be read."""
    with suppress(Aimv2Error):
        yield read_rating_inside(file.path)
    for path in () if file.uuid else sidecar.own_sidecars(file.path):
        with suppress(Aimv2Error):
            yield read_rating(sidecar.read_sidecar(path) or b"")
