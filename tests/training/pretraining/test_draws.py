"""Prefixes and first weights: what they are drawn from."""

from collections import Counter

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_aimv2.errors import ImageError
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.training.pretraining.decoder import Decoder
from mlx_aimv2.training.pretraining.initialisation import initialise
from mlx_aimv2.training.pretraining.objective import Pretraining
from mlx_aimv2.training.pretraining.prefix import draw_prefix, prefix_mask


def test_prefixes_are_uniform_from_1_to_all_but_one():
    drawn = Counter(draw_prefix(np.random.default_rng((3, n)), 9) for n in range(4000))
    assert drawn.keys() == set(range(1, 9))
    assert all(abs(count - 500) < 5 * np.sqrt(500) for count in drawn.values())
    assert draw_prefix(np.random.default_rng(0), 2) == 1


def test_one_patch_predicts_none():
    with pytest.raises(ImageError, match="1 patch"):
        draw_prefix(np.random.default_rng(0), 1)


def test_a_prefix_of_none_and_of_one_see_the_same():
    assert (prefix_mask(mx.array([0]), 9) == prefix_mask(mx.array([1]), 9)).all()


def objective() -> Pretraining:
    encoder = VisionConfig(64, 160, 2, 2, image_size=98)
    decoder = TextConfig(311, 48, 112, 3, 2, max_position_embeddings=16, eos_token_id=1)
    return Pretraining(VisionEncoder(encoder), Decoder(decoder, 64, 588))


def bound(values: mx.array) -> float:
    return mx.abs(values).max().item()


def deviation(values: mx.array) -> float:
    return mx.sqrt(mx.square(values).mean()).item()


def test_first_weights_are_those_of_apple_s_training_code():
    drawn = objective()
    initialise(drawn, 5)
    weights = dict(tree_flatten(drawn.parameters()))
    for name, limit in {
        "encoder.trunk.blocks.1.attn.qkv.weight": (6 / (64 + 192)) ** 0.5,
        "encoder.trunk.blocks.0.mlp.fc2.weight": (6 / (64 + 160)) ** 0.5,
        "decoder.trunk.blocks.2.attn.proj.weight": (6 / (48 + 48)) ** 0.5,
        "encoder.preprocessor.patchifier.proj.weight": (6 / (64 + 588)) ** 0.5,
        "encoder.preprocessor.patchifier.proj.bias": 588**-0.5,
        "decoder.image_projection.weight": 64**-0.5,
        "decoder.image_projection.bias": 64**-0.5,
    }.items():
        assert 0.9 * limit < bound(weights[name]) <= limit, name
        assert deviation(weights[name]) == pytest.approx(limit / 3**0.5, rel=0.15), name
    for name, expected in {
        "encoder.preprocessor.pos_embed": 0.02,
        "decoder.text_embedding.weight": 0.02,
        "decoder.start_token": 0.02,
        "decoder.positional_embedding": 0.01,
        "decoder.image_head.weight": (1 / (4 * 48)) ** 0.5,
        "decoder.text_head.weight": (1 / (4 * 48)) ** 0.5,
    }.items():
        error = 4 / (2 * weights[name].size) ** 0.5
        assert deviation(weights[name]) == pytest.approx(expected, rel=error), name
    for name in ("image_head", "text_head"):  # cut at twice their normal distribution's deviation
        cut = 2 * (1 / (4 * 48)) ** 0.5 / 0.8796
        assert 0.97 * cut < bound(weights[f"decoder.{name}.weight"]) <= cut
    gains = [array for name, array in weights.items() if "norm" in name]
    assert len(gains) == 2 * 2 + 2 * 3 + 3
    assert all((gain == 1).all() for gain in gains)


def test_a_seed_gives_the_same_weights_and_another_one_others():
    first, again, other = objective(), objective(), objective()
    for drawn, seed in ((first, 5), (again, 5), (other, 6)):
        initialise(drawn, seed)
    weights = [dict(tree_flatten(drawn.parameters())) for drawn in (first, again, other)]
    for name, array in weights[0].items():
        assert (array == weights[1][name]).all(), name
        assert "norm" in name or not (array == weights[2][name]).all(), name
