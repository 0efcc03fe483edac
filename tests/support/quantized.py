"""A quantised checkpoint, in memory and on disk."""

import json
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from tests.support.makers import TEXT, VISION, lit_config, random_lit
from tests.support.networks import filled, quantized

GROUP = 32
IMAGE = VISION | {"width": 96, "mlp": 160}
WORDS = TEXT | {"width": 64, "mlp": 97}  # fc2 of the text tower has no multiple of the group


def network(dtype: str = "float32"):
    return filled(random_lit(vision=IMAGE, text=WORDS), lit_config(IMAGE, WORDS), dtype)


def write_quantized(folder: Path, bits: int, dtype: str = "float32", drop=(), **changes) -> Path:
    """A quantised checkpoint on disk, some of its tensors left out or changed."""
    made = network(dtype)
    recorded = quantized(made, bits, GROUP)
    arrays = {name: array for name, array in tree_flatten(made.parameters()) if name not in drop}
    folder.mkdir(exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), arrays | changes, {"format": "mlx"})
    config = made.config.to_dict() | {"quantization": recorded}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
