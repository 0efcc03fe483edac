"""RandAugment, timm's of the name ``rand-m9-mstd0.5-inc1``: two random changes at most."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mlx_aimv2.images.presets import Triple

Fill = tuple[int, ...]
Change = Callable[[Image.Image, float, float, Fill], Image.Image]
"""A picture, how strongly from 0 to 1, the direction (1 or -1), and the colour of what is bared."""

_CHANGES_EACH, _CHANCE = 2, 0.5
_MAGNITUDE, _DEVIATION, _MOST = 9.0, 0.5, 10.0
_TURN_DEGREES, _SHEAR, _SHIFT, _ENHANCEMENT, _ADDED = 30.0, 0.3, 0.45, 0.9, 110
_HALF = 128


def _affine(image: Image.Image, fill: Fill, *matrix: float) -> Image.Image:
    """Moved by a matrix: where x, y of the result come from."""
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=fill
    )


def _rotate(image: Image.Image, level: float, sign: float, fill: Fill) -> Image.Image:
    return image.rotate(sign * level * _TURN_DEGREES, Image.Resampling.BICUBIC, fillcolor=fill)


def _posterize(image: Image.Image, level: float, sign: float, fill: Fill) -> Image.Image:
    # Its last step keeps no bit, a black picture, which Pillow refused to make from version 13 on.
    mask = 256 - (1 << (4 + int(level * 4)))
    return image.point([value & mask for value in range(256)] * 3)


def _solarize_add(image: Image.Image, level: float, sign: float, fill: Fill) -> Image.Image:
    added = int(level * _ADDED)
    table = [min(255, value + added) if value < _HALF else value for value in range(256)]
    return image.point(table * 3)


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Change:
    def change(image: Image.Image, level: float, sign: float, fill: Fill) -> Image.Image:
        return kind(image).enhance(max(0.1, 1 + sign * level * _ENHANCEMENT))

    return change


# Stronger with the level, all but the first three, which have none. Source: timm's
# ``_RAND_INCREASING_TRANSFORMS``.
CHANGES: dict[str, Change] = {
    "AutoContrast": lambda image, level, sign, fill: ImageOps.autocontrast(image),
    "Equalize": lambda image, level, sign, fill: ImageOps.equalize(image),
    "Invert": lambda image, level, sign, fill: ImageOps.invert(image),
    "Rotate": _rotate,
    "PosterizeIncreasing": _posterize,
    "SolarizeIncreasing": lambda image, level, sign, fill: ImageOps.solarize(
        image, 256 - min(256, int(level * 256))
    ),
    "SolarizeAdd": _solarize_add,
    "ColorIncreasing": _enhance(ImageEnhance.Color),
    "ContrastIncreasing": _enhance(ImageEnhance.Contrast),
    "BrightnessIncreasing": _enhance(ImageEnhance.Brightness),
    "SharpnessIncreasing": _enhance(ImageEnhance.Sharpness),
    "ShearX": lambda image, level, sign, fill: _affine(
        image, fill, 1, sign * level * _SHEAR, 0, 0, 1, 0
    ),
    "ShearY": lambda image, level, sign, fill: _affine(
        image, fill, 1, 0, 0, sign * level * _SHEAR, 1, 0
    ),
    "TranslateXRel": lambda image, level, sign, fill: _affine(
        image, fill, 1, 0, sign * level * _SHIFT * image.width, 0, 1, 0
    ),
    "TranslateYRel": lambda image, level, sign, fill: _affine(
        image, fill, 1, 0, 0, 0, 1, sign * level * _SHIFT * image.height
    ),
}
_ALL = tuple(CHANGES.values())


def rand_augment(image: Image.Image, rng: np.random.Generator, mean: Triple) -> Image.Image:
    """Two changes of fifteen, each made in half of the cases, at a strength near 9 of 10.

    ``mean`` is the colour, from 0 to 1, of what a change lays bare. As with timm, it takes the
    place of colour jitter.
    """
    fill = tuple(min(255, round(255 * each)) for each in mean)
    for number in rng.integers(0, len(_ALL), _CHANGES_EACH):
        chance, direction = rng.random(2)
        magnitude = float(np.clip(rng.normal(_MAGNITUDE, _DEVIATION), 0, _MOST))
        if chance < _CHANCE:
            sign = 1.0 if direction < 0.5 else -1.0
            image = _ALL[number](image, magnitude / _MOST, sign, fill)
    return image
