"""A part of a data set: its pictures, each with a class or with captions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import absolute, printable
from mlx_aimv2.images.walk import find_images

from ..templates import read_lines
from . import shards

TRAIN = "train"
TESTS = ("test", "val", "validation")  # the names of a part to measure on, the first that is there
_VALIDATIONS = ("val", "validation")
_CLASS_NAMES = "classnames.txt"


Stored = str | shards.Member
"""A picture on disk: a path, or a place in a shard."""


@dataclass(frozen=True)
class Part:
    """The pictures of one part of a data set, in a stable order.

    Of classification: a class's number for each picture, and the classes' folders. Of retrieval:
    captions for each picture, at least one.
    Shapes: ``labels`` (n,).
    """

    name: str
    pictures: Sequence[Stored]
    labels: NDArray[np.int64]
    classes: tuple[str, ...] = ()
    captions: Sequence[Sequence[str]] = ()


def part_of(data: Path, wanted: str | None = None) -> str:
    """The name of the part to measure on: the one wanted, or ``test``, ``val``, ``validation``.

    Errors: UsageError where there is no such folder.
    """
    for name in [wanted] if wanted else TESTS:
        if (data / name).is_dir():
            return name
    raise UsageError(
        f"{printable(data)} has no folder {wanted or ' or '.join(TESTS)}",
        hint="a data set has its parts in folders: train/ and test/ or val/",
    )


def read_classes(data: Path, part: str, classes: Sequence[str] = ()) -> Part:
    """A part of a data set of classes: CLIP_benchmark's shards, or torchvision's ImageFolder.

    In folders, ``part/class/…/file``, classes are numbered by their sorted names. ``classes``, if
    given, are those of another part, which may have more.
    Errors: UsageError for a part without pictures, or with a class that is none of ``classes``;
    of shards see ``shards.read_classes``.
    """
    root = Path(absolute(data / part))
    found: list[tuple[Stored, str]]
    if shards.are_shards(root):
        numbered = shards.read_classes(root)
        found = [(picture, str(number)) for picture, number in numbered]
        count = max((number + 1 for _, number in numbered), default=0)
        names = [str(number) for number in range(max(count, _named(data)))]
    else:
        names = sorted(each.name for each in root.iterdir() if _is_class(each))
        found = [(each.path, name) for name in names for each in find_images(root / name)]
    numbers = {name: number for number, name in enumerate(classes or names)}
    if foreign := [name for name in names if name not in numbers]:
        raise UsageError(
            f"{printable(root)} has the class {printable(foreign[0])}, which the part "
            f"{TRAIN} has not",
            hint="the classes have the same names in all parts",
        )
    if not found:
        raise UsageError(
            f"{printable(root)} has no pictures in folders of classes",
            hint="each class is a folder with its pictures: test/cat/1.jpg",
        )
    if len(numbers) < 2:
        raise UsageError(
            f"{printable(root)} has one class only, {printable(names[0])}: each picture is of it",
            hint="each class is a folder with its pictures: test/cat/1.jpg, test/dog/1.jpg",
        )
    labels = np.array([numbers[name] for _, name in found])
    return Part(part, [picture for picture, _ in found], labels, tuple(numbers))


def _named(data: Path) -> int:
    """How many classes a data set has names for."""
    file = data / _CLASS_NAMES
    return len(read_lines(file)) if file.is_file() else 0


@dataclass(frozen=True)
class Division:
    """What of a data set is learnt, what settings are chosen on, and what is measured.

    ``learns`` are places in ``train``, ``chooses`` in ``checked``, which may be ``train`` too.
    """

    train: Part
    learns: NDArray[np.int64]
    checked: Part
    chooses: NDArray[np.int64]
    asked: Part

    @property
    def chosen_on(self) -> str:
        """What settings are chosen on, in words."""
        return f"a tenth of {TRAIN}" if self.checked is self.train else self.checked.name


def divide(data: Path, split: str | None) -> Division:
    """Read the parts of a data set of classes.

    Settings are chosen on ``val``; where there is none beside the part to measure on, on a tenth
    of ``train``, which then is not learnt.
    Errors: as ``read_classes``; UsageError for a ``train`` without a second picture of a class.
    """
    train = read_classes(data, part_of(data, TRAIN))
    asked = read_classes(data, part_of(data, split), train.classes)
    others = (name for name in _VALIDATIONS if name != asked.name and (data / name).is_dir())
    if (name := next(others, None)) is not None:
        checked = read_classes(data, name, train.classes)
        everything = np.arange(len(train.labels)), np.arange(len(checked.labels))
        return Division(train, everything[0], checked, everything[1], asked)
    is_held = held_out(train.labels)
    if not is_held.any():
        raise UsageError(
            f"the part {TRAIN} is too small to choose settings on",
            hint="at least two pictures of a class",
        )
    return Division(train, np.flatnonzero(~is_held), train, np.flatnonzero(is_held), asked)


def held_out(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pictures of a part to choose settings on: of each class the 2nd, the 12th and so on.

    Shapes: (n,) -> (n,).
    """
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    is_held = np.zeros(len(labels), bool)
    is_held[order] = (np.arange(len(labels)) - firsts) % 10 == 1
    return is_held


def read_class_names(data: Path, part: Part, file: Path | None) -> list[str]:
    """Names of the classes for texts: a file's lines, else ``classnames.txt``, else the folders'.

    Errors: UsageError for a file of another number of names, or folders that are ids of WordNet.
    """
    beside = data / _CLASS_NAMES
    if file is None and not beside.is_file():
        if shards.are_shards(data / part.name):
            raise UsageError(
                f"{printable(data)} has no {_CLASS_NAMES}, and texts need names of the classes",
                hint="give them, in the order of their numbers: --class-names FILE",
            )
        if all(re.fullmatch(r"n\d{8}", name) for name in part.classes):
            raise UsageError(
                f"the folders of {printable(data)} are ids of WordNet, which say nothing to a text",
                hint="give a name for each, in the order of the ids: --class-names FILE",
            )
        return [name.replace("_", " ") for name in part.classes]
    names = read_lines(file or beside)
    if len(names) != len(part.classes):
        raise UsageError(
            f"{printable(file or beside)} has {len(names)} names for {len(part.classes)} classes",
            hint="one name on each line, in the order of the classes",
        )
    return names


def _is_class(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")
