"""Pairs named in a table, a picture's file and its captions in each row."""

import csv
import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.paths import printable, unreadable

from .pair import Pair, PairError, to_captions

Rows = Iterator[dict[str, Any] | str]
"""Each row's fields by their columns; or, of a row that cannot be read, what is wrong with it."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that have a picture's file and its caption."""

    image: str
    caption: str


class Table:
    """The pairs of a table's rows, ``find`` making a path of what a row has for its picture.

    The rows are held as bytes: about 100 MB a million, where Python's own objects take five times
    that. ``takes`` leaves out the rows of files that it denies.
    Errors: UsageError where the first row has not got the columns.
    """

    def __init__(
        self,
        path: Path,
        rows: Rows,
        columns: Columns,
        find: Callable[[str], str],
        takes: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._path, self._find = path, find
        self._rows, self._ends = bytearray(), array("q", [0])
        self.notes: tuple[str, ...] = ()
        left_out = 0
        is_checked = False
        for row in rows:
            entry: Any = row
            if isinstance(row, dict):
                if not is_checked:
                    _check(path, row, columns)
                    is_checked = True
                file = row.get(columns.image)
                if isinstance(file, str) and not takes(file):
                    left_out += 1
                    continue
                entry = [file, row.get(columns.caption)]
            self._rows += json.dumps(entry).encode()
            self._ends.append(len(self._rows))
        if left_out:
            self.notes = (f"{printable(path)}: {left_out:,} rows of other splits are left out",)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def read(self, number: int) -> Pair:
        """The pair of a row. Errors: PairError."""
        entry = json.loads(self._rows[self._ends[number] : self._ends[number + 1]])
        if isinstance(entry, str):
            raise PairError(f"{printable(self._path)}, {entry}")
        file, caption = entry
        if not isinstance(file, str) or not file:
            raise PairError(f"{printable(self._path)}, row {number + 1} names no picture")
        return Pair(printable(file), self._find(file), to_captions(caption, printable(file)))


def read_json_lines(path: Path) -> Rows:
    """The rows of a ``.jsonl``, an object a line."""
    with _opened(path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield row if isinstance(row, dict) else f"line {number} is no JSON object in UTF-8"


def read_csv(path: Path, separator: str) -> Rows:
    """The rows of a ``.csv`` under its header. Wrong UTF-8 is left in the fields, as surrogates."""
    if len(separator) != 1 or separator in '\r\n"':
        raise UsageError(f"{separator!r} is no separator", hint="give one character, like ,")
    with (
        _opened(path),
        path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
    ):
        rows = csv.reader(file, delimiter=separator)
        header = next(rows, [])
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                yield f"line {rows.line_num}: {error}"
                continue
            if row is None:
                return
            if row:
                yield dict(zip(header, row, strict=False))


def read_parquet(path: Path, columns: Columns) -> Rows:
    """The rows of a ``.parquet``, some thousands at a time. Errors: Aimv2Error without pyarrow."""
    try:
        from pyarrow import ArrowException  # noqa: PLC0415  (an extra)
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError as error:
        hint = install_hints.extra("parquet")
        raise Aimv2Error(f"{printable(path)} needs pyarrow to be read", hint=hint) from error
    try:
        with _opened(path), path.open("rb") as file:
            table = ParquetFile(file)
            names = table.schema_arrow.names
            wanted = [name for name in (columns.image, columns.caption) if name in names]
            if len(wanted) < 2:
                _check(path, dict.fromkeys(names), columns)
            for batch in table.iter_batches(4096, columns=wanted):
                yield from batch.to_pylist()
    except ArrowException as error:
        raise UsageError(
            f"{printable(path)} is no readable Parquet file: {error}", hint="fetch it again"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def _check(path: Path, there: Iterable[str], columns: Columns) -> None:
    names = [str(name) for name in there]
    for name, option in ((columns.image, "image_key"), (columns.caption, "caption_key")):
        if name not in names:
            ways = {option: "name the column"}
            if len(names) == 1:
                ways["separator"] = "say what stands between columns"
            raise UsageError(
                f"{printable(path)} has no column {name!r}: it has {', '.join(map(repr, names))}",
                options=ways,
            )
