"""Batches: in order, nothing lost, and the next one begun before the last one's rows are due."""

import threading
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from mlx_aimv2.errors import ImageError
from mlx_aimv2.inference.batching import Floats, Pixels, Rows, Start, stream_fixed, stream_native
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.preprocessing import Plan, make_plan
from mlx_aimv2.inference.records import Sample
from mlx_aimv2.models.aimv2.config import VisionConfig

SIZES = {
    "hidden_size": 4,
    "intermediate_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "patch_size": 1,
}
STREAMS = {"fixed": stream_fixed, "native": stream_native}
WAIT_S = 20


def plan_for(kind: str, batch_size: int | None = 4) -> Plan:
    vision = VisionConfig(**SIZES, image_size=11 if kind == "fixed" else None,
                          is_native=kind == "native")  # fmt: skip
    options = ImageOptions(batch_size=batch_size, threads=2)
    return make_plan(options, vision, Path("none"))


def read(sample: Sample) -> None:
    """A picture of 11 x 11 whose value is its number; odd hundreds are bad."""
    number = cast(int, sample.source)
    if number % 200 >= 100:
        raise ImageError(f"{number} is bad")
    sample.pixels = np.full((11, 11, 3), number % 251, np.uint8)


def at_once(pixels: Pixels, shape: int) -> Rows:
    """What a model would make of them: one number an image."""
    rows: list[Floats | None] = [np.array([image[0, 0, 0]], np.float32) for image in pixels]
    return lambda: rows


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 8, 613])
def test_rows_in_order_with_errors_in_their_places(kind: str, number: int) -> None:
    rows = list(STREAMS[kind](range(number), plan_for(kind), read, at_once))
    assert [row.index for row in rows] == list(range(number))
    for row in rows:
        is_bad = row.index % 200 >= 100
        assert (row.error is not None) == is_bad
        assert is_bad or row.embedding == [row.index % 251]


class Device:
    """A stand-in that is busy with each batch until the next one is handed to it."""

    def __init__(self, last: int) -> None:
        self.begun = [threading.Event() for _ in range(last + 1)]
        self.asked = 0
        self._numbers = count()

    def start(self, pixels: Pixels, shape: int) -> Rows:
        number = next(self._numbers)
        self.begun[number].set()
        values = at_once(pixels, shape)

        def rows() -> list[Floats | None]:
            self.asked += 1
            if number + 1 < len(self.begun):
                assert self.begun[number + 1].wait(0), "the next batch was not begun"
            return values()

        return rows


@pytest.mark.parametrize("kind", STREAMS)
def test_the_next_batch_has_begun_when_rows_are_waited_for(kind: str) -> None:
    device = Device(last=4)
    rows = list(STREAMS[kind](range(20), plan_for(kind), read, device.start))
    assert [row.embedding[0] for row in rows if row.embedding is not None] == list(range(20))
    assert device.asked == 5


@pytest.mark.parametrize("kind", STREAMS)
def test_bad_images_between_do_not_hold_the_device_up(kind: str) -> None:
    device = Device(last=4)
    sources = [number + 100 * (number % 3 == 1) for number in range(30)]
    rows = list(STREAMS[kind](sources, plan_for(kind), read, device.start))
    assert [row.index for row in rows] == list(range(30))
    assert device.asked == 5


def batch_of(number: int) -> int:
    return number // 4


@pytest.mark.parametrize("kind", STREAMS)
def test_pictures_are_decoded_and_assembled_while_the_device_computes(kind: str) -> None:
    """Batch k is done only when pictures of batch k + 2 are being decoded: an MLX thread that
    waited for them without overlap would wait in vain."""
    decoding = [threading.Event() for _ in range(10)]

    def noted(sample: Sample) -> None:
        decoding[batch_of(cast(int, sample.source))].set()
        read(sample)

    def start(pixels: Pixels, shape: int) -> Rows:
        number = batch_of(int(pixels[0][0, 0, 0]))
        done = threading.Event()
        following = decoding[min(number + 2, len(decoding) - 1)]

        def compute() -> None:
            assert following.wait(WAIT_S)
            done.set()

        threading.Thread(target=compute, daemon=True).start()
        values = at_once(pixels, shape)

        def rows() -> list[Floats | None]:
            assert done.wait(WAIT_S)
            return values()

        return rows

    rows = list(STREAMS[kind](range(40), plan_for(kind), noted, start))
    assert [row.embedding[0] for row in rows if row.embedding is not None] == list(range(40))


@pytest.mark.parametrize("kind", STREAMS)
def test_no_more_than_one_batch_ahead(kind: str) -> None:
    begun = count()

    def start(pixels: Pixels, shape: int) -> Rows:
        next(begun)
        return at_once(pixels, shape)

    stream = STREAMS[kind](count_good(), plan_for(kind), read, start)
    assert [row.index for row in islice(stream, 9)] == list(range(9))
    stream.close()
    assert next(begun) == 4  # three that were asked for, and one


def count_good() -> Iterator[int]:
    return (number for number in count() if number % 200 < 100)


@pytest.mark.parametrize("kind", STREAMS)
def test_many_bad_images_are_not_held_back(kind: str) -> None:
    taken = count()

    def bad() -> Iterator[int]:
        while True:
            next(taken)
            yield 100

    stream = STREAMS[kind](bad(), plan_for(kind), read, at_once)
    assert all(row.error for row in islice(stream, 5))
    stream.close()
    assert next(taken) <= 1024


@pytest.mark.parametrize("kind", STREAMS)
def test_a_device_that_fails_ends_the_stream(kind: str) -> None:
    def start(pixels: Pixels, shape: int) -> Rows:
        def rows() -> list[Floats | None]:
            raise MemoryError("no room")

        return rows

    with pytest.raises(MemoryError, match="no room"):
        list(STREAMS[kind](range(9), plan_for(kind), read, start))


def test_native_batches_of_one_stream_differ_and_results_keep_the_order() -> None:
    sides = [11, 60, 12, 40, 13, 61, 14, 41] * 20

    def sized(sample: Sample) -> None:
        side = sides[sample.index]
        sample.pixels = np.full((side, side, 3), sample.index % 251, np.uint8)

    lengths: list[int] = []

    def start(pixels: Pixels, shape: int) -> Rows:
        assert all(image.shape[0] * image.shape[1] <= shape for image in pixels)
        lengths.append(shape)
        return at_once(pixels, shape)

    start_typed: Start = start
    rows = list(stream_native(range(160), plan_for("native", batch_size=None), sized, start_typed))
    assert [row.embedding[0] for row in rows if row.embedding is not None] == [
        n % 251 for n in range(160)
    ]
    assert len(set(lengths)) > 4
