"""Several paths that lead to one file, by links or hard links: no copies of each other."""

import os
from collections.abc import Sequence

from mlx_aimv2.files.spelling import fold

from ..database.photos import FileRow


def without_links(files: Sequence[FileRow], group: list[int]) -> list[int]:
    """The group with each file of the disk once; its best is no link if it can be helped."""
    if len(group) < 2:  # most are: nothing is asked of the disk
        return group
    links = {number: _link_rank(files[number].path) for number in group}
    real: dict[object, int] = {}
    for number in group:
        inode = _inode(files[number].path) or number
        if links[number] < links[real.setdefault(inode, number)]:
            real[inode] = number
    kept = list(real.values())
    hash = files[kept[0]].hash
    same = [number for number in kept if hash and files[number].hash == hash]
    best = min(same, key=links.__getitem__, default=kept[0])
    return [best, *(number for number in kept if number != best)]


def _inode(path: bytes) -> tuple[object, ...] | None:
    """Device and inode of the file that a path leads to; None where there is no file.

    Of a file without hard links the path is a part of it: some disks give all files one inode.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  (pathlib takes no bytes)
    except (OSError, ValueError):
        return None
    own = fold(os.path.realpath(path)) if status.st_nlink == 1 else b""
    return status.st_dev, status.st_ino, own


def _link_rank(path: bytes) -> int:
    """0 for a file by its own path, 1 in a folder that is reached by a link, 2 for a link."""
    try:
        return 2 * os.path.islink(path) or int(os.path.realpath(path) != path)  # noqa: PTH114
    except (OSError, ValueError):
        return 0
