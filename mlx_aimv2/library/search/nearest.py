"""Exact search: the rows of a set whose products with a query are largest.

This is the one place that scans vectors for a query; an approximate index could stand here.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import forks
from mlx_aimv2.device import available_cores

from ..database.segments import Halves, Segments

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
T = TypeVar("T")

_TOGETHER = 1 << 13  # rows for a thread at once, at most
_GATHERED = 1 << 16
_SLACK = 2.0**-10  # of a product: more than float16 rows lose in any order of sums


def nearest(
    segments: Segments, query: Floats, count: int, among: Rows | None = None
) -> tuple[Rows, Floats]:
    """Rows, of unit length, and their products with the query, largest first, equal ones by row.

    At least ``count`` of them where there are so many, and all that equal the last one.
    ``among`` are the only rows to look at, in rising order.
    Shapes: (width,), (m,) -> (n,), (n,).
    """
    products, lost = about(segments, query, among)
    kept = np.arange(len(products))
    if len(products) > count:
        least = np.partition(products, -count)[-count] - 2 * lost
        kept = np.flatnonzero(products >= least)
    rows = kept if among is None else among[kept]
    products = _products(segments, query, rows)
    order = np.lexsort((rows, -products))
    rows, products = rows[order], products[order]
    if len(rows) > count:
        end = np.searchsorted(-products, -products[count - 1], "right")
        rows, products = rows[:end], products[:end]
    return rows, products


def about(segments: Segments, query: Floats, among: Rows | None = None) -> tuple[Floats, float]:
    """Products with the query of all rows, or of those among, and how far off they may be.

    Shapes: (width,), (m,) -> (m,).
    """
    rounded = query.astype(np.float16)
    length = float(np.linalg.norm(query))
    lost = float(np.linalg.norm(query - rounded.astype(np.float32))) + _SLACK * length
    return _scan(segments, rounded, among), lost


def products_of(rows: Floats, query: Floats) -> Floats:
    """Products that are the same for the same row, wherever it stands: BLAS's are not.

    Shapes: (n, width), (width,) -> (n,).
    """
    return np.asarray((rows * query).sum(axis=1), np.float32)


def _scan(segments: Segments, rounded: Halves, among: Rows | None) -> Floats:
    """Approximate products of the query with all rows, or those among, in their order."""
    import numkong  # noqa: PLC0415  (products of float16, which NumPy has none of)

    def multiply(block: Halves) -> Floats:
        return np.asarray(numkong.cdist(block, rounded[None], "dot", out_dtype="float32"))[:, 0]

    products: list[Floats] = [np.zeros(0, np.float32)]
    for block in _blocks(segments, among):
        products += spread(multiply, _parts(block))
    return np.concatenate(products)


def spread(work: Callable[[T], Floats], parts: Iterable[T]) -> Iterator[Floats]:
    """What some work makes of each part, in their order, by several threads at once."""
    # In a forked process, threads that are kept could keep it from ending.
    return map(work, parts) if forks.is_forked() else _threads().map(work, parts)


def _parts(block: Halves) -> Iterator[Halves]:
    """A block cut into equal parts, the same number for each thread."""
    cores = available_cores()
    rounds = max(1, -(-len(block) // (_TOGETHER * cores)))
    size = max(1, -(-len(block) // (rounds * cores)))
    return (block[start : start + size] for start in range(0, len(block), size))


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads that scan, kept: starting them takes a fifth of a search of 100,000 rows."""
    return ThreadPoolExecutor(available_cores(), thread_name_prefix="aimv2-search")


def _products(segments: Segments, query: Floats, rows: Rows) -> Floats:
    """Exact products of rows with the query, in float32."""
    parts: list[Floats] = [np.zeros(0, np.float32)]
    for start in range(0, len(rows), _TOGETHER):
        taken = segments.take(rows[start : start + _TOGETHER])
        parts.append(products_of(taken.astype(np.float32), query))
    return np.concatenate(parts)


def _blocks(segments: Segments, among: Rows | None) -> Iterator[Halves]:
    for first, block in segments.blocks():
        if among is None:
            yield block
            continue
        inside = among[(among >= first) & (among < first + len(block))] - first
        for start in range(0, len(inside), _GATHERED):
            yield np.ascontiguousarray(block[inside[start : start + _GATHERED]])
