"""One of several shares of a run: which inputs it takes, and what its file says of that.

Shard i of N takes the inputs at positions i - 1, i - 1 + N, i - 1 + 2 N and so on. Neighbours in
a folder are alike (one camera, one event), so that every Nth input makes shares of equal work.
Shards need not talk to each other: each lists all inputs and does its own.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.json_lines import to_json

if TYPE_CHECKING:
    from .embeddings import Entry

KEY = "shard"
"""Where a shard's metadata holds its :class:`Record`."""

_ASKED = re.compile("([0-9]{1,9})/([0-9]{1,9})")
_NAMED = re.compile("[.]shard-([1-9][0-9]{0,8})-of-([1-9][0-9]{0,8})$")
_COUNT = re.compile("[0-9]{1,9}")
_RANK = "MLX_RANK"
_MPI_RANK, _MPI_SIZE = "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"
# A tensor cannot have this name: ``formats`` writes it as the same file's other name.
_RESERVED, _INSTEAD = b"__metadata__", b"./__metadata__"


class Named(Protocol):
    """An input: a name, and an error where it needs no trying."""

    @property
    def name(self) -> bytes: ...
    @property
    def error(self) -> object: ...


Input = TypeVar("Input", bound=Named)


@dataclass(frozen=True)
class Shard:
    """Number ``number``, from 1, of ``count``; ``is_launched`` if a launcher said so."""

    number: int
    count: int
    is_launched: bool = False

    def __str__(self) -> str:
        return f"shard {self.number} of {self.count}"

    def file(self, target: Path) -> Path:
        """Where this share of a target goes: photos.npz → photos.shard-1-of-4.npz."""
        name = f"{target.stem}.shard-{self.number}-of-{self.count}{target.suffix}"
        return target.with_name(name)

    def positions(self, inputs: int) -> range:
        """What it takes of so many inputs."""
        return range(self.number - 1, inputs, self.count)


@dataclass(frozen=True)
class Record:
    """What a shard's file says of itself, beside what any output says.

    ``inputs`` are those of all shards, ``names`` is a digest of their names in order, ``content``
    one of all that this file holds. ``failed_at`` and ``noted_at`` are positions among this
    shard's inputs, from 0. ``order`` are the tensors of patch grids in the order of their inputs,
    where that is not plain because an input was named twice.
    """

    number: int
    count: int
    inputs: int
    names: str
    content: str
    failed_at: list[int]
    noted_at: list[int]
    order: list[int] | None = None

    def __post_init__(self) -> None:
        if not (1 <= self.number <= self.count and self.inputs >= 0):
            raise ValueError(f"there is no {self.shard} of {self.inputs} inputs")

    @property
    def shard(self) -> Shard:
        """Which one it is."""
        return Shard(self.number, self.count)


class Share:
    """A shard's inputs, told apart from the others' while all are listed.

    Of all inputs: ``inputs`` counts them, ``usable`` those without an error, ``names_bytes``
    their names.
    """

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.inputs = self.usable = self.names_bytes = 0
        self._names = hashlib.sha256()

    def take(self, inputs: Iterable[Input]) -> Iterator[Input]:
        """Those of this shard."""
        for one in inputs:
            if self.inputs % self.shard.count == self.shard.number - 1:
                yield one
            self.inputs += 1
            self.usable += one.error is None
            self.names_bytes += len(one.name)
            _update(self._names, one.name)

    @property
    def names(self) -> str:
        """A digest of all names in order, once they are all taken."""
        return self._names.hexdigest()

    def record(self, entries: Callable[[], "Iterator[Entry]"]) -> dict[str, Any]:
        """What the file is to say, as it goes into JSON."""
        return {
            "number": self.shard.number,
            "count": self.shard.count,
            "inputs": self.inputs,
            "names": self.names,
            "content": digest(entries()),
            "failed_at": [at for at, entry in enumerate(entries()) if entry.read is None],
            "noted_at": [at for at, entry in enumerate(entries()) if entry.note is not None],
        } | _order(entries())


def digest(entries: "Iterable[Entry]") -> str:
    """Of names, values, notes and errors, in order."""
    content = hashlib.sha256()
    for entry in entries:
        _update(content, entry.name.encode("utf-8", "surrogateescape"))
        _update(content, to_json([entry.note, entry.error]).encode())
        if entry.read is not None:
            content.update(entry.read().astype("<f4", copy=False).tobytes())
    return content.hexdigest()


def parse(text: str) -> Shard:
    """A shard as it is asked for, like ``1/4``. Errors: UsageError."""
    found = _ASKED.fullmatch(text)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(
            f"there is no shard {text!r}", hint="--shard 1/4 is the first of four, 4/4 the last"
        )
    return Shard(number, count)


def launched(environment: Mapping[str, str]) -> Shard | None:
    """The shard that falls to this process of ``mlx.launch``; None where there is but one.

    Ranks count from 0, shards from 1. No rank waits for another: what the launcher tells in the
    environment is enough.
    Errors: UsageError where that contradicts itself, as what an earlier launch left may.
    """
    rank_name = _RANK if _RANK in environment else _MPI_RANK
    if rank_name not in environment:
        return None
    rank, size = environment[rank_name], _size(environment)
    if not _COUNT.fullmatch(rank) or size is None or int(rank) >= size:
        of_size = "of how many is not said" if size is None else f"of {size}"
        raise UsageError(
            f"{rank_name}={rank} says that this is one of several processes, {of_size}",
            hint=f"outside mlx.launch: unset {rank_name}; or say which share: --shard 1/2",
        )
    return Shard(int(rank) + 1, size, is_launched=True) if size > 1 else None


def number_of(file: Path, target: Path) -> Shard | None:
    """Which shard of a target a file is, by its name; None for another file."""
    found = _NAMED.search(file.stem)
    if found is None or file.suffix != target.suffix:
        return None
    is_its = file.stem[: found.start()] == target.stem
    return Shard(int(found[1]), int(found[2])) if is_its else None


def target_of(file: Path) -> Path | None:
    """The target of a shard's file, by its name; None where it is not named as one."""
    stem, found = _NAMED.subn("", file.stem)
    return file.with_name(stem + file.suffix) if found and stem else None


def _size(environment: Mapping[str, str]) -> int | None:
    """How many processes there are: each backend tells it in a way of its own."""
    for name in ("MLX_WORLD_SIZE", _MPI_SIZE):  # nccl, mpi
        if _COUNT.fullmatch(environment.get(name, "")):
            return int(environment[name])
    for name in ("MLX_HOSTFILE", "MLX_IBV_DEVICES"):  # ring, jaccl: a file, with a row for each
        if name in environment:
            try:
                text = Path(environment[name]).read_text(encoding="utf-8").strip()
                return len(json.loads(text)) if text else 1  # the ring of one is an empty file
            except (OSError, ValueError, TypeError, RecursionError):
                return None
    return None


def _order(entries: "Iterable[Entry]") -> dict[str, list[int]]:
    """Which tensor holds each patch grid, where that is not plain: a name's is there once."""
    tensors: dict[str, int] = {}
    grids = (entry.name for entry in entries if len(entry.shape) > 1)
    order = [tensors.setdefault(name, len(tensors)) for name in grids]
    return {"order": order} if len(order) > len(tensors) else {}


def _update(digest: "hashlib._Hash", text: bytes) -> None:
    text = _INSTEAD if text == _RESERVED else text
    digest.update(len(text).to_bytes(8, "little") + text)
