"""A batch computed in parts, side by side, on a CPU.

There MLX computes all but products of matrices on one core: half the time of a block, by two
cores. So each core gets a stream and a share of the images, with a BLAS of one thread.
"""

import threading
from collections.abc import Callable

import mlx.core as mx

from . import blas

_local = threading.local()  # a stream belongs to the thread that made it


def side_by_side(compute: Callable[[slice], mx.array], count: int) -> mx.array:
    """``compute`` of ``slice(0, count)``, or of equal slices of it put together again.

    The slices follow from ``count`` and the number of BLAS threads, so equal batches give equal
    bits. Where there is more than one the result is evaluated.
    Shapes: ``compute`` takes a slice of n rows to (n, ...); the result is (count, ...).
    """
    cores = blas.threads() if mx.default_device().type == mx.DeviceType.cpu else 1
    number = next((n for n in range(cores, count + 1) if count % n == 0), 1)
    if cores == 1 or number == 1:
        return compute(slice(0, count))
    streams = _streams(cores)
    size = count // number
    results = []
    for part in range(number):
        with mx.stream(streams[part % cores]):
            results.append(compute(slice(part * size, (part + 1) * size)))
    with blas.one_thread():
        mx.eval(results)
    return mx.concatenate(results)


def _streams(number: int) -> list[mx.Stream]:
    if not hasattr(_local, "streams"):
        _local.streams = [mx.new_stream(mx.cpu) for _ in range(number)]
    return _local.streams
