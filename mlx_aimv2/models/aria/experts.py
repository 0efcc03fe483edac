"""The mixture of experts: each token's best experts, and those that all tokens share."""

import mlx.core as mx
import numpy as np
from mlx import nn

from mlx_aimv2.cpu import kernels
from mlx_aimv2.device import is_cpu

from ..aimv2.layers import SwiGLU
from .config import AriaTextConfig

_SORTED_FROM = 64  # pairs of a token and an expert, from which sorting them by expert pays
_WHOLE_FROM = 8  # rows an expert, from which a CPU is faster with one whole product for each


class ExpertLinear(nn.Module):
    """A linear layer for each expert. Shapes: weight (experts, out, in)."""

    def __init__(self, experts: int, width: int, out: int) -> None:
        super().__init__()
        self.weight = mx.zeros((experts, out, width))

    def __call__(self, x: mx.array, experts: mx.array, *, is_sorted: bool) -> mx.array:
        """Rows by their experts, whose axes are broadcast against those before the last two.

        Shapes: (..., 1, in), (...) -> (..., 1, out).
        """
        return mx.gather_mm(
            x, self.weight.swapaxes(-1, -2), rhs_indices=experts, sorted_indices=is_sorted
        )

    def dense(self, expert: int) -> mx.array:
        """The weight of one expert. Shapes: -> (out, in)."""
        return self.weight[expert]

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

    def dense(self, expert: int) -> mx.array:
        """See :meth:`ExpertLinear.dense`."""
        return mx.dequantize(
            self.weight[expert],
            self.scales[expert],
            self.biases[expert],
            self.group_size,
            self.bits,
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
        # A CPU gathers in float32 only.
        is_whole = is_cpu() and (
            x.dtype != mx.float32 or chosen.size >= _WHOLE_FROM * len(self.gate.weight)
        )
        if chosen.size < _SORTED_FROM and not is_whole:
            return self._gathered(x[:, None, None], chosen)[:, :, 0]
        # In the order of experts the weights of each are read once.
        order = mx.argsort(chosen.flatten())
        rows, experts = x[order // each], chosen.flatten()[order]
        if is_whole:
            out = self._one_by_one(rows, experts)
        else:
            out = self._gathered(rows[:, None], experts, is_sorted=True)[:, 0]
        return out[mx.argsort(order)].reshape(tokens, each, -1)

    def _gathered(self, rows: mx.array, experts: mx.array, *, is_sorted: bool = False) -> mx.array:
        gate = self.gate(rows, experts, is_sorted=is_sorted)
        up = self.up(rows, experts, is_sorted=is_sorted)
        return self.down(kernels.gated_silu(gate, up), experts, is_sorted=is_sorted)

    def _one_by_one(self, rows: mx.array, experts: mx.array) -> mx.array:
        """Sorted rows, those of each expert by one product. Shapes: (R, D), (R,) -> (R, D)."""
        counts = np.bincount(np.array(experts), minlength=len(self.gate.weight))
        ends = np.cumsum(counts)
        found = []
        for expert in np.flatnonzero(counts).tolist():
            part = rows[int(ends[expert] - counts[expert]) : int(ends[expert])]
            gate, up = (part @ layer.dense(expert).T for layer in (self.gate, self.up))
            found.append(kernels.gated_silu(gate, up) @ self.down.dense(expert).T)
            mx.eval(found[-1])  # or experts would be unpacked before those before them are done
        return mx.concatenate(found)


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
