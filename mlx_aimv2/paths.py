"""Paths in messages, and plain reasons for what the system says of them."""

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from .errors import ImageError

FilePath = str | bytes | os.PathLike[str]

# What a path leads to that is no file: what it is, and what to do instead.
_KINDS = (
    (stat.S_ISDIR, "a folder, not a picture", "name pictures in it, or: aimv2 embed FOLDER"),
    (stat.S_ISFIFO, "a named pipe, not a picture", "name a file"),
    (stat.S_ISSOCK, "a socket, not a picture", "name a file"),
    (stat.S_ISCHR, "a device, not a picture", "name a file"),
    (stat.S_ISBLK, "a device, not a picture", "name a file"),
)

_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MORE_FILES_HINT = "close other programs, or allow more open files: ulimit -n 4096"
DISK_ACCESS_HINT = (
    "on a Mac, allow your terminal in System Settings → Privacy & Security → Full Disk Access, "
    "then open a new window of it"
)
# What the system says of a path: the reason in plain words, and what to do about it.
_REASONS = {
    errno.ENOENT: ("does not exist", "check its name and the folder you are in"),
    errno.ENOTDIR: ("is not there: a part of its path is a file", "check the path"),
    errno.ELOOP: ("is a link that leads back to itself", "remove the link, or name its target"),
    errno.ENAMETOOLONG: ("has too long a name", "shorten the path"),
    errno.ENXIO: ("is a socket or a device, not a picture", "name a file"),
    errno.EOPNOTSUPP: ("is a socket, not a picture", "name a file"),  # macOS
    errno.EACCES: ("may not be read (permission denied)", "allow it: chmod u+r FILE"),
    errno.EPERM: ("may not be read (operation not permitted)", DISK_ACCESS_HINT),
    errno.EMFILE: ("cannot be opened: too many open files", _MORE_FILES_HINT),
    errno.ENFILE: ("cannot be opened: too many open files on this system", _MORE_FILES_HINT),
    errno.EIO: ("cannot be read: the disk or the network failed", "try to copy the file"),
}


def printable(path: FilePath) -> str:
    """A path on one line: control characters and bytes that are not UTF-8 are escaped.

    So is what turns the direction of text, by which a name could show as another.
    """
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or char in _TURNS
        else char
        for char in os.fsdecode(path)
    )


def several(given: FilePath | Iterable[FilePath]) -> list[FilePath]:
    """Paths or words as a list; a single one is one, and not its letters or its parts."""
    return [given] if isinstance(given, str | bytes | os.PathLike) else list(given)


def unreadable(path: FilePath, error: OSError) -> ImageError:
    """The error to raise for a path the system would not open, list or read."""
    unknown = (f"cannot be read: {error.strerror}", "look whether another program reads it")
    reason, hint = _REASONS.get(error.errno or 0, unknown)
    if error.errno == errno.ENOENT:
        link = Path(os.fsdecode(path))
        if link.is_symlink():
            reason = f"is a link to {printable(link.readlink())}, which does not exist"
        elif re.match("[a-z]+://", os.fsdecode(path)):
            hint = "addresses are not fetched: download the picture first"
        elif os.fsencode(path).endswith(b"\r"):
            hint = "the list has Windows line ends: take them out with tr -d '\\r'"
    return ImageError(f"{printable(path)} {reason}", hint=hint)


def open_file(path: FilePath) -> IO[bytes]:
    """Open a file that holds something, without waiting for what is no file.

    Errors: ImageError with the path and the reason.
    """
    try:
        return open(path, "rb", opener=_open_regular)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:  # a NUL inside, or half of a surrogate pair
        hint = "give a path, not what a file holds"
        raise ImageError(f"{printable(path)} is no file name", hint=hint) from error


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)  # else a named pipe waits for its writer
    status = os.fstat(descriptor)
    for is_kind, kind, hint in _KINDS:
        if is_kind(status.st_mode):
            os.close(descriptor)
            raise ImageError(f"{printable(path)} is {kind}", hint=hint)
    if not status.st_size:
        os.close(descriptor)
        raise ImageError(f"{printable(path)} is empty", hint="copy or download the file again")
    os.set_blocking(descriptor, True)
    return descriptor
