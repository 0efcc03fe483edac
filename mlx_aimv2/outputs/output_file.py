"""Output files in their places: refused before any work, and whole or not there."""

import os
from importlib.util import find_spec
from pathlib import Path

from mlx_aimv2 import install
from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.atomic_folder import sync
from mlx_aimv2.files.paths import check_length, no_folder

from .embeddings import Table
from .writers import FORMATS, Format


def format_of(target: Path, *, grids: bool = False) -> Format:
    """The format that a file's name asks for, ``grids`` if it is for patch grids.

    Errors: UsageError for a name without a known extension, or of a format that holds no patch
    grids; OutputError if the package that it needs is missing.
    """
    known = ", ".join(name for name, format in FORMATS.items() if format.holds_grids or not grids)
    format = FORMATS.get(target.suffix.lower())
    if format is None:
        raise UsageError(f"{target} has no known extension", hint=f"known are {known}")
    if grids and not format.holds_grids:
        raise UsageError(
            f"{format.extension} files hold vectors, not patch grids", hint=f"use {known}"
        )
    if format.module and find_spec(format.module) is None:
        raise OutputError(
            f"{format.extension} files need {format.module}, which is not installed",
            hint=install.extra("parquet"),
        )
    return format


def check_target(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a target that exists, or that cannot come to be.

    Errors: as ``format_of``; OutputError.
    """
    parts = format_of(target).parts(target)
    folder = target.parent
    check_length(target)
    if not folder.is_dir():
        if file := next((part for part in (folder, *folder.parents) if part.is_file()), None):
            raise OutputError(f"{file} is a file, not a folder", hint="choose another folder")
        raise no_folder(folder)
    for part in parts:
        if part.is_dir():
            raise OutputError(f"{part} is a folder", hint="give the name of a file")
        if os.path.lexists(part) and not overwrite:
            raise OutputError(
                f"{part} exists already", hint="choose another name, or replace it with --force"
            )


def stage(table: Table, target: Path, folder: Path) -> None:
    """Write the files of a target into another folder, which must be on the same disk.

    Errors: OutputError if there is nothing to write, and the table is not a part of one.
    """
    if not table.summary.count and not table.is_part:
        raise OutputError(f"there is nothing to write to {target}")
    format = format_of(target)
    format.write(table, folder / target.name)
    for part in format.parts(folder / target.name):
        sync(part)


def place(target: Path, folder: Path) -> None:
    """Move what was staged in a folder to its place, over what is there."""
    for part in format_of(target).parts(target):
        (folder / part.name).replace(part)
    sync(target.parent)
