"""``aimv2 …`` on a library, slowly, and killed where the first argument says.

It says ``begun`` when it begins to embed. ``never``, or a place in the commit of a batch and its
number: ``torn:2`` after half of the second batch's rows are written, ``written:2`` before the
database counts them, ``committed:2`` after.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from mlx_aimv2.cli.app import main
from mlx_aimv2.library import indexer
from mlx_aimv2.library.segments import Segments
from mlx_aimv2.library.store import Store

PLACES = ("torn", "written", "committed")
BATCH = 4


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def install(place: str, number: int) -> None:
    """Kill this process at that place of so manieth commit with vectors."""
    write, append, commit = Segments._write, Segments.append, Store.commit
    seen = 0

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

    Segments._write, Segments.append, Store.commit = write_then, append_then, commit_then


def slow_down() -> None:
    place_item, begin = indexer.Indexer._place_item, Store.begin
    has_begun = False

    def begin_loudly(self: Store) -> None:
        nonlocal has_begun
        begin(self)
        if not has_begun:
            print("begun", flush=True)
        has_begun = True

    def slowly(self: indexer.Indexer, *arguments: object) -> None:
        place_item(self, *arguments)
        time.sleep(0.02)

    indexer._COMMIT_FILES = BATCH
    indexer.Indexer._place_item, Store.begin = slowly, begin_loudly


if __name__ == "__main__":
    slow_down()
    place, _, count = sys.argv[1].partition(":")
    if place in PLACES:
        install(place, int(count))
    sys.exit(main(sys.argv[2:]))
