"""The projector: features of a crop's patches to a few tokens of the decoder."""

import mlx.core as mx
from mlx import nn

from mlx_aimv2.cpu.attention import attention

from .config import AriaConfig
from .vision import MLP

_EPS = 1e-5  # PyTorch's default, not the tower's


class CrossAttention(nn.Module):
    """Learned queries look at all patches; each of q, k and v is projected twice, as published."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_q = nn.LayerNorm(width, _EPS)
        self.norm_kv = nn.LayerNorm(width, _EPS)
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.linear = nn.Linear(width, width)

    def __call__(self, queries: mx.array, features: mx.array) -> mx.array:
        """Shapes: (B, Q, D), (B, N, D) -> (B, Q, D)."""
        kv = self.norm_kv(features)
        once = (self.q(self.norm_q(queries)), self.k(kv), self.v(kv))
        weights, biases = mx.split(self.qkv.weight, 3), mx.split(self.qkv.bias, 3)
        q, k, v = (
            mx.addmm(bias, x, weight.T).reshape(*x.shape[:2], self.num_heads, -1).swapaxes(1, 2)
            for x, weight, bias in zip(once, weights, biases, strict=True)
        )  # q (B, H, Q, D/H), k and v (B, H, N, D/H)
        out = attention(q, k, v, q.shape[-1] ** -0.5)
        return self.linear(self.proj(out.swapaxes(1, 2).reshape(queries.shape)))


class Projector(nn.Module):
    """Source: transformers' AriaProjector."""

    def __init__(self, config: AriaConfig) -> None:
        super().__init__()
        width, out = config.vision_config.hidden_size, config.text_config.hidden_size
        self.query = mx.zeros((max(config.queries.values()), width))
        self.attn = CrossAttention(width, config.vision_config.num_attention_heads)
        self.norm = nn.LayerNorm(width, _EPS)
        self.mlp = MLP(width, out, out, bias=False)

    def __call__(self, features: mx.array, count: int) -> mx.array:
        """The first ``count`` queries' tokens. Shapes: (B, N, D) -> (B, count, E)."""
        queries = mx.broadcast_to(self.query[:count], (len(features), count, self.query.shape[1]))
        return self.mlp(self.norm(self.attn(queries, features)))
