"""Crops: torchvision's boxes for torchvision's random numbers, and their distribution."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mlx_aimv2.training.data.crop import TRIES, random_crop

SCALE, RATIO = (0.4, 1.0), (3 / 4, 4 / 3)
Box = tuple[int, int, int, int]


def torchvision_box(width: int, height: int, draws: NDArray[np.float64]) -> Box:
    """``get_params`` of torchvision 0.28, its random numbers given.

    ``uniform_(a, b)`` is a + (b - a) u, ``randint(0, n)`` a whole number below n.
    Source: https://github.com/pytorch/vision/blob/v0.28.0/torchvision/transforms/transforms.py
    """
    area = height * width
    log_ratio = [math.log(RATIO[0]), math.log(RATIO[1])]
    for u_area, u_ratio, u_top, u_left in draws:
        target_area = area * (SCALE[0] + (SCALE[1] - SCALE[0]) * u_area)
        aspect_ratio = math.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * u_ratio)
        w = round(math.sqrt(target_area * aspect_ratio))
        h = round(math.sqrt(target_area / aspect_ratio))
        if 0 < w <= width and 0 < h <= height:
            i = math.floor(u_top * (height - h + 1))
            j = math.floor(u_left * (width - w + 1))
            return j, i, j + w, i + h
    in_ratio = float(width) / float(height)
    if in_ratio < min(RATIO):
        w = width
        h = round(w / min(RATIO))
    elif in_ratio > max(RATIO):
        h = height
        w = round(h * max(RATIO))
    else:
        w, h = width, height
    i, j = (height - h) // 2, (width - w) // 2
    return j, i, j + w, i + h


@pytest.mark.parametrize(
    ("width", "height"), [(640, 480), (97, 211), (1, 1), (2, 1), (3, 701), (701, 3), (31, 29)]
)
def test_boxes_are_torchvisions(width: int, height: int) -> None:
    rng = np.random.default_rng(7)
    for _ in range(997):
        draws = rng.random((TRIES, 4))
        box = random_crop(width, height, draws, SCALE, RATIO)
        assert box == torchvision_box(width, height, draws)
        assert 0 <= box[0] < box[2] <= width
        assert 0 <= box[1] < box[3] <= height


def test_areas_and_ratios_spread_as_they_should() -> None:
    """On a square of 997 px nearly every first try of a moderate share fits."""
    side, count = 997, 4001
    rng = np.random.default_rng(11)
    boxes = [random_crop(side, side, rng.random((TRIES, 4)), SCALE, RATIO) for _ in range(count)]
    width, height = (np.array([box[k + 2] - box[k] for box in boxes]) for k in (0, 1))
    share, log_ratio = width * height / side**2, np.log(width / height)
    assert 0.399 <= share.min() < 0.41
    assert 0.95 < share.max() <= 1
    # Below 0.75 of the area every ratio fits, so there both are uniform, the ratio's logarithm too.
    some = share < 0.75
    bound = 1.63 / math.sqrt(some.sum())  # Kolmogorov and Smirnov, at 1%
    for values, low, high in (
        (share[some], 0.4, 0.75),
        (log_ratio[some], math.log(3 / 4), math.log(4 / 3)),
    ):
        exact = (np.sort(values) - low) / (high - low)
        assert np.abs(exact - np.arange(1, len(exact) + 1) / len(exact)).max() < bound
