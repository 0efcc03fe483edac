"""Groups of files that show one picture: exact copies, and near ones.

A file that several paths lead to, by links or hard links, is one file, by its own path.

Files of equal content are one. Of the others, in the order of ``best_first``, each joins the
first file before it that shows the same picture and is not itself a copy, or else stands for a
picture of its own. So every file of a group is like the group's best, and a chain of small
changes never joins unlike pictures. What the owner said to be no duplicates is in no group
together; those that leave a group for that are compared with each other once more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError

from ..database.connection import OF_THESE, listed
from ..database.photos import FileRow
from ..database.store import Store
from ..database.vectors import VectorSet
from ..shot_names import kind_of
from ..shots import shots_of
from ..signature import is_signature, stack
from .apart import Apart, apart
from .links import without_links
from .near_copies import NearCopies, Pictures

DEFAULT_THRESHOLD = 0.5

# What a format loses of a picture, by Pillow's names; what is not here is lossy.
_LOSS = {"RAW": 0, "TIFF": 1, "PNG": 1, "BMP": 1, "GIF": 3}
_LOSSY = 2

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class DuplicateInput:
    """The files to compare. ``rows`` are where ``take`` finds their vectors, -1 for none; a file
    without vector or signature can only be an exact copy. ``shots`` are the numbers of the shots
    that files are part of, -1 for none: files of one shot are no copies, nor is a RAW one of a
    picture, nor an edit one of an original, if they are part of a shot. ``apart`` is what the owner
    said to be no duplicates.

    Shapes: n entries; ``take``: (k,) rows -> (k, P) unit vectors.
    """

    files: Sequence[FileRow]
    rows: Rows
    take: Callable[[Rows], NDArray[np.float16]]
    shots: Rows | None = None
    apart: Apart = field(default_factory=Apart)

    def some(self, numbers: Rows) -> "DuplicateInput":
        """The same of a part of the files."""
        files = [self.files[number] for number in numbers]
        shots = None if self.shots is None else self.shots[numbers]
        return DuplicateInput(files, self.rows[numbers], self.take, shots, self.apart)

    def are_apart(self, first: int, second: int) -> bool:
        """Whether the owner said that two files are no duplicates of each other."""
        return self.apart.are_apart(self.files[first].hash, self.files[second].hash)


def files_to_compare(
    store: Store,
    vectors: VectorSet | None,
    *,
    shots: bool = False,
    ids: Sequence[int] | None = None,
) -> DuplicateInput:
    """All files that are there and readable, or those of these ids; with ``shots`` those of one
    shot as any others.

    Without vectors only exact copies are told.
    """
    there = "missing_since IS NULL AND error IS NULL"
    if ids is None:
        files = list(store.files(there))
    else:
        files = list(store.files(f"{there} AND {OF_THESE}", (listed(ids),)))
    said = apart(store, ids)
    numbers = None if shots else _numbers(files, shots_of(store, ids))
    return _input(store, vectors, files, numbers, said, ids)


def collapsed(
    store: Store, vectors: VectorSet | None, ids: Sequence[int]
) -> list[tuple[FileRow, ...]]:
    """Files by pictures, in the order of the ids: the first of each, then those that show the same.

    Without vectors only exact copies are told.
    """
    by_id = store.files_of(ids)
    files = [by_id[id] for id in ids]
    numbers = _numbers(files, shots_of(store, ids))
    given = _input(store, vectors, files, numbers, apart(store, ids), ids)
    owner, _ = _owners(given, np.arange(len(files)), DEFAULT_THRESHOLD)
    pictures: dict[int, list[FileRow]] = {}
    for number, file in zip(owner.tolist(), files, strict=True):
        pictures.setdefault(number, []).append(file)
    return [tuple(each) for each in pictures.values()]


def _input(
    store: Store,
    vectors: VectorSet | None,
    files: Sequence[FileRow],
    shots: Rows | None,
    said: Apart,
    ids: Sequence[int] | None,
) -> DuplicateInput:
    """Files with their vectors, where there are any."""
    if vectors is None:
        return DuplicateInput(files, np.full(len(files), -1), _no_vectors, shots, said)
    of_these = () if ids is None else (OF_THESE, (listed(ids),))
    known = store.rows_and_files(vectors.id, *of_these)
    return DuplicateInput(files, _rows(files, known), store.segments(vectors).take, shots, said)


def _rows(files: Sequence[FileRow], known: Rows) -> Rows:
    """Where the files' vectors are, -1 for none. Shapes: (m, 2) of rows and ids -> (n,)."""
    row_of = dict(known[:, ::-1].tolist())
    return np.array([row_of.get(file.id, -1) for file in files], np.int64)


def _numbers(files: Sequence[FileRow], shots: Mapping[int, tuple[int, ...]]) -> Rows:
    """The numbers of the files' shots: of each the id of its first file; -1 for none."""
    return np.array([shots.get(file.id, (-1,))[0] for file in files], np.int64)


def _no_vectors(rows: Rows) -> NDArray[np.float16]:
    return np.zeros((len(rows), 0), np.float16)


@dataclass(frozen=True)
class Group:
    """Files that show one picture, the best first, and how like it each is (1 for itself).

    ``files`` are their numbers in the library, ``paths`` as ``os.fsdecode`` gives them.
    """

    kind: Literal["exact", "near"]
    files: tuple[int, ...]
    similarity: tuple[float, ...]
    paths: tuple[str, ...]


def find_groups(given: DuplicateInput, threshold: float = DEFAULT_THRESHOLD) -> list[Group]:
    """All groups of two files or more, in the order of their best files' paths.

    ``threshold`` is the least similarity of a file to its group's best, from 0 to 1 (see
    ``signature.similarity``): at 0.5 they differ nowhere by more than copies do; 1 leaves exact
    copies only.
    Errors: UsageError for a threshold outside 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise UsageError(f"the threshold {threshold} is not from 0 to 1", hint="0.5 is usual")
    order = best_first(given)
    return _groups(given, order, *_owners(given, order, threshold))


def _owners(
    given: DuplicateInput, order: Rows, threshold: float
) -> tuple[Rows, NDArray[np.float32]]:
    """Of each file the position of the one that stands for its picture, and how like it is.

    Shapes: (n,), (n,).
    """
    signed = [is_signature(file.signature) for file in given.files]
    comparable = (np.array(signed, np.bool_) & (given.rows >= 0))[order]
    # Of files of one content, one that can be compared speaks for all.
    speakers = np.concatenate([order[comparable], order[~comparable]])
    owner, similarity = _exact(given, speakers)
    numbers = order[comparable & (owner[order] == order)]
    if threshold < 1 and len(numbers) > 1:
        _add_near(given, numbers, owner, similarity, threshold)
    if given.apart:
        _separate(given, order, owner, similarity, threshold)
    return owner, similarity


def _separate(
    given: DuplicateInput,
    order: Rows,
    owner: Rows,
    similarity: NDArray[np.float32],
    threshold: float,
) -> None:
    """Take out of each group what is apart from another file there, and group that anew."""
    kept: dict[int, list[int]] = {}
    left = []
    for number in order.tolist():
        own = int(owner[number])
        if number != own and given.apart.has(given.files[number].hash):
            said = kept.setdefault(own, [own])
            if any(given.are_apart(number, other) for other in said):
                left.append(number)
            else:
                said.append(number)
    if left:
        numbers = np.array(left, np.int64)
        position, alike = _owners(given.some(numbers), np.arange(len(left)), threshold)
        owner[numbers], similarity[numbers] = numbers[position], alike


def best_first(given: DuplicateInput) -> Rows:
    """Positions of the files, the one to keep first: most pixels, then the least lossy format,
    most bytes, part of a shot of several files, the shortest path, the first path."""

    def rank(number: int) -> tuple[int, int, int, bool, int, bytes]:
        file = given.files[number]
        format, width_px, height_px = _seen(file)
        loss = _LOSS.get(format.upper(), _LOSSY)
        is_alone = given.shots is None or bool(given.shots[number] < 0)
        pixels, path = width_px * height_px, file.path
        return -pixels, loss, -file.stamp.size_bytes, is_alone, len(path), path

    return np.array(sorted(range(len(given.files)), key=rank), np.int64)


def _seen(file: FileRow) -> tuple[str, int, int]:
    """Format, width and height of a picture."""
    facts = file.facts
    return (facts.format, facts.width_px, facts.height_px) if facts else ("", 0, 0)


def _exact(given: DuplicateInput, order: Rows) -> tuple[Rows, NDArray[np.float32]]:
    """The position of each file's owner: the first file of the same content, mostly itself."""
    owner = np.arange(len(given.files))
    first: dict[bytes, int] = {}
    for number in order.tolist():
        hash = given.files[number].hash
        if hash:
            same = first.setdefault(hash, number)
            shots = (-1, -1) if given.shots is None else given.shots[[same, number]].tolist()
            is_one_shot = shots[0] >= 0 and shots[0] == shots[1]
            if not is_one_shot and not given.are_apart(same, number):
                owner[number] = same
    return owner, np.ones(len(owner), np.float32)


def _add_near(
    given: DuplicateInput,
    numbers: Rows,
    owner: Rows,
    similarity: NDArray[np.float32],
    threshold: float,
) -> None:
    """Give each of ``numbers``, best first, the owner it is like, and to its exact copies too."""
    exact = owner.copy()
    files = [given.files[number] for number in numbers]
    sizes = np.array([_seen(file)[1:] for file in files])
    pictures = Pictures(
        rows=given.rows[numbers],
        take=given.take,
        signatures=stack([file.signature or b"" for file in files]),
        aspect=sizes[:, 0] / np.maximum(sizes[:, 1], 1),
        shots=None if given.shots is None else given.shots[numbers],
        kinds=np.array([kind_of(file.path) for file in files]),
        are_apart=_apart_within(given.apart, [file.hash for file in files]),
    )
    keeper, alike = NearCopies(pictures, threshold).settle()
    owner[numbers], similarity[numbers] = numbers[keeper], alike
    owner[:], similarity[:] = owner[exact], similarity[exact]


def _apart_within(
    apart: Apart, hashes: Sequence[bytes | None]
) -> Callable[[Rows, Rows], NDArray[np.bool_]] | None:
    """Which pairs of files of these contents are apart; None where nothing was said."""
    if not apart:
        return None
    said = np.array([apart.has(hash) for hash in hashes], np.bool_)

    def are_apart(first: Rows, second: Rows) -> NDArray[np.bool_]:
        found = said[first] & said[second]
        for at in np.flatnonzero(found):
            found[at] = apart.are_apart(hashes[first[at]], hashes[second[at]])
        return found

    return are_apart


def _kind(hashes: list[bytes | None]) -> Literal["exact", "near"]:
    return "exact" if hashes[0] and set(hashes) == {hashes[0]} else "near"


def _groups(
    given: DuplicateInput, order: Rows, owner: Rows, similarity: NDArray[np.float32]
) -> list[Group]:
    files = given.files
    members: dict[int, list[int]] = {}
    for number in order.tolist():
        members.setdefault(int(owner[number]), []).append(number)
    found = sorted(
        (real for group in members.values() if len(real := without_links(files, group)) > 1),
        key=lambda group: files[group[0]].path,
    )
    return [
        Group(
            kind=_kind([files[number].hash for number in group]),
            files=tuple(files[number].id for number in group),
            similarity=tuple(round(float(similarity[number]), 4) for number in group),
            paths=tuple(files[number].path_str for number in group),
        )
        for group in found
    ]
