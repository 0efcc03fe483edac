"""Attention that MLX's CPU backend computes fast, forwards and backwards.

MLX's own is slow there, and keeps whole maps for the backward pass. Here a few maps are computed at
a time, of long images some queries of a map: they stay in the processor's cache, and the backward
pass computes them again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import mlx.core as mx

from . import kernels

_MAP_ITEMS = 1 << 19  # of attention maps at once: 2 MB
_FEWEST_QUERIES = 32  # at once: all keys and values of a head are read for them
_NEVER = -3.4e38  # the score of a key that is masked; finite: all of them may be
_LEAST = -87.0  # below it e to the power of a number is 0 beside 1

Arrays = tuple[mx.array, ...]


def attention(
    q: mx.array, k: mx.array, v: mx.array, scale: float, mask: mx.array | str | None = None
) -> mx.array:
    """Softmax attention as ``mx.fast.scaled_dot_product_attention`` gives it, on any device.

    In float32 on a CPU, without a mask, with "causal" or with a boolean one, in parts of its own.
    Shapes: (B, H, Q, D), (B, H, K, D), (B, H, K, E) -> (B, H, Q, E); a mask is (B, H, Q, K) or
    broadcast to it.
    Errors: ValueError for a mask of another kind or shape than that call takes.
    """
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    whole = (batch, heads, queries, keys)
    is_simple = mask is None or (
        mask == "causal"
        if isinstance(mask, str)
        else mask.dtype == mx.bool_ and _broadcasts(mask.shape, whole)
    )
    # For one query MLX's own is fast, and copies no keys and values.
    is_own = kernels.is_used(q) and is_simple and k.shape[1] == heads and queries > 1
    if not is_own or 0 in whole:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)
    if isinstance(mask, str):  # the last query is at the last key
        mask = mx.arange(keys - queries, keys)[:, None] >= mx.arange(keys)
    if mask is not None:
        mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    parts = _Parts(whole, mask)
    # In one piece, or each product would copy its own.
    q, k, v = (x.flatten().reshape(x.shape) for x in (q * scale, k, v))
    if not kernels.has_own_gradients():
        return parts.attend(q, k, v)[0]
    attend = mx.custom_function(parts.attend)
    attend.vjp(parts.gradients)
    found: Arrays = attend(q, k, v)  # type: ignore[assignment]
    return found[0]


@dataclass(frozen=True)
class _Parts:
    """An attention of (B, H, Q, K) maps, taken apart."""

    whole: tuple[int, int, int, int]
    mask: mx.array | None

    def attend(self, q: mx.array, k: mx.array, v: mx.array) -> Arrays:
        """What is attended to; each query's largest score and sum of weights (B, H, Q, 1)."""
        found = []
        for some in self._heads():
            for rows in self._queries():
                mask = self._mask_of(some, rows)
                scores = _scores(q[*some, rows], k[some], mask)
                top = mx.stop_gradient(scores.max(axis=-1, keepdims=True))
                weights = _weights(scores, top, mask)
                total = weights.sum(axis=-1, keepdims=True)
                found.append(((weights @ v[some]) / total, top, total))
        return tuple(self._joined(each) for each in zip(*found, strict=True))

    def gradients(self, given: Arrays, slopes: Arrays, outputs: Arrays) -> Arrays:
        """Those of q, k and v from that of what was attended to."""
        q, k, v = kernels.not_before(slopes[0], *given)
        attended, tops, totals = outputs
        slope = slopes[0] / totals
        drift = (slope * attended).sum(axis=-1, keepdims=True)
        by_queries, by_keys, by_values = [], [], []
        for some in self._heads():
            by_key = by_value = mx.array(0.0)
            for rows in self._queries():
                part, mask = (*some, rows), self._mask_of(some, rows)
                weights = _weights(_scores(q[part], k[some], mask), tops[part], mask)
                by_score = weights * (slope[part] @ v[some].swapaxes(-1, -2) - drift[part])
                if mask is not None:  # a query without any key has weights all the same
                    by_score = mx.where(mask, by_score, 0.0)
                by_queries.append(by_score @ k[some])
                by_key = by_key + by_score.swapaxes(-1, -2) @ q[part]
                by_value = by_value + weights.swapaxes(-1, -2) @ slope[part]
            by_keys.append(by_key)
            by_values.append(by_value)
        return tuple(self._joined(each) for each in (by_queries, by_keys, by_values))

    def _heads(self) -> Iterator[tuple[slice, slice]]:
        """Samples and heads whose maps are computed together."""
        batch, heads, queries, keys = self.whole
        maps = max(1, _MAP_ITEMS // (queries * keys))
        for sample in range(0, batch, max(1, maps // heads)):
            for head in range(0, heads, min(maps, heads)):
                yield slice(sample, sample + max(1, maps // heads)), slice(head, head + maps)

    def _queries(self) -> Iterator[slice]:
        _, _, queries, keys = self.whole
        number = max(_FEWEST_QUERIES, _MAP_ITEMS // keys)
        return (slice(row, row + number) for row in range(0, queries, number))

    def _mask_of(self, some: tuple[slice, slice], rows: slice) -> mx.array | None:
        if self.mask is None:
            return None
        everything = slice(None)
        sizes = zip((*some, rows), self.mask.shape, strict=False)
        return self.mask[tuple(everything if size == 1 else part for part, size in sizes)]

    def _joined(self, parts: Iterable[mx.array]) -> mx.array:
        batch, heads, _, _ = self.whole
        rows = mx.concatenate([part.flatten(0, -2) for part in parts])
        return rows.reshape(batch, heads, -1, rows.shape[-1])


def _scores(q: mx.array, k: mx.array, mask: mx.array | None) -> mx.array:
    scores = q @ k.swapaxes(-1, -2)
    return scores if mask is None else mx.where(mask, scores, _NEVER)


def _weights(scores: mx.array, top: mx.array, mask: mx.array | None) -> mx.array:
    """Powers of scores below the largest. A mask's are 0: the least power is not."""
    below = scores - top
    if mask is None:
        return kernels.exp(below)
    return mx.where(below < _LEAST, 0.0, kernels.exp(mx.maximum(below, _LEAST)))


def _broadcasts(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    ends = zip(shape[::-1], whole[::-1], strict=False)
    return len(shape) <= len(whole) and all(size in (1, full) for size, full in ends)
