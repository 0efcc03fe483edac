"""Paths in messages, and plain reasons for what the system says of them."""

import errno
import io
import os
import re
import shlex
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mlx_aimv2.errors import AwayError, ImageError, OutputError, UsageError

FilePath = str | bytes | os.PathLike[str]

# What a path leads to that is no file: what it is, and what to do instead.
_KINDS = (
    (stat.S_ISDIR, "a folder, not a picture", "name pictures in it, or: aimv2 embed FOLDER"),
    (stat.S_ISFIFO, "a named pipe, not a picture", "name a file"),
    (stat.S_ISSOCK, "a socket, not a picture", "name a file"),
    (stat.S_ISCHR, "a device, not a picture", "name a file"),
    (stat.S_ISBLK, "a device, not a picture", "name a file"),
)

# No room: on the disk, in a quota, or in a file that may not grow so far.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FOLDER_HINTS = dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "choose a folder of your own"
)
_BLOCK_BYTES = 1 << 20
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MORE_FILES_HINT = "close other programs, or allow more open files: ulimit -n 4096"
DISK_ACCESS_HINT = (
    "on a Mac, allow your terminal in System Settings → Privacy & Security → Full Disk Access, "
    "then open a new window of it"
)
_DRIVE_HINT = "look whether its drive is connected, then run the command again"
_NETWORK_HINT = "look whether the network drive is connected, then run the command again"
# What the system says of a path: the reason in plain words, and what to do about it.
_REASONS = {
    errno.ENOENT: ("does not exist", "check its name and the folder you are in"),
    errno.ENOTDIR: ("is not there: a part of its path is a file", "check the path"),
    errno.ELOOP: ("is a link that leads back to itself", "remove the link, or name its target"),
    errno.ENAMETOOLONG: ("has too long a name", "shorten the path"),
    errno.ENXIO: ("is a socket or a device, not a picture", "name a file"),
    errno.EOPNOTSUPP: ("is a socket, not a picture", "name a file"),  # macOS
    errno.EACCES: (
        "may not be read (permission denied)",
        "allow it: chmod u+r FILE, and u+rx for the folders it is in",
    ),
    errno.EPERM: ("may not be read (operation not permitted)", DISK_ACCESS_HINT),
    errno.EMFILE: ("cannot be opened: too many open files", _MORE_FILES_HINT),
    errno.ENFILE: ("cannot be opened: too many open files on this system", _MORE_FILES_HINT),
    errno.EBUSY: ("cannot be read: it is busy", "look whether another program reads it"),
    errno.EIO: (
        "cannot be read: the disk or the network failed",
        "look whether the drive is connected, and try to copy the file",
    ),
    # macOS, of a file that iCloud keeps: it is fetched when somebody opens it, but not for us
    errno.EDEADLK: (
        "is in the cloud only, and was not fetched",
        "download it first: in Finder, a right click, Download Now",
    ),
    errno.ETIMEDOUT: (
        "cannot be read: its disk, network or cloud does not answer",
        "look whether its drive is connected, or download it from the cloud first",
    ),
    errno.ENODEV: ("cannot be read: its drive is not connected any more", _DRIVE_HINT),
    **dict.fromkeys(
        (errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN,
         errno.ENETUNREACH, errno.ENETRESET, errno.ECONNRESET, errno.ECONNABORTED,
         errno.ECONNREFUSED, errno.ESHUTDOWN),
        ("cannot be read: its network drive is not connected any more", _NETWORK_HINT),
    ),
}  # fmt: skip
_LOST = ("cannot be read: its drive has lost it, or is not connected any more", _DRIVE_HINT)


def printable(path: FilePath) -> str:
    """A path on one line: control characters and bytes that are not UTF-8 are escaped.

    So is what turns the direction of text, by which a name could show as another.
    """
    text = os.fsdecode(path)
    if text.isprintable():  # nearly always, and soon said
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or char in _TURNS
        else char
        for char in text
    )


def check_length(path: FilePath) -> None:
    """Errors: OutputError for a path that is longer than the system takes."""
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            reason, hint = _REASONS[errno.ENAMETOOLONG]
            raise OutputError(f"{printable(path)} {reason}", hint=hint) from error


def several(given: FilePath | Iterable[FilePath]) -> list[FilePath]:
    """Paths or words as a list; a single one is one, and not its letters or its parts."""
    return [given] if isinstance(given, str | bytes | os.PathLike) else list(given)


def unreadable(path: FilePath, error: OSError) -> ImageError:
    """The error to raise for a path the system would not open, list or read."""
    reason, hint = reason_of(error)
    if error.errno == errno.ENOENT:
        link = Path(os.fsdecode(path))
        if not is_gone(path):
            reason, hint = _LOST
            if link.is_symlink():
                reason = f"is a link to {printable(link.readlink())}, which does not exist"
                hint = _REASONS[errno.ENOENT][1]
        elif re.match("[a-z]+://", os.fsdecode(path)):
            hint = "addresses are not fetched: download the picture first"
        elif re.search("[*?]", os.fsdecode(path)):
            hint = "no file fits this pattern: name the folder, which takes all pictures in it"
        elif os.fsencode(path).endswith(b"\r"):
            hint = "the list has Windows line ends: take them out with tr -d '\\r'"
    return AwayError(f"{printable(path)} {reason}", hint=hint)


def unwritable(
    what: FilePath,
    error: OSError,
    *,
    full: str = "make room, or choose a folder on another disk",
    otherwise: str = "choose another folder",
    hints: Mapping[int, str] = _FOLDER_HINTS,
) -> OutputError:
    """The error to raise for what the system would not let be written.

    ``full`` is the way out where there is no room, ``hints`` are those of other error numbers, and
    ``otherwise`` is that of all the rest.
    """
    number = error.errno or 0
    reason = os.strerror(number) if number else str(error)
    if number in (errno.EEXIST, errno.ENOTDIR):
        reason = "a file is in the way"
    hint = full if number in FULL else hints.get(number, otherwise)
    return OutputError(f"{printable(what)} cannot be written: {reason}", hint=hint)


def reason_of(error: OSError) -> tuple[str, str]:
    """What keeps a path from being looked at, in words that follow its name, and the way out."""
    unknown = (f"cannot be read: {error.strerror or error}", "try to copy the file")
    return _REASONS.get(error.errno or 0, unknown)


def is_gone(path: FilePath) -> bool:
    """Whether nothing is at a path: not so where the system does not let one look."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def absolute(path: FilePath) -> str:
    """A path from the root, with its links. Errors: UsageError in a folder that was deleted."""
    try:
        return os.path.abspath(os.fsdecode(path))  # noqa: PTH100  (keeps links)
    except FileNotFoundError as error:
        raise no_current_folder() from error


def partial_of(target: Path) -> Path:
    """Where a target is made: a hidden name beside it, which it leaves once it is whole."""
    return target.with_name(f".{target.name}.partial")


def no_folder(folder: Path) -> OutputError:
    """The error to raise where a file is to be written into a folder that is not there."""
    hint = f"make it first: mkdir -p {shlex.quote(str(folder))}"
    return OutputError(f"there is no folder {printable(folder)}", hint=hint)


def no_current_folder() -> UsageError:
    """The error to raise where a path is named from a current folder that is not there."""
    return UsageError("the current folder was deleted", hint="go to another folder: cd ~")


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


@contextmanager
def blaming_the_disk(file: IO[bytes], path: FilePath) -> Iterator[None]:
    """Inside it the system's errors become an ImageError with the path. So does a decoder's, if the
    file cannot be read to its end: some say of a disk that fails that the file is damaged.
    """
    try:
        yield
    except AwayError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except ImageError:
        with suppress(ValueError, io.UnsupportedOperation):  # closed, or a pipe
            try:
                file.seek(0)
                while file.read(_BLOCK_BYTES):
                    pass
            except OSError as error:
                if error.errno:
                    raise unreadable(path, error) from error
        raise


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
