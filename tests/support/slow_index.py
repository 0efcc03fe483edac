"""``aimv2 …`` on a library in small batches, killed or held where the first argument says.

It says ``begun`` when it begins to embed. ``never``; ``item:7`` once the seventh picture is placed;
or a place in the commit of a batch and its number: ``torn:2`` after half of the second batch's rows
are written, ``written:2`` before the database counts them, ``committed:2`` after. ``slow`` takes a
moment for each picture, and ``--progress`` tells of each; ``step`` says ``waits`` before the first
batch and after each, and goes on when it gets a line.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from mlx_aimv2.cli import index
from mlx_aimv2.cli.app import main
from mlx_aimv2.library.database.segments import Segments
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing import indexer

PLACES = ("torn", "written", "committed")
BATCH = 4


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def install(place: str, number: int) -> None:
    """Kill this process at that place of so manieth commit with vectors."""
    write, append = Segments._write, Segments.append
    begin, commit = Store.begin, Store.commit
    place_item = indexer.Indexer._place_sample
    seen, placed, stepped = 0, 0, -1

    def write_then(self: Segments, file: Path, start: int, rows: "np.ndarray") -> None:
        if place == "torn" and seen == number:
            write(self, file, start, rows)
            os.truncate(file, start + rows.nbytes // 2 + 1)
            kill()
        write(self, file, start, rows)

    def append_then(self: Segments, rows: "np.ndarray") -> None:
        nonlocal seen
        seen += 1
        append(self, rows)
        if place == "written" and seen == number:
            kill()

    def commit_then(self: Store) -> None:
        commit(self)
        if place == "committed" and seen == number:
            kill()
        if place == "step" and seen > stepped:
            step()

    def step() -> None:
        nonlocal stepped
        stepped = seen
        print("waits", flush=True)
        sys.stdin.readline()

    def begin_loudly(self: Store) -> None:
        nonlocal stepped
        begin(self)
        if stepped < 0:
            print("begun", flush=True)
            stepped = 0
            if place == "step":
                step()

    def place_then(self: indexer.Indexer, *arguments: object) -> None:
        nonlocal placed
        place_item(self, *arguments)
        placed += 1
        if place == "item" and placed == number:
            kill()
        if place == "slow":
            time.sleep(0.02)

    Segments._write, Segments.append = write_then, append_then
    Store.begin, Store.commit = begin_loudly, commit_then
    indexer.Indexer._place_sample = place_then


if __name__ == "__main__":
    index._RECORD_S = 0.0
    indexer._COMMIT_FILES, indexer._COMMIT_S = BATCH, float("inf")
    place, _, count = sys.argv[1].partition(":")
    install(place, int(count or 0))
    sys.exit(main(sys.argv[2:]))
