"""Exact search: the rows of a set whose products with a query are largest.

This is the one place that scans vectors for a query; an approximate index could stand here.
"""

import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .segments import Halves, Segments

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
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
    wanted = 2 * count + 16
    while True:
        rows, products, unseen = _best(segments, query, wanted, among)
        if unseen == -np.inf or (len(rows) >= count and products[count - 1] > unseen):
            break
        wanted *= 4
    kept = len(rows)
    if kept > count:
        kept = int(np.searchsorted(-products, -products[count - 1], "right"))
    return rows[:kept], products[:kept]


def products_of(rows: Floats, query: Floats) -> Floats:
    """Products that are the same for the same row, wherever it stands: BLAS's are not.

    Shapes: (n, width), (width,) -> (n,).
    """
    return np.asarray((rows * query).sum(axis=1), np.float32)


def _best(
    segments: Segments, query: Floats, count: int, among: Rows | None
) -> tuple[Rows, Floats, float]:
    """Candidates with their products in order, and what no product of another row exceeds."""
    search, product = _usearch()
    rounded = query.astype(np.float16)
    length = float(np.linalg.norm(query))
    lost = float(np.linalg.norm(query - rounded.astype(np.float32))) + _SLACK * length
    found: list[Rows] = [np.zeros(0, np.int64)]
    unseen = -np.inf
    for rows, block in _blocks(segments, among):
        matches = search(block, rounded, min(count, len(block)), product, exact=True)
        found.append(rows[np.asarray(matches.keys, np.int64)])
        if count < len(block):
            unseen = max(unseen, 1 - float(matches.distances[-1]) + lost)
    candidates = np.concatenate(found)
    # Again in float32: the same products whatever the machine's float16 arithmetic.
    products = products_of(segments.take(candidates).astype(np.float32), query)
    order = np.lexsort((candidates, -products))
    return candidates[order], products[order], unseen


def _blocks(segments: Segments, among: Rows | None) -> Iterator[tuple[Rows, Halves]]:
    for first, block in segments.blocks():
        if among is None:
            yield np.arange(first, first + len(block)), block
            continue
        inside = among[(among >= first) & (among < first + len(block))]
        for start in range(0, len(inside), _GATHERED):
            rows = inside[start : start + _GATHERED]
            yield rows, np.ascontiguousarray(block[rows - first])


@cache
def _usearch() -> tuple[Any, Any]:
    """usearch's exact search and its metric, imported when they are first needed."""
    if sys.platform.startswith("linux"):
        # usearch's wheel holds copies of libstdc++ and libgomp. Where they come before MLX and
        # the threads of its BLAS, kernels cannot be compiled and products vary from run to run.
        import mlx.core as mx  # noqa: PLC0415

        from .. import worker  # noqa: PLC0415

        worker.run(lambda: mx.eval(mx.ones((64, 64)) @ mx.ones((64, 64))))
    from usearch.index import MetricKind, search  # type: ignore[attr-defined]  # noqa: PLC0415

    return search, MetricKind.IP
