"""Pictures for Aria: whole, or split into tiles; each is resized and padded to a square crop."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .presets import AriaSplit, Triple, read_preprocessor

# Source: Rhymes AI's vision_processor.py, which reads (columns, rows), and transformers'
# AriaImageProcessor, which reads (rows, columns). A square of one tile is in neither.
_GRIDS = (
    (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (2, 4), (2, 3), (2, 2),
    (2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (5, 1), (6, 1), (7, 1), (8, 1),
)  # fmt: skip

# What the published preprocessor_config.json says.
_SIDES_PX = (490, 980)
_MIN_SIDE_PX = 336
_HALF: Triple = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class AriaProcessor:
    """Pictures to crops of one of the sides that a checkpoint takes, the smallest side first.

    No side of a crop's picture is shorter than ``min_side_px``: a longer strip is distorted.
    """

    sides_px: tuple[int, ...] = _SIDES_PX
    min_side_px: int = _MIN_SIDE_PX
    mean: Triple = _HALF
    std: Triple = _HALF

    @classmethod
    def from_folder(cls, folder: Path, sides_px: tuple[int, ...] = _SIDES_PX) -> "AriaProcessor":
        """The processor of a checkpoint folder, by its preprocessor_config.json if there is one.

        Errors: CheckpointError for a file that makes no sense, or asks for pixels that are not
        made here.
        """
        # Without a file: in proportion to the published side.
        usual = _MIN_SIDE_PX * sides_px[-1] // _SIDES_PX[-1]
        with read_preprocessor(folder, (_HALF, _HALF)) as (config, mean, std):
            min_side_px = config.get("min_image_size", usual)
            if not isinstance(min_side_px, int) or not 0 < min_side_px <= sides_px[0]:
                raise ValueError(f"min_image_size is {min_side_px!r}, for crops of {sides_px[0]}")
        return cls(sides_px, min_side_px, mean, std)

    def __call__(
        self, image: Image.Image, side_px: int, split: AriaSplit | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Crops, and where in each of them the picture is; the rest is padding, black.

        Shapes: RGB image -> (C, S, S, 3), (C, S, S).
        """
        parts = list(self.parts(image, side_px, split))
        pixels = np.zeros((len(parts), side_px, side_px, 3), np.uint8)
        mask = np.zeros((len(parts), side_px, side_px), np.bool_)
        for crop, real, part in zip(pixels, mask, parts, strict=True):
            resized = self.fit(part, side_px)
            place = slice(resized.height), slice(resized.width)
            crop[place], real[place] = np.asarray(resized), True
        return pixels, mask

    def normalized(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops as the network takes them: four times the memory, so one picture at a time.

        Shapes: any, channels last.
        Units: 0-255 -> normalised RGB; padding is normalised too.
        """
        std = np.array(self.std, np.float32)
        return pixels * (1 / (255 * std)) - np.array(self.mean, np.float32) / std

    def parts(
        self, image: Image.Image, side_px: int, split: AriaSplit | None
    ) -> Iterator[Image.Image]:
        """The pictures that become crops: the whole one, its tiles, or (Rhymes AI) both."""
        if split != "transformers":
            yield image
        if split == "rhymes":
            columns, rows = _grid_of_nearest_shape(*image.size, side_px)
            # The tiles are of an image that is stretched to the grid.
            yield from _tiles(image.resize((columns * side_px, rows * side_px)), side_px)
        elif split == "transformers":
            yield from _tiles(_framed(image, self.sides_px[0]), side_px)

    def fit(self, image: Image.Image, side_px: int) -> Image.Image:
        """A picture resized so that its longest side has ``side_px``.

        Source: Rhymes AI's vision_processor.py and transformers' AriaImageProcessorPil, byte for
        byte.
        """
        scale = side_px / max(image.size)
        width, height = (max(int(length * scale), self.min_side_px) for length in image.size)
        if image.width >= image.height:
            width = side_px  # rounding could lose a pixel
        else:
            height = side_px
        return image.resize((width, height), Image.Resampling.BICUBIC)


def _grid_of_nearest_shape(width_px: int, height_px: int, side_px: int) -> tuple[int, int]:
    """The columns and rows of the grid whose aspect ratio is nearest to a picture's.

    Of two that are as near, a later one is taken where the picture has more than half its pixels.
    """
    best, least = _GRIDS[0], math.inf
    for columns, rows in _GRIDS:
        distance = abs(width_px / height_px - columns / rows)
        is_filled = width_px * height_px > 0.5 * side_px * side_px * columns * rows
        if distance < least or (distance == least and is_filled):
            best, least = (columns, rows), distance
    return best


def _framed(image: Image.Image, unit_px: int) -> Image.Image:
    """A picture in the middle of the grid of units that keeps most of its pixels, wastes least."""

    def merit(grid: tuple[int, int]) -> tuple[int, int]:
        rows, columns = (count * unit_px for count in grid)
        scale = min(columns / image.width, rows / image.height)
        kept = int(image.width * scale) * int(image.height * scale)
        kept = min(kept, image.width * image.height)
        return kept, kept - rows * columns

    rows, columns = (count * unit_px for count in max(_GRIDS, key=merit))
    across, down = columns / image.width, rows / image.height
    if across < down:
        size = columns, min(math.ceil(image.height * across), rows)
    else:
        size = min(math.ceil(image.width * down), columns), rows
    frame = Image.new("RGB", (columns, rows))
    place = (columns - size[0]) // 2, (rows - size[1]) // 2
    frame.paste(image.resize(size, Image.Resampling.BICUBIC), place)
    return frame


def _tiles(image: Image.Image, side_px: int) -> Iterator[Image.Image]:
    """Squares of a picture, row by row; what is left of it at the right and below is smaller."""
    for top in range(0, image.height, side_px):
        for left in range(0, image.width, side_px):
            right, below = min(left + side_px, image.width), min(top + side_px, image.height)
            yield image.crop((left, top, right, below))
