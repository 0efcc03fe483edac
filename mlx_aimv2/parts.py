"""A batch computed in parts, side by side, on a CPU.

There MLX computes all but products of matrices on one core: half the time of a block, by two
cores. So each core gets a thread and a share of the images, with a BLAS of one thread.
"""

from collections.abc import Callable
from concurrent.futures import wait
from functools import cache

import mlx.core as mx

from . import blas, cpu
from .worker import Worker


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
    size = count // number

    def evaluate(part: int) -> mx.array:
        with cpu.by_blocks():
            result = compute(slice(part * size, (part + 1) * size))
        mx.eval(result)
        return result

    workers = _workers(cores)
    with blas.one_thread():
        futures = [workers[part % cores].submit(evaluate, part) for part in range(number)]
        try:
            return mx.concatenate([future.result() for future in futures])
        finally:
            # None is left to compute when the threads of the BLAS are given back.
            wait(futures)


@cache
def _workers(number: int) -> list[Worker]:
    return [Worker(f"mlx-aimv2-{each}") for each in range(number)]
