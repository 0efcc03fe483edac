"""Clocks, medians, drift, and works timed in turns: no test looks at how fast anything is."""

import math
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_aimv2.bench import figure
from mlx_aimv2.bench.figure import Timing, interleave, measure, ratio

SECONDS = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=13).map(tuple)


@given(SECONDS)
def test_the_spread_is_in_order(seconds):
    found = Timing(seconds)
    low, high = found.quartiles_s
    ordered = [found.least_s, low, found.median_s, high, found.most_s]
    assert all(one <= other * (1 + 1e-12) for one, other in pairwise(ordered))
    assert {found.least_s, found.most_s} <= set(seconds)


@given(SECONDS, st.floats(0.1, 10))
def test_scaled_times_scale_everything(seconds, factor):
    found, scaled = Timing(seconds), Timing(seconds).scaled(factor)
    assert scaled.median_s == pytest.approx(factor * found.median_s)
    assert scaled.drift == (
        None if found.drift is None else pytest.approx(found.drift, rel=1e-6, abs=1e-9)
    )


def test_one_run_is_its_own_quartiles():
    assert Timing((3.0,)).quartiles_s == (3.0, 3.0)


def test_a_median_does_not_follow_one_slow_run():
    assert Timing((1.0, 1.0, 1.0, 50.0, 1.0)).median_s == 1.0


@pytest.mark.parametrize(
    ("seconds", "drifts"),
    [
        ((1, 1, 1, 1.3, 1.3, 1.3), True),
        ((1, 1, 1, 1.05, 1.05, 1.05), False),
        ((1.3, 1.3, 1.3, 1, 1, 1), False),
        ((1, 1, 9, 1, 1, 1), False),
        ((1, 1, 5, 1.2, 1.2), True),  # the middle run is in neither half
    ],
)
def test_drift_is_the_later_half_against_the_earlier(seconds, drifts):
    found = Timing(tuple(map(float, seconds)))
    assert found.is_drifting is drifts
    assert found.summary()["is_drifting"] is drifts


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_few_runs_tell_nothing_of_drift(runs):
    found = Timing(tuple(float(4**number) for number in range(runs)))
    assert found.drift is None
    assert not found.is_drifting


def test_runs_that_warm_up_are_not_counted():
    calls = []
    found = measure(lambda: calls.append(1), repeats=5, warmups=2)
    assert len(calls) == 7
    assert len(found.seconds) == 5


def test_without_time_there_is_one_run():
    assert len(measure(lambda: None, repeats=9, limit_s=0).seconds) == 1


@pytest.fixture
def ticking(monkeypatch):
    """A clock that advances by one second whenever it is looked at, and no pauses."""
    ticks = count()
    monkeypatch.setattr(figure.time, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(figure.time, "sleep", lambda _: None)


def test_runs_end_with_their_time(ticking):
    # The first run looks at the clock twice, others once more, for whether there is time.
    assert len(measure(lambda: None, repeats=99, limit_s=20).seconds) == 7


def test_a_run_is_clocked_from_start_to_end(ticking):
    assert measure(lambda: None, repeats=3, limit_s=math.inf).seconds == (1.0, 1.0, 1.0)


def test_works_take_turns_and_turn_round(ticking):
    order = []

    def work(name, seconds):
        return lambda: order.append(name) or seconds

    works = {"a": work("a", 1.0), "b": work("b", 2.0)}
    found = interleave(works, repeats=3)
    assert "".join(order) in {"abbaabba", "baabbaab"}
    assert found == {"a": Timing((1.0,) * 3), "b": Timing((2.0,) * 3)}


def test_a_ratio_is_taken_round_by_round():
    # Both became twice as slow in the second round: the ratio did not change.
    assert ratio(Timing((3.0, 6.0)), Timing((1.0, 2.0))).seconds == (3.0, 3.0)
