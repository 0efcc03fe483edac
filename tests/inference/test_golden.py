"""Agreement with tensors that Apple's own modules made: mlx_aimv2/verification/golden."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_aimv2.verification.golden import load_golden, nhwc
from tests.support.tolerances import GOLDEN


def close(actual, expected):
    np.testing.assert_allclose(np.array(actual), expected, rtol=0, atol=GOLDEN)


def test_fixed_size_features_and_every_block(tmp_path):
    network, io = load_golden("vision-fixed", tmp_path)
    pixels = nhwc(io["pixels_nchw"])
    close(network(pixels), io["features"])
    output = network(pixels, hidden_states=True)
    assert list(output.hidden_states) == [0, 1, 2]
    for block, state in output.hidden_states.items():
        close(state, io[f"hidden.{block}"])


@pytest.mark.parametrize("shape", ["tall", "wide", "ragged"])
def test_native_features_where_the_last_one_is_no_multiple_of_the_patch(tmp_path, shape):
    network, io = load_golden("vision-native", tmp_path)
    close(network(nhwc(io[f"{shape}.pixels_nchw"])), io[f"{shape}.features"])


def test_lit_both_towers_and_logits_both_ways(tmp_path):
    network, io = load_golden("lit", tmp_path)
    images, ids = nhwc(io["pixels_nchw"]), mx.array(io["input_ids"])
    close(network.image_encoder.pool(network.image_encoder(images)), io["image_pooled"])
    close(network.text_encoder(ids), io["text_pooled"])
    close(network.encode_image(images), io["image_embeds"])
    close(network.encode_text(ids), io["text_embeds"])
    per_image, per_text = network(images, ids)
    close(per_image, io["logits_per_image"])
    close(per_text, io["logits_per_text"])
