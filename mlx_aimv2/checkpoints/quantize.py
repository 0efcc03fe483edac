"""Which weights are quantised, and how that is recorded in ``config.json``.

Linear layers and the token table are; the patch projection, norms and position tables are not.
"""

from collections.abc import Collection, Mapping
from typing import Any

import mlx.core as mx
from mlx import nn

from mlx_aimv2.errors import CheckpointError, UsageError
from mlx_aimv2.models.network import Network

BITS = (4, 8)
GROUP_SIZES = (32, 64, 128)


def check_sizes(bits: int, group_size: int) -> None:
    """Errors: UsageError for other bits or group sizes than these."""
    if bits not in BITS or group_size not in GROUP_SIZES:
        raise UsageError(
            f"cannot quantise to {bits} bits in groups of {group_size}",
            hint=f"bits: {_listed(BITS)}; group size: {_listed(GROUP_SIZES)}",
        )


def chosen_layers(network: Network, bits: int, group_size: int) -> set[str]:
    """Paths of the layers that are quantised, such as ``trunk.blocks.0.attn.qkv``.

    A layer whose width is no multiple of the group size keeps its dtype.
    Errors: UsageError for other bits or group sizes than these, or nothing to quantise.
    """
    check_sizes(bits, group_size)
    chosen = {
        path
        for path, module in network.named_modules()
        if network.quantizes(path, module) and module.weight.shape[-1] % group_size == 0
    }
    if not chosen:
        raise UsageError(
            f"no layer's width is a multiple of the group size {group_size}",
            hint=f"group sizes: {_listed(GROUP_SIZES)}",
        )
    return chosen


def record(bits: int, group_size: int) -> dict[str, int]:
    """The ``quantization`` entry of ``config.json``."""
    return {"group_size": group_size, "bits": bits}


def prepare(network: Network, recorded: Mapping[str, Any], tensor_names: Collection[str]) -> None:
    """Give the layers that are quantised on disk their quantised form, before they are filled."""

    def recorded_as_quantized(path: str, module: nn.Module) -> bool:
        return network.quantizes(path, module) and f"{path}.scales" in tensor_names

    nn.quantize(
        network,
        recorded["group_size"],
        recorded["bits"],
        class_predicate=recorded_as_quantized,
    )


def check_packed(
    shapes: Mapping[str, tuple[int, ...]], packed: Collection[str], recorded: Mapping[str, Any]
) -> None:
    """Errors: CheckpointError where packed weights, scales and biases do not belong together."""
    partners: dict[str, str] = {}
    for name in packed:
        *rows, words = shapes[name]
        expected = (*rows, words * 32 // recorded["bits"] // recorded["group_size"])
        for part in _with_scales(name)[1:]:
            if part not in shapes:
                raise CheckpointError(f"the tensor {part} of the quantised {name} is missing")
            if shapes[part] != expected:
                raise CheckpointError(
                    f"the tensor {part} has the shape {shapes[part]}, {name} of "
                    f"{shapes[name]} needs {expected}"
                )
            partners[part] = name
    stray = [name for name in shapes if is_scale(name) and name not in partners]
    if stray:
        raise CheckpointError(f"the tensor {stray[0]} belongs to no quantised weight")


def is_record(value: object) -> bool:
    """Whether a value is what ``config.json`` records of a quantisation."""
    return (
        isinstance(value, dict)
        and value.get("bits") in BITS
        and value.get("group_size") in GROUP_SIZES
    )


def is_scale(name: str) -> bool:
    """Whether a tensor is the scales or biases that go with a quantised weight."""
    return name.endswith((".scales", ".biases"))


def group(name: str, tensor_names: Collection[str]) -> tuple[str, ...]:
    """A tensor with the scales and biases that belong to it; itself alone where it is dense."""
    parts = _with_scales(name)
    return parts if parts[1] in tensor_names else (name,)


def pack(name: str, weight: mx.array, recorded: Mapping[str, Any]) -> dict[str, mx.array]:
    """A dense weight as it is written: packed, with its scales and biases, by name."""
    parts = mx.quantize(weight, group_size=recorded["group_size"], bits=recorded["bits"])
    return dict(zip(_with_scales(name), parts, strict=True))


def dequantize(
    weight: mx.array, scales: mx.array, biases: mx.array, recorded: Mapping[str, Any]
) -> mx.array:
    """The dense weight of a quantised layer, in the dtype of its scales."""
    return mx.dequantize(
        weight, scales, biases, group_size=recorded["group_size"], bits=recorded["bits"]
    )


def _with_scales(name: str) -> tuple[str, str, str]:
    stem = name.removesuffix(".weight")
    return name, f"{stem}.scales", f"{stem}.biases"


def _listed(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes))
