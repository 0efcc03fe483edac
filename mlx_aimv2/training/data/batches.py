"""Batches of pairs for a run: the same for a seed, from any step, on one process or several."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np

from mlx_aimv2.device import available_cores
from mlx_aimv2.errors import Aimv2Error

from ..data_loader import Arrays, load_batches
from .captions import Captions
from .order import numbers_at
from .pair import Pairs
from .steps import Steps
from .view import DRAWS, View

_STEPS_AT_ONCE = 1024  # that the loader lists: of all steps of a long run it would take gigabytes
_MOST_THREADS = 8
_MOST_AHEAD, _AHEAD_BYTES = 8, 512 << 20
_MOST_BROKEN = 10_000  # pairs in a row; a data set can be larger than anyone would wait for


@dataclass(frozen=True)
class Broken:
    """A pair that dropped out of its batch, and why; the reason names it."""

    number: int
    reason: str


class LeftOut:
    """The pairs that dropped out of a run of ``length``: their ``count``; each is told once."""

    def __init__(self, length: int, tell: Callable[[Broken], None]) -> None:
        self._tell = tell
        self._most = min(length, _MOST_BROKEN)
        self._told: set[int] = set()
        self._in_a_row = 0
        self.count = 0

    def add(self, broken: Sequence[Broken], kept: int) -> None:
        """Add those of a batch of which so many are left.

        Errors: Aimv2Error where as many in a row as there are, or 10,000, dropped out.
        """
        self.count += len(broken)
        self._in_a_row = 0 if kept else self._in_a_row + len(broken)
        for each in broken:
            if each.number not in self._told:
                self._told.add(each.number)
                self._tell(each)
        if broken and self._in_a_row >= self._most:
            raise Aimv2Error(
                f"none of {self._in_a_row:,} pairs in a row can be used; {broken[-1].reason}",
                hint="look at the source: are its pictures and captions there?",
            )


def make_batch(
    pairs: Pairs,
    view: View | None,
    captions: Captions | None,
    seed: int,
    positions: range,
    area: int | None = None,
) -> tuple[Arrays, list[Broken]]:
    """The batch of the pairs at these positions, and those of them that cannot be used.

    Positions count over all epochs, of which each has an order of its own. Of what a batch holds,
    :meth:`Batches.from_step` tells.
    """
    numbers = numbers_at(seed, len(pairs), positions.start, positions.stop).tolist()
    arrays = {} if view is None else view.room(len(positions), area)
    kept: list[int] = []
    texts: list[str] = []
    marks: list[int] = []
    broken: list[Broken] = []
    for position, number in zip(positions, numbers, strict=True):
        rng = np.random.default_rng((seed, position))
        draws = rng.random(1 + DRAWS)  # as many whatever comes of them
        try:
            pair = pairs.read(number)
            if view is not None:
                rows = {name: array[len(kept) :] for name, array in arrays.items()}
                view.see(pair.image, draws[1:], rng, area, rows)
            else:
                marks.append(pair.mark)
        except Aimv2Error as error:
            broken.append(Broken(number, str(error)))
            continue
        kept.append(number)
        texts.append(pair.captions[int(draws[0] * len(pair.captions))])
    made = {name: array[: len(kept)] for name, array in arrays.items()}
    made["numbers"] = np.array(kept, np.int64)
    if view is None:
        made["marks"] = np.array(marks, np.int64)
    if captions is not None:
        made["tokens"], made["token_mask"] = captions.encode(texts)
    return made, broken


class Batches:
    """Batches of a source's pairs, of which this process, ``rank`` of ``ranks``, takes its part.

    The pair at each position, its crop, flip, caption and prefix follow from the seed and the
    position alone. A pair that cannot be used drops out: it is counted in ``skipped``, and ``tell``
    is given each once.
    """

    def __init__(
        self,
        pairs: Pairs,
        steps: Steps,
        seed: int,
        view: View | None,
        captions: Captions | None,
        *,
        rank: int = 0,
        ranks: int = 1,
        tell: Callable[[Broken], None] = lambda _: None,
    ) -> None:
        self._pairs, self._steps, self._seed = pairs, steps, seed
        self._view, self._captions = view, captions
        self._rank, self._ranks = rank, ranks
        self._broken: dict[int, list[Broken]] = {}  # of steps that are made and not taken
        self._left_out = LeftOut(len(pairs), tell)

    @property
    def skipped(self) -> int:
        """How many pairs dropped out."""
        return self._left_out.count

    def from_step(self, step: int = 0) -> Generator[Arrays]:
        """The batches from a step on, without end, made ahead by several threads.

        ``numbers`` (B,) int64 are the pairs'. With a view of a fixed side: ``pixels`` (B, S, S, 3);
        of native resolution: ``patches`` (B, I, P * P * 3), zero behind each picture's own, and
        ``grids`` (B, 2), rows and columns; with both ``prefix`` (B,) int32, from 1 to one less than
        the picture's patches. Without a view: ``marks`` (B,), of each
        picture as it is now. With captions: ``tokens`` and ``token_mask`` (B, T). B is what is
        left of this process's part, and may be 0.
        Errors: Aimv2Error where as many pairs in a row as there are, or 10,000, cannot be used.
        """
        for first in count(step, _STEPS_AT_ONCE):
            made = load_batches(
                range(_STEPS_AT_ONCE),
                1,
                partial(self._make, first),
                threads=min(_MOST_THREADS, available_cores()),
                ahead=self._ahead(first),
            )
            with closing(made):
                for number, arrays in enumerate(made, first):
                    self._left_out.add(self._broken.pop(number), len(arrays["numbers"]))
                    if "token_mask" in arrays:
                        arrays["token_mask"] = arrays["token_mask"].astype(bool)
                    yield arrays

    def _part(self, step: int) -> range:
        """The positions of a step that are this process's."""
        whole = self._steps.positions(step)
        edges = [len(whole) * rank // self._ranks for rank in (self._rank, self._rank + 1)]
        return whole[slice(*edges)]

    def _ahead(self, step: int) -> int:
        """Batches that are made before they are asked for: few of large ones."""
        if self._view is None:
            return _MOST_AHEAD
        room = self._view.room(1, self._steps.area(step))
        batch_bytes = len(self._part(step)) * sum(array.nbytes for array in room.values())
        return max(2, min(_MOST_AHEAD, _AHEAD_BYTES // (batch_bytes or 1)))

    def _make(self, first: int, later: list[int]) -> Arrays:
        step = first + later[0]
        arrays, self._broken[step] = make_batch(
            self._pairs,
            self._view,
            self._captions,
            self._seed,
            self._part(step),
            self._steps.area(step),
        )
        return {  # the loader takes no bool
            name: array.astype(np.uint8) if array.dtype == bool else array
            for name, array in arrays.items()
        }
