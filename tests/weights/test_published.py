"""Apple's published checkpoints, for whoever has them: `pytest -m weights tests/weights`.

Each test skips where its checkpoint is not in the Hugging Face cache; AIMV2_COCO_PICTURE names
the picture of the expected values, COCO val2017 000000039769.jpg (640 x 480).
"""

import os
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

import mlx_aimv2 as aimv2
from mlx_aimv2 import cost, hub
from mlx_aimv2.checkpoints import CHECKPOINTS, Checkpoint, find
from mlx_aimv2.config import vision_config_of
from tests.networks import to_numpy
from tests.tolerances import PUBLISHED

pytestmark = pytest.mark.weights

# First four columns of rows 0 to 6 of the features of that picture.
# Source: transformers 5.23, tests/models/aimv2/test_modeling_aimv2.py.
LARGE = [
    [0.0510, 0.0806, -0.0990, -0.0154],
    [2.7850, -2.5143, -0.3320, 2.4196],
    [2.8179, -2.4089, -0.2770, 2.3218],
    [2.7641, -2.4114, -0.3684, 2.2998],
    [2.7972, -2.3180, -0.4490, 2.2302],
    [2.8584, -2.5322, -0.2302, 2.4936],
    [-2.7849, 2.4121, 1.3670, -1.5514],
]
NATIVE = [
    [-1.3342, 0.3720, 0.0963, 0.4159],
    [-1.5328, 0.4677, 0.0936, 0.4321],
    [-0.3775, -0.2758, -0.0803, -0.5367],
    [-1.3877, 0.5561, -1.9064, -1.1766],
    [-0.5148, 0.0108, -0.4515, -0.6402],
    [-0.3400, -0.1711, -0.1855, -0.4219],
    [-1.2877, -0.0585, -0.1646, 0.7420],
]


@pytest.fixture
def picture() -> Path:
    path = os.environ.get("AIMV2_COCO_PICTURE")
    if not path:
        pytest.skip("AIMV2_COCO_PICTURE does not name the picture")
    return Path(path)


def need(checkpoint: Checkpoint) -> str:
    if hub.cached(checkpoint) is None:
        pytest.skip("the checkpoint is not in the local cache")
    return checkpoint.name


@pytest.mark.parametrize(
    ("alias", "shape", "expected"),
    [("large", (256, 1024), LARGE), ("native", (1530, 1024), NATIVE)],
)
def test_features_of_the_published_example(picture, alias: str, shape, expected) -> None:
    model = aimv2.load(need(find(alias)), dtype="float32")
    features = to_numpy(model.vision(model.preprocess(picture)[None]))
    assert features.shape == (1, *shape)
    np.testing.assert_allclose(features[0, :7, :4], expected, rtol=0, atol=PUBLISHED)


def test_zero_shot_of_the_published_example(picture) -> None:
    """Two cats on a sofa.

    transformers' tests say 33.3550 and 26.4255, but both prompts are equally long, where its
    text tower is not causal: only the order and the distance can be expected of a causal one.
    """
    model = aimv2.load(need(find("lit")), dtype="float32")
    logits = model(images=picture, texts=["a photo of a cat", "a photo of a dog"]).logits_per_image
    cat, dog = to_numpy(logits)[0]
    assert 100 > cat > dog + 3
    assert model.logit_scale <= 100
    labels = ["cat", "dog", "bicycle", "snow", "plate of food"]
    assert to_numpy(model.classify(picture, labels)).argmax() == 0


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: checkpoint.alias)
def test_every_checkpoint_is_what_the_table_says(checkpoint: Checkpoint) -> None:
    model = aimv2.load(need(checkpoint), dtype="float16")
    published = cost.published_config(checkpoint)
    assert vision_config_of(model.config) == vision_config_of(published)
    for part in ("text_config", "projection_dim"):
        assert getattr(model.config, part, None) == getattr(published, part, None)
    assert model.has_text == checkpoint.has_text
    parameters = tree_flatten(model.network.parameters())
    assert sum(array.size for _, array in parameters) == cost.parameters(published).total
    assert model.weights.size_bytes == cost.published_bytes(checkpoint)
    assert all(mx.isfinite(array).all().item() for _, array in parameters)


def test_half_precision_stays_finite_and_close(picture) -> None:
    name = need(find("large"))
    exact = to_numpy(aimv2.load(name, dtype="float32").embed_images([picture]))
    for dtype, least in (("float16", 0.9999), ("bfloat16", 0.999)):
        model = aimv2.load(name, dtype=dtype)
        assert (to_numpy(model.embed_images([picture])) * exact).sum() > least
        assert model.dtype == dtype  # not widened


def test_the_text_tower_alone_in_half_precision() -> None:
    model = aimv2.load(need(find("lit")), tower="text", dtype="float16")
    cat, cats, boat = to_numpy(model.embed_texts(["a photo of a cat", "two cats", "a red boat"]))
    assert np.isfinite([cat, cats, boat]).all()
    assert cat @ cats > cat @ boat
