"""Thumbnails of a library's photos in a file beside it, ``library.db.thumbs``.

It is a cache: whatever is wrong with the file, and whoever deletes it meanwhile, thumbnails are
made as if there were none. A damaged file is made anew; what cannot be read or written is done
without, and that is said once.
"""

import os
import sqlite3
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlx_aimv2 import forks
from mlx_aimv2.errors import Aimv2Warning
from mlx_aimv2.files.paths import absolute, printable

from .thumbnail import SMALL, Recipe

T = TypeVar("T")

LIMIT_BYTES = 2 << 30  # thumbnails of 130,000 photos

# Another layout of the tables needs other names: programs of two versions may share the file.
# What is read often and what is large are apart: to note a use writes no picture again.
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS thumbnails_1 (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL, side_px INTEGER NOT NULL, recipe INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL, checksum INTEGER NOT NULL, used INTEGER NOT NULL,
    UNIQUE (hash, side_px, recipe)
);
CREATE INDEX IF NOT EXISTS thumbnails_1_by_use ON thumbnails_1 (used, id, size_bytes);
CREATE TABLE IF NOT EXISTS jpegs_1 (id INTEGER PRIMARY KEY, jpeg BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS total_1 (size_bytes INTEGER NOT NULL);
INSERT INTO total_1 SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM total_1);
CREATE TRIGGER IF NOT EXISTS thumbnails_1_added AFTER INSERT ON thumbnails_1 BEGIN
    UPDATE total_1 SET size_bytes = size_bytes + NEW.size_bytes;
END;
CREATE TRIGGER IF NOT EXISTS thumbnails_1_removed AFTER DELETE ON thumbnails_1 BEGIN
    UPDATE total_1 SET size_bytes = size_bytes - OLD.size_bytes;
    DELETE FROM jpegs_1 WHERE id = OLD.id;
END;
COMMIT;
"""
_OF = "FROM thumbnails_1 WHERE hash = ? AND side_px = ? AND recipe = ?"
_WAIT_S = 2.0  # for another process that writes
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NOTED_AT_ONCE = 256
_REMOVED_AT_ONCE = 4096


def thumbnails_path(library: Path) -> Path:
    """Where the thumbnails of a library are kept."""
    real = Path(os.path.realpath(library))
    return real.with_name(f"{real.name}.thumbs")


_File = tuple[int, int]  # device and inode


@dataclass(frozen=True)
class _Opened:
    """A connection, the file that it is to, and the process that opened it."""

    database: sqlite3.Connection
    file: _File | None
    process: int


class Thumbnails:
    """The thumbnails of a library by their photos' contents, made by one recipe.

    Above ``limit_bytes`` of pictures those go that were read longest ago. Threads and processes
    may share the file; no method raises for what is wrong with it.
    """

    def __init__(
        self, library: Path, *, recipe: Recipe = SMALL, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self.path = thumbnails_path(library)
        self._recipe, self._limit_bytes = recipe, limit_bytes
        self._resting: deque[_Opened] = deque()
        self._read: set[int] = set()
        self._has_said = False

    def close(self) -> None:
        """Note what was read, and close the file."""
        if self._read:
            self._write()
        while self._resting:
            self._resting.pop().database.close()

    def get(self, hash: bytes) -> bytes | None:
        """The thumbnail of a content; None where there is none, or it is damaged."""
        query = (
            "SELECT id, hash, checksum, jpeg FROM jpegs_1 JOIN thumbnails_1 USING (id) "
            "WHERE hash = ? AND side_px = ? AND recipe = ?"
        )
        row = self._use(lambda database: database.execute(query, self._key(hash)).fetchone())
        if row is None:
            return None
        id, own, checksum, jpeg = row
        # A damaged index may give another's, and a damaged page a picture with a stripe.
        if own != hash or not isinstance(jpeg, bytes) or zlib.crc32(jpeg) != checksum:
            self._remove([id])
            return None
        self._read.add(id)
        if len(self._read) >= _NOTED_AT_ONCE:
            self._write()
        return jpeg

    def has(self, hash: bytes) -> bool:
        """Whether there is a thumbnail of a content."""
        query = f"SELECT 1 {_OF}"
        return bool(self._use(lambda database: database.execute(query, self._key(hash)).fetchone()))

    def put(self, made: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep thumbnails, each with its photo's content's hash; one that is there stays."""

        def write(database: sqlite3.Connection) -> None:
            used = database.execute("SELECT ifnull(max(used), 0) FROM thumbnails_1").fetchone()[0]
            for hash, jpeg in made:
                added = database.execute(
                    "INSERT OR IGNORE INTO thumbnails_1 "
                    "(hash, side_px, recipe, size_bytes, checksum, used) VALUES (?, ?, ?, ?, ?, ?)",
                    (*self._key(hash), len(jpeg), zlib.crc32(jpeg), used),
                )
                if added.rowcount:
                    row = added.lastrowid, jpeg
                    database.execute("INSERT OR REPLACE INTO jpegs_1 VALUES (?, ?)", row)
            _make_room(database, self._limit_bytes)

        if made:
            self._write(write)

    def keep_only(self, is_known: Callable[[bytes], bool]) -> None:
        """Forget the thumbnails of contents that are not known any more; their pixels go too."""
        query = "SELECT id, hash FROM thumbnails_1"
        rows = self._use(lambda database: database.execute(query).fetchall()) or []
        self._remove([id for id, hash in rows if not is_known(hash)])

    @property
    def size_bytes(self) -> int:
        """The size of all pictures that are kept."""
        query = "SELECT size_bytes FROM total_1"
        row = self._use(lambda database: database.execute(query).fetchone())
        return int(row[0]) if row else 0

    def _key(self, hash: bytes) -> tuple[bytes, int, int]:
        return hash, self._recipe.side_px, self._recipe.version

    def _remove(self, ids: list[int]) -> None:
        for start in range(0, len(ids), _REMOVED_AT_ONCE):
            rows = [(id,) for id in ids[start : start + _REMOVED_AT_ONCE]]
            self._write(
                lambda database, rows=rows: database.executemany(  # type: ignore[misc]
                    "DELETE FROM thumbnails_1 WHERE id = ?", rows
                )
            )

    def _write(self, work: Callable[[sqlite3.Connection], object] | None = None) -> None:
        """Do some work in a transaction, and note there what was read since the last."""
        read, self._read = self._read, set()

        def write(database: sqlite3.Connection) -> None:
            with database:
                database.execute("BEGIN IMMEDIATE")
                if read:
                    now = database.execute("SELECT max(used) + 1 FROM thumbnails_1").fetchone()[0]
                    database.executemany(
                        "UPDATE thumbnails_1 SET used = ? WHERE id = ?", [(now, id) for id in read]
                    )
                if work:
                    work(database)

        self._use(write, creates=work is not None, is_told=work is not None)

    def _use(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        creates: bool = False,
        is_told: bool = True,
    ) -> T | None:
        """What some work with the file gives; None where there is no file, or it is of no use."""
        for _ in range(2):  # the second time without what was damaged
            there, opened = self._file_there(), None
            try:
                opened = self._take(there, creates=creates)
                if opened is None:
                    return None
                result = work(opened.database)
            except sqlite3.Error as error:
                if opened is not None:
                    opened.database.close()
                if _is_one_of(_DAMAGED, error) and self._discard(there):
                    self._say("was damaged, and is made anew")
                    continue
                if is_told and not _is_one_of(_BUSY, error):
                    self._say(f"cannot be used: {error}")
                return None
            except BaseException:
                if opened is not None:
                    opened.database.close()
                raise
            self._resting.append(opened)
            return result
        return None

    def _take(self, there: _File | None, *, creates: bool) -> _Opened | None:
        """A connection to the file that is there, of this process, that no thread uses."""
        with suppress(IndexError):  # none is left
            while True:
                rested = self._resting.pop()
                if rested.process != os.getpid():
                    forks.keep(rested.database)
                elif rested.file != there:  # deleted, or another is there now
                    rested.database.close()
                else:
                    return rested
        if there is None and not creates:
            return None
        address = f"{Path(absolute(self.path)).as_uri()}?mode={'rwc' if creates else 'rw'}"
        database = sqlite3.connect(
            address, uri=True, isolation_level=None, timeout=_WAIT_S, check_same_thread=False
        )
        try:
            # What a power cut damages is made anew; to wait for the disk takes longer.
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA secure_delete = ON")
            has_tables = "SELECT 1 FROM sqlite_schema WHERE name = 'thumbnails_1_removed'"
            if not database.execute(has_tables).fetchone():
                if not creates:
                    database.close()
                    return None
                database.executescript(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return _Opened(database, self._file_there(), os.getpid())

    def _file_there(self) -> _File | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _discard(self, damaged: _File | None) -> bool:
        """Remove the file, unless it is another by now; whether it is gone."""
        if self._file_there() == damaged:
            with suppress(OSError):
                self.path.unlink()
        return self._file_there() != damaged

    def _say(self, what: str) -> None:
        if not self._has_said:
            self._has_said = True
            said = f"the thumbnails in {printable(self.path)}: the file {what}"
            warnings.warn(said, Aimv2Warning, stacklevel=2)


def _make_room(database: sqlite3.Connection, limit_bytes: int) -> None:
    """Delete what was read longest ago, until the rest is within the limit."""
    over = database.execute("SELECT size_bytes FROM total_1").fetchone()[0] - limit_bytes
    gone = []
    if over > 0:
        for id, size_bytes in database.execute(
            "SELECT id, size_bytes FROM thumbnails_1 ORDER BY used, id"
        ):
            gone.append((id,))
            over -= size_bytes
            if over <= 0:
                break
    database.executemany("DELETE FROM thumbnails_1 WHERE id = ?", gone)


def _is_one_of(codes: tuple[int, ...], error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in codes
