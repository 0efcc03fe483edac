"""The golden files of pre-training: their objective with their weights, and their batch."""

from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
from safetensors.numpy import load_file

from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.training.pretraining.decoder import Decoder
from mlx_aimv2.training.pretraining.objective import Batch, Pretraining

FOLDER = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Golden:
    """An objective, the batch it is given and what it has to give."""

    objective: Pretraining
    batch: Batch
    tensors: dict[str, np.ndarray]


def read_golden(name: str) -> Golden:
    tensors = load_file(FOLDER / f"{name}.safetensors")
    is_native = "input.grids" in tensors
    encoder = VisionConfig(48, 128, 2, 3, image_size=None if is_native else 42, is_native=is_native)
    decoder = TextConfig(31, 32, 96, 2, 2, max_position_embeddings=6, eos_token_id=1)
    objective = Pretraining(VisionEncoder(encoder), Decoder(decoder, 48, 588))
    weights = {
        key.removeprefix("weight."): mx.array(array.astype(np.float32))
        for key, array in tensors.items()
        if key.startswith("weight.")
    }
    objective.load_weights([(own_name(key), array) for key, array in weights.items()])
    batch = {
        "prefix": tensors["input.prefix_lengths"],
        "tokens": tensors["input.text_ids"],
        "token_mask": tensors["input.text_mask"].astype(bool),
    }
    if is_native:
        batch["patches"] = tensors["input.patches"].astype(np.float32)
        batch["grids"] = tensors["input.grids"]
    else:
        batch["pixels"] = tensors["input.pixels_nhwc"].astype(np.float32)
    return Golden(objective, batch, tensors)


def own_name(parameter: str) -> str:
    """A parameter's name in the objective: the files have the encoder's without a prefix."""
    return parameter if parameter.startswith("decoder.") else f"encoder.{parameter}"
