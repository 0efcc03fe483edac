"""Memory that a network takes, against memory that is there, before any of it is read."""

import mlx.core as mx

from mlx_aimv2 import device
from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.models.network import Config
from mlx_aimv2.models.registry import build

from . import quantize
from .weights import Weights

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


def check_room(weights: Weights, dtype: mx.Dtype) -> None:
    """Errors: CheckpointError where a checkpoint is larger than the memory that is there for it.

    It names both sizes, and the most bits in which it would fit.
    """
    recorded = weights.quantization
    if recorded:
        needed = loaded_bytes(weights.config, dtype, recorded["bits"], recorded["group_size"])
    else:
        needed = loaded_bytes(weights.config, dtype)
    room = device.room_bytes() - _WORK_BYTES
    if needed <= room:
        return
    fewer = [bits for bits in sorted(quantize.BITS) if not recorded or bits < recorded["bits"]]
    sizes = {bits: loaded_bytes(weights.config, dtype, bits) for bits in fewer}
    hint = "end other programs, or take a machine with more memory"
    if sizes:
        bits = max((bits for bits in fewer if sizes[bits] <= room), default=min(fewer))
        what = "the checkpoint that it was made from" if recorded else "it"
        smaller = f"quantise {what}: aimv2 convert -q --q-bits {bits}: {sizes[bits] / 1e9:.1f} GB"
        hint = smaller if sizes[bits] <= room else f"{hint}; at least {sizes[bits] / 1e9:.1f} GB"
    precision = f"{recorded['bits']} bits" if recorded else str(dtype).rpartition(".")[2]
    raise CheckpointError(
        f"{weights.folder} takes {(needed + _WORK_BYTES) / 1e9:.1f} GB of memory in {precision}, "
        f"and there are {device.room_bytes() / 1e9:.1f} GB",
        hint=hint,
    )
