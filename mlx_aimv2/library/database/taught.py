"""Tags of the owner's own: their names and words. Their examples are the owner's verdicts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..tag_names import tag_key
from .connection import Database, listed

TAUGHT = "taught"  # the origin of what this program gives by them


@dataclass(frozen=True)
class TaughtTag:
    """A taught tag; ``words`` is None where examples alone teach."""

    tag: str
    words: str | None


class Taught(Database):
    """Questions about taught tags."""

    def taught_tags(self) -> list[TaughtTag]:
        """All taught tags, by name."""
        return [TaughtTag(*row) for row in self.rows("SELECT tag, words FROM taught ORDER BY key")]

    def taught_tag(self, tag: str) -> TaughtTag | None:
        """The taught tag of this name, however it is spelt."""
        row = self.one("SELECT tag, words FROM taught WHERE key = ?", tag_key(tag))
        return None if row is None else TaughtTag(*row)

    def answered_rows(self, set_id: int, tag: str) -> list[tuple[int, int, bool]]:
        """Row, file id and whether it has the tag, of all photos of which the owner said so.

        Also those that are missing: their vectors are there until they are pruned.
        """
        found = self.rows(  # in this order: SQLite would begin with the vectors of all photos
            "SELECT row, files.id, verdict <> 'rejected' FROM verdicts CROSS JOIN files "
            "ON last_hash = verdicts.hash CROSS JOIN vectors ON file_id = files.id "
            "WHERE set_id = ? AND key = ? ORDER BY at, row, files.id",
            (set_id, tag_key(tag)),
        )
        return [(row, id, bool(has)) for row, id, has in found]

    def scores_given(self, tag: str) -> dict[int, float]:
        """The files that have a taught tag from this program, and the scores."""
        query = "SELECT file_id, score FROM tags WHERE key = ? AND origin = ?"
        return dict(self.rows(query, (tag_key(tag), TAUGHT)))

    def ids_of_rows(self, set_id: int, rows: NDArray[np.int64]) -> dict[int, list[int]]:
        """The files, not missing, whose vectors are in these rows, by row."""
        found: dict[int, list[int]] = {}
        query = (
            "SELECT row, file_id FROM vectors JOIN files ON id = file_id WHERE set_id = ? "
            "AND missing_since IS NULL AND row IN (SELECT value FROM json_each(?)) ORDER BY path"
        )
        for row, id in self.rows(query, (set_id, listed(rows.tolist()))):
            found.setdefault(row, []).append(id)
        return found
