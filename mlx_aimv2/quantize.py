"""Which weights are quantised, and how that is recorded in ``config.json``.

Linear layers and the token table are; the patch projection, norms and position tables are not.
"""

from collections.abc import Collection, Mapping
from typing import Any

import mlx.core as mx
from mlx import nn

from .errors import UsageError

BITS = (4, 8)
GROUP_SIZES = (32, 64, 128)


def quantize(network: nn.Module, bits: int, group_size: int = 64) -> dict[str, int]:
    """Quantise a network in place; returns what ``config.json`` records.

    A layer whose width is no multiple of the group size keeps its dtype.
    Errors: UsageError for other bits or group sizes than MLX has, or nothing to quantise.
    """
    if bits not in BITS or group_size not in GROUP_SIZES:
        raise UsageError(
            f"cannot quantise to {bits} bits in groups of {group_size}",
            hint=f"bits: {BITS}, group size: {GROUP_SIZES}",
        )

    def fits(_path: str, module: nn.Module) -> bool:
        return _is_quantizable(module) and module.weight.shape[-1] % group_size == 0

    if not any(fits(path, module) for path, module in network.named_modules()):
        raise UsageError(f"no layer's width is a multiple of the group size {group_size}")
    nn.quantize(network, group_size, bits, class_predicate=fits)
    return {"group_size": group_size, "bits": bits}


def prepare(network: nn.Module, recorded: Mapping[str, Any], tensor_names: Collection[str]) -> None:
    """Give the layers that are quantised on disk their quantised form, before they are filled."""

    def recorded_as_quantized(path: str, module: nn.Module) -> bool:
        return _is_quantizable(module) and f"{path}.scales" in tensor_names

    nn.quantize(
        network,
        recorded["group_size"],
        recorded["bits"],
        class_predicate=recorded_as_quantized,
    )


def group(name: str, tensor_names: Collection[str]) -> tuple[str, ...]:
    """A tensor with the scales and biases that belong to it; itself alone where it is dense."""
    stem = name.removesuffix(".weight")
    parts = (name, f"{stem}.scales", f"{stem}.biases")
    return parts if parts[1] in tensor_names else (name,)


def dequantize(
    weight: mx.array, scales: mx.array, biases: mx.array, recorded: Mapping[str, Any]
) -> mx.array:
    """The dense weight of a quantised layer, in the dtype of its scales."""
    return mx.dequantize(
        weight, scales, biases, group_size=recorded["group_size"], bits=recorded["bits"]
    )


def _is_quantizable(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Embedding)
