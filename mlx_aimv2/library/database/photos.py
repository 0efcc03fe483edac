"""The files that the library knows, each with what was read of it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.images import colour
from mlx_aimv2.images.metadata.exif import PhotoFacts

from ..shot_names import shot_key
from .connection import CONTENTS, OF_THESE, Database, listed, listed_contents

_FACTS = (
    "format", "width_px", "height_px", "orientation", "taken_at", "latitude", "longitude"
)  # fmt: skip
_COLUMNS = (
    "id, path, size_bytes, mtime_ns, ctime_ns, hash, uuid, signature, error, error_hint, "
    f"missing_since, is_excluded, sidecar_stamp IS NOT NULL, {', '.join(_FACTS)}"
)

# As stamp: the photo has other content than when its keywords were read; NULL: they never were.
KEYWORDS_CHANGED = -2


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
class Counts:
    """How many files are known, cannot be read, are gone, and are there but excluded."""

    files: int
    in_error: int
    missing: int
    excluded: int


class Photos(Database):
    """Questions about files."""

    def file_at(self, path: bytes) -> FileRow | None:
        """The file at a path."""
        return next(self.files("path = ?", (path,)), None)

    def files(self, where: str = "TRUE", values: Sequence[object] = ()) -> Iterator[FileRow]:
        """Files by the order of their paths; ``where`` is SQL of this package, never of a user."""
        query = f"SELECT {_COLUMNS} FROM files WHERE {where} ORDER BY path"
        yield from map(_file_row, self.each_row(query, values))

    def files_of(self, ids: Iterable[int]) -> dict[int, FileRow]:
        """Files by their ids."""
        found = self.files("id IN (SELECT value FROM json_each(?))", (listed(ids),))
        return {file.id: file for file in found}

    def paths_of(self, ids: Iterable[int]) -> dict[int, bytes]:
        """The paths of files, by their ids."""
        return dict(self.rows(f"SELECT id, path FROM files WHERE {OF_THESE}", (listed(ids),)))

    def picked(self, ids: Iterable[int]) -> set[int]:
        """Those of these files that are picked for removal (``duplicates.picks``)."""
        query = "SELECT file_id FROM picked WHERE file_id IN (SELECT value FROM json_each(?))"
        return {id for (id,) in self.rows(query, (listed(ids),))}

    def paths(self) -> Iterator[tuple[int, bytes]]:
        """Ids and paths of all files."""
        yield from self.each_row("SELECT id, path FROM files")

    def files_with_hash(self, hash: bytes) -> list[FileRow]:
        """Files with this content, those without an error only."""
        return list(self.files("hash = ? AND error IS NULL", (hash,)))

    def files_with_contents(self, hashes: Iterable[bytes]) -> list[int]:
        """The ids of the files that have, or had when they could be read last, these contents."""
        query = f"SELECT id FROM files WHERE last_hash IN {CONTENTS}"
        return [id for (id,) in self.rows(query, (listed_contents(hashes),))]

    def last_hash(self, id: int) -> bytes | None:
        """The content that a file had when it could be read last."""
        row = self.one("SELECT last_hash FROM files WHERE id = ?", id)
        return None if row is None else row[0]

    def has_size(self, size_bytes: int) -> bool:
        """Whether a known file has this size: only then can a new one be the same."""
        query = "SELECT 1 FROM files WHERE size_bytes = ? AND hash IS NOT NULL LIMIT 1"
        return self.one(query, size_bytes) is not None

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
            "last_hash": hash,
            "uuid": uuid,
            "signature": signature,
            "error": error,
            "error_hint": error_hint,
            "missing_since": None,
            "sidecar_stamp": None,
            "keywords_stamp": None,
            "colours": colour.RULE if hash else None,
            "shot": shot_key(path),
            **{name: getattr(facts, name) if facts else None for name in _FACTS},
        }
        names = list(values)
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        changes = changes.replace("excluded.last_hash", "coalesce(excluded.hash, last_hash)")
        again = f"iif(keywords_stamp IS NULL, NULL, {KEYWORDS_CHANGED})"
        changes = changes.replace("excluded.keywords_stamp", again)
        row = self.one(
            f"INSERT INTO files ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT (path) DO UPDATE SET {changes} RETURNING id",
            *values.values(),
        )
        return int(row[0])

    def set_facts(self, id: int, facts: PhotoFacts) -> None:
        """What a photo's header says of it, read again; its sidecars are asked for a date anew."""
        changes = ", ".join(f"{name} = ?" for name in _FACTS)
        self.run(
            f"UPDATE files SET {changes}, sidecar_stamp = NULL WHERE id = ?",
            *(getattr(facts, name) for name in _FACTS), id,
        )  # fmt: skip

    def move_file(self, id: int, path: bytes, stamp: Stamp, uuid: str | None) -> None:
        """The file is at another path now; what is known of it stays."""
        self.run(
            "UPDATE files SET path = ?, shot = ?, size_bytes = ?, mtime_ns = ?, ctime_ns = ?, "
            "uuid = ?, missing_since = NULL WHERE id = ?",
            path, shot_key(path), stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns, uuid, id,
        )  # fmt: skip

    def move_files(self, moves: Sequence[tuple[int, bytes, Stamp, str | None]]) -> None:
        """Files are at paths now that were others', all at once: names may have been exchanged.

        Who had such a path and has none now is gone, under a name that no file can have.
        """
        if not moves:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction():
            for _, path, _, _ in moves:
                before = self.file_at(path)
                if before is not None:
                    aside = path + b"\0%d" % before.id
                    query = "UPDATE files SET path = ?, missing_since = ? WHERE id = ?"
                    self.run(query, aside, now, before.id)
            for move in moves:
                self.move_file(*move)

    def set_missing(
        self, ids: Iterable[int], since: str | None, *, is_excluded: bool = False
    ) -> None:
        """These files are not there any more, or are excluded; or, with None, there again."""
        self.run_many(
            "UPDATE files SET missing_since = ?, is_excluded = ? WHERE id = ?",
            ((since, int(is_excluded), id) for id in ids),
        )

    def remove_files(self, ids: Iterable[int]) -> None:
        """Forget files, their tags and their vectors' rows."""
        self.run_many("DELETE FROM files WHERE id = ?", ((id,) for id in ids))

    def count(self, where: str) -> int:
        """How many files there are for which ``where`` is true."""
        return int(self.one(f"SELECT count(*) FROM files WHERE {where}")[0])

    def photos_version(self) -> str:
        """Another text after every change of which photos there are, where, when and with which
        vectors, and of another file; the same after edits of tags and captions."""
        [value] = self.one("SELECT value FROM settings WHERE name = 'photos_version'")
        return f"{value} {self._file[1]}"

    def counts(self) -> Counts:
        """How many of all files are in which state."""
        row = self.one(
            "SELECT count(*), count(error) FILTER (WHERE missing_since IS NULL), "
            "count(missing_since) FILTER (WHERE NOT is_excluded), "
            "count(missing_since) FILTER (WHERE is_excluded) FROM files"
        )
        return Counts(*row)


def _file_row(row: Sequence[Any]) -> FileRow:
    stamp = Stamp(*row[2:5])
    facts = PhotoFacts(*row[13:]) if row[13] is not None else None
    values = (*row[:2], stamp, *row[5:11], bool(row[11]), bool(row[12]), facts)
    return FileRow(*values)
