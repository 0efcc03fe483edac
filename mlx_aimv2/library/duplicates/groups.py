"""Groups of files that show one picture: exact copies, and near ones.

A file that several paths lead to, by links or hard links, is one file, by its own path.

Files of equal content are one. Of the others, in the order of ``best_first``, each joins the
first file before it that shows the same picture and is not itself a copy, or else stands for a
picture of its own. So every file of a group is like the group's best, and a chain of small
changes never joins unlike pictures.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.spelling import fold

from ..shot_names import kind_of
from .near_copies import Leaders, Pictures
from .signature import is_signature, stack

DEFAULT_THRESHOLD = 0.5

# What a format loses of a picture, by Pillow's names; what is not here is lossy.
_LOSS = {"RAW": 0, "TIFF": 1, "PNG": 1, "BMP": 1, "GIF": 3}
_LOSSY = 2

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class DuplicateInput:
    """The files to compare, one entry each. ``rows`` are where ``take`` finds their vectors,
    -1 for none; a file without vector or signature can only be an exact copy. ``shots`` are the
    numbers of the shots that files are part of, -1 for none: files of one shot are no copies, nor
    is a RAW one of a picture, nor an edit one of an original, if they are part of a shot.

    Shapes: n entries; ``take``: (k,) rows -> (k, P) unit vectors.
    """

    ids: Sequence[int]
    paths: Sequence[bytes]
    hashes: Sequence[bytes | None]
    signatures: Sequence[bytes | None]
    formats: Sequence[str | None]
    width_px: NDArray[np.int64]
    height_px: NDArray[np.int64]
    size_bytes: NDArray[np.int64]
    rows: Rows
    take: Callable[[Rows], NDArray[np.float16]]
    shots: Rows | None = None


@dataclass(frozen=True)
class Group:
    """Files that show one picture, the best first, and how like it each is (1 for itself).

    ``files`` are their numbers in the library, ``paths`` as ``os.fsdecode`` gives them.
    """

    kind: Literal["exact", "near"]
    files: tuple[int, ...]
    similarity: tuple[float, ...]
    paths: tuple[str, ...]


def find_groups(files: DuplicateInput, threshold: float = DEFAULT_THRESHOLD) -> list[Group]:
    """All groups of two files or more, in the order of their best files' paths.

    ``threshold`` is the least similarity of a file to its group's best, from 0 to 1 (see
    ``signature.similarity``): at 0.5 they differ nowhere by more than copies do; 1 leaves exact
    copies only.
    Errors: UsageError for a threshold outside 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise UsageError(f"the threshold {threshold} is not from 0 to 1", hint="0.5 is usual")
    order = best_first(files)
    comparable = _comparable(files)[order]
    # Of files of one content, one that can be compared speaks for all.
    speakers = np.concatenate([order[comparable], order[~comparable]])
    owner, similarity = _exact(files, speakers)
    numbers = order[comparable & (owner[order] == order)]
    if threshold < 1 and len(numbers) > 1:
        _add_near(files, numbers, owner, similarity, threshold)
    return _groups(files, order, owner, similarity)


def best_first(files: DuplicateInput) -> Rows:
    """Positions of the files, the one to keep first: most pixels, then the least lossy format,
    most bytes, part of a shot of several files, the shortest path, the first path."""
    pixels = files.width_px * files.height_px

    def rank(number: int) -> tuple[int, int, int, bool, int, bytes]:
        loss = _LOSS.get((files.formats[number] or "").upper(), _LOSSY)
        is_alone = files.shots is None or bool(files.shots[number] < 0)
        path = files.paths[number]
        return -int(pixels[number]), loss, -int(files.size_bytes[number]), is_alone, len(path), path

    return np.array(sorted(range(len(files.ids)), key=rank), np.int64)


def _comparable(files: DuplicateInput) -> NDArray[np.bool_]:
    signed = [is_signature(signature) for signature in files.signatures]
    return np.array(signed, np.bool_) & (files.rows >= 0)


def _exact(files: DuplicateInput, order: Rows) -> tuple[Rows, NDArray[np.float32]]:
    """Each file's owner, the first file of its content, which is itself for most."""
    owner = np.arange(len(files.ids))
    first: dict[bytes, int] = {}
    for number in order.tolist():
        hash = files.hashes[number]
        if hash:
            same = first.setdefault(hash, number)
            shots = (-1, -1) if files.shots is None else files.shots[[same, number]].tolist()
            if shots[0] < 0 or shots[0] != shots[1]:
                owner[number] = same
    return owner, np.ones(len(owner), np.float32)


def _add_near(
    files: DuplicateInput,
    numbers: Rows,
    owner: Rows,
    similarity: NDArray[np.float32],
    threshold: float,
) -> None:
    """Give these, best first, the owner they are like; exact copies of them go with them."""
    exact = owner.copy()
    pictures = Pictures(
        rows=files.rows[numbers],
        take=files.take,
        signatures=stack([files.signatures[number] or b"" for number in numbers]),
        aspect=files.width_px[numbers] / np.maximum(files.height_px[numbers], 1),
        shots=None if files.shots is None else files.shots[numbers],
        kinds=np.array([kind_of(files.paths[number]) for number in numbers]),
    )
    leader, alike = Leaders(pictures, threshold).settle()
    owner[numbers], similarity[numbers] = numbers[leader], alike
    owner[:], similarity[:] = owner[exact], similarity[exact]


def _kind(hashes: list[bytes | None]) -> Literal["exact", "near"]:
    return "exact" if hashes[0] and set(hashes) == {hashes[0]} else "near"


def _groups(
    files: DuplicateInput, order: Rows, owner: Rows, similarity: NDArray[np.float32]
) -> list[Group]:
    members: dict[int, list[int]] = {}
    for number in order.tolist():
        members.setdefault(int(owner[number]), []).append(number)
    found = sorted(
        (real for group in members.values() if len(real := _without_links(files, group)) > 1),
        key=lambda group: files.paths[group[0]],
    )
    return [
        Group(
            kind=_kind([files.hashes[number] for number in group]),
            files=tuple(int(files.ids[number]) for number in group),
            similarity=tuple(round(float(similarity[number]), 4) for number in group),
            paths=tuple(os.fsdecode(files.paths[number]) for number in group),
        )
        for group in found
    ]


def _without_links(files: DuplicateInput, group: list[int]) -> list[int]:
    """The group with each file of the disk once; its best is no link if it can be helped."""
    if len(group) < 2:  # most are: nothing is asked of the disk
        return group
    links = {number: _link_rank(files.paths[number]) for number in group}
    real: dict[object, int] = {}
    for number in group:
        inode = _inode(files.paths[number]) or number
        if links[number] < links[real.setdefault(inode, number)]:
            real[inode] = number
    kept = list(real.values())
    hash = files.hashes[kept[0]]
    same = [number for number in kept if hash and files.hashes[number] == hash]
    best = min(same, key=links.__getitem__, default=kept[0])
    return [best, *(number for number in kept if number != best)]


def _inode(path: bytes) -> tuple[object, ...] | None:
    """What a path leads to on the disk; None where there is nothing.

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
