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

_LOG2_E = 1.4426950408889634
_ROUNDS = 1.5 * 2**23  # a float32 added to it loses its fraction
_LARGEST = 126.0  # of the powers of two that float32 has in full
_MAP_ITEMS = 1 << 19  # of attention maps at once: 2 MB
_FEWEST_QUERIES = 32  # at once: all keys and values of a head are read for them
_NEVER = -1e9  # a score that no key is meant to have
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
    on_cpu = mx.default_device().type == mx.DeviceType.cpu
    return on_cpu and x.dtype == mx.float32 and not mx.metal.is_available()


def exp(x: mx.array) -> mx.array:
    """e to the power of finite float32 numbers: at least 1e-38 and at most 1e38.

    Shapes: any, kept.
    """
    # What is done to bits has no derivative; that of the fraction's power is the whole one's.
    whole = mx.stop_gradient(_whole_power(x).view(mx.float32))
    return _product(_fraction_power(x), whole)


def gated_silu(gate: mx.array, up: mx.array) -> mx.array:
    """``silu(gate) * up``. Shapes: any one, kept."""
    return _gated(gate, up, exp(-gate))


def attention(
    q: mx.array, k: mx.array, v: mx.array, scale: float, mask: mx.array | None = None
) -> mx.array:
    """What ``mx.fast.scaled_dot_product_attention`` gives, which is never fused on a CPU.

    Some heads at a time, of long images some queries: their maps stay in the processor's cache.
    Shapes: (B, H, N, D), boolean keys (B, 1, 1, N) -> (B, H, N, D).
    """
    batch, heads, tokens, _ = q.shape
    # In one piece, or each product would copy its own.
    q, k, v = (x.flatten().reshape(batch * heads, tokens, -1) for x in (q * scale, k, v))
    keys = None if mask is None else mx.repeat(mask[:, 0], heads, axis=0)  # (B * H, 1, N)
    heads_at_once = max(1, _MAP_ITEMS // tokens**2)
    queries_at_once = min(tokens, max(_FEWEST_QUERIES, _MAP_ITEMS // tokens))
    parts = []
    for first in range(0, batch * heads, heads_at_once):
        some = slice(first, first + heads_at_once)
        real = None if keys is None else keys[some]
        for start in range(0, tokens, queries_at_once):
            queries = q[some, start : start + queries_at_once]
            parts.append(_attended(queries, k[some], v[some], real).flatten(0, 1))
    return mx.concatenate(parts).reshape(batch, heads, tokens, -1)


def _attended(q: mx.array, k: mx.array, v: mx.array, real: mx.array | None) -> mx.array:
    scores = q @ k.swapaxes(-1, -2)
    if real is not None:
        scores = scores + mx.where(real, 0.0, _NEVER)
    weights = exp(scores - mx.stop_gradient(scores.max(axis=-1, keepdims=True)))
    if real is not None:
        weights = weights * real  # the least power is not 0
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
