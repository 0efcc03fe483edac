"""Files that are picked for removal: a list for whoever removes them, which nothing here does.

A pick is of one file, not of its copies, wherever that file is moved. It counts as long as the
file has the content that it had when it was picked; one written since has to be looked at again.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlx_aimv2.files.stamp import stamp_of

from ..database.connection import OF_THESE, listed
from ..database.photos import FileRow
from ..database.store import Store


@dataclass(frozen=True)
class Picks:
    """What is picked for removal, by path, as it is on the disk at this moment.

    ``changed`` are files that were written since they were picked or since the index has read them,
    ``away`` those that are not there: removed, or on a drive that is not connected. ``in_photos``
    are in a library of Apple's Photos, which would be damaged if its files were removed.
    """

    files: tuple[FileRow, ...]
    in_photos: tuple[FileRow, ...] = ()
    changed: tuple[FileRow, ...] = ()
    away: tuple[FileRow, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the files, as ``os.fsdecode`` gives them."""
        return tuple(file.path_str for file in self.files)

    @property
    def size_bytes(self) -> int:
        """What the files take on the disk."""
        return sum(file.stamp.size_bytes for file in self.files)


def picks(store: Store) -> Picks:
    """All picks, each file looked at on the disk."""
    counting = {id for (id,) in store.rows("SELECT file_id FROM picked")}
    files, changed, away, in_photos = (list[FileRow]() for _ in range(4))
    for file in store.files("id IN (SELECT file_id FROM picks)"):
        if not os.path.lexists(file.path):
            away.append(file)
        elif file.id not in counting or stamp_of(file.path) != file.stamp:
            changed.append(file)
        elif file.uuid is not None:
            in_photos.append(file)
        else:
            files.append(file)
    return Picks(*map(tuple, (files, in_photos, changed, away)))


@dataclass(frozen=True)
class PicksPage:
    """Some of the picks that count, and what all come to, as the library has them.

    ``ids`` are files by path, ``in_photos`` is how many of all are in Apple's Photos, ``changed``
    how many were written since they were picked.
    """

    ids: tuple[int, ...] = ()
    total: int = 0
    size_bytes: int = 0
    in_photos: int = 0
    changed: int = 0


def page_of_picks(store: Store, offset: int, count: int) -> PicksPage:
    """So many picks from a place on; no file is looked at."""
    total, size_bytes, in_photos = store.one(
        "SELECT count(*), ifnull(sum(files.size_bytes), 0), count(uuid) "
        "FROM picked JOIN files ON id = file_id"
    )
    there = "SELECT count(*) FROM picks JOIN files ON id = file_id WHERE missing_since IS NULL"
    [known] = store.one(there)
    query = "SELECT file_id FROM picked JOIN files ON id = file_id ORDER BY path LIMIT ? OFFSET ?"
    ids = tuple(id for (id,) in store.rows(query, (count, offset)))
    return PicksPage(ids, total, size_bytes, in_photos, known - total)


def set_picks(store: Store, rows: Iterable[tuple[bytes, int, bool]], at: str) -> None:
    """Pick files, or take picks back: content, file's id, whether it is picked.

    A file that has another content by now is not picked.
    """
    for hash, id, is_picked in rows:
        if is_picked:
            store.run(
                "INSERT INTO picks (file_id, content, at) SELECT id, hex(last_hash), ? FROM files "
                "WHERE id = ? AND last_hash = ? ON CONFLICT DO UPDATE SET content = "
                "excluded.content, at = excluded.at WHERE content <> excluded.content",
                at, id, hash,
            )  # fmt: skip
        else:
            store.run("DELETE FROM picks WHERE file_id = ?", id)


def without_any_left(
    store: Store, ids: Sequence[int], groups: Iterable[Sequence[int]] = ()
) -> list[tuple[int, ...]]:
    """Which groups would be picked as a whole if these files were too: none of them would stay.

    Of exact copies that are there, unless these were said to be no duplicates, and ``groups``.
    """
    chosen = {*ids, *(id for (id,) in store.rows("SELECT file_id FROM picked"))}
    exact = store.rows(
        "SELECT json_group_array(id) FROM files WHERE hash IN (SELECT hash FROM files WHERE "
        f"{OF_THESE}) AND missing_since IS NULL AND error IS NULL AND NOT EXISTS (SELECT 1 FROM "
        "not_duplicates WHERE not_duplicates.hash = files.hash AND is_several) "
        "GROUP BY hash HAVING count(*) > 1",
        (listed(ids),),
    )
    found = {tuple(sorted(json.loads(row))) for (row,) in exact}
    mine = set(ids)
    found |= {tuple(sorted(each)) for each in groups if not mine.isdisjoint(each)}
    return sorted(each for each in found if chosen.issuperset(each))
