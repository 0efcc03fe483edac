"""Pictures to measure with: made here, the same each time, as hard to decode as photographs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PHOTO_PX = (4032, 3024)  # 12 megapixels, as telephones take them
_QUALITY = 90
_OCTAVES = (8, 32, 128, 512)  # cells along the width; each is half as strong as the one before
_COARSER = 4  # times: what shapes are drawn at, for speed
_GRAIN, _TILE_PX = 4.0, 509
_SMALL = 24
_SMALL_SUFFIXES = ("jpg", "png", "webp")


def make_photo(seed: int, size_px: tuple[int, int] = PHOTO_PX) -> Image.Image:
    """Large shapes with finer and finer ones on them, and a sensor's grain."""
    width, height = size_px
    rng = np.random.default_rng((seed, width, height))
    small = (width // _COARSER + 1, height // _COARSER + 1)
    shapes = sum(_layer(rng, cells, small) / 2**number for number, cells in enumerate(_OCTAVES))
    shapes = shapes / sum(2.0**-number for number in range(len(_OCTAVES)))
    image = Image.fromarray(np.asarray(shapes).astype(np.uint8))
    pixels = np.asarray(image.resize(size_px, Image.Resampling.BICUBIC), np.int16)
    grain = rng.normal(0, _GRAIN, (_TILE_PX, _TILE_PX, 1)).astype(np.int16)
    tiles = (height // _TILE_PX + 1, width // _TILE_PX + 1, 1)
    noisy = pixels + np.tile(grain, tiles)[:height, :width]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def make_photos(folder: Path, count: int, size_px: tuple[int, int] = PHOTO_PX) -> list[Path]:
    """So many JPEGs in a folder; those that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            make_photo(number, size_px).save(path, quality=_QUALITY)
    return paths


def make_small_pictures(folder: Path) -> list[Path]:
    """Small pictures of several formats and shapes."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = []
    for number in range(_SMALL):
        width, height = (int(side) for side in rng.integers(80, 320, 2))
        path = folder / f"{number:04}.{_SMALL_SUFFIXES[number % len(_SMALL_SUFFIXES)]}"
        make_photo(number, (width, height)).save(path)
        paths.append(path)
    return paths


def _layer(rng: np.random.Generator, cells: int, size_px: tuple[int, int]) -> NDArray[np.float32]:
    width, height = size_px
    rows = max(2, cells * height // width)
    coarse = rng.integers(0, 256, (rows, cells, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size_px, Image.Resampling.BICUBIC), np.float32)
