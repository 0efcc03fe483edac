"""Care of a library: what is gone is forgotten, and its disk given back."""

import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cache

import numpy as np

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import is_gone, printable

from .database.folders import is_inside, under
from .database.photos import FileRow
from .database.segments import Segments
from .database.store import Store
from .database.vectors import VectorSet
from .indexing.roots import is_empty, nearest_folder
from .thumbnails.store import Thumbnails

_BLOCK_ROWS = 1 << 15


@dataclass(frozen=True)
class Pruned:
    """What was forgotten. Units: bytes of disk given back.

    ``empty`` are folders that held photos and hold nothing now, or are links that lead nowhere:
    what is known of those photos stays.
    """

    files: int
    folders: int
    sets: int
    size_bytes: int
    empty: tuple[str, ...] = ()


def prune(store: Store, *, dry_run: bool = False) -> Pruned:
    """Forget files that are gone, sets that no longer serve, and the rows of both.

    A folder that is not there is forgotten if no readable photo of it is known any more: all were
    moved or are gone. Otherwise it may be a drive that is not connected, as may be a folder that
    is empty now and a link that leads nowhere: of the photos that were in it nothing is forgotten.
    """
    missing = store.files("missing_since IS NOT NULL AND NOT is_excluded")
    lost = [file for file in missing if _is_lost(file)]
    folders = [path for path, _ in store.roots() if is_gone(path)]
    folders = [path for path in folders if not _holds_photos(store, path)]
    for path in folders:  # what could not be read there cannot be recognised elsewhere
        lost += store.files(*under(path))
    emptied = _emptied(lost)
    gone = {file.id for file in lost} - emptied.keys()
    empty = tuple(map(os.fsdecode, sorted(set(emptied.values()))))
    former = [each.id for each in store.sets() if each.is_former]
    size_bytes = 0 if dry_run else _forget(store, gone, folders, former)
    return Pruned(len(gone), len(folders), len(former), size_bytes, empty)


def forget(store: Store, folder: bytes) -> Pruned:
    """Forget a folder or file that was indexed, with all photos known there and their vectors.

    Errors: UsageError where nothing is known there.
    """
    files = {file.id for file in store.files(*under(folder))}
    folders = [path for path, _ in store.roots() if is_inside(path, folder)]
    if not files and not folders:
        raise UsageError(
            f"the library has no photo in {printable(folder)}",
            hint="aimv2 library status lists the folders",
        )
    return Pruned(len(files), len(folders), 0, _forget(store, files, folders))


def _forget(
    store: Store, files: Iterable[int], folders: Iterable[bytes], sets: Iterable[int] = ()
) -> int:
    """Forget files, folders and sets, with rows of vectors and thumbnails that no file needs;
    returns the bytes of disk given back."""
    before = sum(store.segments(each).size_bytes for each in store.sets())
    with store.transaction():
        store.remove_files(files)
        for path in folders:
            store.remove_root(path)
        store.run_many("DELETE FROM sets WHERE id = ?", [(id,) for id in sets])
    for each in store.sets():
        _compact(store, each)
    store.remove_strays()
    known = "SELECT 1 FROM files WHERE last_hash = ? LIMIT 1"
    with closing(Thumbnails(store.path)) as thumbnails:
        thumbnails.keep_only(lambda hash: store.one(known, hash) is not None)
    return before - sum(store.segments(each).size_bytes for each in store.sets())


def _compact(store: Store, vectors: VectorSet) -> None:
    """Write the rows that are used to another folder, and let the set be there from then on."""
    used = np.unique(store.rows_and_files(vectors.id, "TRUE", including_missing=True)[:, 0])
    if len(used) == vectors.row_count:
        return
    number = 1 + int(vectors.folder.partition(".")[2] or 0)
    folder = f"{vectors.folder.partition('.')[0]}.{number}"
    source = store.segments(vectors)
    moved = Segments(store.folder / folder, vectors.width, 0)
    moved.remove()  # left by a run that was killed
    moved.cut()
    for start in range(0, len(used), _BLOCK_ROWS):
        moved.append(source.take(used[start : start + _BLOCK_ROWS]))
    with store.transaction():
        store.replace_rows(vectors, folder, moved.row_count, used)


def _is_lost(file: FileRow) -> bool:
    """Whether a missing file has not come back since; Photos keeps copies that it does not show."""
    return file.uuid is not None or is_gone(file.path)


def _emptied(lost: Iterable[FileRow]) -> dict[int, bytes]:
    """The folder, empty now or a link that leads nowhere, in which a file was: by the file's id."""

    @cache
    def empty(folder: bytes) -> bool:
        return is_empty(folder) or not os.path.exists(folder)  # noqa: PTH110  (bytes)

    there = {file.id: nearest_folder(file.path) for file in lost if file.uuid is None}
    return {id: folder for id, folder in there.items() if empty(folder)}


def _holds_photos(store: Store, root: bytes) -> bool:
    inside, values = under(root)
    there = store.files(f"{inside} AND missing_since IS NULL AND error IS NULL", values)
    return next(there, None) is not None
