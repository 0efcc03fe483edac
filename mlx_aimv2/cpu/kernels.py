"""Exponentials that MLX's CPU backend computes fast, and what of a block consists of them.

Without Metal or CUDA MLX takes exponentials one number after the other. Made of sums and products,
which the compiler takes several at a time, they are faster and about as exact
(docs/decisions/0008-speed.md).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import mlx.core as mx
from mlx import nn

from mlx_aimv2.device import has_metal, is_cpu

_LOG2_E = 1.4426950408889634
_ROUNDS = 1.5 * 2**23  # a float32 added to it loses its fraction
_LARGEST = 126.0  # of the powers of two that float32 has in full
_MAP_ITEMS = 1 << 19  # of attention maps at once: 2 MB
_FEWEST_QUERIES = 32  # at once: all keys and values of a head are read for them
_NEVER = -3.4e38  # the score of a key that is masked; finite: all of them may be
_LEAST = -87.0  # below it e to the power of a number is 0 beside 1
# 2^f for |f| <= 1/2, nearest to it in the largest relative error. Source: Cephes, exp2f.
_POWERS = (
    1.0, 6.931472028550421e-1, 2.402264791363012e-1, 5.550332471162809e-2,
    9.618437357674640e-3, 1.339887440266574e-3, 1.535336188319500e-4,
)  # fmt: skip


_compile = partial(mx.compile, shapeless=True)
_thread = threading.local()


@contextmanager
def by_blocks() -> Iterator[None]:
    """Inside it, on this thread, a network's blocks are evaluated one after the other.

    MLX has one count of operations that wait, for all threads: one that brings many blocks at
    once keeps the threads beside it from bringing theirs.
    """
    _thread.by_blocks = True
    try:
        yield
    finally:
        _thread.by_blocks = False


def block_done(x: mx.array) -> None:
    """Evaluate what a block gave, where that is wanted; elsewhere it may be part of a trace."""
    if getattr(_thread, "by_blocks", False):
        mx.eval(x)


def is_used(x: mx.array) -> bool:
    """Whether an array is computed where this pays: in float32 on a CPU without Metal."""
    return is_cpu() and x.dtype == mx.float32 and not has_metal()


def exp(x: mx.array) -> mx.array:
    """e to the power of finite float32 numbers: at least 1e-38 and at most 1e38.

    Shapes: any, kept.
    """
    # What is done to bits has no derivative; that of the fraction's power is the whole one's.
    whole = mx.stop_gradient(_whole_power(x).view(mx.float32))
    return _product(_fraction_power(x), whole)


def gated_silu(gate: mx.array, up: mx.array) -> mx.array:
    """``silu(gate) * up``, on any device. Shapes: any one, kept."""
    return _gated(gate, up, exp(-gate)) if is_used(gate) else nn.silu(gate) * up


def attention(
    q: mx.array, k: mx.array, v: mx.array, scale: float, mask: mx.array | str | None = None
) -> mx.array:
    """Softmax attention as ``mx.fast.scaled_dot_product_attention`` gives it, on any device.

    That call is slow on a CPU. For float32 without a mask, with "causal" or with a boolean mask of
    keys, some heads are computed at a time there, and of long images some queries: their maps stay
    in the processor's cache.
    Shapes: (B, H, Q, D), (B, H, K, D), (B, H, K, E) -> (B, H, Q, E); a mask of keys (B, 1, 1, K).
    Errors: ValueError for a mask of another kind or shape than that call takes.
    """
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    is_simple = mask is None or (
        mask == "causal"
        if isinstance(mask, str)
        else mask.dtype == mx.bool_ and mask.shape == (batch, 1, 1, keys)
    )
    if not (is_used(q) and is_simple and k.shape[1] == heads and batch * queries * keys):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)
    if isinstance(mask, str):  # the last query is at the last key
        mask = (mx.arange(keys - queries, keys)[:, None] >= mx.arange(keys))[None]
    elif mask is not None:
        mask = mx.repeat(mask[:, 0], heads, axis=0)
    if mask is not None:
        mask = mx.broadcast_to(mask, (batch * heads, queries, keys))
    # In one piece, or each product would copy its own.
    q, k, v = (x.flatten().reshape(batch * heads, x.shape[2], -1) for x in (q * scale, k, v))
    heads_at_once = max(1, _MAP_ITEMS // (queries * keys))
    queries_at_once = min(queries, max(_FEWEST_QUERIES, _MAP_ITEMS // keys))
    parts = []
    for first in range(0, batch * heads, heads_at_once):
        some = slice(first, first + heads_at_once)
        for start in range(0, queries, queries_at_once):
            rows = slice(start, start + queries_at_once)
            part = None if mask is None else mask[some, rows]
            parts.append(_attended(q[some, rows], k[some], v[some], part).flatten(0, 1))
    return mx.concatenate(parts).reshape(batch, heads, queries, -1)


def _attended(q: mx.array, k: mx.array, v: mx.array, mask: mx.array | None) -> mx.array:
    scores = q @ k.swapaxes(-1, -2)
    if mask is not None:
        scores = mx.where(mask, scores, _NEVER)
    below = scores - mx.stop_gradient(scores.max(axis=-1, keepdims=True))
    if mask is None:
        weights = exp(below)
    else:  # the least power is not 0, and what is far below the largest has none
        weights = mx.where(below < _LEAST, 0.0, exp(mx.maximum(below, _LEAST)))
    return (weights @ v) / weights.sum(axis=-1, keepdims=True)


@_compile
def _whole_power(x: mx.array) -> mx.array:
    """The bits of 2 to the power of the whole part, by making them the exponent."""
    power = mx.minimum(mx.maximum(_rounded(x * _LOG2_E), -_LARGEST), _LARGEST)
    return mx.left_shift(power.astype(mx.int32) + 127, 23)


@_compile
def _fraction_power(x: mx.array) -> mx.array:
    power = x * _LOG2_E
    f = power - mx.stop_gradient(_rounded(power))
    c, squared = _POWERS, f * f
    low = (c[0] + c[1] * f) + (c[2] + c[3] * f) * squared
    return low + ((c[4] + c[5] * f) + c[6] * squared) * (squared * squared)


@_compile
def _product(a: mx.array, b: mx.array) -> mx.array:
    return a * b


@_compile
def _gated(gate: mx.array, up: mx.array, exp_minus: mx.array) -> mx.array:
    return gate / (1.0 + exp_minus) * up


def _rounded(x: mx.array) -> mx.array:
    return (x + _ROUNDS) - _ROUNDS
