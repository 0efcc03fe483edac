"""Decoded images into batches of few shapes, and their results back into order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import patches
from .decode import Decoded, decode
from .errors import Aimv2Error, NumericsError
from .image import ImageSource, describe
from .plan import Plan

Floats = NDArray[np.float32]
Pixels = list[NDArray[np.uint8]]
# Pixels of a batch and the number of images (fixed) or tokens (native) it is padded to, to one
# row an image: None where it is not finite.
Encode = Callable[[Pixels, int], list[Floats | None]]

# Images that may overtake one of a rare size before its bucket is sent off as it is.
_NATIVE_WINDOW = 64


@dataclass(frozen=True)
class Row:
    """One image's result before it becomes public."""

    index: int
    source: ImageSource
    values: Floats | None
    error: Aimv2Error | None
    note: str | None


def stream_fixed(images: Iterable[ImageSource], plan: Plan, encode: Encode) -> Iterator[Row]:
    """Batches of one shape: all padded to the first, which is full unless it is the only one."""
    size = plan.images_per_batch((plan.vision.grid_side * plan.tiles) ** 2)
    decoded = decode(images, plan.fit, threads=plan.threads, ahead=2 * size)
    shape = None
    for group, is_last in _groups(decoded, size):
        good = [sample for sample in group if sample.error is None]
        if shape is None:
            shape = len(good) if is_last and not plan.fills_batches else size
        values = encode([sample.pixels for sample in good], shape) if good else []
        yield from _rows(group, values)


def stream_native(images: Iterable[ImageSource], plan: Plan, encode: Encode) -> Iterator[Row]:
    """Buckets of images padded to one number of tokens; rows come back in the images' order."""
    done: dict[int, Row] = {}
    position = 0
    for length, group in _bucketed(decode(images, plan.fit, threads=plan.threads), plan):
        values = encode([sample.pixels for sample in group], length) if length else []
        done |= {row.index: row for row in _rows(group, values)}
        while position in done:
            yield done.pop(position)
            position += 1


def _groups(decoded: Iterator[Decoded], size: int) -> Iterator[tuple[list[Decoded], bool]]:
    """Groups of ``size`` good images with the bad ones between them; True with the last."""
    group: list[Decoded] = []
    good = 0
    for sample in decoded:
        group.append(sample)
        good += sample.error is None
        if good == size or len(group) == 4 * size:  # not a million bad ones before the first good
            yield group, False
            group, good = [], 0
    if group:
        yield group, True


def _bucketed(decoded: Iterator[Decoded], plan: Plan) -> Iterator[tuple[int, list[Decoded]]]:
    """Groups of images of about the same number of tokens, and that number; 0 for a bad image."""
    buckets: dict[int, list[Decoded]] = {}
    for sample in decoded:
        if sample.error is not None:
            yield 0, [sample]
        else:
            length = patches.bucket(_tokens(sample, plan))
            bucket = buckets.setdefault(length, [])
            bucket.append(sample)
            if len(bucket) == plan.images_per_batch(length):
                yield length, buckets.pop(length)
        oldest = min(buckets, key=lambda key: buckets[key][0].index, default=0)
        if oldest and sample.index - buckets[oldest][0].index >= _NATIVE_WINDOW:
            yield oldest, buckets.pop(oldest)
    yield from buckets.items()


def _tokens(sample: Decoded, plan: Plan) -> int:
    height, width, _ = sample.pixels.shape
    return (height // plan.vision.patch_size) * (width // plan.vision.patch_size)


def _rows(group: list[Decoded], values: list[Floats | None]) -> Iterator[Row]:
    results = iter(values)
    for sample in group:
        value = next(results) if sample.error is None else None
        error = sample.error
        if error is None and value is None:
            name = describe(sample.source)
            error = NumericsError(f"{name}: its embedding is not finite, in float32 too")
        yield Row(sample.index, sample.source, value, error, sample.note)
