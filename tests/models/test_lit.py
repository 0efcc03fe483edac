"""LiT: unit vectors in one space, the clipped scale, logits both ways, towers by themselves."""

import math

import mlx.core as mx
import numpy as np
import pytest

from mlx_aimv2.checkpoints.load import DTYPES
from mlx_aimv2.models.aimv2.config import LiTConfig, complete_config
from mlx_aimv2.models.aimv2.lit import LiT, normalize
from tests.support.makers import PROJECTION, lit_config, random_ids, random_lit, to_apple_mlx
from tests.support.networks import (
    SIDE,
    assert_close,
    assert_same,
    lit,
    pixels,
    product_dtypes,
    to_numpy,
)
from tests.support.tolerances import BATCH_MATES, UNIT

IMAGES = pixels(3, SIDE, SIDE)
IDS = mx.array(random_ids(np.random.default_rng(0), 5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_unit_vectors_of_the_weights_dtype(dtype: str) -> None:
    network = lit(dtype)
    images, texts = network.encode_image(IMAGES), network.encode_text(IDS)
    assert images.shape == (3, PROJECTION)
    assert texts.shape == (5, PROJECTION)
    for vectors in (images, texts):
        assert vectors.dtype == DTYPES[dtype]
        norms = np.linalg.norm(to_numpy(vectors), axis=-1)
        np.testing.assert_allclose(norms, 1, rtol=0, atol=UNIT[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_promoted_inside(dtype: str) -> None:
    network = lit(dtype)
    assert product_dtypes(network.encode_image, IMAGES) - {mx.bool_} == {DTYPES[dtype]}
    assert {logits.dtype for logits in network(IMAGES, IDS)} == {DTYPES[dtype]}


def test_logits_both_ways() -> None:
    network = lit()
    per_image, per_text = network(IMAGES, IDS)
    assert per_image.shape == (3, 5)
    assert_same(per_text, per_image.T)
    images, texts = to_numpy(network.encode_image(IMAGES)), to_numpy(network.encode_text(IDS))
    assert_close(per_image, math.exp(3.1) * images @ texts.T, 1e-4)


def test_batch_mates_change_nothing() -> None:
    network = lit()
    together, _ = network(IMAGES, IDS)
    for i in range(3):
        for j in range(5):
            alone, _ = network(IMAGES[i : i + 1], IDS[j : j + 1])
            assert_close(together[i, j], alone.item(), 100 * BATCH_MATES)


@pytest.mark.parametrize(
    ("logarithm", "scale"),
    [(math.log(1 / 0.07), 1 / 0.07), (-3.0, 1.0), (0.0, 1.0), (math.log(100), 100.0), (7.5, 100.0)],
)
def test_the_scale_is_clipped(logarithm: float, scale: float) -> None:
    network = lit()
    network.log_logit_scale = mx.array(logarithm)
    assert network.logit_scale.item() == pytest.approx(scale, rel=1e-5)


def test_the_scale_keeps_its_precision_beside_half_precision_towers() -> None:
    assert lit("bfloat16").logit_scale.item() == pytest.approx(math.exp(3.1), rel=1e-6)


@pytest.mark.parametrize("tower", ["image", "text"])
def test_one_tower_alone(tower: str) -> None:
    tensors = to_apple_mlx(random_lit())
    config = complete_config({n: a.shape for n, a in tensors.items()}, lit_config())
    assert isinstance(config, LiTConfig)
    alone = LiT(config, (tower,))
    mine = [(n, mx.array(a)) for n, a in tensors.items() if n.startswith((tower, "log_"))]
    alone.load_weights(mine)
    encode = f"encode_{tower}"
    inputs = IMAGES if tower == "image" else IDS
    assert_same(getattr(alone, encode)(inputs), getattr(lit(), encode)(inputs))
    other = "text" if tower == "image" else "image"
    assert not hasattr(alone, f"{other}_encoder")
    assert not hasattr(alone, f"{other}_projector")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-4, 1.0, 300.0, 6e4])
def test_normalisation_neither_overflows_nor_vanishes(dtype: str, size: float) -> None:
    vectors = (pixels(1, 1, 7).reshape(1, -1) * size / 4).astype(DTYPES[dtype])
    assert np.isfinite(to_numpy(vectors)).all()
    norms = np.linalg.norm(to_numpy(normalize(vectors)), axis=-1)
    np.testing.assert_allclose(norms, 1, rtol=0, atol=UNIT[dtype])


def test_a_zero_vector_stays_zero() -> None:
    assert not to_numpy(normalize(mx.zeros((2, 5)))).any()
