"""A block of AIMv2 as its formula says, with nothing fused: what the port's blocks are held to."""

from collections.abc import Mapping

import mlx.core as mx

Arrays = Mapping[str, mx.array]


def block(
    x: mx.array, weights: Arrays, *, num_heads: int, eps: float, is_causal: bool
) -> tuple[mx.array, dict[str, mx.array]]:
    """A block's output, and its values at the places where float16 overflows first.

    Shapes: (B, N, D) -> (B, N, D); ``weights`` by Apple's names within a block.
    Source: AIMv2 paper, section 2.3; ml-aim at bd9e068.
    """
    qkv = _rms_norm(x, weights["norm_1.weight"], eps) @ weights["attn.qkv.weight"].T
    mixed, scores = _attend(qkv, num_heads, is_causal)
    attention = mixed @ weights["attn.proj.weight"].T
    between = x + attention
    normed = _rms_norm(between, weights["norm_2.weight"], eps)
    gate, up = normed @ weights["mlp.fc1.weight"].T, normed @ weights["mlp.fc3.weight"].T
    product = gate / (1 + mx.exp(-gate)) * up
    mlp = product @ weights["mlp.fc2.weight"].T
    out = between + mlp
    return out, {
        "hidden state": out,
        "between": between,
        "qkv": qkv,
        "scores": scores,
        "attention": attention,
        "gate": gate,
        "up": up,
        "gate × up": product,
        "mlp": mlp,
    }


def _rms_norm(x: mx.array, weight: mx.array, eps: float) -> mx.array:
    return x / mx.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight


def _attend(qkv: mx.array, num_heads: int, is_causal: bool) -> tuple[mx.array, mx.array]:
    """Attention's output (B, N, D) and its scores, those that a mask hides left out."""
    batch, tokens, _ = qkv.shape
    q, k, v = (
        part.reshape(batch, tokens, num_heads, -1).swapaxes(1, 2)
        for part in mx.split(qkv, 3, axis=-1)
    )  # each (B, H, N, D/H)
    scores = q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5
    seen = mx.tri(tokens, dtype=mx.float32).astype(mx.bool_) if is_causal else mx.array(True)
    powers = mx.where(seen, mx.exp(scores - scores.max(axis=-1, keepdims=True)), 0)
    mixed = (powers / powers.sum(axis=-1, keepdims=True)) @ v
    return mixed.swapaxes(1, 2).reshape(batch, tokens, -1), mx.where(seen, scores, 0)
