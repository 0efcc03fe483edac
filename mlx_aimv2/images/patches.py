"""Native resolution: a picture of any size to whole patches, and patches to padded batches."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.errors import UsageError

from .decode import Picture
from .fit import middle_box, shrinking

# The published range of the native checkpoint. Source: its model card.
MIN_PATCHES = 112
MAX_PATCHES = 4096

_STEPS = 16  # lengths to an octave: few, so that few shapes are compiled and cached
_LEAST_STEP = 8  # tokens


def grid_of(
    width_px: int, height_px: int, patch_size: int, max_patches: int = MAX_PATCHES
) -> tuple[tuple[int, int] | None, tuple[int, int]]:
    """The size (width, height) to resize a picture to, or None, and its grid (rows, columns).

    A picture of 112 to ``max_patches`` whole patches stays as it is, as it was published: pixels
    that do not fill a patch are dropped at the right and below. Another is resized to whole
    patches: a larger one to about ``max_patches``, a smaller one to about 112, so that rows and
    columns are within one of the exact aspect ratio wherever ``max_patches`` leaves that room.

    Errors: UsageError for ``max_patches`` outside 112 to 4096.
    """
    if not MIN_PATCHES <= max_patches <= MAX_PATCHES:
        raise UsageError(
            f"max_patches is {max_patches}, and must be from {MIN_PATCHES} to {MAX_PATCHES}",
            hint=f"leave it out for {MAX_PATCHES}; 256 is as much as a 224 px picture has",
        )
    rows, columns = height_px // patch_size, width_px // patch_size
    if MIN_PATCHES <= rows * columns <= max_patches:
        return None, (rows, columns)
    target = max_patches if rows * columns > max_patches else MIN_PATCHES
    rows, columns = grid_within(width_px, height_px, target, (MIN_PATCHES, max_patches))
    return (columns * patch_size, rows * patch_size), (rows, columns)


def grid_within(
    width_px: int, height_px: int, target: int, limits: tuple[int, int] | None = None
) -> tuple[int, int]:
    """The grid (rows, columns) of about ``target`` patches that is nearest to a picture's shape.

    It has no fewer and no more patches than ``limits``, by default from 1 to ``target``.
    """
    fewest, most = limits or (1, target)
    # A picture longer than so many times its width is cropped to that: see crops_strip.
    aspect = min(max(width_px, height_px) / min(width_px, height_px), most)
    exact = math.sqrt(target / aspect)

    def longer(shorter: int) -> int:
        return min(max(round(shorter * aspect), -(-fewest // shorter)), most // shorter)

    fitting = (
        shorter for shorter in range(1, math.isqrt(most) + 1) if shorter * longer(shorter) >= fewest
    )
    nearest = sorted(fitting, key=lambda shorter: abs(shorter - exact))[:2]
    shorter = min(nearest, key=lambda shorter: abs(math.log(longer(shorter) / shorter / aspect)))
    sides = longer(shorter), shorter
    return sides if width_px <= height_px else sides[::-1]


def crops_strip(
    width_px: int, height_px: int, patch_size: int, max_patches: int = MAX_PATCHES
) -> bool:
    """Whether ``fit`` sees only the middle: one row of ``max_patches`` cannot hold the picture."""
    too_long = max(width_px, height_px) > max_patches * min(width_px, height_px)
    return too_long and grid_of(width_px, height_px, patch_size, max_patches)[0] is not None


def shrink(width_px: int, height_px: int, patch_size: int, max_patches: int = MAX_PATCHES) -> float:
    """How many times smaller ``fit`` makes a picture; 1 where it stays as it is."""
    size, _ = grid_of(width_px, height_px, patch_size, max_patches)
    return 1.0 if size is None else shrinking(middle_box(width_px, height_px, max_patches), size)


def fit(
    image: Image.Image | Picture, patch_size: int, max_patches: int = MAX_PATCHES
) -> NDArray[np.uint8]:
    """A picture as whole patches: as it is, or resized (bicubic) as ``grid_of`` says.

    Shapes: RGB image -> (rows * patch, columns * patch, 3) uint8, writeable.
    """
    picture = Picture.of(image)
    size, (rows, columns) = grid_of(*picture.size, patch_size, max_patches)
    if size is not None:
        return np.array(picture.resize(size, middle_box(*picture.size, max_patches)))
    whole = picture.image.crop((0, 0, columns * patch_size, rows * patch_size))
    return np.array(picture.to_srgb(whole))


def patchify(pixels_hwc: NDArray[np.uint8], patch_size: int) -> NDArray[np.uint8]:
    """Cut pixels into patches, row by row, as a convolution with that stride sees them.

    Shapes: (rows * P, columns * P, 3) -> (rows * columns, P * P * 3), each patch a (P, P, 3).
    """
    height, width, channels = pixels_hwc.shape
    rows, columns = height // patch_size, width // patch_size
    grid = pixels_hwc.reshape(rows, patch_size, columns, patch_size, channels)
    return grid.swapaxes(1, 2).reshape(rows * columns, patch_size * patch_size * channels)


def bucket(tokens: int) -> int:
    """The length a sequence of so many tokens is padded to: at most 6% more, from 128 on."""
    octave = 1 << (tokens - 1).bit_length() >> 1  # octave < tokens <= 2 * octave
    step = max(octave // _STEPS, _LEAST_STEP)
    return -(-tokens // step) * step


def pad_batch(
    pictures: Sequence[NDArray[np.uint8]], patch_size: int, length: int
) -> NDArray[np.uint8]:
    """The patches of several pictures in one batch, black after the last of each.

    Shapes: B of (rows * P, columns * P, 3) -> (B, length, P * P * 3); rows * columns <= length.
    """
    channels = pictures[0].shape[2]
    batch = np.zeros((len(pictures), length, patch_size * patch_size * channels), np.uint8)
    for row, picture in zip(batch, pictures, strict=True):
        patches = patchify(picture, patch_size)
        row[: len(patches)] = patches
    return batch
