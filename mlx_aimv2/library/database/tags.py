"""Tags of photos, and the sidecars that this program wrote."""

from collections.abc import Iterable, Iterator, Mapping

from .connection import Database


class Tags(Database):
    """Questions about tags and sidecars."""

    def tags_of(self, file_id: int) -> dict[str, str]:
        """The tags of a file, each with its origin."""
        return dict(
            self.rows("SELECT tag, origin FROM tags WHERE file_id = ? ORDER BY tag", (file_id,))
        )

    def tags(self, origin: str) -> Iterator[tuple[int, str, float | None]]:
        """File, tag and score of every tag of this origin, by file and tag."""
        query = "SELECT file_id, tag, score FROM tags WHERE origin = ? ORDER BY file_id, tag"
        yield from self.rows(query, (origin,))

    def has_tags(self) -> bool:
        """Whether any file has a tag."""
        return self.one("SELECT 1 FROM tags LIMIT 1") is not None

    def add_tags(self, origin: str, rows: Iterable[tuple[int, str, float | None]]) -> None:
        """Write tags of this origin: (file id, tag, score)."""
        self.run_many(
            "INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)",
            ((file_id, tag, origin, score) for file_id, tag, score in rows),
        )

    def remove_tags(self, origin: str, pairs: Iterable[tuple[int, str]] | None = None) -> None:
        """Remove tags of this origin: those named as (file id, tag), or all."""
        if pairs is None:
            self.run("DELETE FROM tags WHERE origin = ?", origin)
            return
        self.run_many(
            "DELETE FROM tags WHERE file_id = ? AND tag = ? AND origin = ?",
            ((file_id, tag, origin) for file_id, tag in pairs),
        )

    def sidecar(self, path: bytes) -> tuple[bytes | None, bytes] | None:
        """What a sidecar held without what this program wrote, and what it wrote last."""
        row: tuple[bytes | None, bytes] | None = self.one(
            "SELECT before, after FROM sidecars WHERE path = ?", path
        )
        return row

    def sidecars(self) -> list[tuple[bytes, bytes | None]]:
        """The paths of all sidecars that this program has written, and of their photos now."""
        return self.rows(
            "SELECT sidecars.path, files.path FROM sidecars LEFT JOIN files ON id = file_id "
            "ORDER BY sidecars.path"
        )

    def remember_sidecar(
        self, path: bytes, file_id: int, before: bytes | None, after: bytes
    ) -> None:
        """Keep, for undoing, what was there before, and what this program wrote."""
        self.run(
            "INSERT OR REPLACE INTO sidecars VALUES (?, ?, ?, ?)",
            path, file_id, before, after,
        )  # fmt: skip

    def move_sidecars(self, moves: Mapping[bytes, bytes]) -> None:
        """These sidecars are at other paths now, of which another one of them may have been."""
        aside = {b"\0" + was: now for was, now in moves.items()}
        for pairs in (zip(aside, moves, strict=True), ((aside[was], was) for was in aside)):
            self.run_many("UPDATE sidecars SET path = ? WHERE path = ?", pairs)
