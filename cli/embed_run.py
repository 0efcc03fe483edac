"""A run of ``aimv2 embed``, from what is found to the last word about it."""

import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.outputs import finished, output_file, shard_file
from mlx_aimv2.outputs.embeddings import kind_of
from mlx_aimv2.outputs.formats.jsonl import input_line, metadata_line
from mlx_aimv2.outputs.journal import Journal, open_journal, unfinished
from mlx_aimv2.outputs.shard import Shard, Share, refuse_older

from . import output
from .exit_codes import SOME_FAILED, exit_code
from .inputs import Input, Source, in_order, require_any

if TYPE_CHECKING:
    from mlx_aimv2.inference.model import Model

Load = Callable[[], "Model"]


class Tally:
    """What was done and what failed, and how long it took."""

    def __init__(self, source: Source) -> None:
        self.done = self.failed = 0
        self._untold: list[Aimv2Error] = []
        self._source = source
        self._started_s = time.monotonic()

    def start(self) -> None:
        """From here on time is counted."""
        self._started_s = time.monotonic()

    def add(self, error: Aimv2Error | None) -> None:
        """Count an input: whoever watches is told of a failure at once, a log file at the end."""
        if error is None:
            self.done += 1
            return
        self.failed += 1
        if output.is_terminal(sys.stderr):
            output.skipped(error)
        else:
            self._untold.append(error)

    def require_any(self, total: int) -> None:
        """Errors: what the source says where there is nothing; Aimv2Error if all have failed."""
        if total == self.failed:
            self._tell_failures()
            if not total:
                raise self._source.nothing()
            noun = self._source.noun
            subject = (
                f"none of {total} {noun}s could" if total > 1 else f"the only {noun} could not"
            )
            raise Aimv2Error(f"{subject} be embedded", hint="the reasons are above")

    def report(self, width: object, kept: int, target: Path | str) -> int:
        """Tell how it went, and return the exit code."""
        elapsed_s = time.monotonic() - self._started_s
        self._tell_failures()
        text = f"embedded {output.counted(self.done, self._source.noun)} ({width} numbers each)"
        if self.done:
            text += f" in {output.duration(elapsed_s)}, {self.done / elapsed_s:.1f}/s"
        if kept:
            text += f", {kept} {'was' if kept == 1 else 'were'} done before"
        output.say(f"{text} → {target}")
        return exit_code(self.done + kept, self.failed)

    def _tell_failures(self) -> None:
        output.left_out(self._source.left_out())
        for error in self._untold:
            output.skipped(error)


def to_file(
    source: Source,
    load: Load,
    target: Path,
    shard: Shard | None,
    *,
    grids: bool,
    resume: bool,
    force: bool,
) -> int:
    """Embed into a file, by way of a journal; returns the exit code.

    With ``shard`` the journal is the file, though the share be empty or fail as a whole.
    """
    format = output_file.format_of(target, grids=grids)
    tally = Tally(source)
    share = Share(shard or Shard(1, 1))
    file = target
    if shard is not None:
        refuse_older(target.parent.iterdir() if target.parent.is_dir() else (), target)
        file = shard.file(target)
    if resume and not force and file.exists() and not unfinished(file):
        return _tell_finished(source, load, file, share, is_whole=shard is None)
    with open_journal(file, resume=resume, force=force) as journal:
        total = journal.set_inputs(_found(source, tally, share))
        format.check_names(share.inputs, share.names_bytes)
        if shard is not None:
            output.say(f"{shard}: {total} of {output.counted(share.inputs, source.noun)}")
        if shard is None or not share.inputs:
            tally.require_any(total)
        model = load()
        journal.match(source.settings(model))
        try:
            _embed_all(source, model, journal, tally, total, share.usable)
            if shard is None:
                tally.require_any(total)
                summary = journal.publish(source.settings(model))
            else:
                summary = shard_file.publish(journal, source.settings(model), share)
        except KeyboardInterrupt:
            journal.commit()
            again = "the same command with --resume goes on"
            output.stopped_after(journal.done, source.noun, again)
            raise
    code = tally.report(summary.width, summary.count - tally.done, file)
    if shard is None:
        return code
    whole = shlex.quote(str(target))
    output.say(f"only merge reads this file, with all other shards beside it: aimv2 merge {whole}")
    # mlx.launch stops all processes once one ends with an error: what failed is merge's to tell.
    return SOME_FAILED if tally.failed and not shard.is_launched else 0


def to_stdout(source: Source, load: Load) -> int:
    """Embed as JSON lines on stdout, each as soon as it is done; returns the exit code."""
    tally = Tally(source)
    inputs = require_any(source)
    model = load()
    settings = source.settings(model)
    kind = kind_of(settings)
    _write(metadata_line(settings))
    tally.start()
    for each in in_order(source, model, inputs):
        tally.add(each.error)
        _write(input_line(kind, str(each.source), each.embedding, each.note, each.error))
    tally.require_any(tally.done + tally.failed)
    return tally.report(settings["width"], 0, "stdout")


def _tell_finished(source: Source, load: Load, file: Path, share: Share, *, is_whole: bool) -> int:
    """Say that a run has ended already, if it is this one; returns the exit code."""
    names = [name for name, _ in share.take(source.find())]
    settings = source.settings(load())
    if is_whole:
        finished.check_finished(file, names, settings)
    else:
        finished.check_finished_shard(file, share, settings)
    output.say(f"{'the run' if is_whole else share.shard} is done already → {file}")
    return 0


def _found(source: Source, tally: Tally, share: Share) -> Iterator[Input]:
    with output.Progress("found") as progress:
        for name, error in share.take(source.find()):
            if error is not None:
                tally.add(error)
            progress.advance()
            yield name, error


def _embed_all(
    source: Source, model: "Model", journal: Journal, tally: Tally, total: int, together: int
) -> None:
    waiting: deque[tuple[bytes, Stamp | None]] = deque()

    def names() -> Iterator[bytes]:
        for name, stamp in journal.pending(source.stamp):
            waiting.append((name, stamp))
            yield name

    left = max(0, total - tally.failed - journal.done)
    tally.start()
    with output.Progress("embedded", left) as progress:
        for sample in source.embed(model, names(), together):
            journal.add(*waiting.popleft(), sample)
            tally.add(sample.error)
            progress.advance()


def _write(line: bytes) -> None:
    # JSON is UTF-8 whatever the terminal is.
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
