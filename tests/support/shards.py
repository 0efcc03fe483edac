"""Shards without a model, of entries that a test makes up."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.outputs.embeddings import Entry, Table
from mlx_aimv2.outputs.journal import open_journal
from mlx_aimv2.outputs.shard import Shard, Share
from mlx_aimv2.outputs.shard_file import publish
from tests.support.outputs import sample_of, write

Entries = Callable[[], Iterator[Entry]]


def whole(entries: Entries, made_by: Mapping[str, Any], target: Path) -> bytes:
    """What one process writes."""
    write(Table(made_by, entries), target)
    return target.read_bytes()


def shards(
    entries: Entries, made_by: Mapping[str, Any], target: Path, count: int
) -> Sequence[Path]:
    """What so many processes write."""
    return [shard(entries, made_by, target, Shard(number + 1, count)) for number in range(count)]


def shard(entries: Entries, made_by: Mapping[str, Any], target: Path, shard: Shard) -> Path:
    """What one of several processes writes."""
    share = Share(shard)
    with open_journal(shard.file(target)) as journal:
        inputs = ((os.fsencode(entry.name), None) for entry in entries())
        journal.set_inputs(share.take(inputs))
        for entry in islice(entries(), shard.number - 1, None, shard.count):
            journal.add(os.fsencode(entry.name), Stamp(7, 7), sample_of(entry))
        publish(journal, made_by, share)
    return shard.file(target)
