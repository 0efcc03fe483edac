"""What a forked process must leave alone: it has none of its parent's threads but one."""

import ctypes
import os

from .errors import Aimv2Error

SPAWN = 'start processes with the "spawn" method, and load the model and open libraries in each'

_FIRST_PROCESS = os.getpid()


def is_forked() -> bool:
    """Whether this process came from another that had this package."""
    return os.getpid() != _FIRST_PROCESS


def error(what: str) -> Aimv2Error:
    """The error in a forked process: ``what`` does not go on in it."""
    return Aimv2Error(f"{what} does not go on in a forked process", hint=SPAWN)


def keep(thing: object) -> None:
    """Never destroy this: to end, it would wait for threads or undo what the parent is doing."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def skip_destructors() -> None:
    """Let this process end without the destructors of C++, which wait for its parent's threads."""
    library = ctypes.CDLL(None)
    if hasattr(library, "on_exit"):  # glibc's: called with the exit code, before those
        library.on_exit(library._exit, None)
