"""Batches through mlx.data: numbers shuffled and batched, their arrays made ahead on its threads.

mlx-data's own shuffle is the same in every process, and its threads draw the same random numbers:
here the caller gives the order, and arrays follow from the numbers alone. An exception on one of
its threads can end the process, and so can a stream that is alive when Python ends: here an error
is kept for the caller, and every stream is ended.
"""

import atexit
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import Aimv2Error

Arrays = dict[str, NDArray[Any]]

_THREADS, _AHEAD = 2, 8
# A stream that ends waits for ever for a thread that is just going to sleep (mlx-data 0.1.0).
_REST_S = 0.05


def load_batches(
    order: Sequence[int],
    batch_size: int,
    make: Callable[[list[int]], Arrays],
    *,
    threads: int = _THREADS,
    ahead: int = _AHEAD,
) -> Generator[Arrays]:
    """What ``make`` makes of each batch of numbers, in this order, up to ``ahead`` batches ahead.

    ``order`` has each number from 0 on once. ``make`` runs on several threads at once and returns
    arrays of numbers, not of bool. The threads are ended with the iterator.
    Errors: Aimv2Error without mlx-data; what ``make`` raises, in place of a batch.
    """
    try:
        import mlx.data as dx  # noqa: PLC0415  (Python 3.14 has everything but this)
    except ImportError as error:
        install = install_hints.packages("mlx-data")
        raise Aimv2Error(
            "training and its evaluation need mlx-data, which is not installed",
            hint=f"{install}; it has wheels for Python 3.11 to 3.13 only",
        ) from error
    numbers = dx.buffer_from_vector([{"number": number} for number in range(len(order))])
    return _made(numbers.perm(list(order)).batch(batch_size), make, threads, ahead)


def _made(
    batches: Any, make: Callable[[list[int]], Arrays], threads: int, ahead: int
) -> Generator[Arrays]:
    failures: list[Exception] = []
    is_over = False

    def transform(sample: Arrays) -> Arrays:
        if not (failures or is_over):
            try:
                made = make(sample["number"].tolist())
                return {name: np.require(array, None, ["C", "W"]) for name, array in made.items()}
            except Exception as error:
                failures.append(error)
        return {"missing": np.zeros(1)}

    stream = batches.sample_transform(transform).ordered_prefetch(ahead, threads)

    def end() -> None:
        nonlocal is_over, stream
        is_over = True
        for _ in stream or ():  # what is left is not made
            pass
        time.sleep(_REST_S)
        stream = None

    atexit.register(end)
    try:
        while batch := next(stream, None):  # not `for`, which would keep the stream alive
            if "missing" in batch:
                raise failures[0]
            yield batch
    finally:
        end()
        atexit.unregister(end)
