"""An index in a process of its own that has the lock until it is told to go on.

It is killed then, at its first commit.
"""

import os
import signal
import sys
from typing import Any

import pytest

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing.indexer import Indexer
from mlx_aimv2.library.library import Library
from tests.support.stand_in_checkpoint import use_stand_ins


def main(library: str) -> None:
    run, commit = Indexer.run, Store.commit

    def commit_and_die(self: Store) -> None:
        commit(self)
        os.kill(os.getpid(), signal.SIGKILL)

    def run_when_told(self: Indexer, *arguments: Any) -> Any:
        print("has the lock", flush=True)
        sys.stdin.readline()
        Store.commit = commit_and_die  # type: ignore[method-assign]
        return run(self, *arguments)

    Indexer.run = run_when_told  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        use_stand_ins(patch)
        Library(library).index()


if __name__ == "__main__":
    main(sys.argv[1])
