"""Output files in their places: refused before any work, and whole or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import Aimv2Error, OutputError, UsageError
from mlx_aimv2.files.atomic_folder import sync
from mlx_aimv2.files.file_diagnosis import START_BYTES, stand_in
from mlx_aimv2.files.paths import check_length, no_folder

from .embeddings import Table
from .formats import FORMATS, Format
from .shard import target_of


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
    if format.package and find_spec(format.package) is None:
        raise OutputError(
            f"{format.extension} files need {format.package}, which is not installed",
            hint=install_hints.extra("parquet"),
        )
    return format


def check_target(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a target, or a shard's file, that exists or that cannot come to be.

    Errors: as ``format_of``; OutputError.
    """
    folder = target.parent
    for file in [target] if target_of(target) else format_of(target).parts(target):
        check_length(file)
        if not folder.is_dir():
            if above := next((part for part in (folder, *folder.parents) if part.is_file()), None):
                raise OutputError(f"{above} is a file, not a folder", hint="choose another folder")
            raise no_folder(folder)
        if file.is_dir():
            raise OutputError(f"{file} is a folder", hint="give the name of a file")
        if os.path.lexists(file) and not overwrite:
            raise OutputError(
                f"{file} exists already", hint="choose another name, or replace it with --force"
            )


def stage(table: Table, target: Path, folder: Path) -> None:
    """Write the files of a target into a new folder, which must be on the same disk.

    Errors: OutputError if there is nothing to write.
    """
    if not table.summary.count:
        raise OutputError(f"there is nothing to write to {target}")
    format = format_of(target)
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir()
    format.write(table, folder / target.name)
    for part in format.parts(folder / target.name):
        sync(part)


def place(target: Path, folder: Path) -> None:
    """Move what was staged in a folder to its place, over what is there."""
    for part in format_of(target).parts(target):
        (folder / part.name).replace(part)
    sync(target.parent)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Whatever goes wrong in the block is said of the file. Errors: OutputError."""
    try:
        yield
    except Aimv2Error:
        raise
    except FileNotFoundError as error:
        missing = file if error.filename is None else error.filename
        raise OutputError(
            f"{missing} does not exist", hint="check its name and the folder you are in"
        ) from error
    except OSError as error:
        if error.strerror is None:  # PyArrow's, of bytes that it does not understand
            raise _damaged(file, error) from error
        raise OutputError(
            f"{file} cannot be read: {error.strerror}", hint="look whether the disk is there"
        ) from error
    except Exception as error:  # bytes that are not what they should be fail in any way
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> OutputError:
    with suppress(OSError), file.open("rb") as opened:
        if found := stand_in(opened.read(START_BYTES)):
            return OutputError(f"{file} is {found[0]}", hint=found[1])
    return OutputError(
        f"{file} is damaged, or no file of embeddings: {type(error).__name__}: {error}",
        hint="make it again with the command that made it and --force",
    )
