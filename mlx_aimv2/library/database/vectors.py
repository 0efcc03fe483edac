"""Sets of vectors, and which row of a set is which file's."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .connection import Database, listed
from .segments import Maps, Segments


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


class Vectors(Database):
    """Questions about vectors; ``means`` are those of sets, by folder and rows, for searches."""

    def __init__(self, path: Path, *, can_write: bool = False) -> None:
        self.means: dict[tuple[str, int], NDArray[np.float32]] = {}
        self._maps: Maps = {}
        self._counted: dict[int, tuple[tuple[int, int], int]] = {}  # by set: version, files
        super().__init__(path, can_write=can_write)

    def sets(self) -> list[VectorSet]:
        """All sets of vectors, the oldest first."""
        flags = ("has_text", "is_serving", "is_former")
        names = [field.name for field in fields(VectorSet)]
        sets = []
        for row in self.rows(f"SELECT {', '.join(names)} FROM sets ORDER BY id"):
            values = dict(zip(names, row, strict=True))
            values |= {name: bool(values[name]) for name in flags}
            sets.append(VectorSet(**values | {"settings": json.loads(values["settings"])}))
        return sets

    def serving(self) -> VectorSet | None:
        """The set whose vectors searches use."""
        return next((each for each in self.sets() if each.is_serving), None)

    def set_with_key(self, key: str) -> VectorSet | None:
        """The set whose vectors are made in this way, if there is one."""
        row = self.one("SELECT id FROM sets WHERE key = ?", key)
        return None if row is None else self.set_with_id(row[0])

    def set_with_id(self, id: int) -> VectorSet:
        """The set with this id."""
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
        row = self.one(
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
            self.run("UPDATE sets SET is_serving = id = ?1, is_former = id <> ?1", set_id)

    def build(self, set_id: int) -> None:
        """The set is on its way to serve: it is not former, or no longer."""
        self.run("UPDATE sets SET is_former = 0 WHERE id = ?", set_id)

    def segments(self, vectors: VectorSet) -> Segments:
        """The vectors of a set, on disk."""
        folder = self.folder / vectors.folder
        return Segments(folder, vectors.width, vectors.row_count, self._maps)

    def replace_rows(
        self, vectors: VectorSet, folder: str, row_count: int, moves: NDArray[np.int64]
    ) -> None:
        """The set's rows are in another folder now; row ``moves[i]`` is row i there."""
        with self.temporary_table("moves", "was INTEGER PRIMARY KEY, now INTEGER"):
            self.run_many(
                "INSERT INTO moves VALUES (?, ?)", ((was, now) for now, was in enumerate(moves))
            )
            self.run(
                "UPDATE vectors SET row = (SELECT now FROM moves WHERE was = row) WHERE set_id = ?",
                vectors.id,
            )
        self.run(
            "UPDATE sets SET folder = ?, row_count = ? WHERE id = ?",
            folder, row_count, vectors.id,
        )  # fmt: skip

    def remove_strays(self) -> None:
        """Delete folders of vectors that no set owns: left by a run that was killed."""
        owned = {each.folder for each in self.sets()}
        for folder in self.folder.glob("set-*"):
            if folder.name not in owned:
                Segments(folder, 1, 0).remove()

    def set_row_count(self, set_id: int, row_count: int) -> None:
        """So many rows of the set's segments count."""
        self.run("UPDATE sets SET row_count = ? WHERE id = ?", row_count, set_id)

    def set_vector(self, set_id: int, file_id: int, row: int) -> None:
        """The file's vector is in this row of the set."""
        self.run("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", set_id, file_id, row)

    def remove_vectors(self, file_id: int) -> None:
        """The file's content has changed: no vector of any set fits it."""
        self.run("DELETE FROM vectors WHERE file_id = ?", file_id)

    def row_of(self, set_id: int, file_id: int) -> int | None:
        """The row of a file's vector."""
        query = "SELECT row FROM vectors WHERE set_id = ? AND file_id = ?"
        row = self.one(query, set_id, file_id)
        return None if row is None else int(row[0])

    def row_of_hash(self, set_id: int, hash: bytes) -> int | None:
        """The row of a vector of this content, its colours read by the rule of now."""
        row = self.one(
            "SELECT row FROM vectors JOIN files ON id = file_id WHERE set_id = ? AND hash = ? "
            "AND colours IS NOT NULL ORDER BY row LIMIT 1",
            set_id, hash,
        )  # fmt: skip
        return None if row is None else int(row[0])

    def files_in_rows(self, set_id: int, rows: Iterable[int]) -> list[tuple[int, int]]:
        """(row, file id) of the files, not missing, whose vectors are in these rows."""
        return self.rows(
            "SELECT row, file_id FROM vectors JOIN files ON id = file_id "
            "WHERE set_id = ? AND missing_since IS NULL "
            "AND row IN (SELECT value FROM json_each(?))",
            (set_id, listed(rows)),
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
        found = self.rows(
            "SELECT row, file_id FROM vectors JOIN files ON id = file_id "
            f"WHERE set_id = ? AND {there} AND ({where}) ORDER BY row, file_id",
            (set_id, *values),
        )
        return np.array(found, np.int64).reshape(-1, 2)

    def with_vectors(self, set_id: int, ids: Iterable[int]) -> set[int]:
        """Those of these files that have a vector in the set."""
        found = self.rows(
            "SELECT file_id FROM vectors "
            "WHERE set_id = ? AND file_id IN (SELECT value FROM json_each(?))",
            (set_id, listed(ids)),
        )
        return {id for (id,) in found}

    def count_vectors(self, set_id: int) -> int:
        """Files, not missing, that have a vector in the set; counted again only after changes."""
        # What others have committed, and what this connection has changed.
        version = (int(self.one("PRAGMA data_version")[0]), self._database.total_changes)
        known = self._counted.get(set_id)
        if known is None or known[0] != version:
            known = self._counted[set_id] = version, self._count_vectors(set_id)
        return known[1]

    def _count_vectors(self, set_id: int) -> int:
        row = self.one(
            "SELECT (SELECT count(*) FROM vectors WHERE set_id = ?) - "
            # CROSS: SQLite would begin with all vectors, not with the few files that are gone.
            "(SELECT count(*) FROM files CROSS JOIN vectors ON file_id = id "
            "WHERE missing_since IS NOT NULL AND set_id = ?)",
            set_id, set_id,
        )  # fmt: skip
        return int(row[0])

    def unembedded(self, set_id: int) -> int:
        """Files, readable and not missing, that have no vector in the set."""
        row = self.one(
            "SELECT count(*) FROM files WHERE error IS NULL AND missing_since IS NULL "
            "AND id NOT IN (SELECT file_id FROM vectors WHERE set_id = ?)",
            set_id,
        )
        return int(row[0])
