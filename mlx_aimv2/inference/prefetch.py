"""Images read ahead of the model, on daemon threads, in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import count, islice
from queue import Empty, SimpleQueue
from threading import Event, Thread

from mlx_aimv2 import forks
from mlx_aimv2.device import available_cores
from mlx_aimv2.errors import Aimv2Error, ImageError
from mlx_aimv2.images.source import ImageSource, describe

from .records import Sample

Read = Callable[[Sample], None]
"""Reads a sample's source and writes its pixels into the sample."""

NAME = "mlx-aimv2-read"
_MOST_THREADS = 512  # no disk and no processor gains from more

_Begun = tuple[Sample, Event]  # the event is set once the sample is read


def prefetch(
    sources: Iterable[ImageSource], read: Read, *, threads: int | None = None, ahead: int = 32
) -> Iterator[Sample]:
    """A sample for every source, read, in order; at most ``ahead`` of them begun and not taken.

    ``read`` runs on the threads; whatever it raises becomes that sample's error. ``ahead`` is no
    less than two for each thread. The sources may be endless: no more are taken than are begun, at
    first two for each thread.
    Errors: Aimv2Error in a process that was forked after the first sample.
    """
    threads = min(threads or available_cores(), _MOST_THREADS)
    numbered = enumerate(sources)
    begun: deque[_Begun] = deque()
    unread: SimpleQueue[_Begun | None] = SimpleQueue()
    process, started = os.getpid(), 0
    try:
        for taken in count():
            window = min(max(ahead, 2 * threads), 2 * threads + taken)
            for index, source in islice(numbered, window - len(begun)):
                begun.append((Sample(index, source), Event()))
                unread.put(begun[-1])
                if started < threads:
                    started += 1
                    # A daemon: a read that hangs must not keep the process from ending.
                    Thread(target=_work, args=(unread, read), name=NAME, daemon=True).start()
            if os.getpid() != process:
                raise forks.error("reading images")
            if not begun:
                return
            sample, is_read = begun.popleft()
            is_read.wait()
            yield sample
    finally:
        with suppress(Empty):
            while True:
                unread.get_nowait()
        for _ in range(started):
            unread.put(None)


def _work(unread: "SimpleQueue[_Begun | None]", read: Read) -> None:
    while (begun := unread.get()) is not None:
        sample, is_read = begun
        try:
            read(sample)
        except Aimv2Error as error:
            sample.error = _without_frames(error)
        except BaseException as error:  # else whoever waits for the sample would wait for ever
            name = describe(sample.source)
            sample.error = ImageError(f"{name}: {type(error).__name__}: {error}")
        is_read.set()
        del begun, sample  # what is read is not kept until the next is there


def _without_frames(error: Aimv2Error) -> Aimv2Error:
    # Frames hold what was decoded so far: 60 kept errors of 3-megapixel pictures were 670 MB.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
