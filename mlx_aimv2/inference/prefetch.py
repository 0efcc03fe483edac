"""Images decoded ahead of the model, on mlx-data's threads, in order."""

import atexit
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import forks
from mlx_aimv2.device import available_cores
from mlx_aimv2.errors import Aimv2Error, ImageError
from mlx_aimv2.images.source import ImageSource, describe

# A Buffer holds its whole list, so a long run is cut into Buffers: small ones first, so that the
# first image need not wait for many names.
_FIRST_CHUNK, _LAST_CHUNK = 8, 512
_NOTHING = np.zeros(0, np.uint8)
_START = -1  # the number of a Buffer's first entry, with which it begins
# mlx-data's pool wakes its threads to end them without holding its lock: one that is just going
# to sleep misses that, and is waited for without end. So pools go when all have long been asleep.
_REST_S = 0.05


@dataclass(frozen=True)
class Decoded:
    """One image ready for the model, or the reason why it is not.

    Shapes: pixels (H, W, 3) uint8; empty where there is an error.
    """

    index: int
    source: ImageSource
    pixels: NDArray[np.uint8]
    error: Aimv2Error | None = None
    note: str | None = None


Fit = Callable[[ImageSource], tuple[NDArray[np.uint8], str | None]]


def decode(
    sources: Iterable[ImageSource], fit: Fit, *, threads: int | None = None, ahead: int = 32
) -> Iterator[Decoded]:
    """Every source through ``fit``, in order, at most ``ahead`` of them begun and not taken.

    ``fit`` runs on the threads; whatever it raises becomes that image's error. ``ahead`` is no
    less than two for each thread. Sources are taken from the iterable some at a time, 8 first and
    never more than 512, before those taken last are all decoded; so it may be endless.
    """
    threads = threads or available_cores()
    window = max(threads, ahead // 2)
    busy = threading.Semaphore(threads)
    chunks = _chunks(sources)
    running: deque[_Prefetch] = deque()
    index = 0
    try:
        while True:
            # Where the last of one chunk are in the threads' hands the next begins.
            if not running or (len(running) == 1 and running[0].is_ending):
                if chunk := next(chunks, None):
                    running.append(_Prefetch(chunk, fit, threads, window, busy))
                    running[-1].begin()
                elif not running:
                    return
            yield running[0].take(index)
            index += 1
            if not running[0].left:
                running.popleft().close()
    finally:
        for prefetch in running:
            prefetch.close()


def _chunks(sources: Iterable[ImageSource]) -> Iterator[list[ImageSource]]:
    iterator, size = iter(sources), _FIRST_CHUNK
    while chunk := list(islice(iterator, size)):
        yield chunk
        size = min(2 * size, _LAST_CHUNK)


def _without_frames(error: Aimv2Error) -> Aimv2Error:
    # Frames hold what was decoded so far: 60 kept errors of 3-megapixel pictures were 670 MB.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


class _Prefetch:
    """One Buffer on its way through the threads of its own, of which so many work as are free."""

    def __init__(
        self,
        chunk: list[ImageSource],
        fit: Fit,
        threads: int,
        window: int,
        busy: threading.Semaphore,
    ) -> None:
        self.left = len(chunk)
        self._window = min(window, len(chunk))
        self._chunk = chunk
        self._remarks: dict[int, tuple[Aimv2Error | None, str | None]] = {}
        remarks = self._remarks  # not self: the stream must not keep its own closer alive

        def transform(offset: NDArray[np.int64]) -> NDArray[np.uint8]:
            number = int(offset)
            if number == _START:
                return _NOTHING.copy()
            with busy:
                if number >= len(chunk):  # closed: nobody waits for it
                    return _NOTHING.copy()
                source = chunk[number]
                try:
                    pixels, note = fit(source)
                except Aimv2Error as error:
                    remarks[number] = (_without_frames(error), None)
                except Exception as error:  # in a C++ thread it would end the process
                    name = describe(source)
                    remarks[number] = (ImageError(f"{name}: {type(error).__name__}: {error}"), None)
                else:
                    if note:
                        remarks[number] = (None, note)
                    return np.require(pixels, requirements=["C", "W"])
                return _NOTHING.copy()

        import mlx.data as dx  # noqa: PLC0415  (a tenth of a second, and texts need none of it)

        offsets = [_START, *range(len(chunk))]
        buffer = dx.buffer_from_vector([{"offset": offset} for offset in offsets])
        self._stream = buffer.key_transform("offset", transform, "pixels").ordered_prefetch(
            self._window, min(threads, len(chunk))
        )
        _live.add(self)

    def begin(self) -> None:
        """Have the first ones decoded."""
        next(self._stream)  # the entry that takes no time

    @property
    def is_ending(self) -> bool:
        """Whether all are in the threads' hands; not until half of a small chunk is taken."""
        return self.left <= min(self._window, len(self._chunk) // 2)

    def take(self, index: int) -> Decoded:
        """The next one, waited for."""
        if self._stream is None:
            raise forks.error("reading images")
        offset = len(self._chunk) - self.left
        self.left -= 1
        sample = next(self._stream)
        error, note = self._remarks.pop(offset, (None, None))
        return Decoded(index, self._chunk[offset], sample["pixels"], error, note)

    def abandon(self) -> None:
        """Leave the threads alone: they are another process's."""
        forks.keep(self._stream)
        self._stream = None

    def close(self) -> None:
        """Let go of the sources now, and of the threads once they rest."""
        if self._stream is not None:
            self._chunk.clear()
            _resting.append((time.monotonic(), self._stream))
            self._stream = None
        _end_rested()


# A prefetching stream that is alive when the interpreter goes crashes it: close them all before.
_live: "weakref.WeakSet[_Prefetch]" = weakref.WeakSet()
_resting: deque[tuple[float, object]] = deque()


def _end_rested() -> None:
    with suppress(IndexError):  # another thread was faster
        while time.monotonic() - _resting[0][0] > _REST_S:
            _resting.popleft()


@atexit.register
def _close_all() -> None:
    for prefetch in list(_live):
        prefetch.close()
    if _resting:
        time.sleep(_REST_S)
    _resting.clear()


def _abandon_all() -> None:
    for prefetch in list(_live):
        prefetch.abandon()
    for _, stream in _resting:
        forks.keep(stream)
    _resting.clear()
    if "mlx.data.core" in sys.modules:
        # Threads of its own are waited for when one of its classes goes (0.1.0).
        for each in vars(sys.modules["mlx.data.core"]).values():
            forks.keep(each)


os.register_at_fork(after_in_child=_abandon_all)
