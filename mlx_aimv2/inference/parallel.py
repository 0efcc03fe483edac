"""A batch computed in parts, side by side, on a CPU.

There MLX computes all but products of matrices on one core: half the time of a block, by two
cores. So each core gets a thread, with a BLAS of one thread, and parts of the batch.
"""

from collections.abc import Callable
from concurrent.futures import wait
from functools import cache
from itertools import cycle

import mlx.core as mx

from mlx_aimv2.cpu import blas, kernels
from mlx_aimv2.device import is_cpu

from .mlx_thread import Worker

Compute = Callable[[slice], mx.array]


def one_by_one(compute: Compute, count: int, needed: int | None = None) -> mx.array:
    """Compute a batch of ``count`` rows: whole on a GPU; on a CPU each row alone, a core each.

    A row of a product has other bits at another place in a batch, with OpenBLAS; alone it has the
    same in every batch of more than one, and a large network is about as fast so. On a CPU only the
    first ``needed`` rows are computed: others fill a batch up.
    Shapes: ``compute`` takes a slice of n rows to (n, ...); the result is (count or needed, ...).
    """
    if not is_cpu() or count == 1:
        return compute(slice(0, count))
    return _side_by_side(compute, needed or count, 1)


def in_shares(compute: Compute, count: int) -> mx.array:
    """Compute a batch of ``count`` rows: whole on a GPU; on a CPU an equal share on each core.

    For rows so small that each alone would be no work. Shapes: as for :func:`one_by_one`.
    """
    cores = blas.threads() if is_cpu() else 1
    number = next((n for n in range(cores, count + 1) if count % n == 0), 1)
    if number == 1:
        return compute(slice(0, count))
    return _side_by_side(compute, count, count // number)


def _side_by_side(compute: Compute, count: int, size: int) -> mx.array:
    """Compute parts of ``size`` rows on the cores' threads, and put the results together."""

    def evaluate(part: slice) -> mx.array:
        with kernels.by_blocks():
            result = compute(part)
        mx.eval(result)
        return result

    workers = _workers(blas.threads())
    with blas.one_thread():
        futures = [
            worker.submit(evaluate, slice(row, row + size))
            for row, worker in zip(range(0, count, size), cycle(workers), strict=False)
        ]
        try:
            return mx.concatenate([future.result() for future in futures])
        finally:
            # None is left to compute when the threads of the BLAS are given back.
            wait(futures)


@cache
def _workers(number: int) -> list[Worker]:
    return [Worker(f"mlx-aimv2-{each}") for each in range(number)]
