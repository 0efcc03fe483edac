"""The order in which pairs are seen: another one in each epoch, fixed by the seed."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Order:
    """The order of an epoch of ``length`` pairs."""

    seed: int
    epoch: int
    length: int

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Each number below ``length`` once. Shapes: (length,)."""
        return np.random.default_rng((self.seed, self.epoch, self.length)).permutation(self.length)


_order = lru_cache(maxsize=2)(Order)  # a batch may hold the end of one epoch and more


def numbers_at(seed: int, length: int, first: int, last: int) -> NDArray[np.int64]:
    """The numbers of the pairs at positions ``first`` to ``last`` - 1, counted over all epochs."""
    positions = np.arange(first, last)
    epochs = positions // length
    numbers = np.empty(len(positions), np.int64)
    for epoch in range(first // length, (last - 1) // length + 1):
        here = epochs == epoch
        numbers[here] = _order(seed, epoch, length).numbers[positions[here] - epoch * length]
    return numbers
