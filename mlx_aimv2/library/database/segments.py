"""Vectors on disk: rows of float16 in files that only grow, read through memory maps.

The database says how many rows there are. What lies behind them was written by a run that was
killed before it could say so, and is cut off by the next one.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.paths import printable

Halves = NDArray[np.float16]
Maps = dict[Path, tuple[int, Halves]]  # a file's inode, and what of it is mapped
ROWS_PER_SEGMENT = 1 << 18
FULL_HINT = "make room on the disk and run the command again: what was done before is kept"
_ITEM_BYTES = 2


class Segments:
    """The rows of one set, in files of ``ROWS_PER_SEGMENT``. Shapes: (row_count, width).

    ``maps`` keeps files mapped for the next ones who read them.
    """

    def __init__(self, folder: Path, width: int, row_count: int, maps: Maps | None = None) -> None:
        self.folder = folder
        self.width = width
        self.row_count = row_count
        self._maps = {} if maps is None else maps

    def cut(self) -> None:
        """Forget what was written but not counted; make the folder where there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, rows in enumerate(self._rows_by_segment(), 1):
            file = self._file(number)
            have = file.stat().st_size if file.exists() else 0
            if have < rows * self._row_bytes:
                raise self._too_short(file)
            if have > rows * self._row_bytes:
                os.truncate(file, rows * self._row_bytes)
        for file in self.folder.glob("*.f16"):
            if int(file.stem) > len(self._rows_by_segment()):
                file.unlink()

    def append(self, rows: Halves) -> None:
        """Write rows behind those that count, down to the disk. Shapes: (n, width).

        Errors: OutputError where the disk is full or fails; what was written is then cut off.
        """
        before = self.row_count
        try:
            while len(rows):
                number, used = divmod(self.row_count, ROWS_PER_SEGMENT)
                part = rows[: ROWS_PER_SEGMENT - used]
                self._write(self._file(number + 1), used * self._row_bytes, part)
                self.row_count += len(part)
                rows = rows[len(part) :]
        except OSError as error:
            self.row_count = before
            with suppress(OSError, OutputError):
                self.cut()
            raise OutputError(
                f"vectors cannot be written to {printable(self.folder)}: {error.strerror}",
                hint=FULL_HINT,
            ) from error

    def blocks(self) -> Iterator[tuple[int, Halves]]:
        """First row and rows of each segment, mapped into memory, not read.

        Errors: OutputError where a segment is missing or too short.
        """
        for number, rows in enumerate(self._rows_by_segment(), 1):
            yield (number - 1) * ROWS_PER_SEGMENT, self._mapped(self._file(number), rows)

    def take(self, rows: NDArray[np.int64]) -> Halves:
        """Copies of some rows. Shapes: (n,) -> (n, width)."""
        taken = np.empty((len(rows), self.width), np.float16)
        for first, block in self.blocks():
            inside = (rows >= first) & (rows < first + len(block))
            taken[inside] = block[rows[inside] - first]
        return taken

    def problems(self) -> list[str]:
        """What is wrong with the files, each with the way out; none is read."""
        wrong = []
        for number, rows in enumerate(self._rows_by_segment(), 1):
            file = self._file(number)
            if not file.exists() or file.stat().st_size < rows * self._row_bytes:
                error = self._too_short(file)
                wrong.append(f"{error}: {error.hint}")
        return wrong

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mapped(self, file: Path, rows: int) -> Halves:
        """Mapped once: the system fills a new map page by page, as long as a search takes."""
        try:
            inode = file.stat().st_ino  # another's only when no map holds the file any more
            known = self._maps.get(file)
            if known is None or known[0] != inode or len(known[1]) < rows:
                known = inode, np.memmap(file, np.float16, "r", shape=(rows, self.width))
                self._maps[file] = known
        except (OSError, ValueError) as error:
            raise self._too_short(file) from error
        return known[1][:rows]

    def _write(self, file: Path, start: int, rows: Halves) -> None:
        """Over whatever a write that was interrupted has left there."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o666)
        with os.fdopen(descriptor, "wb") as opened:
            os.ftruncate(descriptor, start)
            opened.seek(start)
            opened.write(np.ascontiguousarray(rows).tobytes())
            opened.flush()
            os.fsync(descriptor)

    @property
    def size_bytes(self) -> int:
        """What the counted rows take on disk."""
        return self.row_count * self._row_bytes

    @property
    def _row_bytes(self) -> int:
        return self.width * _ITEM_BYTES

    def _rows_by_segment(self) -> list[int]:
        full, rest = divmod(self.row_count, ROWS_PER_SEGMENT)
        return [ROWS_PER_SEGMENT] * full + [rest] * (rest > 0)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06}.f16"

    def _too_short(self, file: Path) -> OutputError:
        library_folder = self.folder.parent
        if not library_folder.exists():
            return no_vectors(library_folder)
        return OutputError(
            f"vectors are missing from {printable(file)}",
            hint="bring the folder back from a backup, or start a new library with --library",
        )


def no_vectors(folder: Path) -> OutputError:
    """The error to raise for a library whose folder of vectors is not where it should be."""
    return OutputError(
        f"the library's vectors are missing: there is no folder {printable(folder)}",
        hint="was the library renamed or moved? give its folder of vectors that name and place, "
        "bring it back from a backup, or start a new library with --library",
    )
