"""The same network written plainly: what this package's layers are held against.

Separate products for queries, keys, values, gate and up, a softmax by hand, no fused attention.
"""

from collections.abc import Sequence

import mlx.core as mx
from mlx import nn

from mlx_aimv2.models.aimv2.layers import Block, grid_positions, patchify
from mlx_aimv2.models.aimv2.vision import VisionEncoder


class PlainEncoder:
    """An encoder of the same dense weights, as one would write it first."""

    def __init__(self, network: VisionEncoder) -> None:
        self._network = network
        self._blocks = [PlainBlock(block) for block in network.trunk.blocks]

    def features(self, pixels_nhwc: mx.array) -> mx.array:
        """Shapes: (B, S, S, 3) -> (B, N, D)."""
        network = self._network
        patches = patchify(pixels_nhwc.astype(network.dtype), network.config.patch_size)
        tokens = network.preprocessor.patchifier(patches)
        return self._run(tokens + network.preprocessor.pos_embed, None)

    def encode_patches(self, patches: mx.array, grids: Sequence[tuple[int, int]]) -> mx.array:
        """Shapes: (B, N, P*P*3) -> (B, N, D)."""
        network = self._network
        sizes = patches.shape[1], network.config.hidden_size
        positions, mask = grid_positions(grids, *sizes)
        tokens = network.preprocessor.patchifier(patches.astype(network.dtype))
        return self._run(tokens + positions.astype(network.dtype), mask)

    def _run(self, x: mx.array, mask: mx.array | None) -> mx.array:
        for block in self._blocks:
            x = block(x, mask)
        return self._network.trunk.post_trunk_norm(x)


class PlainBlock:
    """A block with separate products for queries, keys and values."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._heads = block.attn.num_heads
        self._query, self._key, self._value = (
            mx.contiguous(part) for part in mx.split(block.attn.qkv.weight, 3)
        )
        mx.eval(self._query, self._key, self._value)

    def __call__(self, x: mx.array, mask: mx.array | None) -> mx.array:
        x = x + self._attend(self._block.norm_1(x), mask)
        mlp, inner = self._block.mlp, self._block.norm_2(x)
        return x + mlp.fc2(nn.silu(mlp.fc1(inner)) * mlp.fc3(inner))

    def _attend(self, x: mx.array, mask: mx.array | None) -> mx.array:
        batch, tokens, width = x.shape
        q, k, v = (
            (x @ weight.T).reshape(batch, tokens, self._heads, -1).swapaxes(1, 2)
            for weight in (self._query, self._key, self._value)
        )  # each (B, H, N, D/H)
        scores = (q * self._block.attn.scale) @ k.swapaxes(-1, -2)
        if mask is not None:
            scores = mx.where(mask, scores, mx.finfo(scores.dtype).min)
        out = mx.softmax(scores, axis=-1) @ v
        return self._block.attn.proj(out.swapaxes(1, 2).reshape(batch, tokens, width))
