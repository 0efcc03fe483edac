"""All pairs of pictures in blocks, and which picture is a copy of which.

Pictures come best first. A keeper is the picture of a group that is worth keeping: each picture
joins the first keeper that it is like, or becomes a keeper, and only keepers are compared with what
comes later. Memory is that of a few blocks, whatever is found, and a hundred thousand copies of one
picture are compared with one keeper.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..shot_names import RAW
from ..signature import Bytes, Floats, coarse_vectors, similarity

Rows = NDArray[np.int64]

# Copies are above these two and look-alikes too; the signatures then decide. See benchmarks.
_LEAST_COSINE = 0.75
_LEAST_COARSE = 0.9
_MOST_STRETCHED = 1.13  # a crop of 5% at two sides and none at the others, and rounding
_DENSE = 0.005  # so many candidates are sooner multiplied all than picked out
_TILE = 4096  # keepers that a block is compared with at once
_BLOCK = 2048
_FEW, _SMALL_BLOCK = 4, 64
_MOST_PER_PICTURE = 64  # candidates in a tile; the nearest are kept where there are more


@dataclass(frozen=True)
class Pictures:
    """The pictures to compare, best first; ``shots`` as in ``DuplicateInput``.

    Shapes: n entries; ``take``: (k,) rows -> (k, P); ``are_apart``, by what the owner said of
    pairs: (m,), (m,) -> (m,).
    """

    rows: Rows
    take: Callable[[Rows], NDArray[np.float16]]
    signatures: Bytes
    aspect: NDArray[np.float64]
    shots: Rows | None = None
    kinds: Rows | None = None
    are_apart: Callable[[Rows, Rows], NDArray[np.bool_]] | None = None

    def may_be_copies(self, first: Rows, second: Rows) -> NDArray[np.bool_]:
        """Whether pictures may be copies by their shots. Shapes: (m,), (m,) -> (m,)."""
        if self.shots is None or self.kinds is None:
            return np.ones(len(first), np.bool_)
        shots, kinds = (array[[first, second]] for array in (self.shots, self.kinds))
        is_part = shots >= 0
        is_same_shot = (shots[0] == shots[1]) & is_part[0]
        is_raw_and_not = ((kinds[0] == RAW) != (kinds[1] == RAW)) & is_part.any(axis=0)
        is_edit_and_not = (kinds[0] != kinds[1]) & is_part.all(axis=0)
        return ~(is_same_shot | is_raw_and_not | is_edit_and_not)


@dataclass(frozen=True)
class _Block:
    """Numbers of some pictures and their coarse vectors. Shapes: (k,), (k, C)."""

    numbers: Rows
    coarse: Floats

    def __getitem__(self, kept: slice | NDArray[np.bool_]) -> "_Block":
        return _Block(self.numbers[kept], self.coarse[kept])


class NearCopies:
    """Finds each picture's keeper: itself, or the first one that is ``threshold`` like it."""

    def __init__(self, pictures: Pictures, threshold: float) -> None:
        self._pictures = pictures
        self._threshold = threshold
        count = len(pictures.rows)
        self._keeper = np.full(count, -1, np.int64)
        self._similarity = np.ones(count, np.float32)
        self._coarse = np.empty((count, coarse_vectors(pictures.signatures[:1]).shape[1]), "f4")
        for start in range(0, count, _TILE):
            part = slice(start, start + _TILE)
            self._coarse[part] = coarse_vectors(pictures.signatures[part])

    def settle(self) -> tuple[Rows, Floats]:
        """Each picture's keeper and its similarity to it. Shapes: (n,), (n,)."""
        count = len(self._keeper)
        for start in range(0, count, _BLOCK):
            block = self._load(np.arange(start, min(start + _BLOCK, count)))
            keepers = np.flatnonzero(self._keeper[:start] == np.arange(start))
            for first in range(0, len(keepers), _TILE):
                block = self._join(block, self._load(keepers[first : first + _TILE]))
            self._settle_within(block)
        return self._keeper, self._similarity

    def _settle_within(self, block: _Block) -> None:
        """Few candidates are compared at once; many by small blocks, as most will be settled
        by the first keepers. The result is the same."""
        pairs = self._candidates(block, block, len(block.numbers))
        if len(pairs[0]) <= _FEW * len(block.numbers):
            self._settle_in_order(block, *self._alike(*pairs))
            return
        for start in range(0, len(block.numbers), _SMALL_BLOCK):
            done, part = block[:start], block[start : start + _SMALL_BLOCK]
            part = self._join(part, done[self._keeper[done.numbers] == done.numbers])
            pairs = self._candidates(part, part, _SMALL_BLOCK)
            self._settle_in_order(part, *self._alike(*pairs))

    def _settle_in_order(self, part: _Block, number: Rows, keeper: Rows, alike: Floats) -> None:
        """Let each picture of a part join the first keeper before it that it is like."""
        likes: dict[int, list[tuple[int, float]]] = {}
        for later, earlier, alike_one in zip(number, keeper, alike, strict=True):
            likes.setdefault(int(later), []).append((int(earlier), float(alike_one)))
        for own in part.numbers.tolist():
            self._keeper[own] = own
            for earlier, alike_one in likes.get(own, []):
                if self._keeper[earlier] == earlier:
                    self._keeper[own], self._similarity[own] = earlier, alike_one
                    break

    def _join(self, block: _Block, keepers: _Block) -> _Block:
        """Let pictures join the first keeper they are like; returns those that found none."""
        candidates = self._candidates(block, keepers, _MOST_PER_PICTURE)
        number, keeper, alike = self._alike(*candidates)
        # Pairs are in order: written from the last to the first, the first keeper stays.
        self._keeper[number[::-1]] = keeper[::-1]
        self._similarity[number[::-1]] = alike[::-1]
        return block[self._keeper[block.numbers] < 0]

    def _alike(self, number: Rows, keeper: Rows) -> tuple[Rows, Rows, Floats]:
        """The pairs over the threshold, in order: picture, earlier picture, similarity."""
        pictures = self._pictures
        ratio = np.abs(np.log(pictures.aspect[number] / pictures.aspect[keeper]))
        fits = (ratio <= np.log(_MOST_STRETCHED)) & (keeper < number)
        fits &= pictures.may_be_copies(number, keeper)
        number, keeper = number[fits], keeper[fits]
        alike = similarity(pictures.signatures[number], pictures.signatures[keeper])
        over = alike >= self._threshold
        if pictures.are_apart is not None:
            over[over] = ~pictures.are_apart(number[over], keeper[over])
        return number[over], keeper[over], alike[over]

    def _candidates(self, block: _Block, keepers: _Block, most: int) -> tuple[Rows, Rows]:
        """Pairs that may be alike, by coarse vector, then by vector, in order: at most so many
        for a picture, the nearest. Shapes: (m,), (m,)."""
        found = block.coarse @ keepers.coarse.T >= _LEAST_COARSE
        flat = np.flatnonzero(found)
        if len(flat) > found.size * _DENSE:
            cosines = self._vectors(block.numbers) @ self._vectors(keepers.numbers).T
            flat = np.flatnonzero(found & (cosines >= _LEAST_COSINE))
            alike = cosines.ravel()[flat]
            places, columns = np.divmod(flat, found.shape[1])
        else:
            places, columns = np.divmod(flat, found.shape[1])
            alike = self._cosines(block.numbers[places], keepers.numbers[columns])
            near = alike >= _LEAST_COSINE
            places, columns, alike = places[near], columns[near], alike[near]
        counts = np.bincount(places, minlength=len(block.numbers))
        ends = np.cumsum(counts)
        for place in np.flatnonzero(counts > most):
            mine = slice(ends[place] - counts[place], ends[place])
            columns[mine][np.argsort(-alike[mine], kind="stable")[most:]] = -1
        kept = columns >= 0
        return block.numbers[places[kept]], keepers.numbers[columns[kept]]

    def _cosines(self, first: Rows, second: Rows) -> Floats:
        """The cosines of pairs of pictures. Shapes: (m,), (m,) -> (m,)."""
        cosines = np.empty(len(first), np.float32)
        for start in range(0, len(first), _BLOCK):
            part = slice(start, start + _BLOCK)
            pairs = self._vectors(first[part]), self._vectors(second[part])
            cosines[part] = np.einsum("np,np->n", *pairs)
        return cosines

    def _vectors(self, numbers: Rows) -> Floats:
        return self._pictures.take(self._pictures.rows[numbers]).astype(np.float32)

    def _load(self, numbers: Rows) -> _Block:
        return _Block(numbers, self._coarse[numbers])
