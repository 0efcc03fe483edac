"""The journal of edits: what each one changed, row by row, so that it can be undone.

An edit is one run of the program over the photos, or one word of the owner's. Every row of the
tables below that changes while an edit is open is noted by triggers, whoever changes it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from mlx_aimv2.errors import UsageError

from .connection import Database


@dataclass(frozen=True)
class _Table:
    """A table whose rows edits change: what tells its rows apart, and what they say.

    ``owner`` is the photo's column, by file or by content, where there is one. A row is as an
    edit left it if ``names`` and the first of ``values`` are.
    """

    owner: str | None
    names: tuple[str, ...]
    values: tuple[str, ...]
    journaled: str = "TRUE"


_TABLES = {
    # What files and sidecars say is read from them, and is nobody's edit here.
    "tags": _Table(
        "file_id", ("key", "origin"), ("tag", "score"), "{row}.origin NOT IN ('file', 'sidecar')"
    ),
    "verdicts": _Table("hash", ("key",), ("verdict", "tag", "at")),
    "captions": _Table(
        "hash", ("origin",), ("text", "prompt", "model", "at"), "{row}.origin <> 'file'"
    ),
    "aliases": _Table(None, ("key",), ("tag",)),
    "taught": _Table(None, ("key",), ("words", "tag")),
    "vocabularies": _Table(
        None, ("name",), ("text", "min_confidence", "tag_limit", "used_at")
    ),
    "picks": _Table("file_id", (), ("content", "at")),
    "not_duplicates": _Table("hash", ("said",), ("member", "is_several", "at")),
    "carried": _Table("hash", ("name",), ("value", "at")),
}  # fmt: skip
_RENAMING = ("rename", "merge")  # edits that change the names of all tags, whoever gave them
# The row before and after each kind of change; of an update only what differs counts.
_ROWS = {"INSERT": (None, "NEW"), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD", None)}


@dataclass(frozen=True)
class EditRow:
    """An edit: its number, when it was made (UTC), its kind, what it did in words."""

    number: int
    at: str
    kind: str
    said: str
    undone_at: str | None
    changes: int


class Edits(Database):
    """Questions about edits, and changes that can be undone."""

    @contextmanager
    def edit(
        self, kind: str, said: str, *, uuid: str | None = None, at: str | None = None
    ) -> Iterator[int]:
        """Inside it every change of tags and of the owner's word belongs to one edit.

        Gives the edit's number. It is open over several transactions of the writer if need be,
        and one that changed nothing leaves no trace. One of a ``uuid`` that is known goes on.
        """
        with self.transaction():
            number = self.one(
                "INSERT INTO edits (uuid, at, kind, said) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (uuid) DO UPDATE SET undone_at = NULL RETURNING id",
                uuid or uuid4().hex, at or now(), kind, said,
            )[0]  # fmt: skip
        self._watch(number, also_from_outside=kind in _RENAMING)
        try:
            yield number
        finally:
            self._unwatch()
            if uuid is None:  # one that was kept beside the library is known by its edit
                query = "DELETE FROM edits WHERE id = ?1 AND NOT EXISTS "
                self.run(f"{query}(SELECT 1 FROM changes WHERE edit_id = ?1)", number)

    def say_of_edit(self, number: int, said: str) -> None:
        """Say at its end what an edit did."""
        self.run("UPDATE edits SET said = ? WHERE id = ?", said, number)

    def knows_edit(self, uuid: str) -> bool:
        """Whether an edit that was kept beside the library has been made."""
        return self.one("SELECT 1 FROM edits WHERE uuid = ?", uuid) is not None

    def was_undone(self, number: int) -> bool:
        """Whether an edit was undone."""
        row = self.one("SELECT undone_at FROM edits WHERE id = ?", number)
        return row is not None and row[0] is not None

    def edits(self) -> list[EditRow]:
        """All edits, the latest first."""
        query = (
            "SELECT id, at, kind, said, undone_at, "
            "(SELECT count(*) FROM changes WHERE edit_id = edits.id) FROM edits ORDER BY id DESC"
        )
        return [EditRow(*row) for row in self.rows(query)]

    def files_of_edit(self, number: int) -> list[int]:
        """The ids of the files whose tags, or whose owner's word, an edit changed."""
        query = (
            "SELECT file_id FROM changes WHERE edit_id = ?1 AND file_id IS NOT NULL UNION "
            "SELECT files.id FROM changes JOIN files ON last_hash = changes.hash WHERE edit_id = ?1"
        )
        return [id for (id,) in self.rows(query, (number,))]

    def edit_to_undo(self, number: int | None, kind: str = "tag") -> int:
        """The number of an edit that can be undone; without one, of the program's last run.

        ``kind`` is that of the runs.

        Errors: UsageError where there is none, and where a tag of it has another name since.
        """
        if number is None:
            row = self.one(
                "SELECT max(id) FROM edits WHERE kind = ? AND undone_at IS NULL "
                "AND EXISTS (SELECT 1 FROM changes WHERE edit_id = edits.id)",
                kind,
            )
            if row[0] is None:
                raise UsageError("there is no run to undo", hint="aimv2 tag history lists edits")
            number = int(row[0])
        row = self.one("SELECT undone_at FROM edits WHERE id = ?", number)
        if row is None or row[0] is not None:
            raise UsageError(
                f"there is no edit {number}" if row is None else f"edit {number} was undone",
                hint="aimv2 tag history lists them",
            )
        # What comes back under a name of then would be another tag, that nobody has rejected.
        renamed = self.one(
            "SELECT edits.id, said FROM changes AS named JOIN edits ON edits.id = named.edit_id "
            "JOIN changes AS mine ON mine.edit_id = ?1 "
            "AND mine.place IN ('tags', 'verdicts', 'aliases', 'taught') "
            "WHERE named.edit_id > ?1 AND named.place = 'aliases' AND named.after IS NOT NULL "
            "AND undone_at IS NULL AND tag_key(json_extract(named.after, '$[0]')) "
            "<> json_extract(named.names, '$[0]') AND instr(json_extract(mine.names, '$[0]') "
            "|| '|', json_extract(named.names, '$[0]') || '|') = 1 ORDER BY edits.id DESC LIMIT 1",
            number,
        )
        if renamed is not None:
            raise UsageError(
                f"a tag of edit {number} has another name since edit {renamed[0]}: {renamed[1]}",
                hint=f"undo that one first: aimv2 tag undo {renamed[0]}",
            )
        return number

    def mark_runs_undone(self, kind: str = "tag") -> None:
        """All that the program gave was taken back: none of its runs is left to undo."""
        query = "UPDATE edits SET undone_at = ? WHERE kind = ? AND undone_at IS NULL"
        self.run(query, now(), kind)

    def undo_edit(self, number: int) -> int:
        """Set back each row that still is as an edit left it; returns how many.

        Of a row that a later edit changed, that edit's undoing leads to what was before this one:
        edits may be undone in any order, and what was undone does not return.
        Errors: UsageError for an edit that cannot be undone.
        """
        self.edit_to_undo(number)
        with self.transaction():
            self._forget_renamed_keywords(number)
            done = sum(self._set_back(number, place, table) for place, table in _TABLES.items())
            self.run("UPDATE edits SET undone_at = ? WHERE id = ?", now(), number)
        return done

    def _forget_renamed_keywords(self, number: int) -> None:
        """The next index is to read keywords of files as for the first time that have a new name.

        Those read since the edit know of no other name.
        """
        self.run(
            "UPDATE files SET keywords_stamp = NULL WHERE id IN (SELECT tags.file_id FROM tags "
            "JOIN changes ON edit_id = ? AND place = 'aliases' AND after IS NOT NULL AND instr("
            "key || '|', tag_key(json_extract(after, '$[0]')) || '|') = 1 "
            "WHERE origin IN ('file', 'sidecar'))",
            number,
        )

    def _set_back(self, number: int, place: str, table: _Table) -> int:
        owner = [table.owner] if table.owner else []
        same = " AND ".join(f"other.{each} = mine.{each}" for each in ("place", "names", *owner))
        columns = (*owner, *table.names)
        row = [f"mine.{each}" for each in owner] + _items("mine.names", table.names)
        is_row = " AND ".join(
            f"current.{name} = {value}" for name, value in zip(columns, row, strict=True)
        )
        with self.temporary_table("undoing", "first INTEGER, last INTEGER, next INTEGER"):
            self.run(
                "INSERT INTO undoing (first, last) SELECT min(id), max(id) FROM changes "
                "WHERE edit_id = ? AND place = ? GROUP BY file_id, hash, names",
                number, place,
            )  # fmt: skip
            self.run(
                "UPDATE undoing SET next = (SELECT other.id FROM changes AS mine "
                f"JOIN changes AS other ON {same} JOIN edits ON edits.id = other.edit_id "
                "WHERE mine.id = last AND other.edit_id > mine.edit_id AND undone_at IS NULL "
                "ORDER BY other.id LIMIT 1)"
            )
            self.run(
                "UPDATE changes SET before = mine.before FROM undoing "
                "JOIN changes AS mine ON mine.id = first WHERE changes.id = next"
            )
            self.run(
                "DELETE FROM undoing WHERE next IS NOT NULL OR last IN ("
                "SELECT last FROM undoing JOIN changes AS mine ON mine.id = last "
                f"LEFT JOIN {place} AS current ON {is_row} "
                f"WHERE (current.{columns[0]} IS NULL) <> (mine.after IS NULL) "
                f"OR current.{table.values[0]} IS NOT json_extract(mine.after, '$[0]'))"
            )
            self.run(
                f"DELETE FROM {place} WHERE ({', '.join(columns)}) IN (SELECT {', '.join(row)} "
                "FROM undoing JOIN changes AS mine ON mine.id = last)"
            )
            self.run(
                f"INSERT INTO {place} ({', '.join((*columns, *table.values))}) "
                f"SELECT {', '.join(row + _items('mine.before', table.values))} "
                "FROM undoing JOIN changes AS mine ON mine.id = first WHERE before IS NOT NULL"
            )
            return int(self.one("SELECT count(*) FROM undoing")[0])

    def _watch(self, number: int, *, also_from_outside: bool) -> None:
        for place, table in _TABLES.items():
            for action, (old, new) in _ROWS.items():
                row = new or old
                when = "TRUE" if also_from_outside else table.journaled.format(row=row)
                if action == "UPDATE":
                    when += f" AND NEW.{table.values[0]} IS NOT OLD.{table.values[0]}"
                owner = dict.fromkeys(("file_id", "hash"), "NULL")
                if table.owner:
                    owner[table.owner] = f"{row}.{table.owner}"
                self.run(
                    f"CREATE TEMP TRIGGER {_trigger(place, action)} AFTER {action} ON main.{place} "
                    f"WHEN {when} BEGIN INSERT INTO changes "
                    "(edit_id, place, file_id, hash, names, before, after) VALUES "
                    f"({number}, '{place}', {owner['file_id']}, {owner['hash']}, "
                    f"{_array(row, table.names)}, {_array(old, table.values)}, "
                    f"{_array(new, table.values)}); END"
                )

    def _unwatch(self) -> None:
        for place in _TABLES:
            for action in _ROWS:
                self.run(f"DROP TRIGGER IF EXISTS temp.{_trigger(place, action)}")


def now() -> str:
    """The time, UTC, as it is kept: 2026-11-30T17:05:09+00:00."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _trigger(place: str, action: str) -> str:
    return f"edit_{place}_{action.lower()}"


def _items(column: str, names: tuple[str, ...]) -> list[str]:
    """SQL for the items of a column that holds a JSON array."""
    return [f"json_extract({column}, '$[{at}]')" for at in range(len(names))]


def _array(row: Any, names: tuple[str, ...]) -> str:
    """SQL for some columns as a JSON array; NULL without a row."""
    return f"json_array({', '.join(f'{row}.{name}' for name in names)})" if row else "NULL"
