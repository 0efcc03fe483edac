"""What the library knows: typed questions to its database, and the vectors beside it."""

import json
import os
import shutil
import sqlite3
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import forks
from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.lock import release_lock, take_lock
from mlx_aimv2.files.paths import check_length, printable, unwritable
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.images import colour
from mlx_aimv2.images.metadata.exif import PhotoFacts

from ..shots import Member, settle, shot_key
from .schema import database_errors, open_database
from .segments import FULL_HINT, Maps, Segments, no_vectors

_FACTS = (
    "format", "width_px", "height_px", "orientation", "taken_at", "latitude", "longitude"
)  # fmt: skip
_FILE = (
    "id, path, size_bytes, mtime_ns, hash, uuid, signature, error, error_hint, missing_since, "
    "sidecar_stamp IS NOT NULL, ctime_ns, is_excluded"
)
_COLUMNS = f"{_FILE}, {', '.join(_FACTS)}"
CLOSED, CLOSED_HINT = "the library is closed", "open it again: Library(path)"


@dataclass(frozen=True, repr=False)
class FileRow:
    """A file as the library knows it; ``facts`` is None where it could not be read.

    ``path`` is as the system has it, in bytes; ``path_str`` as ``open`` and ``pathlib`` take it.
    ``is_excluded``: if it is missing, then because the walks pass over it.
    ``is_dated_by_sidecar``: the date in ``facts``, if any, is not the file's own.
    """

    id: int
    path: bytes
    stamp: Stamp
    hash: bytes | None
    uuid: str | None
    signature: bytes | None
    error: str | None
    error_hint: str | None
    missing_since: str | None
    is_excluded: bool
    is_dated_by_sidecar: bool
    facts: PhotoFacts | None

    @property
    def path_str(self) -> str:
        """The path, as ``os.fsdecode`` gives it."""
        return os.fsdecode(self.path)

    def __repr__(self) -> str:
        error = f", error={self.error!r}" if self.error else ""
        return f"FileRow({self.id}, {self.path_str!r}{error})"


@dataclass(frozen=True)
class Undated:
    """A photo without a date of its own: ``taken_at`` is a sidecar's, if any.

    ``sidecar_stamp`` is another one when its sidecars have changed, None where it has none.
    """

    id: int
    path: bytes
    taken_at: str | None
    sidecar_stamp: int | None


@dataclass(frozen=True, repr=False)
class VectorSet:
    """Vectors made alike: by one checkpoint, its revision, preprocessing and pooling.

    ``source`` is what the checkpoint was asked for by; ``settings`` is ``Model.metadata``.
    ``is_former``: searches use another one now, and this one is not being built.
    """

    id: int
    source: str
    fingerprint: str
    settings: Mapping[str, Any]
    width: int
    has_text: bool
    logit_scale: float | None
    folder: str
    row_count: int
    is_serving: bool
    is_former: bool

    def __repr__(self) -> str:
        return f"VectorSet({self.id}, {self.source!r}, {self.row_count} rows of {self.width})"


@dataclass(frozen=True)
class Counts:
    """How many files are known, cannot be read, are gone, and are there but excluded."""

    files: int
    in_error: int
    missing: int
    excluded: int


class Store:
    """An open library, for one thread at a time. One process may write; any number may read.

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
        if path.is_symlink():  # the vectors are beside what it leads to
            path = Path(os.path.realpath(path))
        self.path = path
        self.is_resting = False
        self.folder = path.with_name(f"{path.name}.vectors")
        self.means: dict[tuple[str, int], NDArray[np.float32]] = {}  # by folder of vectors, rows
        self._maps: Maps = {}
        self._counted: dict[int, tuple[tuple[int, int], int]] = {}  # by set: version, files
        self._lock: IO[str] | None = None
        self._connection: sqlite3.Connection | None = None
        _opened.add(self)  # before SQLite begins: another thread may fork meanwhile
        is_new = not self.folder.exists()
        if can_write:
            self._lock = _lock(path, self.folder)
        try:
            self._connection = open_database(path, can_write=can_write)
            if can_write and is_new and any(each.row_count for each in self.sets()):
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise forks.error("a library") if _is_cut_off else OutputError(CLOSED, hint=CLOSED_HINT)
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is written inside, or nothing; part of the one that is open, if any."""
        if self._database.in_transaction:
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
        with database_errors(self.path):
            self._database.execute("BEGIN")
        try:
            yield
        finally:
            self.roll_back()

    def begin(self) -> None:
        """From here on writes count when ``commit`` is called."""
        with database_errors(self.path):
            self._database.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """What was written since ``begin`` counts."""
        with database_errors(self.path):
            self._database.execute("COMMIT")

    def roll_back(self) -> None:
        """Forget what was written since ``begin``."""
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    @property
    def is_writing(self) -> bool:
        """Whether there is something to ``commit`` or to ``roll_back``."""
        return self._database.in_transaction

    # Files

    def file_at(self, path: bytes) -> FileRow | None:
        """The file at a path."""
        return self._file("path = ?", path)

    def files(self, where: str = "TRUE", values: Sequence[object] = ()) -> Iterator[FileRow]:
        """Files by the order of their paths; ``where`` is SQL of this package, never of a user."""
        query = f"SELECT {_COLUMNS} FROM files WHERE {where} ORDER BY path"
        with database_errors(self.path):
            for row in self._database.execute(query, tuple(values)):
                yield _file_row(row)

    def readable_by_date(
        self, where: str = "TRUE", values: Sequence[object] = ()
    ) -> list[tuple[int, bytes]]:
        """Ids and paths of the files, there and readable, for which ``where`` is true.

        The newest first, those without a date last, then by path.
        """
        return self._rows(
            f"SELECT id, path FROM files WHERE error IS NULL AND missing_since IS NULL "
            f"AND ({where}) ORDER BY taken_at DESC, path",
            values,
        )

    def undated(self, where: str = "TRUE", values: Sequence[object] = ()) -> list[Undated]:
        """The files, there and readable, without a date of their own; Apple's Photos has no
        sidecars."""
        found = self._rows(
            "SELECT id, path, taken_at, sidecar_stamp FROM files "
            "WHERE (taken_at IS NULL OR sidecar_stamp IS NOT NULL) "
            f"AND error IS NULL AND missing_since IS NULL AND uuid IS NULL AND ({where})",
            values,
        )
        return [Undated(*row) for row in found]

    def set_sidecar_dates(self, photos: Iterable[Undated]) -> None:
        """The dates of photos are these, by their sidecars."""
        with database_errors(self.path):
            self._database.executemany(
                "UPDATE files SET taken_at = ?, sidecar_stamp = ? WHERE id = ?",
                ((each.taken_at, each.sidecar_stamp, each.id) for each in photos),
            )

    def files_of(self, ids: Iterable[int]) -> dict[int, FileRow]:
        """Files by their ids."""
        wanted = json.dumps([int(id) for id in ids])
        found = self.files("id IN (SELECT value FROM json_each(?))", (wanted,))
        return {file.id: file for file in found}

    def files_with_hash(self, hash: bytes) -> list[FileRow]:
        """Files with this content, those without an error only."""
        return list(self.files("hash = ? AND error IS NULL", (hash,)))

    def has_size(self, size_bytes: int) -> bool:
        """Whether a known file has this size: only then can a new one be the same."""
        query = "SELECT 1 FROM files WHERE size_bytes = ? AND hash IS NOT NULL LIMIT 1"
        return self._one(query, size_bytes) is not None

    def shots(self, ids: Sequence[int] | None = None) -> dict[int, tuple[int, ...]]:
        """The shots of more than one file, the one to show first, by the id of each of their files.

        Of all files that are there and readable, or of those that are in a shot with these.
        """
        there = "missing_since IS NULL AND error IS NULL"
        keys = "SELECT shot FROM files GROUP BY shot HAVING count(*) > 1"
        values: tuple[str, ...] = ()
        if ids is not None:
            keys = "SELECT shot FROM files WHERE id IN (SELECT value FROM json_each(?))"
            values = (json.dumps([int(id) for id in ids]),)
        found = self._rows(
            f"SELECT shot, id, path, taken_at FROM files WHERE {there} AND shot IN ({keys}) "
            "ORDER BY shot",
            values,
        )
        shots: dict[int, tuple[int, ...]] = {}
        for _, rows in groupby(found, key=itemgetter(0)):
            members = [Member(*row[1:]) for row in rows]
            for shot in settle(members, self._signature_of) if len(members) > 1 else []:
                shots |= dict.fromkeys((each.id for each in shot), tuple(each.id for each in shot))
        return shots

    def _signature_of(self, id: int) -> bytes | None:
        row = self._one("SELECT signature FROM files WHERE id = ?", id)
        return None if row is None else row[0]

    def add_file(
        self,
        path: bytes,
        stamp: Stamp,
        *,
        hash: bytes | None = None,
        facts: PhotoFacts | None = None,
        uuid: str | None = None,
        signature: bytes | None = None,
        error: str | None = None,
        error_hint: str | None = None,
    ) -> int:
        """Write what is known of a file, over what was known of this path; returns its id."""
        values = {
            "path": path,
            "size_bytes": stamp.size_bytes,
            "mtime_ns": stamp.mtime_ns,
            "ctime_ns": stamp.ctime_ns,
            "hash": hash,
            "uuid": uuid,
            "signature": signature,
            "error": error,
            "error_hint": error_hint,
            "missing_since": None,
            "sidecar_stamp": None,
            "colours": colour.RULE if hash else None,
            "shot": shot_key(path),
            **{name: getattr(facts, name) if facts else None for name in _FACTS},
        }
        names = list(values)
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        row = self._one(
            f"INSERT INTO files ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT (path) DO UPDATE SET {changes} RETURNING id",
            *values.values(),
        )
        return int(row[0])

    def set_facts(self, id: int, facts: PhotoFacts) -> None:
        """What a photo's header says of it, read again; its sidecars are asked for a date anew."""
        changes = ", ".join(f"{name} = ?" for name in _FACTS)
        self._run(
            f"UPDATE files SET {changes}, sidecar_stamp = NULL WHERE id = ?",
            *(getattr(facts, name) for name in _FACTS), id,
        )  # fmt: skip

    def move_file(self, id: int, path: bytes, stamp: Stamp, uuid: str | None) -> None:
        """The file is at another path now; what is known of it stays."""
        self._run(
            "UPDATE files SET path = ?, shot = ?, size_bytes = ?, mtime_ns = ?, ctime_ns = ?, "
            "uuid = ?, missing_since = NULL WHERE id = ?",
            path, shot_key(path), stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns, uuid, id,
        )  # fmt: skip

    def move_files(self, moves: Sequence[tuple[int, bytes, Stamp, str | None]]) -> None:
        """Files are at paths now that were others', all at once: names may have been exchanged.

        Who had such a path and has none now is gone, under a name that no file can have.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction():
            for _, path, _, _ in moves:
                before = self.file_at(path)
                if before is not None:
                    aside = path + b"\0%d" % before.id
                    query = "UPDATE files SET path = ?, missing_since = ? WHERE id = ?"
                    self._run(query, aside, now, before.id)
            for move in moves:
                self.move_file(*move)

    def set_colours(self, ids: Iterable[int]) -> None:
        """The colours of these files are read by the rule of now, or need no conversion; once this
        is so of all, the sets say it."""
        with database_errors(self.path):
            self._database.executemany(
                "UPDATE files SET colours = ? WHERE id = ?", ((colour.RULE, id) for id in ids)
            )
        self._run(
            "UPDATE sets SET settings = json_set(settings, '$.preprocessing.colours', ?) WHERE "
            "NOT EXISTS (SELECT 1 FROM files WHERE colours IS NULL AND hash IS NOT NULL "
            "AND missing_since IS NULL)",
            colour.RULE,
        )

    def set_missing(
        self, ids: Iterable[int], since: str | None, *, is_excluded: bool = False
    ) -> None:
        """These files are not there any more, or are excluded; or, with None, there again."""
        with database_errors(self.path):
            self._database.executemany(
                "UPDATE files SET missing_since = ?, is_excluded = ? WHERE id = ?",
                ((since, int(is_excluded), id) for id in ids),
            )

    def set_ctimes(self, ctimes: Iterable[tuple[int, int]]) -> None:
        """When anything of these files changed last: (file id, ctime)."""
        with database_errors(self.path):
            self._database.executemany(
                "UPDATE files SET ctime_ns = ? WHERE id = ?",
                ((ctime_ns, id) for id, ctime_ns in ctimes),
            )

    def remove_files(self, ids: Iterable[int]) -> None:
        """Forget files, their tags and their vectors' rows."""
        with database_errors(self.path):
            self._database.executemany("DELETE FROM files WHERE id = ?", ((id,) for id in ids))

    def count(self, where: str) -> int:
        """How many files there are for which ``where`` is true."""
        return int(self._one(f"SELECT count(*) FROM files WHERE {where}")[0])

    def counts(self) -> Counts:
        """Of all files."""
        row = self._one(
            "SELECT count(*), count(error) FILTER (WHERE missing_since IS NULL), "
            "count(missing_since) FILTER (WHERE NOT is_excluded), "
            "count(missing_since) FILTER (WHERE is_excluded) FROM files"
        )
        return Counts(*row)

    # Roots

    def roots(self) -> list[tuple[bytes, bool]]:
        """What was indexed: folders and files, and Photos libraries (True)."""
        query = "SELECT path, is_photos FROM roots ORDER BY path"
        return [(path, bool(is_photos)) for path, is_photos in self._rows(query)]

    def add_root(self, path: bytes, is_photos: bool) -> None:
        """Remember what was indexed, so that it can be brought up to date without naming it."""
        self._run("INSERT OR REPLACE INTO roots VALUES (?, ?)", path, int(is_photos))

    def remove_root(self, path: bytes) -> None:
        """Bring it up to date no more, unless it is named."""
        self._run("DELETE FROM roots WHERE path = ?", path)

    def excluded(self) -> list[str]:
        """The patterns of what is not indexed."""
        rows = self._rows("SELECT pattern FROM excluded ORDER BY pattern")
        return [os.fsdecode(pattern) for (pattern,) in rows]

    def set_excluded(self, patterns: Iterable[str]) -> None:
        """These are the patterns of what is not indexed, from now on."""
        with self.transaction(), database_errors(self.path):
            self._database.execute("DELETE FROM excluded")
            self._database.executemany(
                "INSERT INTO excluded VALUES (?)", ((os.fsencode(each),) for each in patterns)
            )

    # Sets of vectors

    def sets(self) -> list[VectorSet]:
        """All sets, the oldest first."""
        query = (
            "SELECT id, source, fingerprint, settings, width, has_text, logit_scale, folder, "
            "row_count, is_serving, is_former FROM sets ORDER BY id"
        )
        return [
            VectorSet(
                id, source, fingerprint, json.loads(settings), width, bool(has_text), scale,
                folder, row_count, bool(is_serving), bool(is_former),
            )
            for id, source, fingerprint, settings, width, has_text, scale, folder, row_count,
            is_serving, is_former in self._rows(query)
        ]  # fmt: skip

    def serving(self) -> VectorSet | None:
        """The set that searches use."""
        return next((each for each in self.sets() if each.is_serving), None)

    def set_with_key(self, key: str) -> VectorSet | None:
        """The set made so."""
        row = self._one("SELECT id FROM sets WHERE key = ?", key)
        return None if row is None else self.set_with_id(row[0])

    def set_with_id(self, id: int) -> VectorSet:
        """The set of this number."""
        return next(each for each in self.sets() if each.id == id)

    def add_set(
        self,
        key: str,
        source: str,
        settings: Mapping[str, Any],
        *,
        has_text: bool,
        logit_scale: float | None,
    ) -> VectorSet:
        """A new, empty set; the first one of a library serves at once."""
        row = self._one(
            "INSERT INTO sets (key, source, fingerprint, settings, width, has_text, logit_scale, "
            "folder, is_serving) SELECT ?, ?, ?, ?, ?, ?, ?, 'set-' || (1 + coalesce(max(id), 0)), "
            "count(*) = 0 FROM sets RETURNING id",
            key, source, settings["fingerprint"], json.dumps(settings), settings["width"],
            int(has_text), logit_scale,
        )  # fmt: skip
        return self.set_with_id(row[0])

    def serve(self, set_id: int) -> None:
        """From now on searches use this set; if another one did, all others are former."""
        if not self.set_with_id(set_id).is_serving:
            self._run("UPDATE sets SET is_serving = id = ?1, is_former = id <> ?1", set_id)

    def build(self, set_id: int) -> None:
        """The set is on its way to serve: it is not former, or no longer."""
        self._run("UPDATE sets SET is_former = 0 WHERE id = ?", set_id)

    def remove_set(self, set_id: int) -> None:
        """Forget a set; its files are left to ``remove_strays``."""
        self._run("DELETE FROM sets WHERE id = ?", set_id)

    def segments(self, vectors: VectorSet) -> Segments:
        """The vectors of a set."""
        folder = self.folder / vectors.folder
        return Segments(folder, vectors.width, vectors.row_count, self._maps)

    def replace_rows(
        self, vectors: VectorSet, folder: str, row_count: int, moves: NDArray[np.int64]
    ) -> None:
        """The set's rows are in another folder now; row ``moves[i]`` is row i there."""
        with database_errors(self.path):
            self._database.execute("CREATE TEMP TABLE moves (was INTEGER PRIMARY KEY, now INTEGER)")
            self._database.executemany(
                "INSERT INTO moves VALUES (?, ?)",
                ((int(was), now) for now, was in enumerate(moves)),
            )
            self._database.execute(
                "UPDATE vectors SET row = (SELECT now FROM moves WHERE was = row) WHERE set_id = ?",
                (vectors.id,),
            )
            self._database.execute("DROP TABLE moves")
        self._run(
            "UPDATE sets SET folder = ?, row_count = ? WHERE id = ?",
            folder, row_count, vectors.id,
        )  # fmt: skip

    def remove_strays(self) -> None:
        """Delete folders of vectors that no set owns: left by a run that was killed."""
        owned = {each.folder for each in self.sets()}
        for folder in self.folder.glob("set-*"):
            if folder.name not in owned:
                Segments(folder, 1, 0).remove()

    # Vectors

    def set_row_count(self, set_id: int, row_count: int) -> None:
        """So many rows of the set's segments count."""
        self._run("UPDATE sets SET row_count = ? WHERE id = ?", row_count, set_id)

    def set_vector(self, set_id: int, file_id: int, row: int) -> None:
        """The file's vector is in this row of the set."""
        self._run("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", set_id, file_id, row)

    def remove_vectors(self, file_id: int) -> None:
        """The file's content has changed: no vector of any set fits it."""
        self._run("DELETE FROM vectors WHERE file_id = ?", file_id)

    def row_of(self, set_id: int, file_id: int) -> int | None:
        """The row of a file's vector."""
        query = "SELECT row FROM vectors WHERE set_id = ? AND file_id = ?"
        row = self._one(query, set_id, file_id)
        return None if row is None else int(row[0])

    def row_of_hash(self, set_id: int, hash: bytes) -> int | None:
        """The row of a vector of this content, its colours read by the rule of now."""
        row = self._one(
            "SELECT row FROM vectors JOIN files ON id = file_id WHERE set_id = ? AND hash = ? "
            "AND colours IS NOT NULL ORDER BY row LIMIT 1",
            set_id, hash,
        )  # fmt: skip
        return None if row is None else int(row[0])

    def files_in_rows(self, set_id: int, rows: Iterable[int]) -> list[tuple[int, int]]:
        """(row, file id) of the files, not missing, whose vectors are in these rows."""
        return self._rows(
            "SELECT row, file_id FROM vectors JOIN files ON id = file_id "
            "WHERE set_id = ? AND missing_since IS NULL "
            "AND row IN (SELECT value FROM json_each(?))",
            (set_id, json.dumps([int(row) for row in rows])),
        )

    def rows_and_files(
        self,
        set_id: int,
        where: str = "TRUE",
        values: Sequence[object] = (),
        *,
        including_missing: bool = False,
    ) -> NDArray[np.int64]:
        """Rows and ids of the files for which ``where`` is true, as a rule of those there only.

        Shapes: (n, 2), sorted by row, then by id.
        """
        there = "TRUE" if including_missing else "missing_since IS NULL"
        found = self._rows(
            "SELECT row, file_id FROM vectors JOIN files ON id = file_id "
            f"WHERE set_id = ? AND {there} AND ({where}) ORDER BY row, file_id",
            (set_id, *values),
        )
        return np.array(found, np.int64).reshape(-1, 2)

    def with_vectors(self, set_id: int, ids: Iterable[int]) -> set[int]:
        """Those of these files that have a vector in the set."""
        found = self._rows(
            "SELECT file_id FROM vectors "
            "WHERE set_id = ? AND file_id IN (SELECT value FROM json_each(?))",
            (set_id, json.dumps(list(ids))),
        )
        return {id for (id,) in found}

    def paths(self) -> Iterator[tuple[int, bytes]]:
        """Ids and paths of all files."""
        with database_errors(self.path):
            yield from self._database.execute("SELECT id, path FROM files")

    def count_vectors(self, set_id: int) -> int:
        """Files, not missing, that have a vector in the set; counted again only after changes."""
        # What others have committed, and what this connection has changed.
        version = (int(self._one("PRAGMA data_version")[0]), self._database.total_changes)
        known = self._counted.get(set_id)
        if known is None or known[0] != version:
            known = self._counted[set_id] = version, self._count_vectors(set_id)
        return known[1]

    def _count_vectors(self, set_id: int) -> int:
        row = self._one(
            "SELECT (SELECT count(*) FROM vectors WHERE set_id = ?) - "
            # CROSS: SQLite would begin with all vectors, not with the few files that are gone.
            "(SELECT count(*) FROM files CROSS JOIN vectors ON file_id = id "
            "WHERE missing_since IS NOT NULL AND set_id = ?)",
            set_id, set_id,
        )  # fmt: skip
        return int(row[0])

    def unembedded(self, set_id: int) -> int:
        """Files, readable and not missing, that have no vector in the set."""
        row = self._one(
            "SELECT count(*) FROM files WHERE error IS NULL AND missing_since IS NULL "
            "AND id NOT IN (SELECT file_id FROM vectors WHERE set_id = ?)",
            set_id,
        )
        return int(row[0])

    # Tags and sidecars

    def tags_of(self, file_id: int) -> dict[str, str]:
        """The tags of a file, each with its origin."""
        return dict(
            self._rows("SELECT tag, origin FROM tags WHERE file_id = ? ORDER BY tag", (file_id,))
        )

    def tags(self, origin: str) -> Iterator[tuple[int, str, float | None]]:
        """File, tag and score of every tag of this origin, by file and tag."""
        query = "SELECT file_id, tag, score FROM tags WHERE origin = ? ORDER BY file_id, tag"
        yield from self._rows(query, (origin,))

    def tag_counts(self) -> list[tuple[str, int]]:
        """How many photos have each tag, the commonest first; the files of a shot are one."""
        firsts = {id: shot[0] for id, shot in self.shots().items()}
        found = {
            (tag, firsts.get(id, id)) for tag, id in self._rows("SELECT tag, file_id FROM tags")
        }
        counts = Counter(tag for tag, _ in found)
        return sorted(counts.items(), key=lambda each: (-each[1], each[0]))

    def add_tags(self, origin: str, rows: Iterable[tuple[int, str, float | None]]) -> None:
        """Write tags of this origin: (file id, tag, score)."""
        with database_errors(self.path):
            self._database.executemany(
                "INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)",
                ((file_id, tag, origin, score) for file_id, tag, score in rows),
            )

    def remove_tags(self, origin: str, pairs: Iterable[tuple[int, str]] | None = None) -> None:
        """Remove tags of this origin: those named as (file id, tag), or all."""
        if pairs is None:
            self._run("DELETE FROM tags WHERE origin = ?", origin)
            return
        with database_errors(self.path):
            self._database.executemany(
                "DELETE FROM tags WHERE file_id = ? AND tag = ? AND origin = ?",
                ((file_id, tag, origin) for file_id, tag in pairs),
            )

    def sidecar(self, path: bytes) -> tuple[bytes | None, bytes] | None:
        """What a sidecar held without what this program wrote, and what it wrote last."""
        row: tuple[bytes | None, bytes] | None = self._one(
            "SELECT before, after FROM sidecars WHERE path = ?", path
        )
        return row

    def sidecars(self) -> list[tuple[bytes, bytes | None]]:
        """The paths of all sidecars that this program has written, and of their photos now."""
        return self._rows(
            "SELECT sidecars.path, files.path FROM sidecars LEFT JOIN files ON id = file_id "
            "ORDER BY sidecars.path"
        )

    def remember_sidecar(
        self, path: bytes, file_id: int, before: bytes | None, after: bytes
    ) -> None:
        """Keep, for undoing, what was there before, and what this program wrote."""
        self._run(
            "INSERT OR REPLACE INTO sidecars VALUES (?, ?, ?, ?)",
            path, file_id, before, after,
        )  # fmt: skip

    def move_sidecars(self, moves: Mapping[bytes, bytes]) -> None:
        """These sidecars are at other paths now, of which another one of them may have been."""
        aside = {b"\0" + was: now for was, now in moves.items()}
        with database_errors(self.path):
            for pairs in (zip(aside, moves, strict=True), ((aside[was], was) for was in aside)):
                self._database.executemany("UPDATE sidecars SET path = ? WHERE path = ?", pairs)

    def forget_sidecar(self, path: bytes) -> None:
        """The sidecar is as it was before, or no longer ours."""
        self._run("DELETE FROM sidecars WHERE path = ?", path)

    def check(self) -> list[str]:
        """What is wrong with the database; empty if nothing."""
        return [text for (text,) in self._rows("PRAGMA integrity_check") if text != "ok"]

    def _file(self, where: str, *values: object) -> FileRow | None:
        return next(self.files(where, values), None)

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with database_errors(self.path):
            return self._database.execute(query, tuple(values)).fetchall()

    def _one(self, query: str, *values: object) -> Any:
        with database_errors(self.path):
            return self._database.execute(query, values).fetchone()

    def _run(self, query: str, *values: object) -> None:
        with database_errors(self.path):
            self._database.execute(query, values)

    def _unlock(self) -> None:
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None


def _lock(path: Path, folder: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return take_lock(folder, f"the library {printable(path)}")
    except OSError as error:
        otherwise = "choose another place with --library"
        raise unwritable(
            f"library {printable(path)}", error, full=FULL_HINT, otherwise=otherwise, hints={}
        ) from error


def _file_row(row: Sequence[Any]) -> FileRow:
    id, path, size_bytes, mtime_ns, hash, uuid, signature, error, hint, missing = row[:10]
    dated, ctime_ns, excluded, *facts = row[10:]
    return FileRow(
        id,
        path,
        Stamp(size_bytes, mtime_ns, ctime_ns),
        hash,
        uuid,
        signature,
        error,
        hint,
        missing,
        bool(excluded),
        bool(dated),
        PhotoFacts(*facts) if facts[0] is not None else None,
    )


# Values of SQLite's own types only: NumPy's integers would be stored as bytes.
sqlite3.register_adapter(np.int64, int)

_opened: "weakref.WeakSet[Store]" = weakref.WeakSet()
_is_cut_off = False  # by a fork in the middle of what SQLite was doing for another thread


def _after_fork() -> None:
    """In a forked process SQLite must begin anew; it cannot where a thread was in it."""
    global _is_cut_off
    _is_cut_off = not all(store.is_resting for store in _opened)
    for store in list(_opened):
        if _is_cut_off:
            store.abandon()
        else:
            store.close()


os.register_at_fork(after_in_child=_after_fork)
