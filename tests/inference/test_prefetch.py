"""Images read ahead, in order, on threads."""

import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from itertools import count

import numpy as np
import pytest

from mlx_aimv2.errors import ImageError
from mlx_aimv2.inference.prefetch import NAME, prefetch
from mlx_aimv2.inference.records import Sample
from tests.support.commands import PATIENCE_S


def read(sample: Sample) -> None:
    """A picture of the source's number; some sources are bad in their own ways."""
    if sample.source == "bad":
        raise ImageError("a bad picture")
    if sample.source == "worse":
        raise RuntimeError("a decoder's own error")
    if sample.source == "worst":
        raise SystemExit
    number = sample.source % 251  # type: ignore[operator]
    sample.pixels = np.full((2, 3, 3), number, np.uint8)
    sample.note = "noted" if sample.source == 7 else None


@pytest.mark.parametrize("threads", [1, 3])
def test_order_errors_and_notes(threads: int) -> None:
    sources = [*range(600), "bad", *range(600, 1100), "worse", "worst", 1100]
    samples = list(prefetch(sources, read, threads=threads, ahead=5))
    assert [sample.index for sample in samples] == list(range(len(sources)))
    assert [sample.source for sample in samples] == sources
    for sample in samples:
        if isinstance(sample.source, int):
            assert sample.pixels is not None
            assert (sample.pixels == sample.source % 251).all()
            assert sample.error is None
        assert sample.note == ("noted" if sample.source == 7 else None)
    assert str(samples[600].error) == "a bad picture"
    assert "RuntimeError: a decoder's own error" in str(samples[1101].error)
    assert "SystemExit" in str(samples[1102].error)


def test_an_error_holds_nothing_of_what_was_read() -> None:
    def fail(sample: Sample) -> None:
        try:
            raise ValueError("of a decoder")
        except ValueError as error:
            raise ImageError("a bad picture") from error

    (sample,) = prefetch([0], fail)
    assert sample.error is not None
    assert sample.error.__traceback__ is sample.error.__cause__ is sample.error.__context__ is None


def test_several_threads_read_at_once() -> None:
    together = threading.Barrier(3, timeout=PATIENCE_S)

    def meet(sample: Sample) -> None:
        together.wait()
        read(sample)

    assert not any(sample.error for sample in prefetch(range(6), meet, threads=3))


def test_a_slow_image_does_not_keep_others_from_being_read() -> None:
    others = threading.Semaphore(0)

    def wait_for_others(sample: Sample) -> None:
        if sample.index:
            others.release()
        else:
            for _ in range(7):
                assert others.acquire(timeout=PATIENCE_S)

    samples = list(prefetch(range(20), wait_for_others, threads=4, ahead=8))
    assert [sample.error for sample in samples] == [None] * 20


def test_no_more_than_that_many_at_once() -> None:
    lock = threading.Lock()

    def alone(sample: Sample) -> None:
        assert lock.acquire(blocking=False)
        lock.release()

    assert not any(sample.error for sample in prefetch(range(200), alone, threads=1, ahead=9))


def test_more_threads_than_images_are_not_started() -> None:
    before = threading.active_count()
    stream = prefetch(range(5), read, threads=10**12, ahead=10**12)
    assert next(stream).index == 0
    assert threading.active_count() - before <= 5
    assert [sample.index for sample in stream] == [1, 2, 3, 4]


def test_sources_are_taken_as_far_ahead_as_said_and_fewer_at_first() -> None:
    taken = []

    def endless():
        for number in count():
            taken.append(number)
            yield number

    stream = prefetch(endless(), read, threads=2, ahead=9)
    next(stream)
    assert len(taken) == 4
    for number in range(2, 60):
        next(stream)
        assert len(taken) < number + 9
    assert len(taken) == 58 + 9
    stream.close()


def test_a_closed_stream_holds_no_source_and_no_thread() -> None:
    class Source:
        pass

    before = threading.active_count()
    sources = [Source() for _ in range(40)]
    alive = weakref.WeakSet(sources)
    stream = prefetch((sources.pop() for _ in range(40)), lambda sample: None, threads=2)  # type: ignore[arg-type]
    next(stream)
    own = [thread for thread in threading.enumerate() if thread.name == NAME]
    stream.close()
    for thread in own:
        thread.join(PATIENCE_S)
    gc.collect()
    assert len(alive) == len(sources)  # those not taken yet
    assert threading.active_count() <= before


HANGING = """
    import os, signal, sys
    import mlx_aimv2
    from PIL import Image

    def hang():
        '''A file of a pipe that nobody writes to.'''
        return open(os.pipe()[0], "rb")

    class Interrupting:
        def read(self, *size):
            os.kill(os.getpid(), signal.SIGINT)
            return hang().read()

    pictures = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in range(60)]
    model = mlx_aimv2.load("demo")
    # A shell that starts the tests in the background has them ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""
WAYS = {
    "after the first items": (
        "stream = model.stream([*pictures, hang(), hang()], batch_size=1, threads=2)\n"
        "assert next(stream).error is next(stream).error is None",
        0,
    ),
    "after the last that can be read": (
        "stream = model.stream([*pictures, hang(), hang()], batch_size=3, threads=2)\n"
        "for _ in range(57): next(stream)",
        0,
    ),
    "with an error": (
        "stream = model.stream([*pictures, hang()], batch_size=1, threads=1)\n"
        "next(stream)\n"
        "raise ValueError('of the program')",
        1,
    ),
    "by Ctrl-C": (
        "try:\n"
        "    model.embed_images([*pictures, Interrupting()], threads=1)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)",
        130,
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_read_that_hangs_does_not_keep_the_process_from_ending(way: str) -> None:
    code, status = WAYS[way]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HANGING) + code],
        timeout=PATIENCE_S, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert ("ValueError: of the program" in done.stderr) == (status == 1)
