"""The vision tower: a crop's pixels to features of its patches."""

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from mlx_aimv2.cpu import kernels

from ..aimv2.layers import Attention, patchify
from .config import AriaVisionConfig


class PatchEmbed(nn.Module):
    """Patches to tokens: the published convolution, computed as a matrix product."""

    def __init__(self, config: AriaVisionConfig) -> None:
        super().__init__()
        side = config.patch_size
        self.proj = nn.Conv2d(3, config.hidden_size, side, stride=side)

    def __call__(self, pixels_nhwc: mx.array) -> mx.array:
        """Shapes: (B, H, W, 3) -> (B, N, D), row by row."""
        weight = self.proj.weight  # (D, P, P, C)
        patches = patchify(pixels_nhwc, weight.shape[1])
        return mx.addmm(self.proj.bias, patches, weight.reshape(len(weight), -1).T)


class MLP(nn.Module):
    """Two layers with the tanh form of GELU between them."""

    def __init__(self, width: int, inner: int, out: int, *, bias: bool) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner, bias=bias)
        self.fc2 = nn.Linear(inner, out, bias=bias)

    def __call__(self, x: mx.array) -> mx.array:
        return self.fc2(kernels.tanh_gelu(self.fc1(x)))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, config: AriaVisionConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.norm_1 = nn.LayerNorm(width, eps)
        self.attn = Attention(width, config.num_attention_heads, bias=True)
        self.norm_2 = nn.LayerNorm(width, eps)
        self.mlp = MLP(width, config.intermediate_size, width, bias=True)

    def __call__(self, x: mx.array) -> mx.array:
        x = x + self.attn(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))


class VisionTower(nn.Module):
    """SigLIP's so400m with positions by bucket; its last norm is not part of Aria.

    Source: transformers' Idefics3VisionTransformer, up to the last block.
    """

    def __init__(self, config: AriaVisionConfig) -> None:
        super().__init__()
        self.config = config
        self.patchifier = PatchEmbed(config)
        self.pos_embed = mx.zeros((config.table_side**2, config.hidden_size))
        self.blocks = [Block(config) for _ in range(config.num_hidden_layers)]

    def __call__(self, pixels_nhwc: mx.array) -> mx.array:
        """Features of the patches after the last block, row by row.

        Shapes: (B, H, W, 3), multiples of the patch -> (B, N, D).
        Units: normalised RGB, not 0-255.
        """
        patch, side = self.config.patch_size, self.config.table_side
        rows, columns = (length // patch for length in pixels_nhwc.shape[1:3])
        places = side * buckets(rows, side)[:, None] + buckets(columns, side)
        x = self.patchifier(pixels_nhwc.astype(self.pos_embed.dtype))
        x = x + self.pos_embed[mx.array(places.flatten())]
        for block in self.blocks:
            x = block(x)
        return x


def buckets(count: int, side: int) -> NDArray[np.int64]:
    """Which of ``side`` rows of the position table each of ``count`` rows of patches takes.

    Shapes: -> (count,).
    Source: Idefics3VisionEmbeddings in float32: exact quotients differ for 25, 49, 50 and 55.
    """
    one = np.float32(1)
    fractions = np.arange(count, dtype=np.float32) * (one / np.float32(count))
    boundaries = (np.arange(1, side) / side).astype(np.float32)
    return np.searchsorted(boundaries, np.minimum(fractions, np.float32(1 - 1e-6)), side="right")
