"""A few hundred bytes that tell whether two pictures are one, resized, recompressed or cropped.

A signature is the low frequencies of the whole picture, squeezed to a square: cosine
coefficients of luma (253) and of two colour differences (21 each). Two signatures are compared
by finding the crop of one that is most like the other, and looking for the place where they
still differ most: copies differ a little everywhere, look-alikes much in one place.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.images.decode import Picture

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_LUMA, _CHROMA = 22, 6  # coefficients with row + column below this are kept
_SAMPLES = 48  # a side of the square that is transformed
_GRID = 24  # a side of the square that is compared
_LARGE_PX = 1024
_GREY = 128


def _kept(order: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.indices((order, order))
    inside = rows + columns < order
    return rows[inside], columns[inside]


_LUMA_KEPT, _CHROMA_KEPT = _kept(_LUMA), _kept(_CHROMA)
_VERSION = 1
_HEADER_BYTES = 3  # version, the largest value's root, mean luma
_SPLITS = np.cumsum([len(_LUMA_KEPT[0]) - 1, len(_CHROMA_KEPT[0])])
SIGNATURE_BYTES = _HEADER_BYTES + int(_SPLITS[-1]) + len(_CHROMA_KEPT[0])

# The comparison's own numbers, chosen on drawings (benchmarks/duplicates.py).
_FITTING = (6.0, 3.0, 1.5)  # each step of the search sees finer detail than the one before
_TAPER, _CHROMA_TAPER = 2.5, 2.0
_MOST_CROPPED = 0.06
_BRIGHTER_LEVELS = 30.0
_CONTRAST = (0.8, 1.25)
_NOISE = 0.02  # of the picture's contrast
_LEAST_CONTRAST = 8.0  # levels of 255
_EDGE_NOISE = 0.3  # of the change that the crop makes
_CHROMA_NOISE = 3.0  # levels of 255
_HALF = 4.5  # so many times what copies differ by is a similarity of one half
_MARGIN, _CHROMA_MARGIN, _WINDOW = 2, 6, 3  # grid cells; at its edges a crop is not known well
_PAIRS_AT_ONCE = 128  # few enough for a processor cache

_COARSE_LUMA, _COARSE_CHROMA = 5, 3
_COARSE_CONTRAST = 40.0


def make_signature(image: Image.Image | Picture) -> bytes:
    """The signature of an upright RGB picture: ``SIGNATURE_BYTES`` bytes."""
    square = _squeeze(_in_srgb(Picture.of(image))).convert("YCbCr")
    luma, *chroma = (_transform(np.asarray(band, np.float32)) for band in square.split())
    mean = round(float(luma[0, 0]) / _GRID)
    for part in chroma:
        part[0, 0] -= _GREY * _GRID
    values = np.concatenate([luma[_LUMA_KEPT][1:], *(part[_CHROMA_KEPT] for part in chroma)])
    roots = np.sign(values) * np.sqrt(np.abs(values))
    largest = max(1, int(np.ceil(np.abs(roots).max())))
    codes = np.rint(roots * (127 / largest)).astype(np.int8)
    return bytes([_VERSION, largest, mean]) + codes.tobytes()


def is_signature(signature: bytes | None) -> bool:
    """Whether these bytes were made by ``make_signature`` as it is now."""
    if signature is None or len(signature) != SIGNATURE_BYTES:
        return False
    return signature[0] == _VERSION


def stack(signatures: Sequence[bytes]) -> Bytes:
    """Signatures as rows.

    Shapes: n -> (n, SIGNATURE_BYTES). Errors: ValueError for another size.
    """
    rows = np.frombuffer(b"".join(signatures), np.uint8)
    return rows.reshape(len(signatures), SIGNATURE_BYTES)


def similarity(first: Bytes, second: Bytes) -> Floats:
    """How surely the pictures of each pair are one, from 0 to 1; the order does not matter.

    1 is the same signature; above 0.5 they differ nowhere by more than copies do (any size, JPEG
    from quality 40, a little brighter or darker, up to 5% cropped at each side).
    Shapes: (n, SIGNATURE_BYTES) twice -> (n,).
    """
    result = np.empty(len(first), np.float32)
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        one, other = _unpack(first[part]), _unpack(second[part])
        excess = np.minimum(_difference(one, other), _difference(other, one))
        result[part] = 1 / (1 + np.square(excess / _HALF))
    return result


def coarse_vectors(signatures: Bytes) -> Floats:
    """Unit vectors of the largest shapes and colours: those of copies have a cosine near 1.

    Shapes: (n, SIGNATURE_BYTES) -> (n, 27).
    """
    luma, *chroma = _unpack(signatures)
    rows, columns = _kept(_COARSE_LUMA)
    parts = [luma[:, rows, columns][:, 1:]]  # without the mean
    rows, columns = _kept(_COARSE_CHROMA)
    parts += [part[:, rows, columns] for part in chroma]
    # Without a constant, what little there is in two blank pages would decide.
    parts.append(np.full((len(signatures), 1), _COARSE_CONTRAST * _GRID / 4, np.float32))
    vectors = np.concatenate(parts, axis=1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _in_srgb(picture: Picture) -> Image.Image:
    """The picture's image; if its colours are others, in sRGB and small, but not yet so small
    that what was rounded in them no longer evens out."""
    image = picture.image
    if picture.colour is None:
        return image
    if min(image.size) >= 2 * _LARGE_PX:
        image = image.resize(_reduced(image.size), Image.Resampling.NEAREST)
    factors = tuple(max(1, side // (4 * _SAMPLES)) for side in image.size)
    return picture.to_srgb(image.reduce(cast(tuple[int, int], factors)))


def _squeeze(image: Image.Image) -> Image.Image:
    """The whole picture as a square: quickly to about the size, then well."""
    if min(image.size) >= 2 * _LARGE_PX:  # a share of the pixels says as much, sooner
        image = image.resize(_reduced(image.size), Image.Resampling.NEAREST)
    width, height = image.size
    factors = max(1, width // (2 * _SAMPLES)), max(1, height // (2 * _SAMPLES))
    box = (0, 0, width / factors[0], height / factors[1])
    size = (_SAMPLES, _SAMPLES)
    return image.reduce(factors).resize(size, Image.Resampling.BILINEAR, box)


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    step = min(size) // _LARGE_PX
    return size[0] // step, size[1] // step


def _waves(samples: int, order: int) -> Floats:
    """(samples, order): orthonormal cosines, for sums over a grid of ``_GRID``."""
    places = (np.arange(samples) + np.float32(0.5)).astype(np.float32) / np.float32(samples)
    return _cosines(places[None], order)[0][0] * np.float32(_GRID / samples)


def _transform(band: Floats) -> Floats:
    waves = _waves(_SAMPLES, _LUMA)
    return np.asarray(waves.T @ band @ waves, np.float32)


def _unpack(signatures: Bytes) -> tuple[Floats, Floats, Floats]:
    """Coefficients of luma and both colour differences. Shapes: (n, K, K) each."""
    unit = signatures[:, 1:2].astype(np.float32) / 127
    roots = signatures[:, _HEADER_BYTES:].view(np.int8) * unit
    values = np.split(roots * np.abs(roots), _SPLITS, axis=1)
    mean = signatures[:, 2:3].astype(np.float32) * _GRID
    values[0] = np.concatenate([mean, values[0]], axis=1)
    luma = np.zeros((len(signatures), _LUMA, _LUMA), np.float32)
    blue, red = np.zeros((2, len(signatures), _CHROMA, _CHROMA), np.float32)
    luma[:, *_LUMA_KEPT], blue[:, *_CHROMA_KEPT], red[:, *_CHROMA_KEPT] = values
    return luma, blue, red


def _cosines(places: Floats, order: int) -> tuple[Floats, Floats]:
    """Orthonormal cosines and their slopes at fractions of the side.

    Shapes: (n, G) -> (n, G, K).
    """
    cosine, sine = np.cos(np.pi * places), np.sin(np.pi * places)
    waves, slopes = np.empty((2, order, *places.shape), np.float32)
    waves[0], slopes[0] = 1, 0
    waves[1], slopes[1] = cosine, sine
    for wave in (waves, slopes):  # cos kx and sin kx from the two before
        for number in range(2, order):
            wave[number] = 2 * cosine * wave[number - 1] - wave[number - 2]
    scale = np.full(order, np.sqrt(2 / _GRID), np.float32)
    scale[0] = np.sqrt(1 / _GRID)
    slope_scale = -np.pi * scale * np.arange(order, dtype=np.float32)
    return waves.transpose(1, 2, 0) * scale, slopes.transpose(1, 2, 0) * slope_scale


_INNER = slice(_MARGIN, _GRID - _MARGIN)
_CHROMA_INNER = slice(_CHROMA_MARGIN, _GRID - _CHROMA_MARGIN)
_PLACES = np.linspace(0, 1, _GRID, endpoint=False, dtype=np.float32) + np.float32(0.5 / _GRID)
_LUMA_WAVES, _CHROMA_WAVES = _waves(_GRID, _LUMA), _waves(_GRID, _CHROMA)


def _taper(order: int, strength: float) -> Floats:
    rows, columns = np.indices((order, order), np.float32)
    return np.exp(-strength * (rows**2 + columns**2) / order**2)


def _at(low: Floats, high: Floats) -> Floats:
    """The grid's places in a crop from ``low`` to ``high``. Shapes: (n,) -> (n, G)."""
    return low[:, None] + _PLACES * (high - low)[:, None]


def _difference(
    first: tuple[Floats, Floats, Floats], second: tuple[Floats, Floats, Floats]
) -> Floats:
    """How much a crop of the first still differs from the second where it differs most.

    Units: what copies differ by. Shapes: (n, K, K) -> (n,).
    """
    low, high = _fit_crop(first[0], second[0])
    worst = _luma_difference(first[0], second[0], low, high)
    taper = _taper(_CHROMA, _CHROMA_TAPER)
    rows, columns = (_cosines(_at(low[:, k], high[:, k]), _CHROMA)[0] for k in (0, 1))
    for one, other in zip(first[1:], second[1:], strict=True):
        cropped = rows @ (one * taper) @ columns.transpose(0, 2, 1)
        whole = _CHROMA_WAVES @ (other * taper) @ _CHROMA_WAVES.T
        left = np.abs(whole - cropped)[:, _CHROMA_INNER, _CHROMA_INNER]
        worst = np.maximum(worst, left.max(axis=(1, 2)) / _CHROMA_NOISE)
    return worst


def _fit_crop(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Edges of the crop of the first that is most like the second, by Gauss and Newton.

    Four edges, contrast and brightness are unknown.
    Units: fractions of the sides. Shapes: (n, K, K) -> (n, 2) low and (n, 2) high; y, x.
    """
    low, high = np.zeros((len(first), 2), np.float32), np.ones((len(first), 2), np.float32)
    far, near = 1 - _PLACES, _PLACES
    for strength in _FITTING:
        taper = _taper(_LUMA, strength)
        crop, down, across = _crop(first * taper, low, high)
        left = (_LUMA_WAVES @ (second * taper) @ _LUMA_WAVES.T - crop)[:, _INNER, _INNER]
        columns = (
            *(down * far[:, None], down * near[:, None], across * far, across * near),
            *(crop, np.ones_like(crop)),
        )
        design = np.stack([column[:, _INNER, _INNER] for column in columns], axis=1)
        design = design.reshape(len(first), len(columns), -1).astype(np.float64)
        normal = design @ design.transpose(0, 2, 1)
        diagonal = normal[:, range(len(columns)), range(len(columns))]
        normal += np.eye(len(columns)) * (1e-3 * diagonal + 1e-3)[:, None]
        solved = np.linalg.solve(normal, design @ left.reshape(len(first), -1, 1))[..., 0]
        step = (solved[:, :4] / np.clip(1 + solved[:, 4:5], 0.5, 2)).astype(np.float32)
        low = np.clip(low + step[:, 0::2], -_MOST_CROPPED, _MOST_CROPPED)
        high = np.clip(high + step[:, 1::2], 1 - _MOST_CROPPED, 1 + _MOST_CROPPED)
    return low, high


def _crop(coefficients: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """A crop's values, and their slopes down and across. Shapes: (n, K, K) -> (n, G, G) each."""
    rows, row_slopes = _cosines(_at(low[:, 0], high[:, 0]), _LUMA)
    columns, column_slopes = _cosines(_at(low[:, 1], high[:, 1]), _LUMA)
    across = coefficients @ columns.transpose(0, 2, 1)
    return (
        rows @ across,
        row_slopes @ across,
        rows @ (coefficients @ column_slopes.transpose(0, 2, 1)),
    )


def _luma_difference(first: Floats, second: Floats, low: Floats, high: Floats) -> Floats:
    taper = _taper(_LUMA, _TAPER)
    whole = _LUMA_WAVES @ (second * taper) @ _LUMA_WAVES.T
    crop, down, across = _crop(first * taper, low, high)
    means = [part.mean(axis=(1, 2), keepdims=True) for part in (crop, whole)]
    crop, whole = crop - means[0], whole - means[1]
    variance = np.maximum(np.square(crop).mean(axis=(1, 2), keepdims=True), 1)
    gain = np.clip((crop * whole).mean(axis=(1, 2), keepdims=True) / variance, *_CONTRAST)
    brighter = np.abs(means[1] - means[0])
    left = np.abs(whole - gain * crop) + np.maximum(brighter - _BRIGHTER_LEVELS, 0)
    contrast = np.maximum(whole.std(axis=(1, 2), keepdims=True), _LEAST_CONTRAST)
    moved_y, moved_x = (_at(low[:, k], high[:, k]) - _PLACES for k in (0, 1))
    edges = np.square(moved_y[:, :, None] * down) + np.square(moved_x[:, None, :] * across)
    allowed = np.square(_NOISE * contrast) + _EDGE_NOISE**2 * _blur(edges)
    ratio = (np.square(left) / allowed)[:, _INNER, _INNER]
    return np.sqrt(_blur(ratio, around=False).max(axis=(1, 2)))


def _blur(values: Floats, *, around: bool = True) -> Floats:
    """Means over windows; ``around`` every cell, else only where a window fits."""
    if around:
        values = np.pad(values, ((0, 0), *[(_WINDOW // 2,) * 2] * 2), mode="edge")
    for axis in (1, 2):
        count = values.shape[axis] - _WINDOW + 1
        shifted = [values.take(range(first, first + count), axis) for first in range(_WINDOW)]
        values = np.mean(shifted, axis=0, dtype=np.float32)
    return values
