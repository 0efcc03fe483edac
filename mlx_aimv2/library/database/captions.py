"""Captions of photos, kept by their contents: they outlive files, moves and copies."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from .connection import Database, listed
from .edits import now

Origin = Literal["you", "file", "program"]
"""Who said it: the owner here, another program in the photo or its sidecar, a model."""
ORIGINS: tuple[Origin, ...] = get_args(Origin)  # of several the first counts


@dataclass(frozen=True)
class Caption:
    """What a photo shows, in words; of several origins the first of ``Origin`` counts.

    ``prompt`` is what a model was asked, ``model`` its name.
    """

    text: str
    origin: Origin
    prompt: str | None = None
    model: str | None = None


class Captions(Database):
    """Questions about captions."""

    def captions_of(self, file_ids: Iterable[int]) -> dict[int, Caption]:
        """The captions of files that have one."""
        found = self.rows(
            "SELECT files.id, text, origin, prompt, model FROM shown_captions "
            "JOIN files ON last_hash = shown_captions.hash "
            "WHERE files.id IN (SELECT value FROM json_each(?)) AND text <> ''",
            (listed(file_ids),),
        )
        return {id: Caption(*row) for id, *row in found}

    def captions_of_content(self, hash: bytes) -> dict[Origin, Caption]:
        """All captions of a content; an empty text is the owner's wish for none."""
        query = "SELECT text, origin, prompt, model FROM captions WHERE hash = ?"
        return {row[1]: Caption(*row) for row in self.rows(query, (hash,))}

    def described_files(self) -> list[int]:
        """The ids of all files that have a caption by a model."""
        found = self.rows(
            "SELECT files.id FROM captions JOIN files ON last_hash = captions.hash "
            "WHERE origin = 'program'"
        )
        return [id for (id,) in found]

    def count_captions(self) -> dict[str, int]:
        """How many photos have a caption, by the origin of the one that counts."""
        return dict(
            self.rows(
                "SELECT origin, count(*) FROM shown_captions JOIN files "
                "ON last_hash = shown_captions.hash WHERE text <> '' AND missing_since IS NULL "
                "GROUP BY origin ORDER BY origin"
            )
        )

    def count_captioned(self) -> int:
        """How many contents have a caption; quicker than by origin."""
        return int(self.one("SELECT count(DISTINCT hash) FROM captions")[0])

    def caption(self, hash: bytes, caption: Caption, *, at: str | None = None) -> None:
        """Keep the caption of a content, in place of the one of its origin."""
        self.run(
            "INSERT INTO captions (hash, origin, text, prompt, model, at) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (hash, origin) DO UPDATE SET "
            "text = excluded.text, prompt = excluded.prompt, model = excluded.model, "
            "at = excluded.at",
            hash, caption.origin, caption.text, caption.prompt, caption.model, at or now(),
        )  # fmt: skip

    def remove_caption(self, hash: bytes, origin: Origin) -> None:
        """Take back the caption of one origin: the next one counts."""
        self.run("DELETE FROM captions WHERE hash = ? AND origin = ?", hash, origin)

    def files_saying(self, word: str) -> set[int]:
        """The ids of the files, not missing, whose caption has a word, or another form of it.

        ``word`` is one of ``words_of``: letters and digits only.
        """
        found = self.rows(
            "SELECT files.id FROM caption_words JOIN shown_captions "
            "ON shown_captions.id = caption_words.rowid "
            "JOIN files ON last_hash = shown_captions.hash "
            "WHERE caption_words MATCH ? AND missing_since IS NULL AND error IS NULL",
            (f'"{word}"',),  # a string of FTS5: OR and NEAR are words in it
        )
        return {id for (id,) in found}
