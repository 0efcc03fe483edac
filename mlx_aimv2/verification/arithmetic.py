"""What the device computes by itself: float32 products, and attention that is fused."""

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.checkpoints.load import DTYPES
from mlx_aimv2.device import backend

from .check import ATTENTION, FULL_PRODUCT, REPORT_HINT, Check, finite, judged, skipped

PRECISION = "precision"
_SIDE = 256
_HEAD_WIDTH = 128  # of every published architecture
_HEADS, _TOKENS, _REAL = 2, 150, 101  # no multiple of a kernel's tiles
# The masks in use: none, the text tower's, keys that are padding; and the pooling head's one query.
_MASKS = ("none", "causal", "boolean", "one query", "one query, boolean")


def float32_products() -> Check:
    """Whether a float32 product keeps its bits: where it does not, other checks cannot tell."""
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, _SIDE, _SIDE)).astype(np.float32)
    exact = one.astype(np.float64) @ other.astype(np.float64)
    error = np.abs(np.array(mx.array(one) @ mx.array(other)) - exact).max() / np.abs(exact).max()
    detail = f"float32 products are exact to {error:.0e}"
    if not error <= FULL_PRODUCT:
        detail = f"float32 products are wrong by {error:.0e}: as TF32, they keep 10 bits"
    return judged(
        PRECISION,
        error <= FULL_PRODUCT,
        detail,
        "run it again with MLX_ENABLE_TF32=0 in the environment; Python must see it before MLX",
        values={"relative_error": finite(float(error))},
    )


def attention() -> Check:
    """Fused attention, forced, against the formula: each precision with each mask in use."""
    if backend() == "CPU":
        return skipped("fused attention", "a CPU computes attention unfused, always")
    wrong, refused = [], []
    values: dict[str, float | None] = {}
    for dtype in DTYPES:
        for mask in _MASKS:
            name = f"{dtype}, {mask}"
            difference = _difference(dtype, mask)
            if isinstance(difference, str):
                refused.append(f"{name}: not fused here ({difference})")
                values[name] = None
                continue
            values[name] = finite(difference)
            if not difference <= ATTENTION[dtype]:
                wrong.append(f"{name}: off by {difference:.1e}")
    # Metal has a kernel for each; cuDNN has none for float32.
    is_right = not wrong and (not refused or backend() == "CUDA") and len(refused) < len(values)
    return judged(
        "fused attention",
        is_right,
        f"{len(values) - len(refused) - len(wrong)} of {len(values)} precisions and masks fused "
        f"and right at head width {_HEAD_WIDTH}",
        REPORT_HINT,
        findings=[*wrong, *refused],
        values=values,
    )


def _difference(dtype: str, mask: str) -> float | str:
    """How far fused attention is from the formula, or why the backend refuses to fuse it."""
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
            q, k, v, scale=_HEAD_WIDTH**-0.5, mask=given, force_fused=True
        )
        result = np.array(fused.astype(mx.float32))
    except (ValueError, RuntimeError) as error:
        return str(error).partition("\n")[0]
    return float(np.abs(result - _formula(q, k, v, seen)).max())


def _values(seed: int, dtype: str) -> mx.array:
    """Shapes: (1, H, N, D)."""
    values = np.random.default_rng(seed).standard_normal((1, _HEADS, _TOKENS, _HEAD_WIDTH))
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
    scores = np.where(seen, queries @ keys.swapaxes(-1, -2) * _HEAD_WIDTH**-0.5, -np.inf)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True) @ values
    return result
