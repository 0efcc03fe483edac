"""Captions of pictures in files and folders, one by one; and files of them.

In such a file each has a line, on the disk before the next picture is looked at: ``.jsonl`` has
JSON lines, ``.csv`` a table for spreadsheets. What was cut off by a kill is made anew; of a file
that is there the pictures that it has are not described again.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.json_lines import SCHEMA, to_json
from mlx_aimv2.files.lock import take_lock
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.files.paths import check_length, no_folder, partial_of, printable, unwritable
from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.editing.captions import SAYS_NOTHING, Describe, Described, said

FORMATS = (".jsonl", ".csv")
_COLUMNS = ("path", "caption", "prompt", "model")
_JSON_START = f'{{"schema": {SCHEMA}, "path": "'.encode()
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "'",
)  # what a spreadsheet would compute, and our sign before it


class CaptionFile:
    """An open file of captions, all by one prompt and one model."""

    def __init__(self, target: Path, file: IO[bytes], prompt: str, model: str) -> None:
        """Errors: OutputError for a file of other captions, or of something else."""
        self._target, self._file = target, file
        self._is_table = target.suffix.lower() == ".csv"
        self._made_by = (prompt, model)
        self._known = self._read()

    def caption_of(self, path: bytes) -> str | None:
        """The caption that the file has of a picture; None without one."""
        return self._known.get(self._name(path))

    def add(self, path: bytes, caption: str) -> None:
        """Write a line, down to the disk. Errors: OutputError where it cannot be written."""
        values = (self._name(path), caption, *self._made_by)
        self._write(self._line(values))
        self._known[values[0]] = caption

    def _read(self) -> dict[str, str]:
        """The captions in the file by name; a last line that was cut off is taken away."""
        self._file.seek(0)
        *lines, rest = self._file.read().split(b"\n")
        length = self._file.tell() - len(rest)
        start = self._line(_COLUMNS) if self._is_table else _JSON_START
        if not lines and rest[: len(start)] != start[: len(rest)]:
            raise self._other("is no file of captions")
        if self._is_table and lines and lines.pop(0) + b"\n" != start:
            raise self._other("is no table of captions")
        known = {}
        for line in lines:
            name, caption, *made_by = self._values(line)
            if tuple(made_by) != self._made_by:
                raise self._other("has captions by another prompt or model")
            known[name] = caption
        self._file.truncate(length)  # once it is known whose file it is
        self._file.seek(length)
        if self._is_table and not length:
            self._write(start)
        return known

    def _values(self, line: bytes) -> list[str]:
        """The name, the caption, the prompt and the model of a line."""
        try:
            if self._is_table:
                [row] = csv.reader([line.decode()], strict=True)
                name, caption, prompt, model = map(_plain, row)
                return [name, caption, prompt, model]
            values = json.loads(line)
            return [str(values[key]) for key in _COLUMNS]
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise self._other("is no file of captions") from error

    def _line(self, values: tuple[str, ...]) -> bytes:
        if self._is_table:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerow(map(_inert, values))
            return text.getvalue().encode()
        fields = dict(zip(_COLUMNS, values, strict=True))
        return f"{to_json({'schema': SCHEMA, **fields})}\n".encode()

    def _name(self, path: bytes) -> str:
        """A path as it stands in the file: in a table on one line, so that a line is a row."""
        return printable(path) if self._is_table else escape(os.fsdecode(path))

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(self._target, error) from error

    def _other(self, what: str) -> OutputError:
        hint = "it was left as it is: choose another name"
        return OutputError(f"{printable(self._target)} {what}", hint=hint)


@contextmanager
def open_captions(target: Path, *, prompt: str, model: str) -> Iterator[CaptionFile]:
    """A file of captions, made or gone on with; locked until the block ends.

    Errors: UsageError for an unknown extension; OutputError where another process writes it, it is
    of something else, or it cannot be written.
    """
    if target.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{printable(target)} has no known extension", hint=f"known are {', '.join(FORMATS)}"
        )
    check_length(target)
    if not target.parent.is_dir():
        raise no_folder(target.parent)
    folder = partial_of(target)
    try:
        with take_lock(folder, printable(target)):
            try:
                target.touch()
                with target.open("r+b") as file:
                    yield CaptionFile(target, file, prompt, model)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise unwritable(target, error) from error


def describe_files(
    paths: Iterable[bytes],
    describe: Describe,
    *,
    prompt: str,
    model: str,
    file: CaptionFile | None = None,
) -> Iterator[Described]:
    """Pictures with their captions, kept in ``file`` if there is one, which may have some already.

    Errors: OutputError where the file cannot be written; those of single pictures are given.
    """
    for path in paths:
        name = os.fsdecode(path)
        text = None if file is None else file.caption_of(path)
        is_new = text is None
        if text is None:
            try:
                text = said(describe, name)
            except SAYS_NOTHING as error:
                yield Described(name, error=error)
                continue
            if file is not None:
                file.add(path, text)
        yield Described(name, Caption(text, "program", prompt, model), is_new=is_new)


def _inert(value: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _plain(cell: str) -> str:
    return cell.removeprefix("'")
