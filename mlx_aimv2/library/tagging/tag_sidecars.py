"""Writing tags into the library and into sidecars, and taking them out again."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from mlx_aimv2.errors import Aimv2Error, OutputError
from mlx_aimv2.files.paths import printable

from ..database.photos import FileRow
from ..database.store import Store
from ..sidecars import sidecar, xmp
from ..sidecars.keywords import Tag as TagPath
from ..sidecars.sidecar import Style, Undone
from .tagger import Tagged

_TOGETHER = 4096  # photos in a transaction: what a kill may cost
_MOVED = (
    "if they were moved, aimv2 index FOLDER; if they are gone, aimv2 index and aimv2 library "
    "prune; then undo again"
)


@dataclass(frozen=True)
class Written:
    """A photo's sidecar after writing, or the error; ``is_new`` where there was none before."""

    file: FileRow
    path: bytes
    error: Aimv2Error | None = None
    is_new: bool = False


def keep(
    store: Store, found: Iterator[Tagged], style: Style | None, *, dry_run: bool
) -> Iterator[tuple[Tagged, Written | None]]:
    """Each photo with its tags, and what became of its sidecar, once both are written.

    Without a ``style`` no sidecars are written; with ``dry_run`` nothing is.
    """
    if style and not dry_run:
        follow_sidecars(store)
    # A photo's tags are in the library before its sidecar is touched.
    while some := list(islice(found, 1 if style else _TOGETHER)):
        if not dry_run:
            _remember(store, some)
        for each in some:
            yield each, write_sidecar(store, each, style, dry_run=dry_run) if style else None


def _remember(store: Store, tagged: Sequence[Tagged]) -> None:
    """Write the tags of photos into the library, in place of those given before."""
    with store.transaction():
        for origin in {origin for each in tagged for origin in each.given}:
            store.remove_tags(
                origin,
                [(each.file.id, tag) for each in tagged for tag in each.taken.get(origin, ())],
            )
            store.add_tags(
                origin,
                [
                    (each.file.id, tag, score)
                    for each in tagged
                    for tag, score in each.given.get(origin, ())
                ],
            )


def write_sidecar(
    store: Store, tagged: Tagged, style: Style, *, dry_run: bool = False
) -> Written | None:
    """Merge a photo's tags into its sidecar; None where there is nothing to change.

    What was there before is kept in the library, so that it can be undone; it is written there
    before the sidecar is touched. Photos of Apple's Photos get none. ``dry_run`` writes nothing.
    """
    if tagged.is_in_photos:
        return None
    path = os.fsencode(sidecar.existing_or_new(tagged.file.path, style))
    if not (tagged.tags or os.path.lexists(path)):
        return None
    try:
        now = sidecar.read_sidecar(path)
        after = xmp.replace_ours(now, [_path_of(tag) for tag, _ in tagged.tags], name=path)
        if after is None or after == now:
            return None
        if not dry_run:
            _replace(store, tagged.file, path, now, after)
    except Aimv2Error as error:
        return Written(tagged.file, path, error)
    return Written(tagged.file, path, is_new=now is None)


def follow_sidecars(store: Store) -> None:
    """Give sidecars that were moved with their photos their new paths in the library."""
    known = store.sidecars()
    moves: dict[bytes, bytes] = {}
    targets: set[bytes] = set()
    for path, photo in known:
        now = None if photo is None else _moved_to(store, path, photo)
        if now is not None and now not in targets:
            moves[path] = now
            targets.add(now)
    held = {path for path, _ in known}
    while taken := [was for was, now in moves.items() if now in held and now not in moves]:
        for was in taken:
            del moves[was]
    with store.transaction():
        store.move_sidecars(moves)


def sync_sidecars(
    store: Store, file_ids: Sequence[int]
) -> Iterator[tuple[bytes, Aimv2Error | None]]:
    """Bring the sidecars of these files up to date that this library has written before.

    Yields each sidecar that was changed, with None, or that could not be, with the error.
    """
    ids = {id for (id,) in store.rows("SELECT file_id FROM sidecars WHERE file_id IS NOT NULL")}
    files = store.files_of(ids.intersection(file_ids))
    for id, origins in store.origins_of(list(files)).items():
        ours = [tag for tag, each in origins.items() if not set(each) <= {"file", "sidecar"}]
        given = {"": tuple((tag, 1.0) for tag in ours)}
        written = write_sidecar(store, Tagged(files[id], given, {}, (), ()), "full")
        if written is not None:
            yield written.path, written.error


def undo(store: Store) -> Iterator[tuple[bytes, Undone | Aimv2Error]]:
    """Take back everything: sidecars as they were before, and the tags in the library.

    A sidecar that cannot be restored stays known, so that undoing can be tried again. One beside
    a photo that is not known, as that of a copy, is cleaned by its own notes.
    """
    follow_sidecars(store)
    for path, photo in store.sidecars():
        known = store.sidecar(path)
        if known is None:
            continue
        try:
            if photo is not None and not any(map(os.path.lexists, (path, photo))):
                raise OutputError(f"{printable(path)} is not there, nor its photo", hint=_MOVED)
            done = sidecar.restore(path, *known)
        except Aimv2Error as error:
            yield path, error
            continue
        with store.transaction():
            store.run("DELETE FROM sidecars WHERE path = ?", path)
        yield path, done
    known_paths = {path for path, _ in store.sidecars()}
    for file in list(store.files("missing_since IS NULL AND uuid IS NULL")):
        for path in map(os.fsencode, sidecar.own_sidecars(file.path)):
            if path not in known_paths:
                yield from _clean(path)
    with store.edit("undo", "all tags of the program taken back"):
        store.run("DELETE FROM tags WHERE origin LIKE 'vocabulary %' OR origin = 'taught'")
        store.run("DELETE FROM vocabularies")


def _clean(path: bytes) -> Iterator[tuple[bytes, Undone | Aimv2Error]]:
    try:
        now = sidecar.read_sidecar(path)
    except Aimv2Error:
        return  # none that was written here can be told from it
    if now is None or not xmp.has_ours(now):
        return
    try:
        yield path, sidecar.clean(path, now)
    except Aimv2Error as error:
        yield path, error


def _moved_to(store: Store, path: bytes, photo: bytes) -> bytes | None:
    """Where a sidecar is beside its photo now, if it is no longer where it was written."""
    names = [os.fsencode(name) for name in sidecar.sidecar_names(photo)]
    known = store.sidecar(path)
    if path in names or known is None:
        return None
    found: dict[bytes, bytes] = {}
    for name in filter(os.path.lexists, names):
        with suppress(Aimv2Error):
            found[name] = sidecar.read_sidecar(name) or b""
    same = [name for name, data in found.items() if data == known[1]]
    own = set(map(os.fsencode, sidecar.own_sidecars(photo)))
    ours = [name for name, data in found.items() if name in own and xmp.has_ours(data)]
    return next(iter(same or (ours if not os.path.lexists(path) else [])), None)


def _replace(store: Store, file: FileRow, path: bytes, now: bytes | None, after: bytes) -> None:
    known = store.sidecar(path)
    # Another program's changes since are not ours to undo, and our own tags are no original.
    is_known = known is not None and known[1] == now
    before = known[0] if known and is_known else now and xmp.without_ours(now, name=path)
    with store.transaction():
        store.remember_sidecar(path, file.id, before, after)
    sidecar.write_sidecar(path, after)


def _path_of(tag: str) -> TagPath:
    return tuple(tag.split("|"))
