"""The golden files: tensors that Apple's own modules made (see tests/golden/README.md)."""

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

from mlx_aimv2.lit import LiT
from mlx_aimv2.loader import load_checkpoint
from mlx_aimv2.vision import VisionEncoder
from tests.makers import write_checkpoint

FOLDER = Path(__file__).parent / "golden"


def load_golden(name: str, folder: Path) -> tuple[VisionEncoder | LiT, dict[str, np.ndarray]]:
    """A golden file's network, loaded by way of a folder, and its inputs and outputs."""
    path = FOLDER / f"{name}.safetensors"
    tensors = load_file(path)
    with safe_open(path, framework="np") as file:
        sizes = json.loads(file.metadata()["config"])
    config: dict[str, object] = {"num_attention_heads": sizes.get("num_heads")}
    if name == "lit":
        config = {
            "vision_config": {"num_attention_heads": sizes["vision_num_heads"]},
            "text_config": {
                "num_attention_heads": sizes["text_num_heads"],
                "eos_token_id": sizes["eos_token_id"],
            },
        }
    weights = {key: array for key, array in tensors.items() if not key.startswith("io.")}
    io = {key[3:]: array for key, array in tensors.items() if key.startswith("io.")}
    source = write_checkpoint(folder / name, weights, config)
    return load_checkpoint(source, dtype="float32").network, io


def nhwc(pixels_nchw: np.ndarray) -> mx.array:
    """Pixels as MLX takes them. Shapes: (B, 3, H, W) -> (B, H, W, 3)."""
    return mx.array(pixels_nchw.transpose(0, 2, 3, 1))
