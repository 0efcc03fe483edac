"""The demo checkpoint without its texts: it sees drawings as the demo does, and reads no words."""

import json
from pathlib import Path

import mlx.core as mx

from mlx_aimv2.checkpoints.hub import DEMO, resolve


def write_seeing_demo(folder: Path) -> Path:
    """Write the demo's image encoder into a folder of its own."""
    demo = resolve(DEMO).folder
    folder.mkdir(parents=True)
    config = json.loads((demo / "config.json").read_text())["vision_config"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_bytes(
        (demo / "preprocessor_config.json").read_bytes()
    )
    loaded = mx.load(str(demo / "model.safetensors"))
    prefix = "image_encoder."
    tensors = {
        name.removeprefix(prefix): value
        for name, value in loaded.items()
        if name.startswith(prefix)
    }
    mx.save_safetensors(str(folder / "model.safetensors"), tensors)
    return folder
