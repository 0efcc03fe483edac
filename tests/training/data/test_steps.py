"""Steps of native resolution: areas drawn as the paper says, and as many pictures as fill them."""

import math
import threading
from collections import Counter

import numpy as np
import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.training.data.steps import AreaSteps, EqualSteps

COUNT = 9001


def truncated_normal_share(low: float, high: float) -> float:
    """Of a standard normal number within -1 and 1, how often it is from low to high."""
    below = [math.erf(max(-1.0, min(1.0, each)) / math.sqrt(2)) for each in (low, high)]
    return (below[1] - below[0]) / (2 * math.erf(1 / math.sqrt(2)))


def test_areas_are_the_papers() -> None:
    steps = AreaSteps(3, 8192)
    counts = Counter(steps.area(step) for step in range(COUNT))
    assert sorted(counts) == [128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096]
    for number, area in enumerate(sorted(counts)):
        z = (7 + number / 2 - 9.5) / 2.5
        share = truncated_normal_share(z - 0.1, z + 0.1)
        spread = math.sqrt(share * (1 - share) / COUNT)
        assert abs(counts[area] / COUNT - share) < 4 * spread


def test_tokens_are_about_the_same_in_each_batch() -> None:
    steps = AreaSteps(3, 8192)
    for step in range(211):
        area, count = steps.area(step), len(steps.positions(step))
        assert area * count <= 8192 < area * (count + 1)


@pytest.mark.parametrize("steps", [EqualSteps(7), AreaSteps(5, 64, (3, 6))])
def test_positions_follow_one_another(steps: EqualSteps | AreaSteps) -> None:
    end = 0
    for step in range(4999):  # over the end of the areas that are drawn at once
        positions = steps.positions(step)
        assert positions.start == end < positions.stop
        end = positions.stop


def test_a_step_is_the_same_whichever_was_asked_before() -> None:
    one, other = AreaSteps(7, 64, (3, 6)), AreaSteps(7, 64, (3, 6))
    late = [(one.area(step), one.positions(step)) for step in (5000, 11, 4097)]
    assert late == [(other.area(step), other.positions(step)) for step in (5000, 11, 4097)]
    assert [AreaSteps(8, 64, (3, 6)).area(step) for step in range(99)] != [
        one.area(step) for step in range(99)
    ]


def test_threads_draw_each_block_once() -> None:
    shared, alone = AreaSteps(7, 64, (3, 6)), AreaSteps(7, 64, (3, 6))
    start = threading.Barrier(8)
    seen: dict[int, range] = {}

    def ask(step: int) -> None:
        start.wait()
        seen[step] = shared.positions(step)

    threads = [threading.Thread(target=ask, args=(step * 3001,)) for step in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {step: alone.positions(step) for step in seen}
    assert len(seen) == 8


@pytest.mark.parametrize("exponents", [(7, 12), (5, 6.5), (6, 6), (4, 4.75)])
def test_exponents_that_are_a_range(exponents: tuple[float, float]) -> None:
    areas = {AreaSteps(1, 4096, exponents).area(step) for step in range(499)}
    assert min(areas) == 2 ** exponents[0]
    assert max(areas) <= 2 ** exponents[1]
    assert len(areas) == round((exponents[1] - exponents[0]) * 2 - 0.1) + 1


@pytest.mark.parametrize(
    ("tokens", "exponents"), [(4095, (7, 12)), (4096, (12, 7)), (9, (0, 2)), (1 << 20, (7, 17))]
)
def test_areas_that_do_not_fit_are_refused(tokens: int, exponents: tuple[float, float]) -> None:
    with pytest.raises(UsageError):
        AreaSteps(1, tokens, exponents)


def test_equal_steps_have_no_area() -> None:
    assert EqualSteps(7).area(3) is None
    assert np.array(EqualSteps(7).positions(3)).tolist() == list(range(21, 28))
