"""Which pairs a step takes, and of how many patches its pictures are."""

import threading
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError

_STEP = 0.5  # of an area's logarithm: 11 shapes from 128 to 4096 patches, each compiled once
_BLOCK = 4096  # steps whose areas are drawn at once


class Steps(Protocol):
    """The positions of each step's batch, and the patches that its pictures have room for."""

    def positions(self, step: int) -> range: ...
    def area(self, step: int) -> int | None: ...


@dataclass(frozen=True)
class EqualSteps:
    """Batches of the same number of pictures, of a fixed side or of ``room`` patches each."""

    batch_size: int
    room: int | None = None

    def positions(self, step: int) -> range:
        """The positions of a step's batch, counted over all epochs."""
        return range(step * self.batch_size, (step + 1) * self.batch_size)

    def area(self, step: int) -> int | None:
        """The same in each step; None where the side is fixed."""
        return self.room


class AreaSteps:
    """Batches of about ``batch_tokens`` patches, the area of their pictures drawn for each step.

    The area is 2^n patches, n normal around the middle of ``exponents``, its deviation half their
    distance, cut off at both and rounded to 0.5: by default n = 9.5 + 2.5 z, z from -1 to 1.
    Errors: UsageError for exponents that are no such range, or too few tokens for one picture.
    Source: AIMv2 paper, section 2.4; the rounding is ours.
    """

    def __init__(
        self, seed: int, batch_tokens: int, exponents: tuple[float, float] = (7.0, 12.0)
    ) -> None:
        low, high = exponents
        if not 1 <= low <= high <= 16:
            raise UsageError(f"areas from 2^{low:g} to 2^{high:g} patches are none", hint="7 to 12")
        if batch_tokens < 2**high:
            raise UsageError(
                f"a batch of {batch_tokens:,} patches holds no picture of {int(2**high):,}",
                hint="take a larger batch, or smaller areas",
            )
        self._seed, self._batch_tokens = seed, batch_tokens
        exact = np.arange(low, high + _STEP / 2, _STEP)
        self._areas = np.floor(2**exact).astype(np.int64)
        normal = NormalDist((low + high) / 2, (high - low) / 2 or 1)
        edges = [normal.cdf(each) for each in (low, *(exact[:-1] + _STEP / 2), high)]
        self._edges = np.array(edges[1:-1])
        self._span = edges[0], edges[-1]
        self._lock = threading.Lock()
        self._drawn = np.zeros(0, np.int64)
        self._firsts = np.zeros(1, np.int64)

    def positions(self, step: int) -> range:
        """The positions of a step's batch, counted over all epochs."""
        self._draw(step)
        return range(int(self._firsts[step]), int(self._firsts[step + 1]))

    def area(self, step: int) -> int:
        """The patches that each picture of a step has room for."""
        self._draw(step)
        return int(self._drawn[step])

    def _draw(self, step: int) -> None:
        with self._lock:  # the loader's threads ask
            while len(self._drawn) <= step:
                block = len(self._drawn) // _BLOCK
                rng = np.random.default_rng((self._seed, block, 0, 1))  # no sample's, no order's
                draws = rng.uniform(*self._span, _BLOCK)
                areas: NDArray[np.int64] = self._areas[np.searchsorted(self._edges, draws)]
                sizes = self._batch_tokens // areas
                self._drawn = np.append(self._drawn, areas)
                self._firsts = np.append(self._firsts, self._firsts[-1] + np.cumsum(sizes))
