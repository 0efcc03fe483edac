"""Batches through mlx.data: the same for a seed, in order, errors told, ended with the iterator."""

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.training import data_loader
from mlx_aimv2.training.data_loader import Arrays, load_batches
from mlx_aimv2.training.examples import Batch, Recipe, batches, make_batch
from tests.support.commands import PATIENCE_S

pytest.importorskip("mlx.data", reason="needs mlx-data")

RECIPE = Recipe(seed=1, steps=3, batch_size=5, side_px=28, patch_size=14)


def doubled(numbers: list[int]) -> Arrays:
    return {"double": 2 * np.array(numbers, np.int32)}


def assert_same(batch: Batch, other: Batch) -> None:
    for name, array in vars(batch).items():
        assert array.dtype == vars(other)[name].dtype, name
        np.testing.assert_array_equal(array, vars(other)[name], name)


def test_a_seed_is_one_run() -> None:
    first, again = list(batches(RECIPE)), list(batches(RECIPE))
    assert len(first) == RECIPE.steps
    for batch, other in zip(first, again, strict=True):
        assert_same(batch, other)
        assert batch.texts == other.texts


def test_a_run_shows_each_drawing_once_in_an_order_of_its_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: dict[int, list[int]] = {}

    def noted(recipe: Recipe, step: int, numbers: list[int]) -> Batch:
        shown[step] = numbers
        return make_batch(recipe, step, numbers)

    monkeypatch.setattr("mlx_aimv2.training.examples.make_batch", noted)
    orders = []
    for seed in (1, 2):
        recipe = Recipe(seed, 3, 5, 28, 14)
        drawn = list(batches(recipe))
        for step, batch in enumerate(drawn):  # as made here, without threads
            assert_same(batch, make_batch(recipe, step, shown[step]))
        orders.append([number for step in range(3) for number in shown[step]])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(15))
    assert orders[0] != orders[1]


def test_shapes() -> None:
    batch = next(batches(RECIPE))
    regions, texts = len(batch.region_rows), len(batch.texts)
    assert batch.pixels.shape == (5, 28, 28, 3)
    assert batch.region_masks.shape == (5, 4, 4)
    assert batch.captions.shape[0] == batch.generic.shape[0] == texts
    assert batch.truth.shape == (5 + regions, texts)
    assert {array.dtype.name for array in vars(batch).values()} == {"uint8", "int32"}
    assert all(text.isprintable() and text for text in batch.texts)


def test_batches_come_in_order_and_the_last_may_be_smaller() -> None:
    """The first is done last: it waits for the second, which the other thread makes."""
    second = threading.Event()

    def made(numbers: list[int]) -> Arrays:
        if numbers[0] == 6:
            assert second.wait(PATIENCE_S)
        second.set()
        return doubled(numbers)

    order = [6, 1, 4, 0, 2, 5, 3]
    found = [batch["double"].tolist() for batch in load_batches(order, 3, made)]
    assert found == [[12, 2, 8], [0, 4, 10], [6]]


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (2, 8), (5, 3)])
def test_no_more_is_made_than_looked_ahead(threads: int, ahead: int) -> None:
    begun, taken, most = 0, 0, 0
    one = threading.Lock()

    def counted(numbers: list[int]) -> Arrays:
        nonlocal begun, most
        with one:
            begun += 1
            most = max(most, begun - taken)
        return doubled(numbers)

    for _ in load_batches(range(97), 1, counted, threads=threads, ahead=ahead):
        taken += 1
    assert begun == taken == 97
    assert most <= ahead + 1


def ended(make: Callable[[list[int]], Arrays]) -> "weakref.ref[object]":
    """Dead when the stream is, which has waited for its threads then."""
    return weakref.ref(make)


@pytest.mark.parametrize("taken", [0, 1, 3, 29])
def test_who_leaves_has_no_threads_left(taken: int) -> None:
    calls: list[list[int]] = []

    def noted(numbers: list[int]) -> Arrays:
        calls.append(numbers)
        return doubled(numbers)

    loaded, alive = load_batches(range(29), 1, noted), ended(noted)
    for _ in range(taken):
        next(loaded)
    loaded.close()
    count = len(calls)
    assert count <= taken + data_loader._AHEAD + 1
    del loaded, noted
    gc.collect()
    assert alive() is None
    assert len(calls) == count


@pytest.mark.parametrize("error", [ValueError("a wrong drawing"), StopIteration(), Aimv2Error("x")])
def test_an_error_is_raised_where_the_batch_is_asked_for(error: Exception) -> None:
    def failing(numbers: list[int]) -> Arrays:
        if numbers == [3]:
            raise error
        return doubled(numbers)

    loaded, alive = load_batches(range(17), 1, failing), ended(failing)
    seen: list[list[int]] = []
    with pytest.raises((type(error), RuntimeError)) as caught:
        seen.extend(batch["double"].tolist() for batch in loaded)
    assert error in (caught.value, caught.value.__cause__)
    assert seen == [[2 * number] for number in range(len(seen))]
    assert len(seen) <= 3
    del loaded, failing, caught
    error.__traceback__ = None
    gc.collect()
    assert alive() is None


LEFT = """
import numpy as np
from mlx_aimv2.training.data_loader import load_batches

def make(numbers):
    {work}
    return {{"number": np.array(numbers)}}

loaded = load_batches(range(1000), 2, make)
print(next(loaded)["number"].tolist(), flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("work", "then", "code", "last"),
    [
        ("", "", 0, ""),
        ("", "raise SystemExit(3)", 3, ""),
        ("", "1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("numbers[0] < 2 or 1 / 0", "list(loaded)", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_process_ends_with_its_batches_still_being_made(
    work: str, then: str, code: int, last: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT.format(work=work, then=then)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "[0, 1]\n"), done.stderr
    assert done.stderr.strip().rpartition("\n")[2] == last
