"""What one walk found, in a temporary table: it takes no memory, however many photos there are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlx_aimv2.files.stamp import Stamp

from ..database.photos import FileRow
from ..database.store import Store

_TABLE = """
    number INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    uuid TEXT,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER,
    hash BLOB,
    folded BLOB,
    is_away INTEGER NOT NULL DEFAULT 0
"""
# ``doubtful``: only reading tells if a file has changed, as all are to be read again, or something
# of it has changed that is not its size or time, as its permissions.
_TO_READ = """
    SELECT number, found.path, found.uuid, found.hash,
        found.size_bytes, found.mtime_ns, found.ctime_ns, files.id,
        CASE
            WHEN files.error IS NOT NULL OR files.hash IS NULL
                OR files.size_bytes <> found.size_bytes OR files.mtime_ns <> found.mtime_ns
            THEN 'changed'
            WHEN :rereads OR files.ctime_ns <> found.ctime_ns THEN 'doubtful'
            ELSE 'unchanged'
        END AS state
    FROM found
    LEFT JOIN files ON files.path = found.path
    LEFT JOIN vectors ON set_id = :set_id AND file_id = files.id
    WHERE NOT is_away AND (state <> 'unchanged' OR row IS NULL) AND number > :number
"""
_PAGE = 256


@dataclass(frozen=True)
class Candidate:
    """A picture to read: new, changed, not readable before, or without a vector in the set.

    ``known`` is what the library has of this path, and ``is_unchanged`` if the file is as it was
    when that was read; ``is_doubtful`` if only reading tells. ``hash`` is that of the content, if
    it was read since the walk.
    """

    path: bytes
    uuid: str | None
    hash: bytes | None
    stamp: Stamp
    known: FileRow | None
    is_unchanged: bool
    is_doubtful: bool


class FoundPhotos:
    """The photos that were found, each once, by their paths, in the order of the walk.

    The table ``found`` is of this connection alone, and goes with it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unwritten: list[tuple[Any, ...]] = []

    def add(self, path: bytes, uuid: str | None, stamp: Stamp, *, is_away: bool) -> None:
        """Add a photo, unless it is there; counted once ``write`` was called."""
        times = stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns
        self._unwritten.append((path, uuid, *times, is_away))
        if len(self._unwritten) == _PAGE:
            self.write()

    def write(self) -> None:
        """Write what was added."""
        self._store.run_many(
            "INSERT OR IGNORE INTO found (path, uuid, size_bytes, mtime_ns, ctime_ns, is_away) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            self._unwritten,
        )
        self._unwritten = []

    def to_read(self, set_id: int | None, *, rereads: bool = False) -> Iterator[Candidate]:
        """Every picture that has to be looked at for a set of vectors, or for a new one.

        Those at known paths come first: what an edited photo holds now is its own, before a copy
        of it is met. What is known of a picture is as it stands a page before it is its turn.
        """
        for which in ("files.id IS NOT NULL", "files.id IS NULL"):
            query = f"{_TO_READ} AND {which} ORDER BY number LIMIT {_PAGE}"
            values: dict[str, object] = {"set_id": set_id, "rereads": rereads, "number": 0}
            while page := self._store.rows(query, values):
                known = self._store.files_of(id for *_, id, _ in page if id is not None)
                for number, path, uuid, hash, *times, id, state in page:
                    values["number"] = number
                    yield Candidate(
                        path, uuid, hash, Stamp(*times), known.get(id),
                        is_unchanged=state == "unchanged", is_doubtful=state == "doubtful",
                    )  # fmt: skip

    def count_to_read(self, set_id: int | None, *, rereads: bool = False) -> int:
        """How many have to be looked at."""
        values = {"set_id": set_id, "rereads": rereads, "number": 0}
        return int(self._store.rows(f"SELECT count(*) FROM ({_TO_READ})", values)[0][0])

    def count(self, where: str = "TRUE") -> int:
        """How many were found of which ``where`` is true."""
        return int(self._store.one(f"SELECT count(*) FROM found WHERE {where}")[0])


@contextmanager
def found_photos(store: Store) -> Iterator[FoundPhotos]:
    """A place for what a walk finds, also where the library may only be read."""
    with store.temporary_table("found", _TABLE):
        yield FoundPhotos(store)
