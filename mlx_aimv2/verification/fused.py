"""Fused attention, forced: every precision and mask of this package at its head width."""

from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.checkpoints.load import DTYPES

from .tolerances import ATTENTION

HEAD_WIDTH = 128  # of every published architecture
_HEADS, _TOKENS, _REAL = 2, 150, 101  # no multiple of a kernel's tiles
# The masks in use: none, the text tower's, keys that are padding; and the pooling head's one query.
MASKS = ("none", "causal", "boolean", "one query", "one query, boolean")


@dataclass(frozen=True)
class Attention:
    """One way: how far it is from the formula, or why the backend refuses to fuse it."""

    dtype: str
    mask: str
    difference: float | None
    refusal: str | None = None

    @property
    def is_right(self) -> bool:
        """Whether it was fused and is right."""
        return self.difference is not None and self.difference <= ATTENTION[self.dtype]


def attentions() -> list[Attention]:
    """Every precision with every mask, on the default device."""
    return [_attention(dtype, mask) for dtype in DTYPES for mask in MASKS]


def _attention(dtype: str, mask: str) -> Attention:
    q, k, v = (_values(seed, dtype) for seed in range(3))
    if mask.startswith("one query"):
        q = q[:, :, :1]
    seen = _seen(mask, q.shape[2])
    given: mx.array | str | None = None
    if mask.endswith("boolean"):
        given = mx.array(seen[:, :, :1])  # (1, 1, 1, N), as keys are masked
    elif mask == "causal":
        given = mask
    try:
        fused = mx.fast.scaled_dot_product_attention(
            q, k, v, scale=HEAD_WIDTH**-0.5, mask=given, force_fused=True
        )
        result = np.array(fused.astype(mx.float32))
    except (ValueError, RuntimeError) as error:
        return Attention(dtype, mask, None, str(error).partition("\n")[0])
    return Attention(dtype, mask, float(np.abs(result - _formula(q, k, v, seen)).max()))


def _values(seed: int, dtype: str) -> mx.array:
    """Shapes: (1, H, N, D)."""
    values = np.random.default_rng(seed).standard_normal((1, _HEADS, _TOKENS, HEAD_WIDTH))
    return mx.array(values.astype(np.float32)).astype(DTYPES[dtype])


def _seen(mask: str, queries: int) -> NDArray[np.bool_]:
    """Which keys each query sees. Shapes: (1, 1, queries, N)."""
    if mask == "causal":
        return np.tri(_TOKENS, dtype=bool)[None, None]
    keys = np.arange(_TOKENS) < (_REAL if mask.endswith("boolean") else _TOKENS)
    return np.broadcast_to(keys, (1, 1, queries, _TOKENS))


def _formula(q: mx.array, k: mx.array, v: mx.array, seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    wide = (np.array(array.astype(mx.float32)).astype(np.float64) for array in (q, k, v))
    queries, keys, values = wide
    scores = np.where(seen, queries @ keys.swapaxes(-1, -2) * HEAD_WIDTH**-0.5, -np.inf)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True) @ values
    return result
