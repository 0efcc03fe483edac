"""CLIP_benchmark's data sets: pictures in tar shards, with a class or with captions."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlx_aimv2.errors import Aimv2Error, UsageError, shortened
from mlx_aimv2.files.paths import printable, unreadable
from mlx_aimv2.training.data.tar_index import CLASS, IMAGE, TEXT, read_index
from mlx_aimv2.training.data.webdataset import default_cache

_COUNT_FILE = "nshards.txt"
_TYPE_FILE = "dataset_type.txt"
_CLASS = re.compile(r"[0-9]{1,6}")  # as many classes as no data set has


@dataclass(frozen=True)
class Member:
    """A picture inside a shard, read when it is asked for; it is taken wherever an open file is."""

    shard: str
    key: str
    first: int
    size_bytes: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.shard}/{self.key}"

    def read(self) -> bytes:
        """The content of the picture's file. Errors: OSError."""
        return _read(self.shard, self.first, self.size_bytes)


def are_shards(folder: Path) -> bool:
    """Whether a part of a data set is in shards."""
    return (folder / _COUNT_FILE).is_file()


def read_classes(folder: Path) -> list[tuple[Member, int]]:
    """The pictures of a part's shards and the numbers of their classes.

    Errors: UsageError for a data set of several classes a picture; ImageError for a shard that
    cannot be read; Aimv2Error for one that is cut off, or a sample without its picture or class.
    """
    classes = []
    for picture, text in _samples(folder, CLASS, "class"):
        if not _CLASS.fullmatch(text.strip()):
            raise Aimv2Error(
                f"{printable(picture.name)}: {shortened(text)!r} is no number of a class"
            )
        classes.append((picture, int(text)))
    return classes


def read_captions(folder: Path) -> list[tuple[Member, list[str]]]:
    """The pictures of a part's shards and their captions, one on each line of a text.

    Errors: as :func:`read_classes`.
    """
    return [(picture, text.splitlines()) for picture, text in _samples(folder, TEXT, "caption")]


def _samples(folder: Path, column: int, noun: str) -> Iterator[tuple[Member, str]]:
    """All pictures, in the order of the shards, each with the text in a column."""
    type_file = folder.parent / _TYPE_FILE
    if type_file.is_file() and type_file.read_bytes().strip() == b"multilabel":
        raise UsageError(
            f"{printable(folder.parent)} has several classes for a picture",
            hint="data sets with one class for each, or with captions, can be measured",
        )
    for number in range(_count(folder)):
        shard = str(folder.absolute() / f"{number}.tar")
        index = read_index(shard, default_cache())
        if index.fault:
            raise Aimv2Error(f"{printable(shard)} {index.fault}", hint="fetch it again")
        for place, entry in enumerate(index.places.tolist()):
            picture = Member(shard, printable(index.name(place)), *entry[IMAGE])
            first, size = entry[column]
            if picture.first < 0 or first < 0:
                lacking = "picture" if picture.first < 0 else noun
                raise Aimv2Error(f"{printable(picture.name)} has no {lacking}")
            try:
                yield picture, _read(shard, first, size).decode()
            except OSError as error:
                raise unreadable(shard, error) from error
            except UnicodeDecodeError as error:
                raise Aimv2Error(f"{printable(picture.name)}: its {noun} is not UTF-8") from error


def _count(folder: Path) -> int:
    file = folder / _COUNT_FILE
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Aimv2Error(f"{printable(file)} holds no number of shards") from error


def _read(file: str, first: int, size: int) -> bytes:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.pread(descriptor, size, first)
    finally:
        os.close(descriptor)
