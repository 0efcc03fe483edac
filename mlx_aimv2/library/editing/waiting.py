"""Edits that wait beside a library while another process writes it: ``library.db.edits``.

Each is a line of JSON, on the disk before anybody says that it is kept. Whoever may write the
library next makes them, in their order and each once: the journal in the library knows them. An
index that is running makes them between two photos.
"""

import errno
import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from mlx_aimv2.errors import Aimv2Warning, OutputError, UsageError
from mlx_aimv2.files.atomic_folder import sync
from mlx_aimv2.files.lock import is_at
from mlx_aimv2.files.paths import printable, unwritable

from ..database.store import Store
from .request import Request, make


def waiting_path(library: Path) -> Path:
    """Where the edits of a library wait."""
    real = Path(os.path.realpath(library))
    return real.with_name(f"{real.name}.edits")


def waiting_stamp(library: Path) -> tuple[int, int] | None:
    """What differs wherever other edits wait; None where none does."""
    with suppress(OSError):
        found = waiting_path(library).lstat()
        return found.st_mtime_ns, found.st_size
    return None


def keep_waiting(library: Path, request: Request) -> None:
    """Keep an edit beside the library, for whoever may write it next.

    Errors: OutputError where it cannot be written; nothing is kept then.
    """
    path = waiting_path(library)
    try:
        with _held(path, os.O_RDWR | os.O_CREAT) as file:
            end = os.lseek(file, 0, os.SEEK_END)
            # Of a process that was killed while it wrote: its half line ends here.
            is_cut = end and os.pread(file, 1, end - 1) != b"\n"
            line = b"\n" * is_cut + request.to_line()
            if os.write(file, line) < len(line):
                os.ftruncate(file, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        with suppress(OSError):  # some network disks sync no folder
            sync(path.parent)
    except OSError as error:
        raise unwritable(
            path, error, full="make room on its disk", otherwise="try again later", hints={}
        ) from error


def waiting_edits(library: Path) -> list[Request]:
    """The edits that wait beside a library. Errors: OutputError where they cannot be read."""
    path = waiting_path(library)
    try:
        return list(_requests(path.read_bytes()))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from error


def make_waiting(store: Store) -> list[int]:
    """Make the edits that wait, each once; returns the ids of the files that they touched.

    A warning tells of an edit that can no longer be undone, as its tags were renamed meanwhile.
    Errors: OutputError where an edit cannot be read or made; it and those after it go on waiting.
    """
    path = waiting_path(store.path)
    touched: list[int] = []
    try:
        with _held(path, os.O_RDWR) as file:
            data = os.pread(file, os.fstat(file).st_size, 0)
            for request in _requests(data):
                try:
                    touched += make(store, request).file_ids
                except UsageError as error:
                    if request.undoes is None:
                        raise
                    if not _was_undone(store, request.undoes):  # meanwhile, by somebody else
                        note = f"not undone: {error} ({error.hint})"
                        warnings.warn(note, Aimv2Warning, stacklevel=2)
            path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unreadable(path, error) from error
    return sorted(set(touched))


def _was_undone(store: Store, edit: int | str) -> bool:
    number = edit if isinstance(edit, int) else store.number_of_edit(edit)
    row = None if number is None else store.edit_with(number)
    return row is not None and row.undone_at is not None


def _unreadable(path: Path, error: OSError) -> OutputError:
    hint = f"allow it: chmod u+rw {quote(printable(path))}"
    return OutputError(f"{printable(path)} cannot be read: {error.strerror}", hint=hint)


def _requests(data: bytes) -> Iterator[Request]:
    for line in data.split(b"\n"):
        with suppress(ValueError):  # cut off by a kill, before anybody said that it is kept
            yield Request.from_line(line)


@contextmanager
def _held(path: Path, flags: int) -> Iterator[int]:
    """The file, open and locked, still at its place."""
    while True:
        file = os.open(path, flags, 0o666)
        try:
            with suppress(OSError):  # no locks there
                fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(file, path):
                yield file
                return
        finally:
            os.close(file)
