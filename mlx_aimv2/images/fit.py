"""Pictures made the size of a checkpoint's side: resized, and cropped in the middle."""

import math
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decode import Box, Picture
from .presets import Preset

MAX_ASPECT = 32  # a 1 x 10000 strip resized whole takes 18 s and 4.7 GB


def crops_strip(width_px: int, height_px: int) -> bool:
    """Whether ``fit`` sees only the middle of such a picture, because it is too long."""
    return max(width_px, height_px) > MAX_ASPECT * min(width_px, height_px)


def middle_box(width_px: int, height_px: int, max_aspect: int) -> tuple[int, int, int, int]:
    """The middle (left, top, right, bottom) of a picture that is longer than ``max_aspect``."""
    width, height = min(width_px, max_aspect * height_px), min(height_px, max_aspect * width_px)
    left, top = (width_px - width) // 2, (height_px - height) // 2
    return left, top, left + width, top + height


def shrink(width_px: int, height_px: int, side_px: int, preset: Preset) -> float:
    """How many times smaller ``fit`` makes a picture."""
    return shrinking(*_resizing(width_px, height_px, side_px, preset))


def _resizing(
    width_px: int, height_px: int, side_px: int, preset: Preset
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """The box of a picture that ``fit`` sees, and the size it resizes that to before it crops."""
    box = middle_box(width_px, height_px, MAX_ASPECT)
    width, height = box[2] - box[0], box[3] - box[1]
    short = math.ceil(side_px / preset.crop_fraction)
    long = int(short * max(width, height) / min(width, height))
    return box, ((short, long) if width <= height else (long, short))


def shrinking(box: tuple[int, int, int, int], size: tuple[int, int]) -> float:
    """How many times smaller a box becomes that is resized to this size."""
    return min((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])


def fit(image: Image.Image | Picture, side_px: int, preset: Preset) -> NDArray[np.uint8]:
    """Resize the shortest side (bicubic), then crop the centre.

    A picture more than 32 times as long as wide is cropped to that first (see ``crops_strip``).

    Shapes: RGB image -> (S, S, 3) uint8, writeable.
    Source: transformers' CLIPImageProcessorPil, byte for byte up to an aspect of 32: the long
    side is truncated to whole pixels.
    """
    picture = Picture.of(image)
    box, size = _resizing(*picture.size, side_px, preset)
    left, top = (_margin(length - side_px, preset) for length in size)
    crop = (left, top, left + side_px, top + side_px)
    if picture.reduction == 1:
        return np.array(picture.resize(size, box).crop(crop))
    # What is cropped away is not computed: sooner, and other bits, which here are others anyway.
    scales = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    seen = [box[k % 2] + edge * scales[k % 2] for k, edge in enumerate(crop)]
    return np.array(picture.resize((side_px, side_px), cast(Box, tuple(seen))))


def _margin(excess_px: int, preset: Preset) -> int:
    return round(excess_px / 2) if preset.half_to_even else excess_px // 2
