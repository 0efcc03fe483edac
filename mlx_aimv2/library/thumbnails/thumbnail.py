"""A photo as a small JPEG that keeps nothing of it but the picture, in sRGB."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from mlx_aimv2.files.paths import FilePath
from mlx_aimv2.images.decode import Picture, open_picture

SIDE_PX = 320


@dataclass(frozen=True)
class Recipe:
    """How a photo is made small: its longest side, and the quality of the JPEG.

    Two thumbnails of one photo by one recipe are equal in look, not in bytes: a decoder that was
    asked for a small JPEG leaves out what is finer than half a pixel of it.
    """

    side_px: int
    quality: int
    version: int = 1

    def shrink(self, width_px: int, height_px: int) -> float:
        """How many times smaller a photo becomes, where its decoder may use that."""
        return min(max(width_px, height_px) / self.side_px, width_px, height_px)  # a line stays one

    def size_of(self, picture: Picture) -> tuple[int, int]:
        """Width and height of a photo made small, in pixels."""
        scale = min(1.0, self.side_px / max(picture.size))
        return max(1, round(picture.size[0] * scale)), max(1, round(picture.size[1] * scale))


SMALL = Recipe(SIDE_PX, 80)  # in a grid
VIEW = Recipe(1600, 88)  # alone on a screen
WHOLE = Recipe(65_500, 92)  # as large as it is: a JPEG has no longer side


def thumbnail(
    path: FilePath,
    side_px: int = SIDE_PX,
    draw: Callable[[Image.Image], Image.Image] | None = None,
) -> bytes:
    """The photo as a JPEG, upright, its longest side ``side_px`` or what it has, if that is less.

    Its colours are sRGB's, as browsers show them; dates, places and comments do not stay. ``draw``
    draws on it.
    Errors: ImageError for what cannot be read.
    """
    recipe = Recipe(side_px, SMALL.quality)
    return to_jpeg(open_picture(os.fsdecode(path), shrink=recipe.shrink), recipe, draw)


def to_jpeg(
    picture: Picture,
    recipe: Recipe = SMALL,
    draw: Callable[[Image.Image], Image.Image] | None = None,
) -> bytes:
    """A picture made small by a recipe: see :func:`thumbnail`."""
    left, top = picture.origin
    width, height = (side / picture.reduction for side in picture.size)
    small = picture.to_srgb(
        picture.image.resize(
            recipe.size_of(picture),
            Image.Resampling.LANCZOS,
            (left, top, left + width, top + height),
            reducing_gap=2.0,
        )
    )
    small = draw(small) if draw else small
    small.info = {}  # a comment or a profile would be written again
    file = io.BytesIO()
    small.save(file, "JPEG", quality=recipe.quality)
    return file.getvalue()
