"""The journal of a long run: what is done so far, in a hidden folder beside the target.

``.NAME.partial/`` holds the embeddings (raw float32, appended) and an SQLite file that says which
input each belongs to. An embedding counts once SQLite has committed it, every few seconds; what
was appended after that is written over by the next run. The lock, on a file in the folder too,
ends with the process that holds it, however that ends.
"""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.lock import take_lock
from mlx_aimv2.files.paths import unwritable
from mlx_aimv2.files.stamp import Stamp

from . import output_file
from .embeddings import Entry, Floats, Kind, Summary, Table
from .shard import KEY, Share

_VERSION = 1
_SCHEMA = f"""
PRAGMA user_version = {_VERSION};
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE inputs (position INTEGER PRIMARY KEY, name BLOB NOT NULL, error TEXT);
CREATE TABLE items (
    name BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER,
    start INTEGER, stop INTEGER, shape TEXT, note TEXT, error TEXT
) WITHOUT ROWID;
"""
_DATABASE, _EMBEDDINGS, _STAGING = "journal.sqlite", "embeddings.f32", "output"
_PAGE = 256
_COMMIT_S = 2.0
_SPACE_HINT = "make room, then go on with the same command and --resume"
_DAMAGE_HINT = "what is done so far is damaged: start again with --force"
_SQLITE_HINTS = {
    sqlite3.SQLITE_FULL: _SPACE_HINT,
    sqlite3.SQLITE_NOTADB: _DAMAGE_HINT,
    sqlite3.SQLITE_CORRUPT: _DAMAGE_HINT,
}


class Journal:
    """Inputs in order, and the embeddings of those that are done; see :func:`open_journal`.

    Names are bytes: paths, or texts in UTF-8. Errors: every method raises OutputError where the
    disk is full or fails.
    """

    def __init__(self, target: Path, folder: Path, lock: IO[str]) -> None:
        self.target = target
        self._folder = folder
        self._lock = lock
        self._end = 0
        self._committed_s = time.monotonic()
        self._embeddings = os.open(folder / _EMBEDDINGS, os.O_RDWR | os.O_CREAT, 0o666)
        self._database = sqlite3.connect(folder / _DATABASE)
        self._is_removed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Keep what is done, or leave nothing behind if nothing is, and give the lock back."""
        with suppress(OutputError):
            if not self._is_removed:
                self.commit()
        with suppress(OutputError):
            if not self._is_removed and not self.done:
                self.remove()
        self._database.close()
        os.close(self._embeddings)
        self._lock.close()

    @property
    def done(self) -> int:
        """How many embeddings have been committed."""
        with self._errors():
            (count,) = self._only("SELECT count(*) FROM items WHERE start IS NOT NULL")
            return int(count)

    @property
    def may_replace(self) -> bool:
        """Whether the run may replace a target that exists."""
        return self._fact("may_replace") is not None

    def allow_replacing(self) -> None:
        """Remember, for a later run too, that a target that exists may be replaced."""
        self._set_fact("may_replace", True)

    def match(self, settings: Mapping[str, Any]) -> None:
        """Settings must be those with which the journal was begun.

        Errors: UsageError naming those that differ.
        """
        new = _flat(json.loads(json.dumps(settings)))
        old = self._fact("settings")
        if old is None:
            self._set_fact("settings", new)
            return
        if found := differences(old, new):
            changes = ", ".join(f"{name} was {was}, is {now}" for name, was, now in found)
            raise UsageError(
                f"{self.target} was begun with other settings: {changes}",
                hint="give the same options, or start again with --force",
            )

    def set_inputs(self, inputs: Iterable[tuple[bytes, str | None]]) -> tuple[int, int]:
        """What the output is to hold, in order: names, and errors of those that have one already.

        Returns how many there are, and the bytes of their names.
        """
        with self._errors():
            self._database.execute("DELETE FROM inputs")
        pairs = iter(inputs)
        while page := list(islice(pairs, _PAGE)):  # errors in there are not the disk's
            with self._errors():
                query = "INSERT INTO inputs (name, error) VALUES (?, ?)"
                self._database.executemany(query, page)
        self.commit()
        with self._errors():
            count, size = self._only("SELECT count(*), total(length(name)) FROM inputs")
            return count, int(size)

    def pending(
        self, stamp: Callable[[bytes], Stamp | None]
    ) -> Iterator[tuple[bytes, Stamp | None]]:
        """Inputs without an embedding, or that have changed since, with their stamps of now.

        What cannot be looked at just now keeps its embedding.
        """
        position = 0
        query = (
            "SELECT position, name, size, mtime_ns, start IS NOT NULL"
            " FROM inputs LEFT JOIN items USING (name)"
            " WHERE position > ? AND inputs.error IS NULL ORDER BY position LIMIT ?"
        )
        while True:
            with self._errors():
                page = self._database.execute(query, (position, _PAGE)).fetchall()
            if not page:
                return
            position = page[-1][0]
            for _, name, size, mtime_ns, is_done in page:
                now = stamp(name)
                if not is_done or now not in (None, Stamp(size, mtime_ns)):
                    yield name, now

    def add(self, name: bytes, stamp: Stamp | None, entry: Entry) -> None:
        """Write down that an input is done, or failed; both with the stamp it had before."""
        start = stop = None
        with self._errors():
            if entry.read is not None:
                data = entry.read().astype("<f4", copy=False).tobytes()
                start, stop = self._end, self._end + len(data)
                _write_at(self._embeddings, data, start)
                self._end = stop
            size, mtime_ns = (stamp.size_bytes, stamp.mtime_ns) if stamp else (None, None)
            shape = json.dumps(entry.shape)
            self._database.execute(
                "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (name, size, mtime_ns, start, stop, shape, entry.note, entry.error),
            )
        if time.monotonic() - self._committed_s > _COMMIT_S:
            self.commit()

    def commit(self) -> None:
        """Make what was added outlive this process."""
        with self._errors():
            os.fsync(self._embeddings)
            self._database.commit()
        self._committed_s = time.monotonic()

    def entries(self) -> Iterator[Entry]:
        """All inputs in order, done or failed."""
        query = (
            "SELECT name, start, stop, shape, note, coalesce(inputs.error, items.error)"
            " FROM inputs LEFT JOIN items USING (name) ORDER BY position"
        )
        for raw, start, stop, shape, note, error in self._database.execute(query):
            name = raw.decode("utf-8", "surrogateescape")
            if error is not None:
                yield Entry(name, error=error)
            else:
                size = tuple(json.loads(shape))
                yield Entry(name, size, partial(self._read, start, stop, size), note)

    def publish(
        self, kind: Kind, made_by: Mapping[str, Any], share: Share | None = None
    ) -> Summary:
        """Write the target from all that was added, then take the journal away.

        With ``share`` it is a shard, says so, and may be empty.
        Errors: as ``export.check_target``; the journal stays where one is raised.
        """
        self.commit()
        if share is not None:
            with self._errors():
                made_by = {**made_by, KEY: share.record(self.entries)}
        table = Table(kind, made_by, self.entries, is_part=share is not None)
        staging = self._folder / _STAGING
        try:
            with self._errors():
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir()
                output_file.stage(table, self.target, staging)
                self._check_target()
                self.allow_replacing()  # what this run itself puts there, should it end here
                output_file.place(self.target, staging)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)  # a full disk needs the room
            raise
        self.remove()
        return table.summary

    def forget(self) -> None:
        """Begin again: nothing is done, and no setting is known."""
        with self._errors():
            for table in ("facts", "inputs", "items"):
                self._database.execute(f"DELETE FROM {table}")
            os.ftruncate(self._embeddings, 0)
            self._end = 0
        self.commit()

    def remove(self) -> None:
        """Take the journal away."""
        self._is_removed = True
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def prepare(self) -> None:
        """Make the tables, or find out where what was left ends."""
        with self._errors():
            (version,) = self._only("PRAGMA user_version")
            if version == 0:
                self._database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            elif version != _VERSION:
                raise OutputError(
                    f"the stopped run for {self.target} is of another version",
                    hint="start again with --force",
                )
            there = os.fstat(self._embeddings).st_size
            self._database.execute("DELETE FROM items WHERE stop > ?", (there,))
            (self._end,) = self._only("SELECT coalesce(max(stop), 0) FROM items")

    def _check_target(self) -> None:
        try:
            output_file.check_target(self.target, overwrite=self.may_replace)
        except OutputError as error:
            hint = "all is done and kept: the same command with --resume --force replaces it"
            raise OutputError(str(error), hint=hint) from error

    def _only(self, query: str, *values: object) -> Any:
        return self._database.execute(query, values).fetchone()

    def _fact(self, name: str) -> Any:
        with self._errors():
            found = self._only("SELECT value FROM facts WHERE name = ?", name)
            return None if found is None else json.loads(found[0])

    def _set_fact(self, name: str, value: Any) -> None:
        with self._errors():
            pair = name, json.dumps(value)
            self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", pair)
        self.commit()

    def _read(self, start: int, stop: int, shape: tuple[int, ...]) -> Floats:
        data = os.pread(self._embeddings, stop - start, start)
        return np.frombuffer(data, "<f4").reshape(shape)

    def _errors(self) -> AbstractContextManager[None]:
        return _storage_errors(self.target)


def open_journal(target: Path, *, resume: bool = False, force: bool = False) -> Journal:
    """The journal of a target, with the lock on it.

    ``resume`` goes on with what an earlier run left, ``force`` starts again and may replace the
    target; with both, what is left is used and the target may be replaced.
    Errors: OutputError where another process writes this target, an earlier run left something
    and neither option is given, or the target exists; as ``export.check_target``.
    """
    folder = _folder_of(target)
    with _storage_errors(target):
        if not folder.exists():
            output_file.check_target(target, overwrite=force)
        lock = take_lock(folder, str(target))
        if force and not resume:
            _clear(folder)
        journal = Journal(target, folder, lock)
    try:
        journal.prepare()
        if not journal.done:
            journal.forget()
        elif not resume and not force:
            raise OutputError(
                f"a run for {target} was stopped before its end, with {journal.done} done",
                hint="go on with it: --resume; or start again: --force",
            )
        if force:
            journal.allow_replacing()
        output_file.check_target(target, overwrite=journal.may_replace)
    except BaseException:
        journal.close()
        raise
    return journal


def unfinished(target: Path) -> bool:
    """Whether a run for a target was begun and has not ended."""
    return _folder_of(target).is_dir()


def _folder_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _clear(folder: Path) -> None:
    shutil.rmtree(folder / _STAGING, ignore_errors=True)
    # SQLite's own journal too: left alone, it would be applied to the next database.
    for name in (f"{_DATABASE}-journal", _DATABASE, _EMBEDDINGS):
        (folder / name).unlink(missing_ok=True)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """Settings that differ: their names, joined by points inside others, and both values."""
    before, after = _flat(old), _flat(new)
    pairs = ((name, before.get(name), after.get(name)) for name in before | after)
    return [(name, was, now) for name, was, now in pairs if was != now]


@contextmanager
def _storage_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(target, error, full=_SPACE_HINT, otherwise="", hints={}) from error
    except sqlite3.Error as error:
        hint = _SQLITE_HINTS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
        raise OutputError(f"{target} cannot be written: journal: {error}", hint=hint) from error


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _write_at(descriptor: int, data: bytes, start: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, start)
        view, start = view[written:], start + written
