"""A run of a journal in a process of its own, which may be told when to die.

python -m tests.support.journal_run TARGET [MOMENT]
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.outputs import journal, output_file
from mlx_aimv2.outputs.embeddings import Entry
from mlx_aimv2.outputs.journal import Journal
from tests.support.outputs import sample_of

COUNT, WIDTH = 211, 101
SETTINGS = {"checkpoint": "lit", "dtype": "float32", "preprocessing": {"preset": "hub"}}
NAMES = [f"{i}".encode() + b"\xff.jpg" * (i % 5 == 0) for i in range(COUNT)]


def entry_of(name: bytes) -> Entry:
    number = NAMES.index(name)
    text = os.fsdecode(name)
    if number % 23 == 7:
        return Entry(text, error=f"{number} is empty")
    values = np.random.default_rng(number).standard_normal(WIDTH).astype(np.float32)
    note = "cropped" if number % 31 == 3 else None
    return Entry(text, values.shape, lambda: values, note)


def run(journal: Journal, stop_after: int = COUNT) -> list[bytes]:
    """Embed what is to do; returns what was."""
    journal.set_inputs((name, "is a folder" if name == NAMES[11] else None) for name in NAMES)
    journal.match(SETTINGS)
    todo = []
    for name, now in journal.pending(lambda name: Stamp(len(name), 5)):
        if len(todo) == stop_after:
            break
        todo.append(name)
        journal.add(name, now, sample_of(entry_of(name)))
    return todo


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(moment: str) -> None:
    """Put an end to this process into a later moment of the run."""
    if moment == "committing":
        commit, left = Journal.commit, iter(range(6))
        Journal.commit = lambda self: die() if next(left, None) is None else commit(self)
    elif moment.startswith("added "):
        add, more = Journal.add, iter(range(int(moment.removeprefix("added "))))
        Journal.add = lambda *given: die() if next(more, None) is None else add(*given)
    elif moment == "staged":
        output_file.sync = die
    elif moment == "placing":  # one of two files is in its place
        replace, done = Path.replace, []
        Path.replace = lambda *paths: die() if done else done.append(replace(*paths))
    elif moment == "placed":
        Journal.remove = die


def main(target: str, moment: str = "") -> None:
    journal._COMMIT_S = -1.0
    die_at(moment)
    with journal.open_journal(Path(target), resume=True) as opened:
        run(opened)
        opened.publish(SETTINGS)


if __name__ == "__main__":
    main(*sys.argv[1:])
