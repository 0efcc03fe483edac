"""Pictures of any number of tokens in batches of few shapes, with little padding.

A picture waits for others whose sequences are padded to the same length, until they fill a batch.
One that has waited long goes with the nearest in length that are there: as many as can without
padding more than a tenth of the batch. Numbers are powers of two, so nothing is added to fill a
batch up, and what is left at the end goes in smaller ones.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from mlx_aimv2.images.patches import bucket

Item = TypeVar("Item")

MAX_PADDING = 0.1  # of a batch's tokens
# Tokens of the pictures that may overtake one: 16 batches. It bounds what waits, pictures before
# the model and results behind it, and the time until a result comes.
WINDOW_TOKENS = 65_536


@dataclass(frozen=True)
class _Waiting(Generic[Item]):
    tokens: int
    length: int  # it is padded to
    arrived: int  # tokens that had come when it did
    item: Item


def batched(
    items: Iterable[tuple[Item, int]], images_per_batch: Callable[[int], int]
) -> Iterator[tuple[int, list[Item]]]:
    """Items with their numbers of tokens in batches: the length each is padded to, and the items.

    ``images_per_batch`` is the most of a length. An item without tokens goes at once, by itself.
    """
    waiting: list[_Waiting[Item]] = []  # by tokens
    arrived = 0
    for item, tokens in items:
        if not tokens:
            yield 0, [item]
            continue
        arrived += tokens
        length = bucket(tokens)
        insort(waiting, _Waiting(tokens, length, arrived, item), key=lambda each: each.tokens)
        alike = [at for at, each in enumerate(waiting) if each.length == length]
        if len(alike) == images_per_batch(length):
            yield _take(waiting, slice(alike[0], alike[-1] + 1))
        while waiting and arrived - min(each.arrived for each in waiting) > WINDOW_TOKENS:
            yield _take(waiting, _around_oldest(waiting, images_per_batch))
    while waiting:
        yield _take(waiting, _around_oldest(waiting, images_per_batch))


def _take(waiting: list[_Waiting[Item]], run: slice) -> tuple[int, list[Item]]:
    taken = waiting[run]
    del waiting[run]
    return taken[-1].length, [each.item for each in taken]


def _around_oldest(waiting: list[_Waiting[Item]], images_per_batch: Callable[[int], int]) -> slice:
    """The largest run with the oldest in it that is padded little; of those the least padded."""
    oldest = min(range(len(waiting)), key=lambda at: waiting[at].arrived)
    before = [0, *accumulate(each.tokens for each in waiting)]
    best, best_run = (0, 0.0), slice(oldest, oldest + 1)
    for last in range(oldest, len(waiting)):
        length = waiting[last].length
        for count in _counts(images_per_batch(length)):
            first = last + 1 - count
            if not 0 <= first <= oldest:
                continue
            real = (before[last + 1] - before[first]) / (count * length)
            if real >= 1 - MAX_PADDING and (count, real) > best:
                best, best_run = (count, real), slice(first, last + 1)
    return best_run


def _counts(most: int) -> Iterator[int]:
    """Numbers of images that batches have: the full one, and the powers of two below it."""
    yield most
    count = 1
    while count < most:
        yield count
        count *= 2
