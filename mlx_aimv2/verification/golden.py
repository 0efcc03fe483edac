"""This port's results held against the golden files, made by Apple's own torch modules.

See ``golden/README.md``.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mlx_aimv2 import install_hints
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.errors import Aimv2Error, CheckpointError
from mlx_aimv2.files.checkpoint_files import CONFIG_FILE, SINGLE_FILE
from mlx_aimv2.models.aimv2.lit import LiT
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.models.network import EmbeddingNetwork
from mlx_aimv2.models.registry import embedding_network

from .check import GOLDEN, NOT_FULL, REPORT_HINT, Check, finite, judged, skipped

FOLDER = Path(__file__).parent / "golden"
# Told by these from a file that was damaged on its way here.
SHA256 = {
    "vision-fixed": "5872fdb2b6f09cf032f116e56312c47cabb9b8d56a801542c05add6e71c8c530",
    "vision-native": "3a9f3fa451ccfe377683735b545c57cc874a6c0ff3093f0449ca3ba8d028df41",
    "lit": "4f920b7b2d9f1f172fee277335420cfe7448fe4ab81e28b57b1f5da6dd4d1f3e",
}

Arrays = dict[str, NDArray[Any]]


def load_golden(name: str, folder: Path) -> tuple[EmbeddingNetwork, Arrays]:
    """A golden file's network in float32, loaded by way of a folder, and its inputs and outputs.

    Errors: CheckpointError where the file is not the one that was made.
    """
    path = FOLDER / f"{name}.safetensors"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[name]:
        raise CheckpointError(
            f"{path} is missing or damaged",
            hint=f"install the package again: {install_hints.again()}",
        )
    tensors = load_file(path)
    io = {key[3:]: array for key, array in tensors.items() if key.startswith("io.")}
    source = folder / name
    source.mkdir()
    weights = {key: array for key, array in tensors.items() if not key.startswith("io.")}
    save_file(weights, source / SINGLE_FILE)
    (source / CONFIG_FILE).write_text(json.dumps(_config(path)), encoding="utf-8")
    return embedding_network(load_checkpoint(source, dtype="float32").network), io


def activations(name: str, *, is_full: bool) -> Check:
    """A golden network's results on the default device, in float32, block by block."""
    title = f"golden {name}"
    if not is_full:
        return skipped(title, NOT_FULL)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = differences(name, Path(folder))
    except Aimv2Error as error:
        return judged(title, False, str(error), error.hint)
    worst = np.max([*found.values()])  # NaN where one of them is
    far = [f"{what}: off by {each:.1e}" for what, each in found.items() if not each <= GOLDEN]
    return judged(
        title,
        not far,
        f"{len(found)} results of Apple's own code, at most {worst:.0e} off (limit {GOLDEN:.0e})",
        REPORT_HINT,
        findings=far,
        values={what: finite(each) for what, each in found.items()},
    )


def differences(name: str, folder: Path) -> dict[str, float]:
    """How far each output of a golden file is from this port's, block by block where it has them.

    Errors: CheckpointError where the file is not the one that was made.
    """
    network, io = load_golden(name, folder)
    results = (
        _vision(cast(VisionEncoder, network), io)
        if network.config.text_config is None
        else _lit(cast(LiT, network), io)
    )
    return {
        what: float(np.abs(np.array(actual) - io[expected]).max())
        for what, actual, expected in results
    }


def nhwc(pixels_nchw: NDArray[Any]) -> mx.array:
    """Pixels as MLX takes them. Shapes: (B, 3, H, W) -> (B, H, W, 3)."""
    return mx.array(pixels_nchw.transpose(0, 2, 3, 1))


def _config(path: Path) -> dict[str, Any]:
    """What the tensors do not tell, from the file's metadata (Apple's argument names)."""
    with safe_open(path, framework="np") as file:
        sizes = json.loads(file.metadata()["config"])
    if "num_heads" in sizes:
        return {"num_attention_heads": sizes["num_heads"]}
    return {
        "vision_config": {"num_attention_heads": sizes["vision_num_heads"]},
        "text_config": {
            "num_attention_heads": sizes["text_num_heads"],
            "eos_token_id": sizes["eos_token_id"],
        },
    }


Result = tuple[str, mx.array, str]  # what it is called, its values, its name in the file


def _vision(network: VisionEncoder, io: Arrays) -> Iterator[Result]:
    for key in sorted(key for key in io if key.endswith("pixels_nchw")):
        shape = key.removesuffix("pixels_nchw")
        output = network(nhwc(io[key]), hidden_states=True)
        for block, state in output.hidden_states.items():
            if f"{shape}hidden.{block}" in io:
                yield f"block {block}", state, f"{shape}hidden.{block}"
        yield f"{shape}features", output.last_hidden_state, f"{shape}features"


def _lit(network: LiT, io: Arrays) -> Iterator[Result]:
    pixels, ids = nhwc(io["pixels_nchw"]), mx.array(io["input_ids"])
    image, text = network.image_encoder, network.text_encoder
    yield "image pooled", image.pool(image.features(pixels)), "image_pooled"
    yield "text pooled", text.pooled(ids), "text_pooled"
    yield "image embeddings", network.encode_image(pixels), "image_embeds"
    yield "text embeddings", network.encode_text(ids), "text_embeds"
    per_image, per_text = network(pixels, ids)
    yield "logits per image", per_image, "logits_per_image"
    yield "logits per text", per_text, "logits_per_text"
