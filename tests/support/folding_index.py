"""An index beside which edits are kept at its third photo; it kills itself while it makes them.

python -m tests.support.folding_index LIBRARY MOMENT NUMBER   (the moments of waiting_run)
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.library.editing.request import Request
from mlx_aimv2.library.editing.waiting import keep_waiting
from mlx_aimv2.library.indexing.indexer import Indexer
from mlx_aimv2.library.library import Library
from tests.support.stand_in_checkpoint import use_stand_ins
from tests.support.waiting_run import kill_at

AT = 3


def edits(library: Library) -> list[Request]:
    """A yes, an undoing of the edit before and a no, for the first photo of the library."""
    with library._reading() as store:
        hash = store.last_hash(1)
        [before] = store.edits()
    assert hash is not None
    return [
        Request("add", "Luna added", verdicts=((hash, "Luna", "added"),), uuid="luna"),
        Request("undo", "undone", undoes=before.number, uuid="undone"),
        Request("reject", "no Sea", verdicts=((hash, "Sea", "rejected"),), uuid="sea"),
    ]


def main(path: str, moment: str, number: int) -> None:
    place, placed = Indexer._place_sample, 0
    library = Library(path)
    kept = edits(library)

    def place_then(self: Indexer, *arguments: Any) -> None:
        nonlocal placed
        place(self, *arguments)
        placed += 1
        if placed == AT:
            for each in kept:
                keep_waiting(Path(path), each)
            kill_at(moment, number)

    with pytest.MonkeyPatch.context() as patch:
        use_stand_ins(patch)
        patch.setattr(Indexer, "_place_sample", place_then)
        library.index()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
