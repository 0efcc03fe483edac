"""Batches: the same for a seed, from any step, by any threads, on one process or two."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlx_aimv2.checkpoints.hub import DEMO, resolve
from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.images.presets import PRESETS
from mlx_aimv2.texts.tokenizer import Tokenizer
from mlx_aimv2.training.data import batches as batches_module
from mlx_aimv2.training.data.batches import Batches, Broken
from mlx_aimv2.training.data.captions import Captions
from mlx_aimv2.training.data.order import Order, numbers_at
from mlx_aimv2.training.data.pair import Pair, PairError
from mlx_aimv2.training.data.source import open_pairs
from mlx_aimv2.training.data.steps import AreaSteps, EqualSteps
from mlx_aimv2.training.data.view import View
from tests.support.tars import pair_members, write_tar

pytest.importorskip("mlx.data", reason="needs mlx-data")

Arrays = dict[str, Any]
VIEW = View(PRESETS["hub"], 28)
NATIVE = View(PRESETS["hub"], None)
FIXED_STEPS = EqualSteps(5)
SEED = 3


@pytest.fixture
def pairs(tmp_path: Path) -> Any:
    return open_pairs(str(write_tar(tmp_path / "s.tar", pair_members(0, 13))))


@pytest.fixture(scope="module")
def captions() -> Captions:
    folder = resolve(DEMO).folder
    eos = 940
    return Captions(Tokenizer.from_folder(folder, max_length=12, eos_token_id=eos))


def take(batches: Batches, count: int, step: int = 0) -> list[Arrays]:
    made = batches.from_step(step)
    taken = list(islice(made, count))
    made.close()
    return taken


def assert_same(some: list[Arrays], others: list[Arrays]) -> None:
    for arrays, other in zip(some, others, strict=True):
        assert arrays.keys() == other.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, other[name], name)


def fresh_areas() -> AreaSteps:
    return AreaSteps(SEED, 64, (3, 5))


@pytest.mark.parametrize("is_native", [False, True])
def test_a_run_goes_on_at_any_step(pairs: Any, captions: Captions, is_native: bool) -> None:
    def run() -> Batches:
        steps = fresh_areas() if is_native else FIXED_STEPS
        return Batches(pairs, steps, SEED, NATIVE if is_native else VIEW, captions)

    whole = take(run(), 11)
    for step in (1, 2, 7):
        assert_same(take(run(), 11 - step, step), whole[step:])


def test_threads_change_nothing_and_no_crop_comes_twice(
    pairs: Any, captions: Captions, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for threads in (1, 7):
        monkeypatch.setattr(batches_module, "available_cores", lambda threads=threads: threads)
        runs.append(take(Batches(pairs, FIXED_STEPS, SEED, VIEW, captions), 26))
    assert_same(*runs)
    seen = [picture.tobytes() for arrays in runs[0] for picture in arrays["pixels"]]
    assert len(set(seen)) == len(seen) == 130  # ten epochs of thirteen pictures


@pytest.mark.parametrize("is_native", [False, True])
def test_two_processes_have_the_parts_of_one(
    pairs: Any, captions: Captions, is_native: bool
) -> None:
    steps, view = (fresh_areas(), NATIVE) if is_native else (FIXED_STEPS, VIEW)
    whole = take(Batches(pairs, steps, SEED, view, captions), 7)
    parts = [
        take(Batches(pairs, steps, SEED, view, captions, rank=rank, ranks=2), 7) for rank in (0, 1)
    ]
    joined = [
        {name: np.concatenate([array, other[name]]) for name, array in one.items()}
        for one, other in zip(*parts, strict=True)
    ]
    assert_same(joined, whole)


def test_what_is_in_a_batch(pairs: Any, captions: Captions) -> None:
    (arrays,) = take(Batches(pairs, FIXED_STEPS, SEED, VIEW, captions), 1)
    assert {name: (array.shape, array.dtype.name) for name, array in arrays.items()} == {
        "numbers": ((5,), "int64"),
        "pixels": ((5, 28, 28, 3), "float32"),
        "prefix": ((5,), "int32"),
        "tokens": ((5, 11), "int32"),
        "token_mask": ((5, 11), "bool"),
    }
    assert arrays["numbers"].tolist() == Order(SEED, 0, 13).numbers[:5].tolist()
    for number, tokens, mask in zip(
        arrays["numbers"], arrays["tokens"], arrays["token_mask"], strict=True
    ):
        expected = captions.tokenizer.encode([f"picture number {number}"])[0, 1:]
        np.testing.assert_array_equal(tokens[: len(expected)], expected)
        assert mask.tolist() == [True] * len(expected) + [False] * (11 - len(expected))


def test_native_batches(pairs: Any) -> None:
    for step, arrays in enumerate(take(Batches(pairs, fresh_areas(), SEED, NATIVE, None), 9)):
        area = fresh_areas().area(step)
        rows, columns = arrays["grids"].T
        assert arrays["patches"].shape == (64 // area, area, 588)
        assert (rows * columns <= area).all()
        assert (rows * columns >= area / 2).all()
        assert (arrays["prefix"] >= 1).all()
        assert (arrays["prefix"] < rows * columns).all()
        for patches, own in zip(arrays["patches"], rows * columns, strict=True):
            assert (patches[own:] == 0).all()
            assert patches[:own].any(axis=1).all()


def test_prefixes_have_each_length(pairs: Any) -> None:
    taken = take(Batches(pairs, EqualSteps(97), SEED, View(PRESETS["hub"], 28), None), 3)
    counts = np.bincount(np.concatenate([arrays["prefix"] for arrays in taken]))
    assert counts[0] == 0
    assert len(counts) == 4
    assert (counts[1:] > 60).all()


def test_positions_count_over_epochs() -> None:
    length, seed = 11, 5
    whole = numbers_at(seed, length, 0, 47)
    for epoch in range(4):
        numbers = whole[epoch * length : (epoch + 1) * length]
        assert sorted(numbers) == list(range(length))
        np.testing.assert_array_equal(numbers, Order(seed, epoch, length).numbers)
    assert len({tuple(whole[epoch * length : (epoch + 1) * length]) for epoch in range(4)}) == 4
    np.testing.assert_array_equal(numbers_at(seed, length, 17, 40), whole[17:40])


class SomeBroken:
    """Pairs of which some cannot be read."""

    notes = ()

    def __init__(self, pairs: Any, broken: set[int]) -> None:
        self._pairs, self._broken = pairs, broken

    def __len__(self) -> int:
        return len(self._pairs)

    def read(self, number: int) -> Pair:
        if number in self._broken:
            raise PairError(f"pair {number} is broken")
        return self._pairs.read(number)


def test_broken_pairs_drop_out_and_are_told_once(pairs: Any, captions: Captions) -> None:
    whole = take(Batches(pairs, FIXED_STEPS, SEED, VIEW, captions), 26)
    told: list[Broken] = []
    some = SomeBroken(pairs, {2, 7, 8})
    batches = Batches(some, FIXED_STEPS, SEED, VIEW, captions, tell=told.append)
    for arrays, before in zip(take(batches, 26), whole, strict=True):
        kept = ~np.isin(before["numbers"], [2, 7, 8])
        assert_same([arrays], [{name: array[kept] for name, array in before.items()}])
    assert batches.skipped == 30  # three in each of ten epochs
    assert sorted(each.number for each in told) == [2, 7, 8]
    assert {each.reason for each in told} == {f"pair {number} is broken" for number in (2, 7, 8)}


def test_a_part_may_be_empty(pairs: Any, captions: Captions) -> None:
    numbers = set(Order(SEED, 0, 13).numbers[:5].tolist())
    batches = Batches(SomeBroken(pairs, numbers), FIXED_STEPS, SEED, VIEW, captions)
    empty, full = take(batches, 2)
    assert [len(array) for array in empty.values()] == [0] * 5
    assert empty["pixels"].shape[1:] == (28, 28, 3)
    assert len(full["numbers"]) == 5


def test_a_source_that_is_all_broken_is_an_error(pairs: Any) -> None:
    batches = Batches(SomeBroken(pairs, set(range(13))), FIXED_STEPS, SEED, VIEW, None)
    taken: Iterator[Arrays] = batches.from_step()
    with pytest.raises(Aimv2Error, match=r"none of 15 pairs .* pair \d+ is broken"):
        list(islice(taken, 4))
