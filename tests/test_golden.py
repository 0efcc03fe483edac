"""Agreement with tensors that Apple's own modules made (see tests/golden/README.md)."""

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from mlx_aimv2.loader import load_checkpoint
from tests.makers import write_checkpoint
from tests.tolerances import GOLDEN

FOLDER = Path(__file__).parent / "golden"


@pytest.fixture
def golden(request, tmp_path):
    """The checkpoint folder of a golden file, and its inputs and outputs."""
    path = FOLDER / f"{request.param}.safetensors"
    tensors = load_file(path)
    with safe_open(path, framework="np") as file:
        sizes = json.loads(file.metadata()["config"])
    weights = {name: array for name, array in tensors.items() if not name.startswith("io.")}
    config = {"num_attention_heads": sizes.get("num_heads")}
    if request.param == "lit":
        config = {
            "vision_config": {"num_attention_heads": sizes["vision_num_heads"]},
            "text_config": {
                "num_attention_heads": sizes["text_num_heads"],
                "eos_token_id": sizes["eos_token_id"],
            },
        }
    io = {name[3:]: array for name, array in tensors.items() if name.startswith("io.")}
    return load_checkpoint(write_checkpoint(tmp_path / "golden", weights, config)).network, io


def pixels(io, name="pixels_nchw"):
    return mx.array(io[name].transpose(0, 2, 3, 1))


def close(actual, expected):
    np.testing.assert_allclose(np.array(actual), expected, rtol=0, atol=GOLDEN)


@pytest.mark.parametrize("golden", ["vision-fixed"], indirect=True)
def test_fixed_size_features_and_every_block(golden):
    network, io = golden
    close(network(pixels(io)), io["features"])
    output = network(pixels(io), hidden_states=True)
    assert list(output.hidden_states) == [0, 1, 2]
    for block, state in output.hidden_states.items():
        close(state, io[f"hidden.{block}"])


@pytest.mark.parametrize("golden", ["vision-native"], indirect=True)
@pytest.mark.parametrize("shape", ["tall", "wide", "ragged"])
def test_native_features_where_the_last_one_is_no_multiple_of_the_patch(golden, shape):
    network, io = golden
    close(network(pixels(io, f"{shape}.pixels_nchw")), io[f"{shape}.features"])


@pytest.mark.parametrize("golden", ["lit"], indirect=True)
def test_lit_both_towers_and_logits_both_ways(golden):
    network, io = golden
    images, ids = pixels(io), mx.array(io["input_ids"])
    close(network.image_encoder.pool(network.image_encoder(images)), io["image_pooled"])
    close(network.text_encoder(ids), io["text_pooled"])
    close(network.encode_image(images), io["image_embeds"])
    close(network.encode_text(ids), io["text_embeds"])
    per_image, per_text = network(images, ids)
    close(per_image, io["logits_per_image"])
    close(per_text, io["logits_per_text"])
