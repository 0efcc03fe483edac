"""The journal of edits: what each one changed, row by row, so that it can be undone.

An edit is one run of the program over the photos, or one word of the owner's. Every row of the
tables below that changes while an edit is open is noted by triggers, whoever changes it. Undoing
is an edit too, which says what it ``undoes``: undone itself, the first one is done again.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from mlx_aimv2.errors import UsageError

from .connection import CONTENTS, IDS, Database, listed, listed_contents


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
_UNDO = "undo"
# Not those that undo one: what they undid counts no more, and neither do they.
_COUNTS = "edits.undone_at IS NULL AND (edits.undoes IS NULL OR edits.kind <> 'undo')"
# The row before and after each kind of change; of an update only what differs counts.
_ROWS = {"INSERT": (None, "NEW"), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD", None)}


@dataclass(frozen=True)
class EditRow:
    """An edit: its number, when it was made (UTC), its kind, what it did in words.

    ``undoes`` is the number of the edit that it took back.
    """

    number: int
    at: str
    kind: str
    said: str
    undone_at: str | None
    changes: int
    undoes: int | None = None


_EDITS = (
    "SELECT id, at, kind, said, undone_at, "
    "(SELECT count(*) FROM changes WHERE edit_id = edits.id), undoes FROM edits"
)


_FILES = (
    "SELECT file_id FROM changes WHERE edit_id = ?1 AND file_id IS NOT NULL UNION "
    "SELECT files.id FROM changes JOIN files ON last_hash = changes.hash WHERE edit_id = ?1"
)
_NOT_IN_SIDECARS = "('picks', 'not_duplicates')"


class Edits(Database):
    """Questions about edits, and changes that can be undone."""

    @contextmanager
    def edit(
        self,
        kind: str,
        said: str,
        *,
        uuid: str | None = None,
        at: str | None = None,
        undoes: EditRow | None = None,
    ) -> Iterator[int]:
        """Inside it every change of tags and of the owner's word belongs to one edit.

        Gives the edit's number. It is open over several transactions of the writer if need be,
        and one that changed nothing leaves no trace. One of a ``uuid`` that is known goes on.
        """
        with self.transaction():
            number = self.one(
                "INSERT INTO edits (uuid, at, kind, said, undoes) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (uuid) DO UPDATE SET undone_at = NULL RETURNING id",
                uuid or uuid4().hex, at or now(), kind, said, undoes and undoes.number,
            )[0]  # fmt: skip
        renames = kind in _RENAMING or (undoes is not None and undoes.kind in _RENAMING)
        self._watch(number, also_from_outside=renames)
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

    def number_of_edit(self, uuid: str) -> int | None:
        """The number of an edit that has been made, by what whoever asked for it called it."""
        row = self.one("SELECT id FROM edits WHERE uuid = ?", uuid)
        return None if row is None else int(row[0])

    def edit_with(self, number: int) -> EditRow | None:
        """The edit of this number."""
        row = self.one(f"{_EDITS} WHERE id = ?", number)
        return None if row is None else EditRow(*row)

    def edits(self, *, before: int | None = None, count: int = -1) -> list[EditRow]:
        """All edits that changed anything, the latest first; or so many from before a number."""
        query = (
            f"{_EDITS} WHERE id < ifnull(?, 1 << 62) AND EXISTS "
            "(SELECT 1 FROM changes WHERE edit_id = edits.id) ORDER BY id DESC LIMIT ?"
        )
        return [EditRow(*row) for row in self.rows(query, (before, count))]

    def files_of_edit(self, number: int) -> list[int]:
        """The ids of the files whose tags, or whose owner's word, an edit changed."""
        return [id for (id,) in self.rows(_FILES, (number,))]

    def put_sidecars_behind(self, number: int) -> None:
        """Sidecars do not say yet what an edit changed; of a library that writes any."""
        files = _FILES.replace("edit_id = ?1", f"edit_id = ?1 AND place NOT IN {_NOT_IN_SIDECARS}")
        query = f"INSERT OR IGNORE INTO sidecars_behind SELECT * FROM ({files})"
        self.run(f"{query} WHERE EXISTS (SELECT 1 FROM sidecars)", number)

    def put_captions_behind(self, hashes: Iterable[bytes]) -> None:
        """Sidecars of photos of these contents do not say their caption yet, as above."""
        self.run(
            f"INSERT OR IGNORE INTO sidecars_behind SELECT id FROM files WHERE last_hash IN "
            f"{CONTENTS} AND EXISTS (SELECT 1 FROM sidecars)",
            listed_contents(hashes),
        )

    def sidecars_behind(self, count: int = -1) -> list[int]:
        """The files, or so many of them, whose sidecars do not say yet what edits changed."""
        query = "SELECT file_id FROM sidecars_behind ORDER BY file_id LIMIT ?"
        return [id for (id,) in self.rows(query, (count,))]

    def sidecars_follow(self, ids: Iterable[int]) -> None:
        """The sidecars of these files were brought up to date, or it was told why not."""
        query = f"DELETE FROM sidecars_behind WHERE file_id IN {IDS}"
        self.run(query, listed(ids))

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
            "SELECT edits.id, said FROM edits "
            "CROSS JOIN changes AS named ON edits.id = named.edit_id "
            "JOIN changes AS mine ON mine.edit_id = ?1 "
            "AND mine.place IN ('tags', 'verdicts', 'aliases', 'taught') "
            "WHERE edits.id > ?1 AND edits.kind IN ('rename', 'merge') "
            "AND named.place = 'aliases' AND named.after IS NOT NULL "
            f"AND {_COUNTS} AND tag_key(json_extract(named.after, '$[0]')) "
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

    def can_undo(self, edit: EditRow) -> bool:
        """Whether an edit can be undone, as far as can be told before."""
        try:
            self.edit_to_undo(edit.number)
        except UsageError:
            return False
        return True

    def mark_runs_undone(self, kind: str = "tag") -> None:
        """All that the program gave was taken back: none of its runs is left to undo."""
        query = "UPDATE edits SET undone_at = ? WHERE kind = ? AND undone_at IS NULL"
        self.run(query, now(), kind)

    def undo_edit(self, number: int, *, uuid: str | None = None, at: str | None = None) -> int:
        """Set back each row that still is as an edit left it, as an edit; returns how many.

        Of a row that a later edit changed, that edit's undoing leads to what was before this one:
        edits may be undone in any order, and what was undone does not return. An undoing that is
        undone does again what it undid, as a new edit.
        Errors: UsageError for an edit that cannot be undone, and where nothing can be done again.
        """
        self.edit_to_undo(number)
        edit = self.edit_with(number)
        assert edit is not None
        kind, said = _UNDO, f"undone: {edit.said}"
        first = None if edit.undoes is None or edit.kind != _UNDO else self.edit_with(edit.undoes)
        if first is not None:
            kind, said = "redo" if first.kind == _UNDO else first.kind, first.said
        with self.transaction(), self.edit(kind, said, uuid=uuid, at=at, undoes=edit):
            self._forget_renamed_keywords(number, is_redo=first is not None)
            done = sum(
                self._set_back(number, place, table, is_redo=first is not None)
                for place, table in _TABLES.items()
            )
            self.run("UPDATE edits SET undone_at = ? WHERE id = ?", at or now(), number)
            if first is not None and not done:
                raise UsageError(
                    f"edit {first.number} cannot be done again: all of it was changed since",
                    hint="aimv2 tag history lists the edits",
                )
        return done

    def _forget_renamed_keywords(self, number: int, *, is_redo: bool) -> None:
        """The next index is to read keywords of files as for the first time that have a new name.

        Those read since the edit know of no other name; those read since it was undone have the
        name of before.
        """
        name, is_named = "tag_key(json_extract(after, '$[0]'))", "after IS NOT NULL"
        if is_redo:
            name, is_named = "json_extract(names, '$[0]')", "before IS NOT NULL"
        self.run(
            "UPDATE files SET keywords_stamp = NULL WHERE id IN (SELECT tags.file_id FROM tags "
            f"JOIN changes ON edit_id = ? AND place = 'aliases' AND {is_named} "
            f"AND instr(key || '|', {name} || '|') = 1 WHERE origin IN ('file', 'sidecar'))",
            number,
        )

    def _set_back(self, number: int, place: str, table: _Table, *, is_redo: bool) -> int:
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
            if not is_redo:  # what is done again is the last that was done
                self.run(
                    "UPDATE undoing SET next = (SELECT other.id FROM changes AS mine "
                    f"JOIN changes AS other ON {same} JOIN edits ON edits.id = other.edit_id "
                    f"WHERE mine.id = last AND other.edit_id > mine.edit_id AND {_COUNTS} "
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
