"""Size and times of a file, by which a change of it is seen."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stamp:
    """Size and time of a file's last change.

    ``ctime_ns`` is when anything of it changed, its permissions too; None on a disk that does not
    say. It makes no two stamps different.
    """

    size_bytes: int
    mtime_ns: int
    ctime_ns: int | None = field(default=None, compare=False)


def stamp_of(path: bytes) -> Stamp | None:
    """The stamp of the file at a path; None where there is none to see."""
    try:
        return read_stamp(path)
    except (OSError, ValueError):
        return None


def read_stamp(path: bytes, devices: Collection[int] = ()) -> Stamp:
    """The stamp of the file at a path, with its ctime on these devices.

    Errors: OSError; ValueError for what is no name.
    """
    status = os.stat(path)  # noqa: PTH116  (pathlib takes no bytes)
    ctime_ns = in_64_bits(status.st_ctime_ns) if status.st_dev in devices else None
    return Stamp(status.st_size, in_64_bits(status.st_mtime_ns), ctime_ns)


def in_64_bits(time_ns: int) -> int:
    """A file's time as SQLite can hold it, different for different times: 1601 and 2300 wrap."""
    return (time_ns + (1 << 63)) % (1 << 64) - (1 << 63)
