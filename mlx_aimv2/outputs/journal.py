"""The journal of a long run: what is done so far, in an SQLite file beside the target.

It lies in ``.NAME.partial/``, with a lock that ends with the process that holds it, however that
ends. An embedding counts once SQLite has committed it, every few seconds.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.atomic_folder import sync
from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.lock import take_lock
from mlx_aimv2.files.paths import partial_of, unwritable
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.inference.records import Sample

from . import output_file
from .embeddings import Entry, Floats, Summary, Table
from .settings import Settings, differences

_VERSION = 2  # of the tables; 1 had the embeddings in a file of their own
_SCHEMA = f"""
PRAGMA page_size = 65536;
BEGIN;
PRAGMA user_version = {_VERSION};
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE inputs (position INTEGER PRIMARY KEY, name BLOB NOT NULL, error TEXT);
CREATE TABLE items (
    name BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER,
    row INTEGER, shape TEXT, note TEXT, error TEXT
) WITHOUT ROWID;
CREATE TABLE embeddings (row INTEGER PRIMARY KEY, float32 BLOB NOT NULL);
COMMIT;
"""
_DATABASE, _STAGING = "journal.sqlite", "output"
_PAGE = 256
_COMMIT_S = 2.0
_SPACE_HINT = "make room, then go on with the same command and --resume"


class Journal:
    """Inputs in order, and the embeddings of those that are done; see :func:`open_journal`.

    Names are bytes: paths, or texts in UTF-8. Errors: every method raises OutputError where the
    disk is full or fails.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._folder = partial_of(target)
        self._committed_s = time.monotonic()
        with storage_errors(target):
            self._database = sqlite3.connect(self._folder / _DATABASE)

    def begin(self, *, resume: bool, force: bool) -> None:
        """Make the tables, or go on with those that are there. Errors: as :func:`open_journal`."""
        (version,) = self._execute("PRAGMA user_version").fetchone()
        if version == 0:
            with storage_errors(self.target):
                self._database.executescript(_SCHEMA)
        elif version != _VERSION:
            raise OutputError(
                f"the stopped run for {self.target} is of another version",
                hint="end it with the version that began it, or start again with --force",
            )
        if not self.done:
            self._execute("DELETE FROM facts")
        elif not resume and not force:
            raise OutputError(
                f"a run for {self.target} was stopped before its end, with {self.done} done",
                hint="go on with it: --resume; or start again: --force",
            )
        if force:
            self.set_fact("may_replace", True)  # for a later run too
        output_file.check_target(self.target, overwrite=self._may_replace())

    def close(self) -> None:
        """Keep what is done, or leave nothing behind if nothing is."""
        with suppress(OutputError):
            self.commit()
        with suppress(OutputError):  # it is closed, once it was published
            if not self.done:
                self.remove()
        self._database.close()

    @property
    def done(self) -> int:
        """How many embeddings have been committed."""
        query = "SELECT count(*) FROM items WHERE row IS NOT NULL"
        return int(self._execute(query).fetchone()[0])

    def match(self, settings: Settings) -> None:
        """Settings must be those with which the journal was begun.

        Errors: UsageError naming those that differ.
        """
        begun = self._fact("settings")
        if begun is None:
            self.set_fact("settings", settings)
        elif changes := differences(begun, settings, "{} was {}, is {}"):
            raise UsageError(
                f"{self.target} was begun with other settings: {changes}",
                hint="give the same options, or start again with --force",
            )

    def set_inputs(self, inputs: Iterable[tuple[bytes, object]]) -> int:
        """What the output is to hold, in order: names, and errors of those that have one already.

        Returns how many there are.
        """
        self._execute("DELETE FROM inputs")
        pairs = ((name, None if error is None else str(error)) for name, error in inputs)
        count = 0
        while page := list(islice(pairs, _PAGE)):  # errors in there are not the disk's
            count += len(page)
            with storage_errors(self.target):
                query = "INSERT INTO inputs (name, error) VALUES (?, ?)"
                self._database.executemany(query, page)
        self.commit()
        return count

    def pending(
        self, stamp: Callable[[bytes], Stamp | None]
    ) -> Iterator[tuple[bytes, Stamp | None]]:
        """Inputs without an embedding, or that have changed since, with their stamps of now.

        What cannot be looked at just now keeps its embedding.
        """
        position = 0
        query = (
            "SELECT position, name, size, mtime_ns, row IS NOT NULL"
            " FROM inputs LEFT JOIN items USING (name)"
            " WHERE position > ? AND inputs.error IS NULL ORDER BY position LIMIT ?"
        )
        while page := self._execute(query, position, _PAGE).fetchall():
            position = page[-1][0]
            for _, name, size, mtime_ns, is_done in page:
                now = stamp(name)
                if not is_done or now not in (None, Stamp(size, mtime_ns)):
                    yield name, now

    def add(self, name: bytes, stamp: Stamp | None, sample: Sample) -> None:
        """Write down what came out of an input, with the stamp that it had before."""
        row = shape = None
        size, mtime_ns = (stamp.size_bytes, stamp.mtime_ns) if stamp else (None, None)
        error = None if sample.error is None else str(sample.error)
        if sample.embedding is not None:
            data = sample.embedding.astype("<f4", copy=False).tobytes()
            shape = json.dumps(sample.embedding.shape)
            row = self._execute("INSERT INTO embeddings (float32) VALUES (?)", data).lastrowid
        self._execute(
            "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(name, size, mtime_ns, row, shape, sample.note, error),
        )
        if time.monotonic() - self._committed_s > _COMMIT_S:
            self.commit()

    def commit(self) -> None:
        """Make what was added outlive this process."""
        with storage_errors(self.target):
            self._database.commit()
        self._committed_s = time.monotonic()

    def entries(self) -> Iterator[Entry]:
        """All inputs in order, done or failed."""
        return read_entries(self._database)

    def publish(self, made_by: Settings) -> Summary:
        """Write the target from all that was added, then take the journal away.

        Errors: as ``output_file.check_target``; the journal stays where one is raised.
        """
        self.commit()
        table = Table(made_by, self.entries)
        staging = self._folder / _STAGING
        try:
            with storage_errors(self.target):
                output_file.stage(table, self.target, staging)
                self._check_target()
                self.set_fact("may_replace", True)  # what this run itself puts there, if it dies
                output_file.place(self.target, staging)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)  # a full disk needs the room
            raise
        self.remove()
        return table.summary

    def become_target(self) -> None:
        """Move the journal itself to the target's place. Errors: as :meth:`publish`."""
        self.commit()
        self._check_target()
        with storage_errors(self.target):
            self._database.close()
            (self._folder / _DATABASE).replace(self.target)
            sync(self.target.parent)
        self.remove()

    def remove(self) -> None:
        """Take the journal away."""
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def set_fact(self, name: str, value: Any) -> None:
        """Remember a value, as JSON, until the journal ends."""
        self._execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, to_json(value))
        self.commit()

    def _check_target(self) -> None:
        try:
            output_file.check_target(self.target, overwrite=self._may_replace())
        except OutputError as error:
            hint = "all is done and kept: the same command with --resume --force replaces it"
            raise OutputError(str(error), hint=hint) from error

    def _may_replace(self) -> bool:
        return self._fact("may_replace") is not None

    def _fact(self, name: str) -> Any:
        with storage_errors(self.target):
            return read_fact(self._database, name)

    def _execute(self, query: str, *values: object) -> sqlite3.Cursor:
        with storage_errors(self.target):
            return self._database.execute(query, values)


@contextmanager
def open_journal(target: Path, *, resume: bool = False, force: bool = False) -> Iterator[Journal]:
    """The journal of a target, locked until the block ends.

    ``resume`` goes on with what an earlier run left, ``force`` starts again and may replace the
    target; with both, what is left is used and the target may be replaced.
    Errors: OutputError where another process writes this target, an earlier run left something
    and neither option is given, or the target exists; as ``output_file.check_target``.
    """
    folder = partial_of(target)
    if not folder.exists():
        output_file.check_target(target, overwrite=force)
    with storage_errors(target):
        lock = take_lock(folder, str(target))
        if force and not resume:
            shutil.rmtree(folder / _STAGING, ignore_errors=True)
            # SQLite's own journal too: left alone, it would be applied to the next database.
            for name in (f"{_DATABASE}-journal", _DATABASE):
                (folder / name).unlink(missing_ok=True)
    with lock, closing(Journal(target)) as journal:
        journal.begin(resume=resume, force=force)
        yield journal


def unfinished(target: Path) -> bool:
    """Whether a run for a target was begun and has not ended."""
    return (partial_of(target) / _DATABASE).exists()


def read_entries(database: sqlite3.Connection) -> Iterator[Entry]:
    """All inputs of a journal in order, done or failed."""
    query = (
        "SELECT name, row, shape, note, coalesce(inputs.error, items.error)"
        " FROM inputs LEFT JOIN items USING (name) ORDER BY position"
    )
    for raw, row, shape, note, error in database.execute(query):
        name = raw.decode("utf-8", "surrogateescape")
        if error is not None:
            yield Entry(name, error=error)
        else:
            size = tuple(json.loads(shape))
            yield Entry(name, size, partial(_read, database, row, size), note)


def read_fact(database: sqlite3.Connection, name: str) -> Any:
    """A value that a journal remembers; None where it does not."""
    query = "SELECT value FROM facts WHERE name = ?"
    found = database.execute(query, (name,)).fetchone()
    return None if found is None else json.loads(found[0])


def _read(database: sqlite3.Connection, row: int, shape: tuple[int, ...]) -> Floats:
    query = "SELECT float32 FROM embeddings WHERE row = ?"
    (data,) = database.execute(query, (row,)).fetchone()
    return np.frombuffer(data, "<f4").reshape(shape)


@contextmanager
def storage_errors(target: Path, full: str = _SPACE_HINT) -> Iterator[None]:
    """Errors of the disk and of SQLite become OutputErrors; ``full`` is the hint without room."""
    try:
        yield
    except OSError as error:
        raise unwritable(target, error, full=full, otherwise="", hints={}) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        hint = full if code == sqlite3.SQLITE_FULL else ""
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            hint = "what is done so far is damaged: start again with --force"
        raise OutputError(f"{target} cannot be written: journal: {error}", hint=hint) from error
