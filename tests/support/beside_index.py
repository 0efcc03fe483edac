"""An index by stand-ins in a process of its own, which goes on until it is told to end.

It says ``begun`` at its first photo, and takes the last one when it gets a line.
"""

import sys
import time
from typing import Any

import pytest

from mlx_aimv2.library.indexing.indexer import Indexer
from mlx_aimv2.library.library import Library
from tests.support.stand_in_checkpoint import use_stand_ins


def main(library: str, photos: int) -> None:
    place, placed = Indexer._place_sample, 0

    def place_then(self: Indexer, *arguments: Any) -> None:
        nonlocal placed
        placed += 1
        if placed == 1:
            print("begun", flush=True)
        if placed == photos:
            sys.stdin.readline()
        place(self, *arguments)
        time.sleep(0.005)  # so that edits come between photos

    with pytest.MonkeyPatch.context() as patch:
        use_stand_ins(patch)
        patch.setattr(Indexer, "_place_sample", place_then)
        print(Library(library).index().embedded, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
