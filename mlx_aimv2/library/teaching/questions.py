"""The photos whose answer helps most: some that are in doubt, some that seem sure, some by chance.

Of those asked together none is like another, nor like one that was answered.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from ..tag_names import tag_key
from .lessons import COPIES, Learnt, School

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

_BELOW = 0.01  # of the library: by chance from these, the best below those that seem sure
_POOL = 4  # times as many candidates as questions, of which those most unlike are asked


def questions(school: School, learnt: Learnt, scores: Floats, count: int) -> Numbers:
    """The rows to ask, so many at most: first those in doubt, then what seems sure, then chance.

    ``scores`` are those of ``school.rows``. Half are nearest to the line where the tag is as
    likely as not, a quarter the surest, and the rest from the best hundredth below the line.
    Shapes: (n,) -> (k,).
    """
    line = learnt.confidence.line()[0]
    open_rows = ~np.isin(school.rows, list(learnt.answered))
    rows, left = school.rows[open_rows], scores[open_rows]
    best = np.argsort(-left, kind="stable")
    doubtful = np.argsort(np.abs(left - line), kind="stable")
    below = best[left[best] < line][: max(_POOL * count, int(_BELOW * len(rows)))]
    seed = zlib.crc32(f"{tag_key(learnt.taught.tag)} {len(learnt.answered)}".encode())
    by_chance = np.random.default_rng(seed).permutation(below)
    known = school.take(np.array(list(learnt.answered), np.int64))
    asked: list[int] = []
    for order, share in ((doubtful, count // 2), (best, count // 4), (by_chance, count)):
        pool = order[: _POOL * count]
        wanted = min(count - len(asked), share)
        found = _unlike(school.take(rows[pool]), known, wanted)
        asked += rows[pool[found]].tolist()
        known = np.concatenate([known, school.take(rows[pool[found]])])
    return np.array(asked, np.int64)


def _unlike(vectors: Floats, known: Floats, count: int) -> list[int]:
    """The first photo, then always the one that is least like all that are known or chosen.

    Near-copies of those are left out. Shapes: unit rows (n, P), (m, P).
    """
    nearest = (vectors @ known.T).max(axis=1, initial=-1.0)
    chosen: list[int] = []
    while len(chosen) < count and (nearest < COPIES).any():
        first = int(np.flatnonzero(nearest < COPIES)[0])
        number = int(np.argmin(nearest)) if chosen else first
        chosen.append(number)
        nearest = np.maximum(nearest, vectors @ vectors[number])
        nearest[number] = np.inf
    return chosen
