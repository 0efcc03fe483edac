"""Decoded images into batches of few shapes, and their results back into order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import NumericsError
from mlx_aimv2.images.source import ImageSource, describe

from .padding import batched
from .prefetch import Read, prefetch
from .preprocessing import Plan
from .records import Sample

Floats = NDArray[np.float32]
Pixels = list[NDArray[np.uint8]]
Rows = Callable[[], list[Floats | None]]  # waits for one row an image: None if it is not finite
# Begins to compute pixels padded to a number of images (fixed) or of tokens (native).
Start = Callable[[Pixels, int], Rows]

# Of a native stream, images read and not asked for yet: the largest are 2.4 MB.
_NATIVE_AHEAD = 32
_MOST_HELD = 256  # bad images, behind a batch that is being computed


def stream_fixed(
    images: Iterable[ImageSource], plan: Plan, read: Read, start: Start
) -> Iterator[Sample]:
    """Batches of one shape: all padded to the first, which is full unless it is the only one."""
    options = plan.options
    size = plan.images_per_batch((plan.vision.grid_side * options.tiles) ** 2)
    samples = prefetch(images, read, threads=options.threads, ahead=2 * size)

    def begin() -> Iterator[_Begun]:
        shape = None
        for group, is_last in _groups(samples, size):
            good = _pixels_of(group)
            if shape is None:
                is_only = is_last and not options.fills_batches
                shape = min(len(group), size) if is_only else size
            yield group, start(good, shape) if good else list

    yield from _one_ahead(begin())


def stream_native(
    images: Iterable[ImageSource], plan: Plan, read: Read, start: Start
) -> Iterator[Sample]:
    """Images padded to nearly their own length; they come back in the images' order."""
    samples = prefetch(images, read, threads=plan.options.threads, ahead=_NATIVE_AHEAD)
    sizes = ((sample, _tokens(sample, plan)) for sample in samples)

    def begin() -> Iterator[_Begun]:
        for length, group in batched(sizes, plan.images_per_batch):
            yield group, start(_pixels_of(group), length) if length else list

    done: dict[int, Sample] = {}
    position = 0
    for sample in _one_ahead(begin()):
        done[sample.index] = sample
        while position in done:
            yield done.pop(position)
            position += 1


_Begun = tuple[list[Sample], Rows]


def _one_ahead(batches: Iterator[_Begun]) -> Iterator[Sample]:
    """The samples of each batch, waited for when the next has begun: while a device computes one,
    the images of the other are taken and handed to it."""
    begun: deque[_Begun] = deque()
    for batch in batches:
        begun.append(batch)
        computes = any(sample.error is None for sample in batch[0])
        if computes or sum(len(group) for group, _ in begun) > _MOST_HELD:
            while len(begun) > 1:
                yield from _embedded(*begun.popleft())
    while begun:
        yield from _embedded(*begun.popleft())


def _groups(samples: Iterator[Sample], size: int) -> Iterator[tuple[list[Sample], bool]]:
    """Groups of ``size`` good images with the bad ones between them; True with the last."""
    group: list[Sample] = []
    good = 0
    for sample in samples:
        group.append(sample)
        good += sample.error is None
        if good == size or len(group) == 4 * size:  # not a million bad ones before the first good
            yield group, False
            group, good = [], 0
    if group:
        yield group, True


def _tokens(sample: Sample, plan: Plan) -> int:
    """An image's patches; 0 for a bad one."""
    if sample.error is not None or sample.pixels is None:
        return 0
    height, width, _ = sample.pixels.shape
    return (height // plan.vision.patch_size) * (width // plan.vision.patch_size)


def _pixels_of(group: list[Sample]) -> Pixels:
    """The good images' pixels, which from now on only the batch holds."""
    good = (sample for sample in group if sample.error is None)
    pixels = [sample.pixels for sample in good if sample.pixels is not None]
    for sample in group:
        sample.pixels = None
    return pixels


def _embedded(group: list[Sample], rows: Rows) -> Iterator[Sample]:
    values = iter(rows())
    for sample in group:
        if sample.error is None:
            sample.embedding = next(values)
            if sample.embedding is None:
                name = describe(sample.source)
                reason = "its embedding is not finite, in float32 too"
                sample.error = NumericsError(f"{name}: {reason}")
        yield sample
