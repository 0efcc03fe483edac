"""One writer at a time: a lock file that says who holds it, and ends with its process."""

import fcntl
import os
from pathlib import Path
from typing import IO

from .errors import OutputError


def take_lock(folder: Path, what: str) -> IO[str]:
    """Make a folder, if it is not there, and lock it until the file returned is closed.

    Errors: OutputError where another process holds it; ``what`` says what that is writing.
    """
    while True:
        folder.mkdir(exist_ok=True)
        try:
            file = (folder / "lock").open("a+")
        except FileNotFoundError:  # the holder has just removed the folder
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise OutputError(
                f"process {holder} is writing {what}", hint="wait until it ends, or stop it first"
            ) from None
        if _is_there(file, folder / "lock"):
            break
        file.close()
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _is_there(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
