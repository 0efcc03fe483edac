"""Pictures of any number of tokens in batches: nothing lost, little padded, nobody kept waiting."""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.images.patches import bucket
from mlx_aimv2.inference import padding
from mlx_aimv2.inference.padding import batched

TOKENS = st.integers(112, 4096)
SHAPES = ((3, 2), (4, 3), (16, 9), (1, 1), (9, 16), (3, 4), (2, 3))
BATCH_TOKENS = 4096


def padded_share(batches: Iterable[tuple[int, list[int]]]) -> float:
    """What part of all tokens is padding, from 0 to 1, where the items are numbers of tokens."""
    real = computed = 0
    for length, tokens in batches:
        real += sum(tokens)
        computed += length * len(tokens)
    return 1 - real / computed if computed else 0.0


def by_tokens(length: int) -> int:
    """As a plan chooses it."""
    images = max(1, BATCH_TOKENS // length)
    return 1 << (images.bit_length() - 1)


def photographs(number: int, seed: int = 0) -> list[int]:
    """Tokens of photographs of common shapes, as many between 150 and 300 as from 2,000 on."""
    rng = random.Random(seed)
    found: list[int] = []
    while len(found) < number:
        columns, rows = rng.choice(SHAPES)
        scale = math.sqrt(math.exp(rng.uniform(math.log(150), math.log(4096))) / (rows * columns))
        tokens = round(rows * scale) * round(columns * scale)
        if 150 <= tokens <= 4096:
            found.append(tokens)
    return found


def numbered(tokens: list[int]) -> Iterator[tuple[tuple[int, int], int]]:
    return (((index, each), each) for index, each in enumerate(tokens))


@given(st.lists(TOKENS, max_size=60), st.sampled_from([by_tokens, lambda _: 1, lambda _: 3]))
@settings(deadline=None, max_examples=60)
def test_nothing_is_lost_and_no_batch_is_padded_much(
    tokens: list[int], images_per_batch: Callable[[int], int]
) -> None:
    seen = []
    for length, items in batched(numbered(tokens), images_per_batch):
        sizes = [each for _, each in items]
        assert length == bucket(max(sizes))
        assert len(items) <= images_per_batch(length)
        full = len(items) == images_per_batch(length)
        assert full or len(items).bit_count() == 1
        assert sum(sizes) >= (1 - padding.MAX_PADDING) * length * len(items)
        seen += items
    assert sorted(seen) == list(enumerate(tokens))


@pytest.mark.parametrize("number", [200, 2000])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mix_of_photographs_wastes_little_in_large_batches_of_few_shapes(
    number: int, seed: int
) -> None:
    tokens = photographs(number, seed)
    batches = list(batched(((each, each) for each in tokens), by_tokens))
    assert padded_share(batches) < 0.04
    assert len({(length, len(items)) for length, items in batches}) < 160
    computed = sorted(length * len(items) for length, items in batches)
    assert computed[len(computed) // 2] >= 2000
    assert max(computed) <= BATCH_TOKENS


@given(st.lists(st.sampled_from([150, 151, 257, 1025, 2049]), min_size=1, max_size=70))
@settings(deadline=None, max_examples=30)
def test_lengths_just_above_a_step_stay_within_the_bound(tokens: list[int]) -> None:
    assert padded_share(batched(((each, each) for each in tokens), by_tokens)) <= 0.1


def test_what_fills_a_batch_goes_at_once() -> None:
    taken = count()

    def endless() -> Iterator[tuple[int, int]]:
        while True:
            yield next(taken), 1000

    (first,) = islice(batched(endless(), by_tokens), 1)
    assert first == (1024, [0, 1, 2, 3])
    assert next(taken) == 4


def test_a_rare_size_is_overtaken_by_so_many_tokens_and_no_more() -> None:
    def endless() -> Iterator[tuple[int, int]]:
        yield 0, 200
        for index in count(1):
            yield index, 1000

    overtaken = 0
    for _, items in batched(endless(), by_tokens):
        if 0 in items:
            break
        overtaken += 1000 * len(items)
    assert padding.WINDOW_TOKENS - 4000 <= overtaken <= padding.WINDOW_TOKENS


def test_memory_is_bounded_by_the_window_whatever_comes() -> None:
    waiting = most = 0

    def items() -> Iterator[tuple[int, int]]:
        nonlocal waiting, most
        for tokens in photographs(1000):
            waiting += tokens
            most = max(most, waiting)
            yield tokens, tokens

    for _, sizes in batched(items(), by_tokens):
        waiting -= sum(sizes)
    assert waiting == 0
    assert most <= padding.WINDOW_TOKENS + BATCH_TOKENS


def test_bad_images_wait_for_nobody() -> None:
    batches = batched(iter([("a", 150), ("bad", 0), ("b", 150)]), by_tokens)
    assert list(batches) == [(0, ["bad"]), (152, ["a", "b"])]
