"""What a forked process must leave alone: it has none of its parent's threads but one."""

import ctypes
import os
import sys

from .errors import Aimv2Error

SPAWN = 'start processes with the "spawn" method, and load the model and open libraries in each'

_FIRST_PROCESS = os.getpid()
_DEALLOC, _DEALLOC_AT = 52, 48  # CPython's Py_tp_dealloc, and where its types have it


def is_forked() -> bool:
    """Whether this process came from another that had this package."""
    return os.getpid() != _FIRST_PROCESS


def error(what: str) -> Aimv2Error:
    """The error in a forked process: ``what`` does not go on in it."""
    return Aimv2Error(f"{what} does not go on in a forked process", hint=SPAWN)


def keep(thing: object) -> None:
    """Never destroy this: to end, it would wait for threads or undo what the parent is doing."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def keep_all(kind: type) -> None:
    """Never destroy an object of this type, which is written in C++: a lock that it needs for that
    may be held by a thread that this process has not."""
    slot_of = ctypes.pythonapi.PyType_GetSlot
    slot_of.argtypes, slot_of.restype = (ctypes.py_object, ctypes.c_int), ctypes.c_void_p
    destroy = ctypes.c_void_p.from_address(id(kind) + _DEALLOC_AT)
    if destroy.value == slot_of(kind, _DEALLOC):
        destroy.value = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value


def _skip_destructors() -> None:
    """Let this process end without the destructors of C++.

    MLX's wait for the parent's threads, or go round in lists that these were changing at the fork.
    """
    library = ctypes.CDLL(None)
    if "mlx.core" in sys.modules and hasattr(library, "on_exit"):
        library.on_exit(library._exit, None)  # glibc's: called with the exit code, before those


os.register_at_fork(after_in_child=_skip_destructors)
