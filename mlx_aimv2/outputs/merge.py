"""Shards to the file that one process would have written, byte for byte.

Nothing is held but what the shards' metadata says: rows go from their files to the new one, one
by one, in the order of the inputs.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.lock import take_lock
from mlx_aimv2.files.path_text import unescape

from . import output_file
from .embeddings import Entry, Kind, Summary, Table
from .journal import differences, unfinished
from .shard import KEY, Record, Shard, Share, digest, number_of, target_of
from .stored import Stored, open_stored, reading

_OF_RESULTS = ("failed", "notes")
_AGAIN = "make it again: the same command with --force instead of --resume"
_UNSAID = {"preprocessing.decode": "exact"}  # what a setting is where a file does not name it


@dataclass(frozen=True)
class Part:
    """A shard's file, open."""

    stored: Stored
    record: Record

    @property
    def path(self) -> Path:
        """The file."""
        return self.stored.path

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What made its embeddings what they are."""
        return _settings(self.stored)

    def entries(self) -> Iterator[Entry]:
        """Its inputs in order. Errors: OutputError where they are not as many as they should be."""
        found = 0
        for entry in self.stored.rows() if self.stored.tells_failures else self._woven():
            found += 1
            yield entry
        if found != self._expected:
            raise _damaged(self, f"it holds {found} of {self._expected} inputs")

    def verify(self) -> None:
        """Errors: OutputError where names or values are not those that were written."""
        with reading(self.path):
            if digest(self.entries()) != self.record.content:
                raise _damaged(self, "names or values have changed since it was written")

    @property
    def _expected(self) -> int:
        return len(self.record.shard.positions(self.record.inputs))

    def _woven(self) -> Iterator[Entry]:
        """Its rows, with what failed in the places it had, and with their notes."""
        said, rows = self.stored.metadata, self.stored.rows()
        failed = dict(zip(self.record.failed_at, said["failed"], strict=True))
        notes = dict(zip(self.record.noted_at, said["notes"], strict=True))
        for index in range(self._expected):
            if one := failed.get(index):
                yield Entry(unescape(one[kind_of(said)]), error=one["reason"])
            elif row := next(rows, None):
                yield _noted(row, notes[index]) if index in notes else row
            else:
                return  # too few
        yield from rows  # too many, as their number will tell


class Whole:
    """The shards of one run, all there and fit for each other; see :func:`open_whole`."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.inputs = parts[0].record.inputs
        made_by = next((p.settings for p in parts if p.settings.get("widened_from")), None)
        settings = made_by or parts[0].settings
        self.kind = kind_of(settings)
        self._table = Table(self.kind, settings, self._entries)

    def check_target(self, target: Path, *, overwrite: bool = False) -> None:
        """Refuse a target before any work. Errors: as ``export.check_target``."""
        output_file.format_of(target, grids=self._table.holds_grids)
        output_file.check_target(target, overwrite=overwrite)

    def verify(self) -> Iterator[Shard]:
        """Read all that is there, shard by shard, and compare it with what was written.

        Errors: OutputError naming a damaged file.
        """
        for part in self._parts:
            part.verify()
            yield part.record.shard

    def failures(self) -> Iterator[str]:
        """The reasons of inputs that failed, in order."""
        return (entry.error or "" for entry in self._entries() if entry.read is None)

    def write(self, target: Path, *, overwrite: bool = False) -> Summary:
        """Write the target, whole or not at all; the shards stay.

        Errors: as ``export.check_target`` and ``export.stage``.
        """
        with _folder_beside(target) as folder:
            output_file.stage(self._table, target, folder)
            output_file.check_target(target, overwrite=overwrite)
            output_file.place(target, folder)
        return self._table.summary

    def _entries(self) -> Iterator[Entry]:
        shards = [part.entries() for part in self._parts]
        for position in range(self.inputs):
            yield next(shards[position % len(shards)])


def find(target: Path) -> list[Path]:
    """The shards beside a target, by their names.

    Errors: OutputError where there are none; UsageError where they are of several runs.
    """
    names = target.parent.iterdir() if target.parent.is_dir() else iter(())
    shards = {path: shard for path in names if (shard := number_of(path, target))}
    counts = sorted({shard.count for shard in shards.values()})
    if not counts and (whole := target_of(target)):
        raise UsageError(f"{target} is a shard's name", hint=f"aimv2 merge {whole}")
    if not counts:
        raise OutputError(
            f"there are no shards of {target}", hint=_how_to_make(target, Shard(1, 2))
        )
    if len(counts) > 1:
        raise UsageError(
            f"there are shards of {target} of more than one run: of {_listed(counts)}",
            hint="name those of one: "
            f"aimv2 merge {target.with_suffix('')}.shard-*-of-{counts[0]}{target.suffix} "
            f"--out {target}",
        )
    return sorted(shards, key=lambda path: shards[path].number)


@contextmanager
def open_whole(files: Sequence[Path]) -> Iterator[Whole]:
    """The shards in these files, once they are known to be all of one run.

    Errors: OutputError where one is missing, there twice, damaged, or no shard; UsageError where
    they were made of other inputs or with other settings.
    """
    with ExitStack() as opened:
        parts = [_part(opened.enter_context(open_stored(file))) for file in files]
        parts.sort(key=lambda part: part.record.number)
        _check_all_there(parts)
        for part in parts[1:]:
            _check_same_inputs(parts[0], part)
            _check_same_settings(parts[0], part)
        yield Whole(parts)


def check_unchanged(file: Path, share: Share, settings: Mapping[str, Any]) -> None:
    """Whether a finished shard is what would be made now.

    Errors: UsageError where it is of other inputs or settings.
    """
    with open_stored(file) as stored:
        part = _part(stored)
        if (part.record.inputs, part.record.names) != (share.inputs, share.names):
            raise UsageError(f"{file} is a share of another list of inputs", hint=_AGAIN)
        _check_made_with(file, part.settings, settings)


def check_finished(file: Path, names: Iterable[bytes], settings: Mapping[str, Any]) -> None:
    """Whether a finished whole file is what would be made now of inputs with these names.

    Errors: UsageError where it is of other inputs or settings.
    """
    with open_stored(file) as stored:
        said = stored.metadata
        failed = Counter(unescape(one[kind_of(said)]) for one in said.get("failed", ()))
        rows = (entry.name for entry in stored.rows())
        row = next(rows, None)
        grids = set[str]()  # one named twice is in the file once
        for name in (name.decode("utf-8", "surrogateescape") for name in names):
            if name == row:
                row = next(rows, None)
                if said.get("pooling") == "none":
                    grids.add(name)
            elif name not in grids:
                failed[name] -= 1
        if row is not None or any(failed.values()):
            raise UsageError(f"{file} was made of other inputs than those there now", hint=_AGAIN)
        _check_made_with(file, _settings(stored), settings)


def kind_of(settings: Mapping[str, Any]) -> Kind:
    """What rows are called by: paths or texts."""
    return "text" if settings["kind"] == "text" else "path"


def _part(stored: Stored) -> Part:
    with reading(stored.path):
        said = stored.metadata.get(KEY)
        if said is None:
            raise UsageError(
                f"{stored.path} is no shard, but a whole file",
                hint="shards are made by: aimv2 embed … --shard 1/2",
            )
        kind_of(stored.metadata)
        return Part(stored, Record(**said))


def _settings(stored: Stored) -> dict[str, Any]:
    said = stored.metadata
    return {name: said[name] for name in said if name not in (KEY, *_OF_RESULTS)}


def _check_made_with(file: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    as_in_a_file = json.loads(to_json(now))
    if found := differences(_as_begun(then), _as_begun(as_in_a_file)):
        changes = _told(found, "{} was {} and is {}")
        raise UsageError(f"{file} was made with other settings: {changes}", hint=_AGAIN)


def _noted(row: Entry, note: Mapping[str, str]) -> Entry:
    # The name too: that of a tensor is another one where safetensors does not allow it.
    name, said = note.values()
    return replace(row, name=unescape(name), note=said)


def _check_all_there(parts: Sequence[Part]) -> None:
    first = parts[0]
    for part in parts:
        if part.record.count != first.record.count:
            raise UsageError(
                f"{first.path} is {first.record.shard}, {part.path} is {part.record.shard}",
                hint="name the shards of one run",
            )
    for one, next_one in pairwise(parts):
        if one.record.number == next_one.record.number:
            both = f"{one.path} and {next_one.path}"
            raise UsageError(f"{both} are both {one.record.shard}", hint="name it once")
    missing = first.record.count - len(parts)
    if missing:
        there = {part.record.number for part in parts}
        shard = Shard(next(n for n in count(1) if n not in there), first.record.count)
        target = target_of(first.path) or first.path
        others = f", and {missing - 1} more" if missing > 1 else ""
        raise OutputError(
            f"{shard} is missing{others}: {_state(shard.file(target))}",
            hint=_how_to_make(target, shard),
        )


def _check_same_inputs(first: Part, part: Part) -> None:
    ours, theirs = first.record, part.record
    if (ours.inputs, ours.names) == (theirs.inputs, theirs.names):
        return
    if ours.inputs == theirs.inputs:
        what = f"both of {ours.inputs} inputs, but by other names or in another order"
    else:
        what = f"one of {ours.inputs} inputs, the other of {theirs.inputs}"
    raise UsageError(
        f"{first.path} and {part.path} are shares of different lists: {what}",
        hint="all shards need the same paths in the same order, and to find the same there: "
        "make again with --force what was made of an older list",
    )


def _check_same_settings(first: Part, part: Part) -> None:
    found = differences(_as_begun(first.settings), _as_begun(part.settings))
    if found:
        changes = _told(found, "{} is {} and {}")
        raise UsageError(
            f"{first.path} and {part.path} were made with different settings: {changes}",
            hint="make one of them again with the other's options and --force",
        )


def _told(found: Sequence[tuple[str, object, object]], form: str) -> str:
    said = (
        (name, *(_UNSAID.get(name) if value is None else value for value in values))
        for name, *values in found
    )
    return ", ".join(form.format(*each) for each in said)


def _as_begun(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings without what a run itself changes: to float32, where a value is not finite."""
    begun_in = settings.get("widened_from") or settings.get("dtype")
    return {**settings, "dtype": begun_in, "widened_from": None}


def _state(file: Path) -> str:
    if unfinished(file):
        return f"{file} was begun and is not finished"
    return f"there is no {file}"


def _how_to_make(target: Path, shard: Shard) -> str:
    return f"aimv2 embed … --out {target} --shard {shard.number}/{shard.count} --resume"


def _listed(items: Sequence[object]) -> str:
    *some, last = map(str, items)
    return f"{', '.join(some)} and {last}" if some else last


def _damaged(part: Part, what: str) -> OutputError:
    shard = part.record.shard
    how = _how_to_make(target_of(part.path) or part.path, shard).replace("--resume", "--force")
    return OutputError(f"{part.path} is damaged: {what}", hint=f"make it again: {how}")


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """A hidden folder on the target's disk, which is gone after the block.

    Errors: OutputError where the disk is full or fails, or another process merges this target.
    """
    folder = target.with_name(f".{target.name}.merging")
    try:
        lock = take_lock(folder, str(target))
        try:
            staging = folder / "output"
            shutil.rmtree(staging, ignore_errors=True)  # of a merge that was killed
            staging.mkdir()
            yield staging
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{target} cannot be written: {reason}") from error
