"""Decoded images into batches of few shapes, and their results back into order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error, NumericsError
from mlx_aimv2.images.source import ImageSource, describe

from .options import Plan
from .padding import batched
from .prefetch import Decoded, decode

Floats = NDArray[np.float32]
Pixels = list[NDArray[np.uint8]]
Rows = Callable[[], list[Floats | None]]  # waits for one row an image: None if it is not finite
# Begins to compute pixels padded to a number of images (fixed) or of tokens (native).
Start = Callable[[Pixels, int], Rows]

# Of a native stream, images decoded and not asked for yet: the largest are 2.4 MB.
_NATIVE_AHEAD = 32
_MOST_HELD = 256  # bad images, behind a batch that is being computed


@dataclass(frozen=True)
class Row:
    """One image's result before it becomes public."""

    index: int
    source: ImageSource
    values: Floats | None
    error: Aimv2Error | None
    note: str | None


def stream_fixed(images: Iterable[ImageSource], plan: Plan, start: Start) -> Iterator[Row]:
    """Batches of one shape: all padded to the first, which is full unless it is the only one."""
    size = plan.images_per_batch((plan.vision.grid_side * plan.tiles) ** 2)
    decoded = decode(images, plan.fit, threads=plan.threads, ahead=2 * size)

    def begin() -> Iterator[_Begun]:
        shape = None
        for group, is_last in _groups(decoded, size):
            good = [sample.pixels for sample in group if sample.error is None]
            if shape is None:
                shape = min(len(group), size) if is_last and not plan.fills_batches else size
            yield group, start(good, shape) if good else list

    yield from _one_ahead(begin())


def stream_native(images: Iterable[ImageSource], plan: Plan, start: Start) -> Iterator[Row]:
    """Images padded to nearly their own length; rows come back in the images' order."""
    decoded = decode(images, plan.fit, threads=plan.threads, ahead=_NATIVE_AHEAD)
    sizes = ((sample, _tokens(sample, plan)) for sample in decoded)

    def begin() -> Iterator[_Begun]:
        for length, group in batched(sizes, plan.images_per_batch):
            yield group, start([sample.pixels for sample in group], length) if length else list

    done: dict[int, Row] = {}
    position = 0
    for row in _one_ahead(begin()):
        done[row.index] = row
        while position in done:
            yield done.pop(position)
            position += 1


_Begun = tuple[list[Decoded], Rows]


def _one_ahead(batches: Iterator[_Begun]) -> Iterator[Row]:
    """The rows of each batch, waited for when the next has begun: while a device computes one,
    the images of the other are taken and handed to it."""
    begun: deque[_Begun] = deque()
    for batch in batches:
        begun.append(batch)
        computes = any(sample.error is None for sample in batch[0])
        if computes or sum(len(group) for group, _ in begun) > _MOST_HELD:
            while len(begun) > 1:
                yield from _rows(*begun.popleft())
    while begun:
        yield from _rows(*begun.popleft())


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


def _tokens(sample: Decoded, plan: Plan) -> int:
    """An image's patches; 0 for a bad one."""
    if sample.error is not None:
        return 0
    height, width, _ = sample.pixels.shape
    return (height // plan.vision.patch_size) * (width // plan.vision.patch_size)


def _rows(group: list[Decoded], values: Rows) -> Iterator[Row]:
    results = iter(values())
    for sample in group:
        value = next(results) if sample.error is None else None
        error = sample.error
        if error is None and value is None:
            name = describe(sample.source)
            error = NumericsError(f"{name}: its embedding is not finite, in float32 too")
        yield Row(sample.index, sample.source, value, error, sample.note)
