"""Exponentials that MLX's CPU backend computes fast, and what of a block consists of them.

Without Metal or CUDA MLX takes exponentials one number after the other. Made of sums and products,
which the compiler takes several at a time, they are faster and about as exact
(docs/decisions/0008-speed.md).
"""

import math
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
_LOGITS = 1 << 19  # at once, of a cross-entropy: 2 MB
# 2^f for |f| <= 1/2, nearest to it in the largest relative error. Source: Cephes, exp2f.
_POWERS = (
    1.0, 6.931472028550421e-1, 2.402264791363012e-1, 5.550332471162809e-2,
    9.618437357674640e-3, 1.339887440266574e-3, 1.535336188319500e-4,
)  # fmt: skip
_TANH_GELU = (-2 * math.sqrt(2 / math.pi), -2 * math.sqrt(2 / math.pi) * 0.044715)

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


@contextmanager
def own_gradients() -> Iterator[None]:
    """Inside it, on this thread, gradients come from backward passes of our own, where they pay.

    They keep less, and compute it again. What is computed by them cannot be exported.
    """
    _thread.own_gradients = True
    try:
        yield
    finally:
        _thread.own_gradients = False


def has_own_gradients() -> bool:
    """Whether gradients are to come from backward passes of our own."""
    return getattr(_thread, "own_gradients", False)


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
    if not is_used(gate):
        return nn.silu(gate) * up
    if not has_own_gradients():
        return _gated(gate, up, exp(-gate))
    gated: mx.array = _gated_silu(gate, up)  # type: ignore[assignment]
    return gated


def tanh_gelu(x: mx.array) -> mx.array:
    """``nn.gelu_approx``, on any device. Shapes: any, kept."""
    if not is_used(x):
        return nn.gelu_approx(x)
    return _over_one_more(x, exp(_minus_twice_of_tanh(x)))


@mx.custom_function
def _gated_silu(gate: mx.array, up: mx.array) -> mx.array:
    return _gated(gate, up, exp(-gate))


@_gated_silu.vjp
def _gated_silu_gradients(
    given: tuple[mx.array, mx.array], slope: mx.array, _gated: mx.array
) -> tuple[mx.array, mx.array]:
    gate, up = given
    return _gated_gradients(gate, up, exp(-not_before(slope, gate)[0]), slope)


def cross_entropy(logits: mx.array, ids: mx.array) -> mx.array:
    """-log softmax at each id, on any device. Shapes: (N, V), (N,) -> (N,)."""
    if not is_used(logits):
        return nn.losses.cross_entropy(logits, ids)
    found: tuple[mx.array, mx.array] = _cross_entropy(logits, ids)  # type: ignore[assignment]
    return found[0]


@mx.custom_function
def _cross_entropy(logits: mx.array, ids: mx.array) -> tuple[mx.array, mx.array]:
    """The losses, and the logarithms of the powers' sums."""
    sums = []
    for rows in _rows(logits):
        top = logits[rows].max(axis=-1, keepdims=True)
        powers = exp(logits[rows] - top)
        sums.append(mx.log(powers.sum(axis=-1)) + top[:, 0])
    whole = mx.concatenate(sums)
    return whole - mx.take_along_axis(logits, ids[:, None], axis=-1)[:, 0], whole


@_cross_entropy.vjp
def _cross_entropy_gradient(
    given: tuple[mx.array, mx.array],
    slopes: tuple[mx.array, mx.array],
    outputs: tuple[mx.array, mx.array],
) -> tuple[mx.array, mx.array]:
    (logits, ids), (slope, _), (_, whole) = given, slopes, outputs
    (logits,) = not_before(slope, logits)
    parts = []
    for rows in _rows(logits):
        shares = exp(logits[rows] - whole[rows, None]) * slope[rows, None]
        own = mx.take_along_axis(shares, ids[rows, None], axis=-1) - slope[rows, None]
        parts.append(mx.put_along_axis(shares, ids[rows, None], own, axis=-1))
    return mx.concatenate(parts), mx.zeros_like(ids)


def _rows(logits: mx.array) -> Iterator[slice]:
    number = max(1, _LOGITS // logits.shape[1])
    return (slice(row, row + number) for row in range(0, len(logits), number))


def not_before(slope: mx.array, *arrays: mx.array) -> list[mx.array]:
    """The same arrays; what a backward pass makes of them waits until it has this gradient.

    Or it would be made early, and kept.
    """
    after: list[mx.array] = mx.depends(list(arrays), [slope])
    return after


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


@_compile
def _minus_twice_of_tanh(x: mx.array) -> mx.array:
    """-2 times what GELU's hyperbolic tangent is taken of."""
    return x * (_TANH_GELU[0] + _TANH_GELU[1] * (x * x))


@_compile
def _over_one_more(x: mx.array, exp_minus: mx.array) -> mx.array:
    return x / (1.0 + exp_minus)


@_compile
def _gated_gradients(
    gate: mx.array, up: mx.array, exp_minus: mx.array, slope: mx.array
) -> tuple[mx.array, mx.array]:
    share = 1.0 / (1.0 + exp_minus)
    return slope * up * share * (1.0 + gate * (1.0 - share)), slope * gate * share


def _rounded(x: mx.array) -> mx.array:
    return (x + _ROUNDS) - _ROUNDS
