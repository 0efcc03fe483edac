"""Shards without a model, of entries that a test makes up."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mlx_aimv2.outputs.embeddings import Entry, Kind, Table
from mlx_aimv2.outputs.shard import KEY, Shard, Share
from tests.support.outputs import write

Entries = Callable[[], Iterator[Entry]]


@dataclass(frozen=True)
class Listed:
    """An input as a run lists it."""

    name: bytes
    error: None = None


def whole(entries: Entries, made_by: Mapping[str, Any], target: Path) -> bytes:
    """What one process writes."""
    write(Table(kind_of(made_by), made_by, entries), target)
    return target.read_bytes()


def shards(
    entries: Entries, made_by: Mapping[str, Any], target: Path, count: int
) -> Sequence[Path]:
    """What so many processes write."""
    return [shard(entries, made_by, target, Shard(number + 1, count)) for number in range(count)]


def shard(entries: Entries, made_by: Mapping[str, Any], target: Path, shard: Shard) -> Path:
    """What one of several processes writes."""
    share = Share(shard)
    for _ in share.take(Listed(os.fsencode(entry.name)) for entry in entries()):
        pass

    def own() -> Iterator[Entry]:
        return islice(entries(), shard.number - 1, None, shard.count)

    said = {**made_by, KEY: share.record(own)}
    write(Table(kind_of(made_by), said, own, is_part=True), shard.file(target))
    return shard.file(target)


def kind_of(made_by: Mapping[str, Any]) -> Kind:
    return "text" if made_by["kind"] == "text" else "path"
