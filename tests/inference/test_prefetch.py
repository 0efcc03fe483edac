"""Decoding ahead, in order, on threads."""

import gc
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from mlx_aimv2.errors import ImageError
from mlx_aimv2.inference import prefetch as decoding
from mlx_aimv2.inference.prefetch import decode
from tests.support.commands import PATIENCE_S


def fit(source):
    """A picture of the source's number; some sources are bad in their own ways."""
    if source == "bad":
        raise ImageError("a bad picture")
    if source == "worse":
        raise RuntimeError("a decoder's own error")
    return np.full((2, 3, 3), source % 251, np.uint8)[::-1], "noted" if source == 7 else None


@pytest.mark.parametrize("threads", [1, 3])
def test_order_errors_and_notes_across_buffers(threads):
    sources = [*range(600), "bad", *range(600, 1100), "worse", 1100]
    decoded = list(decode(sources, fit, threads=threads, ahead=5))
    assert [sample.index for sample in decoded] == list(range(len(sources)))
    assert [sample.source for sample in decoded] == sources
    for sample in decoded:
        if isinstance(sample.source, int):
            assert (sample.pixels == sample.source % 251).all()
            assert sample.error is None
            assert sample.pixels.flags.writeable
        assert sample.note == ("noted" if sample.source == 7 else None)
    assert str(decoded[600].error) == "a bad picture"
    assert "RuntimeError: a decoder's own error" in str(decoded[1101].error)


def test_several_threads_decode_at_once():
    together = threading.Barrier(3, timeout=PATIENCE_S)

    def meet(source):
        together.wait()
        return fit(source)

    assert len(list(decode(range(6), meet, threads=3))) == 6


@pytest.mark.parametrize("last", [7, 23, 55])
def test_the_next_buffer_begins_before_the_last_is_done(last):
    begun = threading.Event()

    def wait_for_the_next(source):
        if source == last + 1:
            begun.set()
        if source == last and not begun.wait(PATIENCE_S):
            raise ImageError("the pipe was drained")
        return fit(source)

    assert not any(sample.error for sample in decode(range(70), wait_for_the_next, threads=2))


def test_no_more_than_that_many_at_once_where_two_buffers_meet():
    working, most, lock = 0, 0, threading.Lock()

    def counted(source):
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        time.sleep(0.001)
        with lock:
            working -= 1
        return fit(source)

    assert len(list(decode(range(200), counted, threads=3, ahead=1))) == 200
    assert most <= 3


def test_more_threads_than_images_are_not_started():
    assert len(list(decode(range(5), fit, threads=10**12, ahead=10**12))) == 5


def test_a_slow_consumer_is_not_run_away_from():
    started = []

    def note(source):
        started.append(source)
        return fit(source)

    stream = decode(range(400), note, threads=2, ahead=8)
    for taken in range(1, 60):  # over three buffers' ends
        next(stream)
        time.sleep(0.01)
        assert len(started) <= taken + 8
    stream.close()


def test_sources_are_taken_a_buffer_at_a_time_small_ones_first():
    taken = []

    def generate():
        for number in range(5000):
            taken.append(number)
            yield number

    stream = decode(generate(), fit, threads=1)
    next(stream)
    assert len(taken) == 8
    for _ in range(2000):
        next(stream)
    stream.close()
    assert len(taken) <= 2001 + 512


def test_a_closed_stream_holds_no_source() -> None:
    class Source:
        pass

    sources = [Source() for _ in range(40)]
    alive = weakref.WeakSet(sources)
    stream = decode((sources.pop() for _ in range(40)), lambda source: fit(1), threads=2)
    next(stream)
    stream.close()
    gc.collect()
    assert len(alive) <= len(sources) + 2  # not taken yet, and in the threads' hands


def test_threads_are_let_go_once_they_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(decoding, "time", SimpleNamespace(monotonic=lambda: now_s))
    decoding._resting.clear()
    for number in range(1, 8):
        assert len(list(decode(range(3), fit, threads=2))) == 3
        assert len(decoding._resting) == number
    now_s += 1
    time.sleep(0.2)  # for the threads themselves: they must not be ended before they sleep
    assert len(list(decode(range(3), fit, threads=2))) == 3
    assert len(decoding._resting) == 1  # its own
