"""One writer at a time: a lock that ends with its process.

Where a file system has no locks, work goes on without: nothing is then ever taken for abandoned.
"""

import fcntl
import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO

from mlx_aimv2.errors import LockedError

_LOOK_S = 0.01  # longer than ``holder_of`` has a lock that nobody holds


def take_lock(folder: Path, what: str) -> IO[str]:
    """Make a folder, if it is not there, and lock it until the file returned is closed.

    The lock is on a file in it, which says who holds it.
    Errors: LockedError where another process holds it; ``what`` says what that is writing.
    """
    while True:
        folder.mkdir(exist_ok=True)
        try:
            file = (folder / "lock").open("a+")
        except FileNotFoundError:  # the holder has just removed the folder
            continue
        try:
            _hold_or_wait(file.fileno())
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise LockedError(
                f"process {holder} is writing {what}", hint="wait until it ends, or stop it first"
            ) from None
        if is_at(file.fileno(), folder / "lock"):
            break
        file.close()
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def holder_of(folder: Path, apart_from: Collection[int | None] = ()) -> int | None:
    """The process that holds the lock of a folder; None where nobody does, or one of these."""
    try:
        with (folder / "lock").open() as file:
            said = file.read().strip()
            if not said.isdecimal() or int(said) in apart_from:
                return None
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(said)
    except OSError:  # no lock was ever taken, or there are none on this disk
        pass
    return None


def _hold_or_wait(descriptor: int) -> None:
    try:
        hold(descriptor)
    except BlockingIOError:
        time.sleep(_LOOK_S)
        hold(descriptor)


def release_lock(file: IO[str]) -> None:
    """Give the lock back, also where a forked process has the file open too."""
    with suppress(OSError):  # no locks there
        fcntl.flock(file, fcntl.LOCK_UN)
    file.close()


def hold(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; False where there are no locks.

    Errors: BlockingIOError where somebody else holds it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether what is open is still what a path leads to."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
