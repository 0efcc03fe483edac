"""Exact search: the rows of a set whose products with a query are largest.

This is the one place that scans vectors for a query; an approximate index could stand here.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from .segments import Halves, Segments

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_GATHERED = 1 << 16
_WIDENED = 256  # rows at once: they stay in the processor's cache
# NumPy widens float16 slowly. Shifted into the places of a float32, the bits of a finite one are
# the same number times 2**-112, which the query makes up for.
_SHIFT, _KEPT, _SCALE = 13, np.array(0x8FFFE000, np.uint32).view(np.int32), np.float32(2.0**112)


def nearest(
    segments: Segments, query: Floats, count: int, among: Rows | None = None
) -> tuple[Rows, Floats]:
    """Rows, of unit length, and their products with the query, largest first, equal ones by row.

    At least ``count`` of them where there are so many, and all that equal the last one.
    ``among`` are the only rows to look at, in rising order.
    Shapes: (width,), (m,) -> (n,), (n,).
    """
    rows, products = _scan(segments, query, among)
    if len(rows) > count:
        lost = segments.width * np.finfo(np.float32).eps * float(np.linalg.norm(query))
        least = np.partition(products, -count)[-count] - 2 * lost
        rows = rows[products >= least]
    products = _products_alike(segments, query, rows)
    order = np.lexsort((rows, -products))
    rows, products = rows[order], products[order]
    if len(rows) > count:
        kept = np.searchsorted(-products, -products[count - 1], "right")
        rows, products = rows[:kept], products[:kept]
    return rows, products


def products_of(segments: Segments, queries: Floats, rows: Rows) -> Floats:
    """Products of some rows with queries. Shapes: (q, width), (n,) -> (n, q)."""
    return segments.take(rows).astype(np.float32) @ queries.T


def _scan(segments: Segments, query: Floats, among: Rows | None) -> tuple[Rows, Floats]:
    """All rows to look at, and about their products: sums differ with a row's place."""
    scaled = query.astype(np.float32) * _SCALE
    found: list[Rows] = [np.zeros(0, np.int64)]
    products: list[Floats] = [np.zeros(0, np.float32)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for rows, block in _blocks(segments, among):
            starts = range(0, len(block), _GATHERED)
            parts = [block[start : start + _GATHERED] for start in starts]
            products += pool.map(lambda part: _multiply(part, scaled), parts)
            found.append(rows)
    return np.concatenate(found), np.concatenate(products)


def _multiply(block: Halves, scaled: Floats) -> Floats:
    products = np.empty(len(block), np.float32)
    buffer = np.empty((_WIDENED, block.shape[1]), np.int32)
    for start in range(0, len(block), _WIDENED):
        bits = block[start : start + _WIDENED].view(np.int16)
        widened = buffer[: len(bits)]
        np.left_shift(bits, _SHIFT, out=widened, dtype=np.int32)
        np.bitwise_and(widened, _KEPT, out=widened)
        np.matmul(widened.view(np.float32), scaled, out=products[start : start + len(bits)])
    return products


def _products_alike(segments: Segments, query: Floats, rows: Rows) -> Floats:
    """Products whose sums are taken in one order, so that equal rows have equal ones."""
    parts: list[Floats] = [np.zeros(0, np.float32)]
    for start in range(0, len(rows), _GATHERED):
        taken = segments.take(rows[start : start + _GATHERED]).astype(np.float32)
        parts.append((taken * query).sum(axis=1))
    return np.concatenate(parts)


def _blocks(segments: Segments, among: Rows | None) -> Iterator[tuple[Rows, Halves]]:
    for first, block in segments.blocks():
        if among is None:
            yield np.arange(first, first + len(block)), block
            continue
        inside = among[(among >= first) & (among < first + len(block))]
        for start in range(0, len(inside), _GATHERED):
            rows = inside[start : start + _GATHERED]
            yield rows, np.ascontiguousarray(block[rows - first])
