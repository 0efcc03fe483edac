"""Shards to the file that one process would have written, byte for byte.

Rows go from the shards' files to the new one, one by one, in the order of the inputs; nothing is
held but what failed and what was noted.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count, pairwise
from pathlib import Path

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.lock import take_lock

from . import output_file
from .embeddings import Entry, Summary, Table
from .journal import storage_errors, unfinished
from .settings import differences
from .shard import Shard, number_of, refuse_older, target_of
from .shard_file import ShardFile, how_to_make, open_shard


class Whole:
    """The shards of one run, all there and fit for each other; see :func:`open_whole`."""

    def __init__(self, shards: Sequence[ShardFile]) -> None:
        self._shards = shards
        self.inputs = shards[0].record.inputs
        settings = [shard.record.made_by for shard in shards]
        widened = next((each for each in settings if each.get("widened_from")), None)
        self._table = Table(widened or settings[0], self._entries)
        self.kind = self._table.kind

    def check_target(self, target: Path, *, overwrite: bool = False) -> None:
        """Refuse a target before any work. Errors: as ``output_file.check_target``."""
        output_file.format_of(target, grids=self._table.holds_grids)
        output_file.check_target(target, overwrite=overwrite)

    def verify(self) -> Iterator[Shard]:
        """Read all that is there, shard by shard, and compare it with what was written.

        Errors: OutputError naming a damaged file.
        """
        for shard in self._shards:
            shard.verify()
            yield shard.record.shard

    def failures(self) -> Iterator[str]:
        """The reasons of inputs that failed, in order."""
        return (entry.error or "" for entry in self._entries() if entry.read is None)

    def write(self, target: Path, *, overwrite: bool = False) -> Summary:
        """Write the target, whole or not at all; the shards stay.

        Errors: as ``output_file.check_target`` and ``output_file.stage``; OutputError where the
        disk is full or fails, or another process merges this target.
        """
        folder = target.with_name(f".{target.name}.merging")
        with storage_errors(target, full="make room, then run the command again"):
            lock = take_lock(folder, str(target))
            try:
                output_file.stage(self._table, target, folder / "output")
                output_file.check_target(target, overwrite=overwrite)
                output_file.place(target, folder / "output")
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.close()
        return self._table.summary

    def _entries(self) -> Iterator[Entry]:
        entries = [shard.entries() for shard in self._shards]
        for position in range(self.inputs):
            yield next(entries[position % len(entries)])


def find(target: Path) -> list[Path]:
    """The shards beside a target, by their names.

    Errors: OutputError where there are none, or some of an older version; UsageError where they
    are of several runs.
    """
    beside = list(target.parent.iterdir()) if target.parent.is_dir() else []
    refuse_older(beside, target)
    shards = {path: shard for path in beside if (shard := number_of(path, target))}
    counts = sorted({shard.count for shard in shards.values()})
    if not counts and (whole := target_of(target)):
        raise UsageError(f"{target} is a shard's name", hint=f"aimv2 merge {whole}")
    if not counts:
        raise OutputError(
            f"there are no shards of {target}",
            hint=f"{how_to_make(target, Shard(1, 2))} --resume",
        )
    if len(counts) > 1:
        *some, last = map(str, counts)
        raise UsageError(
            f"there are shards of {target} of more than one run: of {', '.join(some)} and {last}",
            hint=f"name those of one: aimv2 merge {target}.shard-*-of-{counts[0]} --out {target}",
        )
    return sorted(shards, key=lambda path: shards[path].number)


@contextmanager
def open_whole(files: Sequence[Path]) -> Iterator[Whole]:
    """The shards in these files, once they are known to be all of one run.

    Errors: OutputError where one is missing, there twice, damaged, or no shard; UsageError where
    they were made of other inputs or with other settings.
    """
    with ExitStack() as opened:
        shards = [opened.enter_context(open_shard(file)) for file in files]
        shards.sort(key=lambda shard: shard.record.number)
        _check_all_there(shards)
        for shard in shards[1:]:
            _check_same_inputs(shards[0], shard)
            _check_same_settings(shards[0], shard)
        yield Whole(shards)


def _check_all_there(shards: Sequence[ShardFile]) -> None:
    first = shards[0]
    for shard in shards:
        if shard.record.count != first.record.count:
            raise UsageError(
                f"{first.path} is {first.record.shard}, {shard.path} is {shard.record.shard}",
                hint="name the shards of one run",
            )
    for one, next_one in pairwise(shards):
        if one.record.number == next_one.record.number:
            both = f"{one.path} and {next_one.path}"
            raise UsageError(f"{both} are both {one.record.shard}", hint="name it once")
    missing = first.record.count - len(shards)
    if missing:
        there = {shard.record.number for shard in shards}
        wanted = Shard(next(n for n in count(1) if n not in there), first.record.count)
        target = target_of(first.path) or first.path
        file = wanted.file(target)
        state = (
            f"{file} was begun and is not finished" if unfinished(file) else f"there is no {file}"
        )
        others = f", and {missing - 1} more" if missing > 1 else ""
        raise OutputError(
            f"{wanted} is missing{others}: {state}",
            hint=f"{how_to_make(target, wanted)} --resume",
        )


def _check_same_inputs(first: ShardFile, shard: ShardFile) -> None:
    ours, theirs = first.record, shard.record
    if (ours.inputs, ours.names) == (theirs.inputs, theirs.names):
        return
    if ours.inputs == theirs.inputs:
        what = f"both of {ours.inputs} inputs, but by other names or in another order"
    else:
        what = f"one of {ours.inputs} inputs, the other of {theirs.inputs}"
    raise UsageError(
        f"{first.path} and {shard.path} are shares of different lists: {what}",
        hint="all shards need the same paths in the same order, and to find the same there: "
        "make again with --force what was made of an older list",
    )


def _check_same_settings(first: ShardFile, shard: ShardFile) -> None:
    changes = differences(first.record.made_by, shard.record.made_by, "{} is {} and {}")
    if changes:
        raise UsageError(
            f"{first.path} and {shard.path} were made with different settings: {changes}",
            hint="make one of them again with the other's options and --force",
        )
