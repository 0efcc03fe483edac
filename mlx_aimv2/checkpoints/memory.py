"""Memory that a network takes, against memory that is there, before any of it is read."""

import shlex
from collections.abc import Mapping
from typing import Any

import mlx.core as mx

from mlx_aimv2 import device
from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.models.network import Config
from mlx_aimv2.models.registry import build

from . import quantize

GROUP_SIZE = 64  # of weights that share a scale, unless another size is asked for
_WORK_BYTES = 1.0e9  # a picture and a thousand tokens


def loaded_bytes(
    config: Config, dtype: mx.Dtype, bits: int | None = None, group_size: int = GROUP_SIZE
) -> int:
    """Bytes of a network's weights in memory, quantised to so many bits, or not at all.

    ``dtype`` is that of what is not packed, and of the scales.
    """
    network = build(config)
    chosen = quantize.chosen_layers(network, bits, group_size) if bits else set()
    total = 0
    for name, array in network.flat_parameters().items():
        if bits and name.removesuffix(".weight") in chosen:
            total += array.size * bits // 8 + 2 * array.size // group_size * dtype.size
        else:
            total += array.size * dtype.size
    return total


def check_room(
    name: str, config: Config, dtype: mx.Dtype, recorded: Mapping[str, Any] | None = None
) -> None:
    """Errors: CheckpointError where a checkpoint is larger than the memory that is there for it.

    It names both sizes, and the most bits in which it would fit. ``name`` is what ``load`` takes,
    ``recorded`` how it is quantised.
    """
    packed = (recorded["bits"], recorded["group_size"]) if recorded else ()
    needed = loaded_bytes(config, dtype, *packed)
    room = device.room_bytes() - _WORK_BYTES
    if needed <= room:
        return
    fewer = [bits for bits in sorted(quantize.BITS) if not recorded or bits < recorded["bits"]]
    sizes = {bits: loaded_bytes(config, dtype, bits) for bits in fewer}
    hint = "end other programs, or take a machine with more memory"
    if fitting := [bits for bits in fewer if sizes[bits] <= room]:
        bits, source = max(fitting), "ORIGINAL" if recorded else shlex.quote(name)
        hint = (
            f"{bits} bits take {sizes[bits] / 1e9:.1f} GB: aimv2 convert --hf-path {source} "
            f"--mlx-path aria-{bits}bit -q --q-bits {bits}"
        )
    elif fewer:
        hint += f": {min(fewer)} bits take {sizes[min(fewer)] / 1e9:.1f} GB"
    precision = f"{recorded['bits']} bits" if recorded else str(dtype).rpartition(".")[2]
    raise CheckpointError(
        f"{name} takes {(needed + _WORK_BYTES) / 1e9:.1f} GB of memory in {precision}, "
        f"and there are {device.room_bytes() / 1e9:.1f} GB",
        hint=hint,
    )
