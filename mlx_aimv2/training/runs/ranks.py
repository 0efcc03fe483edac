"""The processes of one run, on one machine or several, started by ``mlx.launch``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_map

from mlx_aimv2.errors import Aimv2Error

T = TypeVar("T")


class Ranks:
    """This process among those of its run; alone where it was not started by ``mlx.launch``."""

    def __init__(self) -> None:
        with _told():
            self._group = mx.distributed.init()
        self.rank: int = self._group.rank()
        self.size: int = self._group.size()

    @property
    def is_first(self) -> bool:
        """Whether this process writes what the run writes."""
        return self.rank == 0

    def part(self, positions: range) -> range:
        """This process's part of the samples of a step, in order."""
        count = len(positions)
        return positions[self.rank * count // self.size : (self.rank + 1) * count // self.size]

    def total(self, tree: T) -> T:
        """Arrays summed over all processes, the same on each.

        Computed here and now: what waits could be sent in another order than by the others.
        """
        if self.size == 1:
            return tree
        mean = nn.average_gradients(tree, self._group)
        total = tree_map(lambda array: array * self.size, mean)
        mx.eval(total)
        return total

    def of_the_first(self, tree: T) -> T:
        """The first process's arrays, on each."""
        keep = 1 if self.is_first else 0
        return self.total(tree_map(lambda array: array * keep, tree))

    def text_of_the_first(self, text: str) -> str:
        """The first process's text, on each."""
        content = text.encode()
        size = int(np.array(self.of_the_first([mx.array([len(content)])])[0])[0])
        padded = np.zeros(size, np.int32)
        if self.is_first:
            padded[:] = np.frombuffer(content, np.uint8)
        shared = np.array(self.of_the_first([mx.array(padded)])[0])
        return bytes(shared.astype(np.uint8)).decode()

    def gather(self, rows: mx.array) -> mx.array:
        """The rows of all processes, as many on each. Shapes: (B, ...) -> (size * B, ...)."""
        return mx.distributed.all_gather(rows, group=self._group)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside it a process that was lost is told as such.

        Errors: Aimv2Error.
        """
        with _told():
            yield


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # MLX has no class of its own for these
        if "[ring]" not in str(error) and "[mpi]" not in str(error):
            raise
        raise Aimv2Error(
            f"another process of this run was lost: {error}",
            hint="start the run again as before, with --resume",
        ) from error
