"""Tags of photos, and the sidecars that this program wrote."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from ..tag_names import tag_key
from .connection import CONTENTS, OF_THESE, Database, listed, listed_contents

# Of several origins the first is shown where there is room for one; a name may follow the word.
ORIGINS = ("you", "file", "sidecar", "taught", "vocabulary")
FROM_OUTSIDE = ("file", "sidecar")
# Tables of tags by name: their other columns, and which row stays where two become one.
_NAMED = (
    ("tags", "file_id, origin, score", "NOTHING"),
    ("taught", "words", "UPDATE SET words = coalesce(words, excluded.words)"),
    (
        "verdicts",
        "hash, verdict, at",
        "UPDATE SET verdict = excluded.verdict, tag = excluded.tag, at = excluded.at "
        "WHERE verdict = 'rejected' AND excluded.verdict <> 'rejected'",
    ),
)


class Held(NamedTuple):
    """What a sidecar is to have of the library: tags, a caption, values carried from copies."""

    tags: bool = False
    caption: bool = False
    carried: bool = False


_TAGS_ONLY = Held(tags=True)


class Tags(Database):
    """Questions about tags and sidecars."""

    def tags_of(self, file_id: int) -> dict[str, str]:
        """The tags of a file that are shown, each with the first of its origins."""
        return {tag: origins[0] for tag, origins in self.origins_of([file_id])[file_id].items()}

    def origins_of(self, file_ids: Sequence[int]) -> dict[int, dict[str, list[str]]]:
        """The tags of files that are shown, by name, with their origins, the first one first."""
        found: dict[int, dict[str, dict[str, str]]] = {id: {} for id in file_ids}
        # Numbers, not a subquery: with that SQLite would make the whole view first.
        numbers = ", ".join(str(int(id)) for id in file_ids)
        query = f"SELECT file_id, key, origin, tag FROM shown_tags WHERE file_id IN ({numbers})"
        for id, key, origin, tag in self.rows(query):
            found[id].setdefault(key, {})[origin] = tag
        tags = {id: [sorted(each.items(), key=_rank) for each in of.values()]
                for id, of in found.items()}  # fmt: skip
        return {
            id: {each[0][1]: [origin for origin, _ in each] for each in sorted(of, key=_name)}
            for id, of in tags.items()
        }

    def tags_among(self, ids: Iterable[int]) -> tuple[int, list[tuple[str, int]]]:
        """How many of these files there are, and their tags with how many of them have each.

        The commonest first; in as many statements for a million files as for one.
        """
        with self.temporary_table("chosen", "id INTEGER PRIMARY KEY, hash BLOB"):
            self.run(
                f"INSERT INTO chosen SELECT id, last_hash FROM files WHERE {OF_THESE}",
                listed(ids),
            )
            found = self.rows(
                "SELECT min(tag), count(DISTINCT id) AS have FROM ("
                "SELECT chosen.id, tags.key, tags.tag FROM chosen JOIN tags ON file_id = chosen.id "
                "LEFT JOIN verdicts ON verdicts.hash = chosen.hash AND verdicts.key = tags.key "
                "WHERE verdict IS NULL UNION "
                "SELECT chosen.id, key, tag FROM chosen JOIN verdicts "
                "ON verdicts.hash = chosen.hash WHERE verdict <> 'rejected') "
                "GROUP BY key ORDER BY have DESC, key"
            )
            return int(self.one("SELECT count(*) FROM chosen")[0]), found

    def from_outside(self, file_id: int) -> dict[str, str]:
        """The keywords of other programs in a file and its sidecars, by key."""
        query = "SELECT key, tag FROM tags WHERE file_id = ? AND origin IN ('file', 'sidecar')"
        return dict(self.rows(query, (file_id,)))

    def tags(self, origin: str) -> Iterator[tuple[int, str, float | None]]:
        """File, tag and score of every tag of this origin, rejected ones too, by file and tag."""
        query = "SELECT file_id, tag, score FROM tags WHERE origin = ? ORDER BY file_id, tag"
        yield from self.rows(query, (origin,))

    def files_having(self, tag: str) -> list[tuple[int, float | None]]:
        """The files, not missing, that are shown with a tag, the least sure first.

        Without a score are those at the end that the owner or another program gave the tag.
        """
        found = self.rows(
            "SELECT files.id, iif(max(verdict IS NOT NULL OR origin IN ('file', 'sidecar')), NULL, "
            "max(score)) FROM tags JOIN files ON files.id = file_id LEFT JOIN verdicts "
            "ON verdicts.hash = last_hash AND verdicts.key = tags.key WHERE tags.key = ?1 "
            "AND missing_since IS NULL AND verdict IS NOT 'rejected' GROUP BY files.id UNION ALL "
            "SELECT files.id, NULL FROM verdicts JOIN files ON last_hash = verdicts.hash "
            "WHERE key = ?1 AND missing_since IS NULL AND verdict <> 'rejected'",
            (tag_key(tag),),
        )
        scores = dict(found)  # the owner's word comes last, and counts
        return sorted(scores.items(), key=lambda each: (each[1] is None, each[1] or 0, each[0]))

    def files_said_no_to(self, tag: str) -> list[int]:
        """The files, not missing, of which the owner said that a tag does not fit; latest first."""
        found = self.rows(
            "SELECT files.id FROM verdicts JOIN files ON last_hash = verdicts.hash WHERE key = ? "
            "AND missing_since IS NULL AND verdict = 'rejected' ORDER BY at DESC, files.id",
            (tag_key(tag),),
        )
        return [id for (id,) in found]

    def spelling(self, key: str) -> str | None:
        """How a tag of a photo, of the owner's word, or a taught one is written, by its key."""
        row = self.one(
            "SELECT coalesce((SELECT min(tag) FROM verdicts WHERE key = ?1), "
            "(SELECT tag FROM taught WHERE key = ?1), "
            "(SELECT tag FROM tags WHERE key = ?1 LIMIT 1))",
            key,
        )
        return None if row[0] is None else str(row[0])

    def has_tags(self) -> bool:
        """Whether any file has a tag."""
        return self.one("SELECT 1 FROM shown_tags LIMIT 1") is not None

    def add_tags(self, origin: str, rows: Iterable[tuple[int, str, float | None]]) -> None:
        """Write tags of this origin, by their lasting names: (file id, tag, score)."""
        named = self.named()
        self.run_many(
            "INSERT INTO tags (file_id, key, origin, tag, score) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET tag = excluded.tag, score = excluded.score",
            ((id, tag_key(named(tag)), origin, named(tag), score) for id, tag, score in rows),
        )

    def remove_tags(self, origin: str, pairs: Iterable[tuple[int, str]] | None = None) -> None:
        """Remove tags of this origin: those named as (file id, tag), or all."""
        if pairs is None:
            self.run("DELETE FROM tags WHERE origin = ?", origin)
            return
        self.run_many(
            "DELETE FROM tags WHERE file_id = ? AND key = ? AND origin = ?",
            ((file_id, tag_key(tag), origin) for file_id, tag in pairs),
        )

    def take_off(self, hashes: Iterable[bytes], tag: str) -> None:
        """Remove what the program gave to photos of these contents."""
        self.run(
            "DELETE FROM tags WHERE key = ? AND origin NOT IN ('file', 'sidecar') "
            f"AND file_id IN (SELECT id FROM files WHERE last_hash IN {CONTENTS})",
            tag_key(tag), listed_contents(hashes),
        )  # fmt: skip

    def teach(self, tag: str, words: str | None) -> None:
        """A tag is taught by words and examples; None: by examples only."""
        self.run(
            "INSERT INTO taught (key, tag, words) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
            "tag = excluded.tag, words = excluded.words",
            tag_key(tag), tag, words,
        )  # fmt: skip

    def aliases(self) -> dict[str, str]:
        """The lasting names of tags that were renamed or merged, by their former keys."""
        return dict(self.rows("SELECT key, tag FROM aliases"))

    def named(self) -> Callable[[str], str]:
        """A function from a tag to its lasting name: its own, or that of a path it lies beneath."""
        aliases = self.aliases()
        return cache(lambda tag: _lasting(tag, aliases)) if aliases else lambda tag: tag

    def alias(self, tag: str, lasting: str) -> None:
        """From now on a tag, and those beneath it, have this name."""
        self.run(
            "INSERT INTO aliases VALUES (?, ?) ON CONFLICT DO UPDATE SET tag = excluded.tag",
            tag_key(tag), lasting,
        )  # fmt: skip

    def rename(self, tag: str, lasting: str) -> None:
        """Give a tag and those beneath it another name, here and in all that comes.

        Where two tags become one, the owner's yes counts, not the no.
        """
        self.alias(tag, lasting)
        aliases, names = self.aliases(), lasting.split("|")
        paths = ("|".join(names[:count]) for count in range(1, len(names) + 1))
        if any(tag_key(path) in aliases for path in paths):
            self.alias(lasting, lasting)  # a name that was given up before is taken again
        named = self.named()
        for table, others, kept in _NAMED:
            for was, key in self.rows(f"SELECT DISTINCT tag, key FROM {table}"):
                now = named(was)
                if now == was:
                    continue
                if tag_key(now) == key:
                    query = f"UPDATE {table} SET tag = ? WHERE key = ? AND tag = ?"
                    self.run(query, now, key, was)
                    continue
                self.run(
                    f"INSERT INTO {table} (key, tag, {others}) SELECT ?, ?, {others} "
                    f"FROM {table} WHERE key = ? AND tag = ? ON CONFLICT DO {kept}",
                    tag_key(now), now, key, was,
                )  # fmt: skip
                self.run(f"DELETE FROM {table} WHERE key = ? AND tag = ?", key, was)

    def setting(self, name: str) -> str | None:
        """What the library remembers by this name."""
        row = self.one("SELECT value FROM settings WHERE name = ?", name)
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        """Remember a value by this name."""
        self.run(
            "INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            name, value,
        )  # fmt: skip

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

    def held_in_sidecar(self, path: bytes) -> Held | None:
        """What a sidecar is to have; None for one not written here."""
        query = "SELECT has_tags, has_caption, has_carried FROM sidecars WHERE path = ?"
        row = self.one(query, path)
        return None if row is None else Held(*map(bool, row))

    def carried_to(self, hash: bytes) -> dict[str, str]:
        """The values that were carried to photos of a content from their copies, by name."""
        return dict(self.rows("SELECT name, value FROM carried WHERE hash = ?", (hash,)))

    def remember_sidecar(
        self,
        path: bytes,
        file_id: int,
        before: bytes | None,
        after: bytes,
        held: Held = _TAGS_ONLY,
    ) -> None:
        """Keep, for undoing, what was there before, and what this program wrote.

        ``held`` is what it is to have from now on.
        """
        self.run(
            "INSERT OR REPLACE INTO sidecars "
            "(path, file_id, before, after, has_tags, has_caption, has_carried) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            path, file_id, before, after, *held,
        )  # fmt: skip

    def move_sidecars(self, moves: Mapping[bytes, bytes]) -> None:
        """These sidecars are at other paths now, of which another one of them may have been."""
        aside = {b"\0" + was: now for was, now in moves.items()}
        for pairs in (zip(aside, moves, strict=True), ((aside[was], was) for was in aside)):
            self.run_many("UPDATE sidecars SET path = ? WHERE path = ?", pairs)


def _lasting(tag: str, aliases: Mapping[str, str]) -> str:
    """A tag's name by the aliases of it or of what it lies beneath, the longest first, and so on.

    An alias that gives a name itself ends this: so a name can be taken back, or lie beneath itself.
    """
    for _ in range(len(aliases) + 1):
        names = tag.split("|")
        paths = ("|".join(names[:count]) for count in range(len(names), 0, -1))
        path = next((path for path in paths if tag_key(path) in aliases), None)
        if path is None:
            return tag
        lasting = aliases[tag_key(path)]
        tag = lasting + tag.removeprefix(path)
        if tag_key(lasting) == tag_key(path):
            return tag
    return tag


def _rank(pair: tuple[str, str]) -> tuple[int, str]:
    """The place of an origin among the others of a tag, for sorting."""
    origin = pair[0]
    word = origin.partition(" ")[0]
    return ORIGINS.index(word) if word in ORIGINS else len(ORIGINS), origin


def _name(origins: list[tuple[str, str]]) -> str:
    return origins[0][1]
