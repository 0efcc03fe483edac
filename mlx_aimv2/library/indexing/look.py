"""What photos and their sidecars say is brought up to date: keywords, and dates of the undated."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

from mlx_aimv2.errors import Aimv2Error, Aimv2Warning
from mlx_aimv2.images.metadata.xmp_values import read_taken_at

from ..database.folders import under
from ..database.photos import KEYWORDS_CHANGED
from ..database.store import Store
from ..database.tags import FROM_OUTSIDE
from ..database.verdicts import Verdict
from ..shots import contents_of_shot
from ..sidecars.notes import Owner
from ..sidecars.sidecar import own_sidecars, read_sidecar
from ..sidecars.sidecar import stamp as sidecar_stamp
from ..sidecars.xmp import read_keywords
from ..tag_names import tag_key
from .photo_reader import read_keywords_inside

_UNREAD = (None, KEYWORDS_CHANGED)
READ = -1  # as stamp: the photo's own keywords were read, its sidecars were not looked at
CARRIED = -3  # as stamp of a date: it was carried from a copy (duplicates/carrying.py)
ASKS_ABOVE = 20  # keywords that are gone: so many are seldom taken out by hand

Rejects = Callable[[int], bool]
"""Whether so many keywords that are gone from sidecars are rejected by that."""


@dataclass(frozen=True)
class _Photo:
    """A photo as the library knows it; stamps are None for what was never read."""

    id: int
    path: bytes
    hash: bytes
    is_undated: bool
    date_stamp: int | None
    keywords_stamp: int | None


@dataclass
class _Look:
    """What is new of a photo: tags by origin, the date of its sidecars, the owner's words.

    ``emitted`` are keywords of ours that are in sidecars, ``gone`` those that another program took
    out of them, ``forgotten`` those that are then found nowhere: whoever adds them means them.
    ``added`` are keys of keywords that a person may have added since the owner's word on them.
    """

    photo: _Photo
    stamp: int
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    date: str | None = None
    emitted: dict[str, str] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)
    words: list[tuple[str, Verdict | None]] = field(default_factory=list)


def look(
    store: Store, roots: Iterable[bytes], rejects: Rejects | None = None
) -> tuple[int, int | None]:
    """Look at the photos under roots, and their sidecars, that are new or changed.

    Each folder is listed once. What cannot be looked at stays as it is; Apple's Photos has no
    sidecars. Keywords of this program that another one took out are rejected, those rejected that
    another one added are so no more, by one edit. Of more than 20 that are gone, ``rejects``
    decides; without a yes they are looked at again by the next run. Says how many those are, and
    the number of the edit.
    """
    left: list[_Look] = []
    for root in roots:
        for folder, some in groupby(_photos(store, root), key=lambda each: each[0]):
            stamps = _stamps_in(folder)
            with store.transaction():
                for _, photo in some:
                    found = _looked(store, photo, stamps)
                    if found and found.words:
                        left.append(found)  # what it says, and that it was read, is one step
                    elif found:
                        _keep(store, found)
    count = sum(verdict == "rejected" for each in left for _, verdict in each.words)
    if count > ASKS_ABOVE and not (rejects and rejects(count)):
        left = [each for each in left if all(word != "rejected" for _, word in each.words)]
    else:
        count = 0
    if not left:
        return count, None
    with store.transaction(), store.edit("keywords", "") as edit:
        for each in left:
            _keep(store, each)
        store.say_of_edit(edit, _sentence(left))
    return count, edit


def keep_keywords(store: Store, id: int, hash: bytes, tags: Mapping[str, str]) -> None:
    """Write the keywords inside a photo that was just read.

    Where the owner has rejected a tag of it, they are read again by ``look``, which compares them.
    """
    if "rejected" in store.verdicts_of(hash).values():
        return
    ours = store.emitted(hash)
    _replace(store, id, "file", {key: tag for key, tag in tags.items() if key not in ours})
    store.run("UPDATE files SET keywords_stamp = ? WHERE id = ?", READ, id)


def _photos(store: Store, root: bytes) -> Iterator[tuple[bytes, _Photo]]:
    where, values = under(root)
    rows = store.each_row(
        "SELECT folder_of(path), uuid IS NULL, id, path, last_hash, "
        "taken_at IS NULL OR sidecar_stamp IS NOT NULL, sidecar_stamp, keywords_stamp FROM files "
        "WHERE error IS NULL AND last_hash IS NOT NULL AND missing_since IS NULL "
        f"AND (uuid IS NULL OR ifnull(keywords_stamp, ?) = ?) AND {where} ORDER BY 1, path",
        (KEYWORDS_CHANGED, KEYWORDS_CHANGED, *values),
    )
    for folder, may_have_sidecars, *row in rows:
        yield (folder if may_have_sidecars else b"", _Photo(*row))


def _stamps_in(folder: bytes) -> dict[bytes, int] | None:
    """When the sidecars of a folder changed last, by their names in small letters.

    None for a folder that cannot be listed.
    """
    if not folder:
        return {}
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name.lower(): entry.stat(follow_symlinks=False).st_mtime_ns
                for entry in entries
                if entry.name.lower().endswith(b".xmp")
            }
    except OSError:
        return None


def _looked(store: Store, photo: _Photo, stamps: Mapping[bytes, int] | None) -> _Look | None:
    """What is new of a photo; None if nothing is, or it cannot be looked at."""
    if stamps is None:
        return None
    name = os.path.basename(photo.path).lower()  # noqa: PTH119  (pathlib takes no bytes)
    names = {name + b".xmp", os.path.splitext(name)[0] + b".xmp"}  # noqa: PTH122  (as above)
    found = names & stamps.keys()
    stamp = sidecar_stamp(stamps[each] for each in found) if found else READ
    date_stamp = READ if photo.date_stamp is None else photo.date_stamp
    if stamp == photo.keywords_stamp and (not photo.is_undated or stamp == date_stamp):
        return None
    look = _Look(photo, stamp)
    try:
        if photo.keywords_stamp in _UNREAD:
            look.tags["file"] = read_keywords_inside(photo.path)
        paths = own_sidecars(photo.path) if found else []
        packets = {os.fsencode(path): read_sidecar(path) or b"" for path in paths}
    except Aimv2Error:
        return None
    dates = map(read_taken_at, packets.values()) if photo.is_undated else ()
    look.date = next((date for date in dates if date), None)
    _read_sidecars(store, look, packets)
    _compare(store, look)
    return look


def _read_sidecars(store: Store, look: _Look, packets: Mapping[bytes, bytes]) -> None:
    """Note the keywords of other programs in sidecars, and which of ours are there and gone."""
    query = "SELECT before, after FROM sidecars WHERE file_id = ? OR path = ?"
    emitted, others = store.emitted(look.photo.hash), dict[str, str]()
    library = store.setting("library_id") or ""
    for path, data in packets.items():
        written = store.rows(query, (look.photo.id, path))
        said = read_keywords(data, owner=Owner(library, has_earlier=bool(written)), name=path)
        if said.problem is not None:
            warnings.warn(f"{said.problem}; what it says was not read", Aimv2Warning, stacklevel=2)
        others |= said.others
        added = _later_than_words(store, look.photo, path, said.others)
        look.added |= added.keys() - said.from_libraries
        for key, tag in said.ours.items():  # noted by another library, it is another program's
            (look.emitted if written or key in emitted else others)[key] = tag
        if written and all(data not in states for states in written):
            look.gone |= _later_than_words(store, look.photo, path, said.gone)
    look.tags["sidecar"] = others
    there = others.keys() | look.emitted.keys()
    look.gone = {key: tag for key, tag in look.gone.items() if key not in there}


def _later_than_words(
    store: Store, photo: _Photo, path: bytes, tags: Mapping[str, str]
) -> dict[str, str]:
    """Those keywords of which the owner has said nothing since the sidecar was written."""
    with suppress(OSError):
        written_s = int(os.stat(path).st_mtime)  # noqa: PTH116  (pathlib takes no bytes)
        query = (
            "SELECT key FROM verdicts WHERE hash = ? AND CAST(strftime('%s', at) AS INTEGER) > ?"
        )
        later = {key for (key,) in store.rows(query, (photo.hash, written_s))}
        named = store.named()
        return {key: tag for key, tag in tags.items() if tag_key(named(tag)) not in later}
    return {}


def _compare(store: Store, look: _Look) -> None:
    """Note what the keywords that went and came say of the owner's mind."""
    photo, named = look.photo, store.named()
    before = store.rows("SELECT key, origin FROM tags WHERE file_id = ?", (photo.id,))
    verdicts, emitted = store.verdicts_of(photo.hash), store.emitted(photo.hash)
    rejected = {key for key, verdict in verdicts.items() if verdict == "rejected"}
    given = {key for key, origin in before if origin not in FROM_OUTSIDE} | verdicts.keys()
    for tag in map(named, look.gone.values()):
        if tag_key(tag) in given - rejected:
            look.words.append((tag, "rejected"))
    if look.words:
        look.forgotten = _not_inside(look)
    if photo.keywords_stamp not in _UNREAD:
        # Seen gone before, and there again under our note, which the other program has kept.
        for key in (look.emitted.keys() & rejected) - emitted:
            look.words.append((look.emitted[key], "confirmed"))
    for origin, tags in look.tags.items():
        known = {key for key, each in before if each == origin}
        for key in tags.keys() & emitted:
            del tags[key]
        if photo.keywords_stamp is None:
            continue  # seen for the first time, as a copy or after prune: nobody added it since
        for key, tag in ((key, named(tag)) for key, tag in tags.items()):
            is_new = origin == "file" or key in look.added
            if is_new and tag_key(tag) in rejected - known:
                look.words.append((tag, None))


def _not_inside(look: _Look) -> list[str]:
    """The keywords that are gone from sidecars and are not inside the photo either."""
    try:
        inside = read_keywords_inside(look.photo.path)
    except Aimv2Error:
        return []
    return [tag for key, tag in look.gone.items() if key not in inside]


def _keep(store: Store, look: _Look) -> None:
    photo = look.photo
    for origin, tags in look.tags.items():
        _replace(store, photo.id, origin, tags)
    others = store.from_outside(photo.id)
    ours = [tag for key, tag in look.emitted.items() if key not in others]
    store.remember_emitted(photo.hash, ours)
    store.forget_emitted(photo.hash, look.forgotten)
    for hash in contents_of_shot(store, photo.id) if look.words else ():
        for tag, verdict in look.words:
            store.say(hash, tag, verdict)
    store.run("UPDATE files SET keywords_stamp = ? WHERE id = ?", look.stamp, photo.id)
    if photo.is_undated:
        query = "SELECT value FROM carried WHERE hash = ? AND name = 'date'"
        stamp = None if look.stamp == READ else look.stamp
        if look.date is None and (carried := store.one(query, photo.hash)):
            look.date, stamp = carried[0], CARRIED
        store.run(
            "UPDATE files SET taken_at = ?, sidecar_stamp = ? WHERE id = ?",
            look.date, stamp, photo.id,
        )  # fmt: skip


def _replace(store: Store, id: int, origin: str, tags: Mapping[str, str]) -> None:
    query = "SELECT 1 FROM tags WHERE file_id = ? AND origin = ? LIMIT 1"
    if store.one(query, id, origin):
        store.run("DELETE FROM tags WHERE file_id = ? AND origin = ?", id, origin)
    if tags:
        store.add_tags(origin, [(id, tag, None) for tag in tags.values()])


def _sentence(left: Iterable[_Look]) -> str:
    words = [verdict for each in left for _, verdict in each.words]
    rejected = words.count("rejected")
    parts = {"taken out": rejected, "added again": len(words) - rejected}
    said = " and ".join(f"{count} {what}" for what, count in parts.items() if count)
    return f"keywords that another program changed: {said}"
