"""The part of a picture that a training sample shows, as torchvision's RandomResizedCrop has it."""

import math

import numpy as np
from numpy.typing import NDArray

TRIES = 10

Span = tuple[float, float]


def random_crop(
    width_px: int, height_px: int, draws: NDArray[np.float64], scale: Span, ratio: Span
) -> tuple[int, int, int, int]:
    """A box (left, top, right, bottom) of a random share of the area and a random shape.

    ``draws`` are the random numbers from 0 to 1 of up to ten tries: a share of the area within
    ``scale``, a ratio of width to height within ``ratio`` (its logarithm uniform), top and left.
    Where none fits, the box is the largest in the middle whose ratio is within ``ratio``.
    Shapes: draws (10, 4).
    Source: torchvision.transforms.RandomResizedCrop.get_params.
    """
    least, most = (math.log(each) for each in ratio)
    for share, shape, top, left in draws.tolist():
        area = width_px * height_px * (scale[0] + (scale[1] - scale[0]) * share)
        aspect = math.exp(least + (most - least) * shape)
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= width_px and 0 < height <= height_px:
            x = int(left * (width_px - width + 1))
            y = int(top * (height_px - height + 1))
            return x, y, x + width, y + height
    width, height = width_px, height_px
    if width_px / height_px < min(ratio):
        height = round(width / min(ratio))
    elif width_px / height_px > max(ratio):
        width = round(height * max(ratio))
    x, y = (width_px - width) // 2, (height_px - height) // 2
    return x, y, x + width, y + height
