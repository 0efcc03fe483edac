"""A folder that appears whole or not at all.

It is filled under a hidden name beside the target, locked by its owner, and renamed at the end.
A killed owner leaves ``.NAME.partial-*`` behind, unlocked: the next run for that target removes it.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from mlx_aimv2.errors import OutputError

from .lock import hold, is_at
from .paths import unwritable

_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


@contextmanager
def staged(target: Path, *, replaces: bool = False) -> Iterator[Path]:
    """A folder to fill, which is the target once the block ends well and gone if it does not.

    ``replaces``: the target is a folder, and goes when the new one is complete.
    Errors: OutputError where the target exists, unless replaced, or cannot be written.
    """
    if not replaces:
        refuse_existing(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        folder, lock = _create(target)
    except OSError as error:
        raise unwritable(target, error) from error
    try:
        yield folder
        _sync_all(folder)
        with _set_aside(target) if replaces else nullcontext():
            _publish(folder, target)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise unwritable(target, error) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def refuse_existing(target: Path) -> None:
    """Errors: OutputError where there is anything of that name."""
    if os.path.lexists(target):
        raise OutputError(
            f"{target} exists already", hint="choose another folder, or remove that one first"
        )


def sync(path: Path) -> None:
    """Make what was written to a file, or the names in a folder, outlive a power cut."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _create(target: Path) -> tuple[Path, int]:
    """A new hidden folder and the open lock on it."""
    while True:
        folder = target.with_name(f"{_prefix(target)}{secrets.token_hex(4)}")
        folder.mkdir()
        # Another run may take it for abandoned, and remove it, before it is locked.
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with suppress(BlockingIOError):
            hold(lock)
            if is_at(lock, folder):
                return folder, lock
        os.close(lock)


def _remove_abandoned(target: Path) -> None:
    """Remove what killed runs for the same target left, but nothing a live one is filling."""
    for folder in target.parent.glob(f"{_escape(_prefix(target))}*"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if hold(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _prefix(target: Path) -> str:
    return f".{target.name}.partial-"


def _escape(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


@contextmanager
def _set_aside(target: Path) -> Iterator[None]:
    """A folder out of the way, which goes once the block ends well and is back if it does not."""
    # Not under a name that the next run removes: for a moment it is the only one.
    aside = target.with_name(f".{target.name}.before-{secrets.token_hex(4)}")
    target.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _publish(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            refuse_existing(target)
        raise
    with suppress(OSError):
        sync(target.parent)


def _sync_all(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        sync(path)
