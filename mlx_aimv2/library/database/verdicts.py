"""The owner's word on tags, kept by a photo's content: it outlives files, moves and copies."""

from collections.abc import Iterable
from typing import Literal

from ..tag_names import tag_key
from .connection import CONTENTS, Database, listed_contents
from .edits import now

Verdict = Literal["added", "confirmed", "rejected"]

# The owner's words by content: their other columns, which rows they are, and when two contents
# have the same one already, as SQL.
_WORDS = (
    ("verdicts", "key, tag, verdict, at", "TRUE", "own.key = given.key"),
    ("captions", "origin, text, prompt, model, at", "origin = 'you'", "own.origin = given.origin"),
    ("changes", "edit_id, place, file_id, names, before, after", "TRUE",
     "(own.edit_id, own.names) = (given.edit_id, given.names)"),
)  # fmt: skip


class Verdicts(Database):
    """Questions about what the owner said, and about what this program wrote beside photos."""

    def verdicts_of(self, hash: bytes) -> dict[str, Verdict]:
        """What was said of a photo, by the keys of the tags."""
        return dict(self.rows("SELECT key, verdict FROM verdicts WHERE hash = ?", (hash,)))

    def verdicts_on(self, tag: str) -> dict[bytes, Verdict]:
        """What was said of a tag, by the contents of the photos."""
        query = "SELECT hash, verdict FROM verdicts WHERE key = ?"
        return dict(self.rows(query, (tag_key(tag),)))

    def rejected(self) -> set[tuple[int, str]]:
        """The files and the keys of tags of which the owner said that they do not fit."""
        return set(
            self.rows(
                "SELECT files.id, key FROM verdicts JOIN files ON last_hash = verdicts.hash "
                "WHERE verdict = 'rejected'"
            )
        )

    def say(self, hash: bytes, tag: str, verdict: Verdict | None, *, at: str | None = None) -> None:
        """The owner's word on a tag of a photo of this content; None takes it back."""
        if verdict is None:
            self.run("DELETE FROM verdicts WHERE hash = ? AND key = ?", hash, tag_key(tag))
        else:
            self.say_of_all([hash], tag, verdict, at=at)

    def say_of_all(
        self, hashes: Iterable[bytes], tag: str, verdict: Verdict, *, at: str | None = None
    ) -> None:
        """The owner's word on a tag of photos of these contents."""
        self.run(
            "INSERT INTO verdicts (hash, key, tag, verdict, at) "
            "SELECT from_hex(value), ?, ?, ?, ? FROM json_each(?) WHERE TRUE "
            "ON CONFLICT DO UPDATE SET tag = excluded.tag, verdict = excluded.verdict, "
            "at = excluded.at",
            tag_key(tag), tag, verdict, at or now(), listed_contents(hashes),
        )  # fmt: skip

    def unsay(self, hashes: Iterable[bytes], tag: str) -> None:
        """Take back the owner's yes on photos of these contents; a no stays."""
        self.run(
            "DELETE FROM verdicts WHERE key = ? AND verdict <> 'rejected' "
            f"AND hash IN {CONTENTS}",
            tag_key(tag), listed_contents(hashes),
        )  # fmt: skip

    def content_changed(self, was: bytes, now: bytes) -> None:
        """A photo at a known path has new content: the owner's word holds for that too."""
        self.share_words(was, now)
        for table, names in (
            ("emitted", "key, tag"),
            ("names_of_others", "name"),
            ("not_duplicates", "said, member, is_several, at"),
            ("carried", "name, value, at"),
        ):
            query = f"INSERT OR IGNORE INTO {table} SELECT ?, {names} FROM {table} WHERE hash = ?"
            self.run(query, now, was)

    def share_words(self, of: bytes, also: bytes) -> None:
        """What was said of one content holds for another too, with its undoing.

        On a tag, or as a caption, of which the other has its own word, that stays.
        """
        for table, names, is_word, is_same in _WORDS:
            self.run(
                f"INSERT INTO {table} (hash, {names}) SELECT ?1, {names} FROM {table} AS given "
                f"WHERE hash = ?2 AND {is_word} AND NOT EXISTS (SELECT 1 FROM {table} AS own WHERE "
                f"own.hash = ?1 AND {is_same}) ON CONFLICT DO NOTHING",
                also, of,
            )  # fmt: skip

    def emitted(self, hash: bytes) -> set[str]:
        """The keys of what this program wrote beside or into photos of this content."""
        return {key for (key,) in self.rows("SELECT key FROM emitted WHERE hash = ?", (hash,))}

    def emitted_tags(self, hash: bytes) -> list[str]:
        """What this program wrote beside or into photos of this content, as it was spelled."""
        query = "SELECT tag FROM emitted WHERE hash = ? ORDER BY key, tag"
        return [tag for (tag,) in self.rows(query, (hash,))]

    def remember_emitted(self, hash: bytes, tags: Iterable[str]) -> None:
        """Remember tags that are about to be written beside or into photos of this content."""
        self.run_many(
            "INSERT OR IGNORE INTO emitted VALUES (?, ?, ?)",
            ((hash, tag_key(tag), tag) for tag in tags),
        )

    def names_of_others(self, hash: bytes) -> list[str]:
        """The names that photos of this content had before ExifTool wrote paths of ours."""
        query = "SELECT name FROM names_of_others WHERE hash = ? ORDER BY name"
        return [name for (name,) in self.rows(query, (hash,))]

    def remember_names(self, hash: bytes, names: Iterable[str]) -> None:
        """Remember names that are in photos of this content without this program."""
        query = "INSERT OR IGNORE INTO names_of_others VALUES (?, ?)"
        self.run_many(query, ((hash, name) for name in names))

    def forget_emitted(self, hash: bytes, tags: Iterable[str]) -> None:
        """These tags are no longer beside or in photos of this content."""
        self.run_many(
            "DELETE FROM emitted WHERE hash = ? AND key = ?",
            ((hash, tag_key(tag)) for tag in tags),
        )
