"""One of several shares of a run: which inputs it takes, and how its file is called.

Shard i of N takes the inputs at positions i - 1, i - 1 + N, i - 1 + 2 N and so on. Neighbours in
a folder are alike (one camera, one event), so that every Nth input makes shares of equal work.
Shards need not talk to each other: each lists all inputs and does its own.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlx_aimv2.errors import OutputError, UsageError

_ASKED = re.compile("([0-9]{1,9})/([0-9]{1,9})")
_NAMED = re.compile("(.+)[.]shard-([1-9][0-9]{0,8})-of-([1-9][0-9]{0,8})", re.DOTALL)
# Before shards were journals: photos.shard-1-of-2.npz, and the hidden folder of an unfinished one.
_OLDER = re.compile("[.]?(.+)[.]shard-[0-9]+-of-[0-9]+([.][^.]+)(?:[.]partial)?", re.DOTALL)
_COUNT = re.compile("[0-9]{1,9}")
_RANK = "MLX_RANK"
_MPI_RANK, _MPI_SIZE = "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"


Error = TypeVar("Error")


@dataclass(frozen=True)
class Shard:
    """Number ``number``, from 1, of ``count``; ``is_launched`` if a launcher said so."""

    number: int
    count: int
    is_launched: bool = False

    def __str__(self) -> str:
        return f"shard {self.number} of {self.count}"

    def file(self, target: Path) -> Path:
        """Where this share of a target goes: photos.npz → photos.npz.shard-1-of-4."""
        return target.with_name(f"{target.name}.shard-{self.number}-of-{self.count}")


class Share:
    """A shard's inputs, told apart from the others' while all are listed.

    Of all inputs: ``inputs`` counts them, ``usable`` those without an error, ``names_bytes``
    their names.
    """

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.inputs = self.usable = self.names_bytes = 0
        self._names = hashlib.sha256()

    def take(self, inputs: Iterable[tuple[bytes, Error]]) -> Iterator[tuple[bytes, Error]]:
        """The inputs of this shard: names, with an error where they need no trying."""
        for name, error in inputs:
            if self.inputs % self.shard.count == self.shard.number - 1:
                yield name, error
            self.inputs += 1
            self.usable += error is None
            self.names_bytes += len(name)
            self._names.update(len(name).to_bytes(8, "little") + name)

    @property
    def names(self) -> str:
        """A digest of all names in order, once they are all taken."""
        return self._names.hexdigest()


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
    found = _NAMED.fullmatch(file.name)
    return Shard(int(found[2]), int(found[3])) if found and found[1] == target.name else None


def target_of(file: Path) -> Path | None:
    """The target of a shard's file, by its name; None where it is not named as one."""
    found = _NAMED.fullmatch(file.name)
    return file.with_name(found[1]) if found else None


def refuse_older(files: Iterable[Path], target: Path | None = None) -> None:
    """Shards that an older version made are no journals: nothing is merged with them.

    Errors: OutputError for one among these files, by its name; with ``target`` only for its.
    """
    for file in files:
        found = _OLDER.fullmatch(file.name)
        if found and target in (None, file.with_name(found[1] + found[2])):
            raise OutputError(
                f"{file} is a shard of an older version, and is not merged by this one",
                hint="move it away and make that shard again, with the command that made it: a "
                f"finished one is an ordinary {found[2]} of its own images",
            )


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
