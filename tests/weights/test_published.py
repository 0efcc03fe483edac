"""Apple's published checkpoints, for whoever has them: `pytest -m weights tests/weights`.

Each test skips where its checkpoint is not in the Hugging Face cache; AIMV2_COCO_PICTURE names
the picture of the expected values, COCO val2017 000000039769.jpg (640 x 480).
"""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

import mlx_aimv2 as aimv2
from mlx_aimv2.checkpoints import hub
from mlx_aimv2.models.aimv2 import cost
from mlx_aimv2.models.aimv2.published import CHECKPOINTS, Checkpoint, find
from mlx_aimv2.verification import published_values
from tests.support.networks import to_numpy
from tests.support.tolerances import PUBLISHED

pytestmark = pytest.mark.weights


@pytest.fixture
def picture() -> Path:
    path = published_values.picture()
    if path is None:
        pytest.skip(f"needs the picture that {published_values.PICTURE_VARIABLE} names")
    return path


def need(checkpoint: Checkpoint) -> str:
    if hub.cached(checkpoint) is None:
        pytest.skip("needs a published checkpoint")
    return checkpoint.name


@pytest.mark.parametrize(
    ("alias", "shape"),
    [("large", (256, 1024)), ("native", (1530, 1024))],
)
def test_features_of_the_published_example(picture, alias: str, shape) -> None:
    model = aimv2.load(need(find(alias)), dtype="float32")
    features = to_numpy(model.vision(model.preprocess(picture)[None]))
    assert features.shape == (1, *shape)
    np.testing.assert_allclose(
        features[0, :7, :4], published_values.FEATURES[alias], rtol=0, atol=PUBLISHED
    )


def test_zero_shot_of_the_published_example(picture) -> None:
    model = aimv2.load(need(find("lit")), dtype="float32")
    logits = model(
        images=picture, texts=[published_values.CAT, published_values.DOG]
    ).logits_per_image
    cat, dog = to_numpy(logits)[0]
    assert 100 > cat > dog + published_values.CAT_ABOVE_DOG
    assert model.logit_scale <= 100
    labels = ["cat", "dog", "bicycle", "snow", "plate of food"]
    assert to_numpy(model.classify(picture, labels)).argmax() == 0


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: checkpoint.alias)
def test_every_checkpoint_is_what_the_table_says(checkpoint: Checkpoint) -> None:
    model = aimv2.load(need(checkpoint), dtype="float16")
    expected = cost.published_config(checkpoint)
    assert model.config.vision_config == expected.vision_config
    for part in ("text_config", "projection_dim"):
        assert getattr(model.config, part, None) == getattr(expected, part, None)
    assert model.has_text == checkpoint.has_text
    parameters = tree_flatten(model.network.parameters())
    assert sum(array.size for _, array in parameters) == cost.parameters(expected).total
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
