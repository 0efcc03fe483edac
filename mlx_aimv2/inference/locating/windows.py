"""The parts of a picture that are looked at: whole, and in tiles, as far as its edges."""

import math

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.images import patches
from mlx_aimv2.images.decode import Picture
from mlx_aimv2.images.fit import MAX_ASPECT, middle_box

from ..preprocessing import Plan

Box = tuple[float, float, float, float]


def cut(picture: Picture, box: Box, plan: Plan) -> NDArray[np.uint8]:
    """A part of a picture as the checkpoint takes it: a square of its side, or whole patches.

    Shapes: (H, W, 3): an array, as an image would bring its EXIF and be turned once more.
    """
    side = plan.vision.image_size
    if side is not None:
        return np.asarray(picture.resize((side, side), box))
    patch = plan.vision.patch_size
    left, top, right, bottom = box
    width, height = max(1, round(right - left)), max(1, round(bottom - top))
    size, (rows, columns) = patches.grid_of(width, height, patch, plan.max_patches)
    return np.asarray(picture.resize(size or (columns * patch, rows * patch), box))


def windows_of(size: tuple[int, int], plan: Plan, tiles: int) -> list[list[Box]]:
    """Windows of every size, from the whole to one part of ``tiles``.

    Those of one size reach from edge to edge and overlap by at least half. They are squares for a
    fixed-size checkpoint, the largest as wide as the picture's shorter side; those of a native one
    have the picture's shape. Of a picture more than 32 times as long as wide only the middle is
    looked at, as everywhere.
    """
    left, top, right, bottom = middle_box(*size, MAX_ASPECT)
    width, height = right - left, bottom - top
    found = []
    for parts in range(1, tiles + 1):
        if plan.vision.is_native:
            wide, high = width / parts, height / parts
        else:
            wide = high = min(width, height) / parts
        found.append(
            [
                (left + x, top + y, left + x + wide, top + y + high)
                for y in _starts(height, high)
                for x in _starts(width, wide)
            ]
        )
    return found


def _starts(length: float, window: float) -> list[float]:
    """Where windows begin so that they reach from end to end and overlap by half or more."""
    room = length - window
    steps = math.ceil(2 * room / window - 1e-9)
    return [room * step / max(1, steps) for step in range(steps + 1)]
