"""The parts both towers are made of, under Apple's MLX parameter names."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from mlx_aimv2.cpu import kernels
from mlx_aimv2.cpu.attention import attention
from mlx_aimv2.cpu.linear import Linear

from .config import TextConfig, VisionConfig

# Boolean or added and broadcast to (B, H, N, N), as keys (B, 1, 1, N) are, or "causal", or none.
Mask = mx.array | str | None


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder returns when more than its features is asked for.

    Shapes: last_hidden_state (B, N, D), after the final norm unless stopped early;
    pooler_output (B, D); hidden_states (B, N, D) after each chosen block, before the final norm;
    attentions (B, H, N, N) of each chosen block. Both are keyed by block, from 0 or, as lists are,
    from -1 at the end.
    """

    last_hidden_state: mx.array
    pooler_output: mx.array | None
    hidden_states: "ByBlock"
    attentions: "ByBlock"


class ByBlock(dict[int, mx.array]):
    """Arrays by the number of their block, of ``count`` blocks; -1 is the last block."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, block: int) -> mx.array:
        if -self._count <= block < 0 and block + self._count in self:
            return self[block + self._count]
        raise KeyError(block)


class PatchEmbed(nn.Module):
    """Flattened patches to tokens: the published convolution, computed as a matrix product."""

    def __init__(self, patch_size: int, num_channels: int, hidden_size: int, eps: float) -> None:
        super().__init__()
        self.proj = nn.Conv2d(num_channels, hidden_size, patch_size, stride=patch_size)
        self.norm = nn.RMSNorm(hidden_size, eps)

    def __call__(self, patches: mx.array) -> mx.array:
        """Shapes: (B, N, P*P*C) -> (B, N, D); a patch is (row, column, channel) flattened."""
        weight = self.proj.weight  # (D, P, P, C)
        return self.norm(mx.addmm(self.proj.bias, patches, weight.reshape(len(weight), -1).T))


class Attention(nn.Module):
    """Multi-head self-attention with one product for queries, keys and values."""

    def __init__(self, hidden_size: int, num_heads: int, *, bias: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = (hidden_size // num_heads) ** -0.5
        self.qkv = Linear(hidden_size, 3 * hidden_size, bias=bias)
        self.proj = Linear(hidden_size, hidden_size, bias=bias)

    def __call__(self, x: mx.array, mask: Mask = None) -> mx.array:
        q, k, v = self._heads(x)
        out = attention(q, k, v, self.scale, mask)
        return self.proj(out.transpose(0, 2, 1, 3).reshape(x.shape))

    def weights(self, x: mx.array, mask: Mask = None) -> mx.array:
        """The attention map itself, beside the fused path. Shapes: (B, N, D) -> (B, H, N, N)."""
        q, k, _ = self._heads(x)
        scores = (q * self.scale) @ k.swapaxes(-1, -2)
        if isinstance(mask, str):
            tokens = mx.arange(x.shape[1])
            mask = tokens[:, None] >= tokens
        if mask is not None and mask.dtype == mx.bool_:
            scores = mx.where(mask, scores, mx.finfo(scores.dtype).min)
        elif mask is not None:
            scores = scores + mask
        return mx.softmax(scores, axis=-1, precise=True)

    def _heads(self, x: mx.array) -> Iterator[mx.array]:
        """Queries, keys and values, each (B, H, N, D/H)."""
        batch, tokens, _ = x.shape
        for part in mx.split(self.qkv(x), 3, axis=-1):
            yield part.reshape(batch, tokens, self.num_heads, -1).swapaxes(1, 2)


class SwiGLU(nn.Module):
    """The gated MLP: fc1 is the gate (SiLU), fc3 the up and fc2 the down projection."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.fc1 = Linear(hidden_size, intermediate_size, bias=False)
        self.fc2 = Linear(intermediate_size, hidden_size, bias=False)
        self.fc3 = Linear(hidden_size, intermediate_size, bias=False)

    def __call__(self, x: mx.array) -> mx.array:
        return self.fc2(kernels.gated_silu(self.fc1(x), self.fc3(x)))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, config: VisionConfig | TextConfig) -> None:
        super().__init__()
        self.norm_1 = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attn = Attention(config.hidden_size, config.num_attention_heads)
        self.norm_2 = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size)

    def __call__(self, x: mx.array, mask: Mask = None) -> mx.array:
        x = x + self.attn(self.norm_1(x), mask)
        return x + self.mlp(self.norm_2(x))


class Transformer(nn.Module):
    """A stack of blocks and the final norm.

    With ``is_recomputed`` only what goes into each block is kept for the backward pass, which
    computes the rest again.
    """

    def __init__(self, config: VisionConfig | TextConfig) -> None:
        super().__init__()
        self.blocks = [Block(config) for _ in range(config.num_hidden_layers)]
        self.post_trunk_norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.is_recomputed = False

    def __call__(self, x: mx.array, mask: Mask = None) -> mx.array:
        for block in self.blocks:
            run = nn.utils.checkpoint(block) if self.is_recomputed else block
            x = run(x, mask)
            kernels.block_done(x)
        return self.post_trunk_norm(x)

    def trace(
        self,
        x: mx.array,
        mask: Mask,
        hidden_states: bool | Collection[int],
        attentions: bool | Collection[int],
        stop_after: int | None,
    ) -> EncoderOutput:
        """Run the blocks, keeping what was asked for and nothing else.

        ``stop_after`` ends after that block, without the final norm.
        Errors: ValueError for a block that is not run.
        """
        count = len(self.blocks)
        last = count - 1
        if stop_after is not None:
            (last,) = _chosen([stop_after], last, count)
        kept, mapped = _chosen(hidden_states, last, count), _chosen(attentions, last, count)
        states, maps = ByBlock(count), ByBlock(count)
        for index, block in enumerate(self.blocks[: last + 1]):
            if index in mapped:
                maps[index] = block.attn.weights(block.norm_1(x), mask)
            x = block(x, mask)
            if index in kept:
                states[index] = x
        return EncoderOutput(
            x if stop_after is not None else self.post_trunk_norm(x), None, states, maps
        )


def _chosen(blocks: bool | Collection[int], last: int, count: int) -> set[int]:
    """Numbers of blocks from 0, of those that are run; negative ones count from the end of all."""
    if isinstance(blocks, bool):
        return set(range(last + 1)) if blocks else set()
    numbers = set()
    for block in blocks:
        number = block + count if block < 0 else block
        if not 0 <= number <= last:
            raise ValueError(
                f"block {block} is not run: the blocks are 0 to {last}, or {-count} to "
                f"{last - count} from the end"
            )
        numbers.add(number)
    return numbers


class AttentionPoolingHead(nn.Module):
    """One learned query over all tokens, then a linear layer."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.cls_token = mx.zeros((1, 1, hidden_size))
        self.k = nn.Linear(hidden_size, hidden_size, bias=False)
        self.v = nn.Linear(hidden_size, hidden_size, bias=False)
        self.linear = nn.Linear(hidden_size, hidden_size, bias=True)

    def __call__(self, x: mx.array, mask: mx.array | None = None) -> mx.array:
        """Shapes: (B, N, D), keys (B, 1, 1, N) -> (B, D)."""
        batch, _, width = x.shape
        q, k, v = (
            tokens.reshape(batch, -1, self.num_heads, width // self.num_heads).swapaxes(1, 2)
            for tokens in (mx.repeat(self.cls_token, batch, axis=0), self.k(x), self.v(x))
        )  # q (B, H, 1, D/H), k and v (B, H, N, D/H)
        scale = (width // self.num_heads) ** -0.5
        pooled = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)
        return self.linear(pooled.swapaxes(1, 2).reshape(batch, width))

    def each(self, x: mx.array) -> mx.array:
        """What the head makes of each token alone: all the attention is on it.

        Shapes: (B, N, D) -> (B, N, D).
        """
        return self.linear(self.v(x))

    def parts(self, x: mx.array) -> mx.array:
        """What each token adds to the result; they sum to it but for the linear layer's bias.

        Shapes: (B, N, D) -> (B, N, D).
        """
        batch, tokens, width = x.shape
        q, k, v = (
            part.reshape(len(part), -1, self.num_heads, width // self.num_heads)
            for part in (self.cls_token, self.k(x), self.v(x))
        )  # q (1, 1, H, D/H), k and v (B, N, H, D/H)
        scores = (q * k).sum(axis=-1, keepdims=True) * (width // self.num_heads) ** -0.5
        weighted = mx.softmax(scores, axis=1, precise=True) * v
        return self.linear(weighted.reshape(batch, tokens, width)) - self.linear.bias


def patchify(pixels_nhwc: mx.array, patch_size: int) -> mx.array:
    """Cut images into whole patches, row by row; what is left at the edges is dropped.

    Shapes: (B, H, W, C) -> (B, (H // P) * (W // P), P * P * C).
    """
    batch, height, width, channels = pixels_nhwc.shape
    rows, columns = height // patch_size, width // patch_size
    whole = pixels_nhwc[:, : rows * patch_size, : columns * patch_size]
    cells = whole.reshape(batch, rows, patch_size, columns, patch_size, channels)
    return cells.swapaxes(2, 3).reshape(batch, rows * columns, -1)


def grid_positions(
    grids: Sequence[tuple[int, int]], num_tokens: int, hidden_size: int
) -> tuple[mx.array, mx.array | None]:
    """Sine and cosine positions of native images, padded to one length, and their key mask.

    Shapes: B grids of (rows, columns) -> float32 (B, N, D), laid out
    [sin column | cos column | sin row | cos row]; mask (B, 1, 1, N), None where nothing is padded.
    Source: Apple's ``ViTPreprocessor`` with ``pos_embed_type="sincos"``.
    """
    positions = np.zeros((len(grids), num_tokens, hidden_size), np.float32)
    mask = np.zeros((len(grids), 1, 1, num_tokens), bool)
    for index, (rows, columns) in enumerate(grids):
        positions[index, : rows * columns] = _sincos_grid(rows, columns, hidden_size)
        mask[index, ..., : rows * columns] = True
    return mx.array(positions), None if mask.all() else mx.array(mask)


@lru_cache(maxsize=8)  # at most 16 MB each: 4096 patches of width 1024
def _sincos_grid(rows: int, columns: int, hidden_size: int) -> NDArray[np.float32]:
    quarter = hidden_size // 4
    frequencies = 1.0 / 10000.0 ** (np.arange(quarter) / quarter)
    row, column = (
        axis.reshape(-1, 1) * frequencies
        for axis in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    )
    parts = [np.sin(column), np.cos(column), np.sin(row), np.cos(row)]
    return np.concatenate(parts, axis=1).astype(np.float32)
