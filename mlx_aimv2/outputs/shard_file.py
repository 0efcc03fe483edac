"""The file of a finished shard: its journal, complete, with a record of what it is a share of.

Only ``merge`` reads it. One file holds all, so that it can be copied from machine to machine, and
a digest tells whether it has arrived as it was written.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.path_text import escape

from .embeddings import Entry, Summary, Table
from .formats import FORMATS
from .journal import Journal, read_entries, read_fact
from .output_file import reading
from .settings import Settings
from .shard import Shard, Share, refuse_older, target_of

_START = b"SQLite format 3\0"


@dataclass(frozen=True)
class Record:
    """What a shard's file says of itself.

    ``inputs`` are those of all shards, ``names`` is a digest of their names in order.
    """

    number: int
    count: int
    inputs: int
    names: str
    made_by: dict[str, Any]

    def __post_init__(self) -> None:
        if not (1 <= self.number <= self.count and self.inputs >= 0):
            raise ValueError(f"there is no {self.shard} of {self.inputs} inputs")

    @property
    def shard(self) -> Shard:
        """Number and count."""
        return Shard(self.number, self.count)


class ShardFile:
    """A shard's file, open; see :func:`open_shard`."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._content = read_fact(database, "content")
        self.record = Record(**read_fact(database, "record"))

    def entries(self) -> Iterator[Entry]:
        """Its inputs in order. Errors: OutputError where they cannot be read."""
        with reading(self.path):
            yield from read_entries(self._database)

    def verify(self) -> None:
        """Errors: OutputError where anything is not what was written."""
        with reading(self.path):
            is_whole = _digest(self.record, self.entries()) == self._content
        if not is_whole:
            target, shard = target_of(self.path) or self.path, self.record.shard
            raise OutputError(
                f"{self.path} is damaged: names or values have changed since it was written",
                hint=f"make it again: {how_to_make(target, shard)} --force",
            )


@contextmanager
def open_shard(path: Path) -> Iterator[ShardFile]:
    """A shard's file, open until the block ends.

    Errors: OutputError for a file that is not there, damaged, or of an older version; UsageError
    for a whole file.
    """
    with reading(path):
        with path.open("rb") as file:
            is_database = file.read(len(_START)) == _START
        if not is_database:
            refuse_older([path])
        if not is_database and path.suffix.lower() in FORMATS:
            raise UsageError(
                f"{path} is no shard, but a whole file",
                hint="shards are made by: aimv2 embed … --shard 1/2",
            )
        # Immutable: no lock is asked for, which a read-only or a network disk may not have.
        address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        opened = closing(sqlite3.connect(address, uri=True))
    with opened as database:
        with reading(path):
            shard = ShardFile(path, database)
        yield shard


def publish(journal: Journal, made_by: Settings, share: Share) -> Summary:
    """Make a journal of all inputs of a share the shard's file.

    Errors: as :meth:`Journal.publish`.
    """
    shard = share.shard
    record = Record(shard.number, shard.count, share.inputs, share.names, dict(made_by))
    journal.set_fact("record", asdict(record))
    journal.set_fact("content", _digest(record, journal.entries()))
    summary = Table(made_by, journal.entries).summary
    journal.become_target()
    return summary


def how_to_make(target: Path, shard: Shard) -> str:
    """The command for a shard."""
    return f"aimv2 embed … --out {target} --shard {shard.number}/{shard.count}"


def _digest(record: Record, entries: Iterable[Entry]) -> str:
    """Of all that a shard's file holds, in order."""
    content = hashlib.sha256(to_json(asdict(record)).encode())
    for entry in entries:
        content.update(to_json([escape(entry.name), entry.shape, entry.note, entry.error]).encode())
        if entry.read is not None:
            content.update(entry.read().astype("<f4", copy=False).tobytes())
    return content.hexdigest()
