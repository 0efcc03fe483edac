"""The attentive probe: a classifier on an encoder's frozen features, as the paper measures with."""

import mlx.core as mx
import numpy as np
from mlx import nn

_EPSILON, _MOMENTUM = 1e-6, 0.1
_QUERY_DEVIATION = 0.02


class AttentiveProbe(nn.Module):
    """Learned queries over all patches, their mean, and a linear layer to classes.

    The patches go through a batch norm without gains first, whose running mean and variance are
    used after ``eval()``; they are state, not trained, and saved with the weights. Parameters have
    the names of Apple's published heads.
    Source: AIMv2 paper, section 3.2 and table A2; ``AttentionPoolingClassifier`` of ml-aim.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        num_classes: int,
        *,
        num_queries: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.cls_token = mx.zeros((1, num_queries, hidden_size))
        self.bn = nn.BatchNorm(hidden_size, _EPSILON, _MOMENTUM, affine=False)
        self.k = nn.Linear(hidden_size, hidden_size, bias=False)
        self.v = nn.Linear(hidden_size, hidden_size, bias=False)
        self.linear = nn.Linear(hidden_size, num_classes, bias=bias)

    def __call__(self, features: mx.array, mask: mx.array | None = None) -> mx.array:
        """Logits of the classes.

        ``mask`` are the real patches of a native batch: the others are no keys, and no part of
        the statistics.
        Shapes: (B, N, D) after the encoder's final norm, mask (B, 1, 1, N) bool -> (B, classes).
        """
        batch, _, width = features.shape
        normalized = self._normalized(features, mask)
        q, k, v = (
            tokens.reshape(len(tokens), -1, self.num_heads, width // self.num_heads).swapaxes(1, 2)
            for tokens in (self.cls_token, self.k(normalized), self.v(normalized))
        )  # q (1, H, Q, D/H), k and v (B, H, N, D/H)
        q = mx.broadcast_to(q, (batch, *q.shape[1:]))
        scale = (width // self.num_heads) ** -0.5
        pooled = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)
        pooled = pooled.swapaxes(1, 2).flatten(2).mean(axis=1)  # (B, Q, D) -> (B, D)
        return self.linear(pooled)

    def initialise(self, seed: int) -> None:
        """Random weights: Xavier uniform matrices, a normal query of deviation 0.02, bias 0.

        Source: Apple's training code, ml-l3m.
        """
        keys = mx.random.split(mx.random.key(seed), 4)
        self.cls_token = _QUERY_DEVIATION * mx.random.normal(self.cls_token.shape, key=keys[0])
        for key, layer in zip(keys[1:], (self.k, self.v, self.linear), strict=True):
            limit = (6 / sum(layer.weight.shape)) ** 0.5
            layer.weight = mx.random.uniform(-limit, limit, layer.weight.shape, key=key)
            if "bias" in layer:
                layer.bias = mx.zeros_like(layer.bias)
        mx.eval(self.parameters())

    def _normalized(self, features: mx.array, mask: mx.array | None) -> mx.array:
        if mask is None or not self.training:
            return self.bn(features)
        # nn.BatchNorm has no mask: it gets the real patches alone.
        real = mx.array(np.flatnonzero(np.array(mask)))
        patches = features.reshape(-1, features.shape[-1])
        patches[real] = self.bn(patches[real])
        return patches.reshape(features.shape)


def probe_loss(probe: AttentiveProbe, features: mx.array, labels: mx.array) -> mx.array:
    """Mean cross-entropy of the labels. Shapes: (B, N, D), (B,) integers -> ()."""
    return nn.losses.cross_entropy(probe(features), labels, reduction="mean")
