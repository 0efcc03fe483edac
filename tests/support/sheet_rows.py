"""Rows of a contact sheet, of files that no library has."""

import os
from pathlib import Path

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.images.metadata.exif import PhotoFacts
from mlx_aimv2.library.contact_sheet import SheetRow
from mlx_aimv2.library.database.photos import FileRow


def sheet_row(
    path: str | bytes | Path,
    *,
    taken_at: str | None = None,
    size: tuple[int, int] = (31, 23),
    size_bytes: int = 0,
    is_readable: bool = True,
    score: float | None = None,
    note: str = "",
    is_best: bool = False,
) -> SheetRow:
    facts = PhotoFacts("JPEG", *size, None, taken_at, None, None) if is_readable else None
    stamp = Stamp(size_bytes, 0)
    file = FileRow(
        1, os.fsencode(path), stamp, None, None, None, None, None, None, False, False, facts
    )
    return SheetRow(file, score, note, is_best)
