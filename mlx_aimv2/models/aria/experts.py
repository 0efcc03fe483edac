"""The mixture of experts: each token's best experts, and those that all tokens share."""

import mlx.core as mx
from mlx import nn

from mlx_aimv2.cpu import kernels

from ..aimv2.layers import SwiGLU
from .config import AriaTextConfig

_SORTED_FROM = 64  # pairs of a token and an expert, from which sorting them by expert pays


class ExpertLinear(nn.Module):
    """A linear layer for each expert. Shapes: weight (experts, out, in)."""

    def __init__(self, experts: int, width: int, out: int) -> None:
        super().__init__()
        self.weight = mx.zeros((experts, out, width))

    def __call__(self, x: mx.array, experts: mx.array, *, is_sorted: bool) -> mx.array:
        """Each row by its expert. Shapes: (..., 1, in), (...) -> (..., 1, out)."""
        return mx.gather_mm(
            x, self.weight.swapaxes(-1, -2), rhs_indices=experts, sorted_indices=is_sorted
        )

    def to_quantized(
        self, group_size: int | None = None, bits: int | None = None, mode: str = "affine"
    ) -> "QuantizedExpertLinear":
        """The same layer with packed weights, as ``nn.quantize`` asks for it."""
        assert mode == "affine" and group_size and bits
        return QuantizedExpertLinear(self.weight, group_size, bits)


class QuantizedExpertLinear(nn.Module):
    """An :class:`ExpertLinear` whose weights are packed."""

    def __init__(self, weight: mx.array, group_size: int, bits: int) -> None:
        super().__init__()
        self.group_size, self.bits = group_size, bits
        self.weight, self.scales, self.biases = mx.quantize(weight, group_size, bits)
        self.freeze()

    def __call__(self, x: mx.array, experts: mx.array, *, is_sorted: bool) -> mx.array:
        """See :meth:`ExpertLinear.__call__`."""
        return mx.gather_qmm(
            x,
            self.weight,
            self.scales,
            self.biases,
            rhs_indices=experts,
            group_size=self.group_size,
            bits=self.bits,
            sorted_indices=is_sorted,
        )


class Experts(nn.Module):
    """The routed experts: gated MLPs, each token through some of them."""

    def __init__(self, config: AriaTextConfig) -> None:
        super().__init__()
        count, width = config.moe_num_experts, config.hidden_size
        self.gate = ExpertLinear(count, width, config.intermediate_size)
        self.up = ExpertLinear(count, width, config.intermediate_size)
        self.down = ExpertLinear(count, config.intermediate_size, width)

    def __call__(self, x: mx.array, chosen: mx.array) -> mx.array:
        """Each token by each of its experts. Shapes: (T, D), (T, K) -> (T, K, D)."""
        tokens, each = chosen.shape
        experts = chosen.flatten()
        is_sorted = len(experts) >= _SORTED_FROM
        # Row by row of (T * K): in the order of experts each expert's weights are read once.
        order = mx.argsort(experts) if is_sorted else mx.arange(len(experts))
        rows, experts = x[order // each][:, None], experts[order]
        gate = self.gate(rows, experts, is_sorted=is_sorted)
        up = self.up(rows, experts, is_sorted=is_sorted)
        out = self.down(kernels.gated_silu(gate, up), experts, is_sorted=is_sorted)
        return out[mx.argsort(order)].reshape(tokens, each, -1)


class MoE(nn.Module):
    """Source: transformers' AriaTextMoELayer."""

    def __init__(self, config: AriaTextConfig) -> None:
        super().__init__()
        self.each = config.moe_topk
        self.router = nn.Linear(config.hidden_size, config.moe_num_experts, bias=False)
        self.experts = Experts(config)
        shared = config.moe_num_shared_experts * config.intermediate_size
        self.shared = SwiGLU(config.hidden_size, shared)

    def __call__(self, x: mx.array) -> mx.array:
        """Shapes: (B, L, D), kept."""
        rows = x.reshape(-1, x.shape[-1])
        chosen, weights = self.route(rows)
        out = (self.experts(rows, chosen) * weights[..., None]).sum(axis=1)
        return out.reshape(x.shape) + self.shared(x)

    def route(self, x: mx.array) -> tuple[mx.array, mx.array]:
        """Each token's experts, in any order, and their weights, which sum to 1.

        Shapes: (T, D) -> (T, K), (T, K).
        """
        logits = self.router(x)
        chosen = mx.argpartition(-logits, kth=self.each - 1, axis=-1)[:, : self.each]
        best = mx.take_along_axis(logits, chosen, axis=-1)
        return chosen, mx.softmax(best, axis=-1, precise=True)
