"""The text decoder: causal attention and a mixture of experts, block by block."""

from collections.abc import Sequence

import mlx.core as mx
from mlx import nn

from mlx_aimv2.cpu import kernels
from mlx_aimv2.cpu.attention import attention
from mlx_aimv2.cpu.linear import Linear

from ..aimv2.layers import Attention, Mask
from .cache import KVCache
from .config import AriaTextConfig
from .experts import MoE


class CausalAttention(Attention):
    """Self-attention with rotary positions; what came before is in the cache."""

    def __init__(self, config: AriaTextConfig) -> None:
        super().__init__(config.hidden_size, config.num_attention_heads)
        self.theta = config.rope_theta

    def __call__(  # type: ignore[override]
        self, x: mx.array, mask: Mask, first: int | mx.array, cache: KVCache | None
    ) -> mx.array:
        """``first`` is the position of the first token. Shapes: (B, L, D), kept."""
        q, k, v = self._heads(x)
        q, k = (
            mx.fast.rope(
                part, part.shape[-1], traditional=False, base=self.theta, scale=1.0, offset=first
            )
            for part in (q, k)
        )
        if cache is not None:
            k, v = cache.extend(k, v)
        out = attention(q, k, v, self.scale, mask)
        return self.proj(out.swapaxes(1, 2).reshape(x.shape))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, config: AriaTextConfig) -> None:
        super().__init__()
        self.norm_1 = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attn = CausalAttention(config)
        self.norm_2 = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.moe = MoE(config)

    def __call__(
        self, x: mx.array, mask: Mask, first: int | mx.array, cache: KVCache | None
    ) -> mx.array:
        x = x + self.attn(self.norm_1(x), mask, first, cache)
        return x + self.moe(self.norm_2(x))


class Decoder(nn.Module):
    """Embeddings of tokens to logits of the next ones.

    Source: transformers' AriaTextForCausalLM.
    """

    def __init__(self, config: AriaTextConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = [Block(config) for _ in range(config.num_hidden_layers)]
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.head = Linear(config.hidden_size, config.vocab_size, bias=False)

    def __call__(
        self,
        x: mx.array,
        cache: Sequence[KVCache] | None = None,
        real: mx.array | None = None,
        *,
        last_only: bool = False,
    ) -> mx.array:
        """Logits after each token, or after the last.

        ``real`` tells the tokens, those in the cache first, that are not padding.
        Shapes: (B, L, D), (B, cached + L) bool -> (B, L or 1, V).
        """
        start = cache[0].length if cache else 0
        first: int | mx.array = start
        mask: Mask = "causal" if x.shape[1] > 1 else None
        if real is not None:
            # Padding on the left has no positions.
            first = start - mx.argmax(real, axis=1).astype(mx.int32)
            mask = _mask(real, x.shape[1])
        for number, block in enumerate(self.blocks):
            x = block(x, mask, first, cache[number] if cache else None)
            kernels.block_done(x)
        return self.head(self.norm(x[:, -1:] if last_only else x))


def _mask(real: mx.array, queries: int) -> mx.array:
    """Which keys each query sees. Shapes: (B, K) -> (B, 1, queries, K)."""
    keys = mx.arange(real.shape[1])
    places = keys[-queries:, None]
    # Padding sees itself: a query without any key would be NaN on some devices.
    return ((keys <= places) & real[:, None] | (keys == places))[:, None]
