"""An open library file: its lock, its transactions, its fate in a forked process."""

import json
import os
import shutil
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from mlx_aimv2 import forks
from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.lock import release_lock, take_lock
from mlx_aimv2.files.paths import check_length, printable, unwritable

from .schema import database_errors, open_database
from .segments import FULL_HINT, no_vectors

Values = Sequence[Any] | Mapping[str, Any]  # of the ? or the :names in a query
CLOSED, CLOSED_HINT = "the library is closed", "open it again: Library(path)"


class Database:
    """The file, open for one thread at a time. One process may write; any number may read.

    ``is_resting``: no thread is using it, and none of its statements or transactions is open.
    """

    def __init__(self, path: Path, *, can_write: bool = False) -> None:
        check_length(path)
        if not path.name or path.is_dir():
            raise OutputError(
                f"the library {printable(path)} is a folder",
                hint=f"name a file: --library {printable(path / 'library.db')}",
            )
        if _is_cut_off:
            raise forks.error("a library")
        self._file = path, _file_at(path)
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        self.path = path
        self.is_resting = False
        self.folder = vectors_folder(path)
        self._lock: IO[str] | None = None
        self._connection: sqlite3.Connection | None = None
        _opened.add(self)  # before SQLite begins: another thread may fork meanwhile
        is_new = not self.folder.exists()
        if can_write:
            self._lock = _lock(path, self.folder)
        try:
            self._connection = open_database(path, can_write=can_write)
            if can_write and is_new and self.one("SELECT 1 FROM sets WHERE row_count"):
                self._connection.close()
                raise no_vectors(self.folder)
        except BaseException:
            if can_write and is_new:
                shutil.rmtree(self.folder, ignore_errors=True)
            _opened.discard(self)
            self._unlock()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database, then let others write."""
        self.is_resting = False
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        _opened.discard(self)
        self._unlock()

    def abandon(self) -> None:
        """In a forked process: leave the database and its lock to the process that opened it."""
        forks.keep(self._connection)
        self._connection = None
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    @property
    def is_closed(self) -> bool:
        """Whether it can be used no more."""
        return self._connection is None

    @property
    def is_in_place(self) -> bool:
        """Whether what is open is what is there now: nobody has deleted or replaced the file."""
        path, file = self._file
        return file is not None and _file_at(path) == file

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise forks.error("a library") if _is_cut_off else OutputError(CLOSED, hint=CLOSED_HINT)
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is written inside, or nothing; part of the one that is open, if any."""
        if self.is_writing:
            yield
            return
        self.begin()
        try:
            yield
        except BaseException:
            self.roll_back()
            raise
        self.commit()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read inside is of one moment, whatever another process writes meanwhile."""
        self.run("BEGIN")
        try:
            yield
        finally:
            self.roll_back()

    @contextmanager
    def durable(self) -> Iterator[None]:
        """What is committed inside outlives a power cut too; all else a killed process only.

        Of the rest a power cut takes the last seconds, and leaves what was there before them.
        """
        self.run("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self.run("PRAGMA synchronous = NORMAL")

    def begin(self) -> None:
        """From here on writes count when ``commit`` is called."""
        self.run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """What was written since ``begin`` counts."""
        self.run("COMMIT")

    def roll_back(self) -> None:
        """Forget what was written since ``begin``."""
        if self.is_writing:
            self._database.execute("ROLLBACK")

    @property
    def is_writing(self) -> bool:
        """Whether there is something to ``commit`` or to ``roll_back``."""
        return self._database.in_transaction

    @contextmanager
    def temporary_table(self, name: str, columns: str) -> Iterator[None]:
        """Inside it there is a table that nobody else sees, also where one may only read."""
        self.run("PRAGMA query_only = OFF")
        with suppress(OutputError):  # as below
            self.run(f"DROP TABLE IF EXISTS temp.{name}")
        self.run(f"CREATE TEMP TABLE IF NOT EXISTS {name} ({columns}) STRICT")
        self.run(f"DELETE FROM temp.{name}")
        try:
            yield
        finally:
            with suppress(OutputError):  # another query is not at its end: the next one empties it
                self.run(f"DROP TABLE temp.{name}")
            self.run(f"PRAGMA query_only = {self._lock is None}")

    def rows(self, query: str, values: Values = ()) -> list[Any]:
        """All rows that a query gives. ``query`` is SQL of this package, never of a user."""
        with database_errors(self.path):
            return self._database.execute(query, values).fetchall()

    def each_row(self, query: str, values: Values = ()) -> Iterator[Any]:
        """The rows that a query gives, one by one."""
        with database_errors(self.path):
            yield from self._database.execute(query, values)

    def one(self, query: str, *values: object) -> Any:
        """The first row that a query gives; None where it gives none."""
        with database_errors(self.path):
            return self._database.execute(query, values).fetchone()

    def run(self, query: str, *values: object) -> None:
        """Run a statement that answers nothing."""
        with database_errors(self.path):
            self._database.execute(query, values)

    def run_many(self, query: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""
        with database_errors(self.path):
            self._database.executemany(query, rows)

    def check(self) -> list[str]:
        """What is wrong with the database; empty if nothing."""
        return [text for (text,) in self.rows("PRAGMA integrity_check") if text != "ok"]

    def _unlock(self) -> None:
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None


def _file_at(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def vectors_folder(library: Path) -> Path:
    """The folder of a library's vectors and its lock, beside what a link leads to."""
    real = Path(os.path.realpath(library)) if library.is_symlink() else library
    return real.with_name(f"{real.name}.vectors")


IDS = "(SELECT value FROM json_each(?))"  # that are ``listed``
OF_THESE = f"files.id IN {IDS}"


def listed(ids: Iterable[int]) -> str:
    """Ids as SQL takes them: ``id IN (SELECT value FROM json_each(?))``."""
    return json.dumps([int(id) for id in ids])


CONTENTS = "(SELECT from_hex(value) FROM json_each(?))"  # with hashes that are so listed


def listed_contents(hashes: Iterable[bytes]) -> str:
    """Contents as SQL takes them, any number in one statement: ``hash IN CONTENTS``."""
    return json.dumps([hash.hex() for hash in hashes])


def _lock(path: Path, folder: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return take_lock(folder, f"the library {printable(path)}")
    except OSError as error:
        otherwise = "choose another place with --library"
        raise unwritable(
            f"library {printable(path)}", error, full=FULL_HINT, otherwise=otherwise, hints={}
        ) from error


sqlite3.register_adapter(np.int64, int)

_opened: "weakref.WeakSet[Database]" = weakref.WeakSet()
_is_cut_off = False  # by a fork in the middle of what SQLite was doing for another thread


def _after_fork() -> None:
    """In a forked process SQLite must begin anew; it cannot where a thread was in it."""
    global _is_cut_off
    _is_cut_off = not all(each.is_resting for each in _opened)
    for each in list(_opened):
        if _is_cut_off:
            each.abandon()
        else:
            each.close()


os.register_at_fork(after_in_child=_after_fork)
