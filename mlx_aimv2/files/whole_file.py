"""A new file that is there whole or not at all."""

import tempfile
from pathlib import Path

from mlx_aimv2.errors import OutputError

from .paths import no_folder, partial_of, printable, unwritable


def check_new(target: Path) -> None:
    """Errors: OutputError where a file of this name exists, or its folder takes none."""
    if target.exists() or target.is_symlink():
        raise OutputError(
            f"{printable(target)} exists already", hint="choose another name, or remove it first"
        )
    if not target.parent.is_dir():
        raise no_folder(target.parent)
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise unwritable(target, error) from error


def write_whole(target: Path, content: str | bytes) -> None:
    """Write a file under another name, then give it its own.

    Errors: OutputError where it cannot be written.
    """
    partial = partial_of(target)
    try:
        if isinstance(content, str):
            content = content.encode("utf-8", "backslashreplace")
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(target, error) from error
