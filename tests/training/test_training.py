"""The objective and the training command: right gradients, a falling loss, a readable folder."""

import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_aimv2 import load
from mlx_aimv2.errors import UsageError
from mlx_aimv2.models.aimv2.config import LiTConfig, TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.lit import LiT
from mlx_aimv2.texts.tokenizer import Tokenizer
from mlx_aimv2.training import demo
from mlx_aimv2.training.byte_pairs import learn_vocabulary
from mlx_aimv2.training.contrastive import (
    Trainer,
    batch_loss,
    contrastive_loss,
    generic_loss,
    initialise,
    normalize_pixels,
    pool_masks,
    symmetric_loss,
    to_arrays,
)
from mlx_aimv2.training.demo_card import Measured, demo_card
from mlx_aimv2.training.drawings.nouns import NOUNS
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from mlx_aimv2.training.evaluate import Figures, encoders_of, least_cosine, measure
from mlx_aimv2.training.examples import Recipe, make_batch

RECIPE = Recipe(seed=1, steps=2, batch_size=5, side_px=112, patch_size=14)


def tiny_config(vocab_size: int, *, use_head: bool = True) -> LiTConfig:
    vision = VisionConfig(64, 64, 2, 2, image_size=112, use_head=use_head)
    text = TextConfig(vocab_size, 64, 64, 1, 2, 41, eos_token_id=vocab_size - 1)
    return LiTConfig(vision, text, projection_dim=64)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("vocabulary")
    learnt = learn_vocabulary(1)
    learnt.save(str(folder / "tokenizer.json"))
    end = learnt.get_vocab_size() - 1
    return Tokenizer.from_folder(folder, max_length=41, eos_token_id=end)


def tiny_model(tokenizer: Tokenizer) -> LiT:
    model = LiT(tiny_config(tokenizer.vocab_size))
    initialise(model, 11)
    return model


def test_loss_with_one_true_pair_a_row_is_cross_entropy() -> None:
    logits = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    expected = -np.log(np.exp(logits.diagonal()) / np.exp(logits).sum(axis=1)).mean()
    loss = contrastive_loss(mx.array(logits), mx.eye(7) > 0)
    np.testing.assert_allclose(float(loss.item()), expected, rtol=1e-5)


def test_true_pairs_do_not_compete() -> None:
    truth = mx.array([[True, True, False]])
    low = contrastive_loss(mx.array([[2.0, 2.0, 0.0]]), truth)
    one_higher = contrastive_loss(mx.array([[2.0, 50.0, 0.0]]), truth)
    assert one_higher.item() < low.item()


def test_the_gradient_raises_true_pairs_and_lowers_false_ones() -> None:
    logits = mx.random.normal((5, 13))
    truth = mx.random.uniform(shape=(5, 13)) < 0.3
    gradient = np.array(mx.grad(symmetric_loss)(logits, truth))
    assert (gradient[np.array(truth)] <= 0).all()
    assert (gradient[~np.array(truth)] >= 0).all()
    assert np.abs(gradient).sum() > 0


@pytest.mark.parametrize("value", [True, False])
def test_rows_without_a_choice_count_nothing(value: bool) -> None:
    loss = symmetric_loss(mx.random.normal((3, 5)), mx.full((3, 5), value))
    assert loss.item() == 0


def test_generic_texts_are_set_above_false_ones_only() -> None:
    logits = mx.random.normal((3, 5))
    generic = mx.array([False, False, False, True, True])
    truth = mx.array([[True, False, False, False, False]] * 3)
    gradient = np.array(mx.grad(generic_loss)(logits, generic, truth))
    assert (gradient[:, 0] == 0).all()
    assert (gradient[:, 1:3] > 0).all()
    assert (gradient[:, 3:] < 0).all()


def test_pooling_by_masks_is_the_head_with_each_mask(tokenizer: Tokenizer) -> None:
    encoder = tiny_model(tokenizer).image_encoder
    features = mx.random.normal((3, 7, 64))
    masks = (mx.random.uniform(shape=(3, 5, 7)) < 0.5) | (mx.arange(7) == 2)
    pooled = pool_masks(encoder.head, features, masks)
    for index in range(5):
        alone = encoder.pool(features, masks[:, None, None, index])
        np.testing.assert_allclose(np.array(pooled[:, index]), np.array(alone), atol=1e-5)


def test_the_loss_sees_what_encode_image_gives(tokenizer: Tokenizer) -> None:
    model = tiny_model(tokenizer)
    batch = make_batch(RECIPE, 1, range(5))
    pixels, region_masks, _, texts, generic, truth = to_arrays(batch, tokenizer)
    labels = mx.concatenate([model.encode_text(ids) for ids in texts])
    logits = model.logit_scale * (model.encode_image(pixels) @ labels.T)
    whole = (mx.ones_like(region_masks), mx.arange(5) * region_masks.shape[1], texts)
    twice = mx.concatenate([truth[:5], truth[:5]])
    loss = batch_loss(model, pixels, *whole, mx.zeros_like(generic), twice)
    expected = 2 * symmetric_loss(logits, truth[:5])
    np.testing.assert_allclose(float(loss.item()), float(expected.item()), rtol=1e-4)


def test_pixels_are_in_the_models_units() -> None:
    grey = normalize_pixels(np.full((1, 2, 2, 3), 255, np.uint8))
    np.testing.assert_allclose(np.array(grey)[0, 0, 0], [1.930336, 2.074882, 2.145896], rtol=1e-5)


def test_the_loss_falls(tokenizer: Tokenizer) -> None:
    model = tiny_model(tokenizer)
    trainer = Trainer(model, 17)
    arrays = to_arrays(make_batch(RECIPE, 0, range(5)), tokenizer)
    losses = [trainer.step(arrays) for _ in range(17)]
    assert losses[-1] < 0.8 * losses[0]
    parameters = dict(tree_flatten(model.parameters()))
    assert all(mx.isfinite(value).all().item() for value in parameters.values())


def test_the_first_weights_are_fixed_by_the_seed(tokenizer: Tokenizer) -> None:
    first, second = tiny_model(tokenizer), tiny_model(tokenizer)
    for (name, one), (_, other) in zip(
        tree_flatten(first.parameters()), tree_flatten(second.parameters()), strict=True
    ):
        assert mx.array_equal(one, other).item(), name


def test_no_head_no_training(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="pooling head"):
        initialise(LiT(tiny_config(tokenizer.vocab_size, use_head=False)), 0)


def test_demo_sizes() -> None:
    model = LiT(demo.demo_config(1100))
    count = sum(value.size for _, value in tree_flatten(model.parameters()))
    assert count <= 5_800_000
    widths = {
        value.shape[-1]
        for name, value in tree_flatten(model.parameters())
        if value.ndim == 2 and "positional" not in name
    }
    assert all(width % 64 == 0 for width in widths)  # everything can be quantised


@pytest.mark.filterwarnings("ignore:.*unpacked on the CPU")
def test_what_training_writes_can_be_loaded_and_converted(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlx.data", reason="needs mlx-data")
    monkeypatch.setattr(demo, "demo_config", tiny_config)
    monkeypatch.setattr(demo, "BATCH_SIZE", RECIPE.batch_size)
    said: list[str] = []
    demo.train(tmp_path, 1, 2, said.append)
    assert said[-1].startswith("step 2/2")
    measured = demo.publish(tmp_path, tmp_path / "demo", number=4)
    assert [row.weights for row in measured] == ["float16", "8-bit", "4-bit"]
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json", "tags.txt"):
        assert (tmp_path / "demo" / name).is_file()
    embed_images, embed_texts = encoders_of(load(str(tmp_path / "demo")))
    assert embed_texts(["a dog"]).shape == (1, 64)
    exact, _ = encoders_of(load(str(tmp_path)))
    assert least_cosine(embed_images, exact, number=3) > 0.999


def test_the_card_names_its_figures() -> None:
    figures = Figures(1000, 46, 0.913, 0.99, 0.95, 0.8, 0.7, 0.9, 0.6, 0.92)
    rows = [Measured("float16", 6_000_000, figures, None), Measured("4-bit", 1, figures, 0.9701)]
    card = demo_card(rows, seed=0, steps=9, batch_size=2, minutes=30.2)
    for text in (
        "license: mit",
        "drawings, not photographs",
        "91.3%",
        "0.9701",
        "6.0",
        "--steps 9",
    ):
        assert text in card


@pytest.mark.parametrize(
    ("module", "arguments"), [("evaluate", ["demo"]), ("demo", ["--steps", "1", "--out", "made"])]
)
def test_without_mlx_data_one_is_told_where_to_get_it(
    module: str, arguments: list[str], tmp_path: Path
) -> None:
    code = (
        "import runpy, sys; sys.modules['mlx.data'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_module(f'mlx_aimv2.training.{sys.argv[0]}', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    message, hint = done.stderr.splitlines()
    assert message == "error: training and its evaluation need mlx-data, which is not installed"
    assert "mlx-data; it has wheels for Python 3.11 to 3.13 only" in hint
    assert not list(tmp_path.iterdir())


SHIPPED = Path(demo.__file__).parents[1] / "demo"


def test_the_shipped_checkpoint_knows_unseen_drawings() -> None:
    """Less than the card's figures promise, on fewer drawings."""
    pytest.importorskip("mlx.data", reason="needs mlx-data")
    assert (SHIPPED / "model.safetensors").stat().st_size <= 12_000_000
    model = load("demo")
    count = sum(value.size for _, value in tree_flatten(model.network.parameters()))
    assert count <= 5_800_000
    figures = measure(*encoders_of(model), number=100)
    assert figures.single_top1 >= 0.88
    assert figures.several_top1 >= 0.9


def test_its_vectors_are_its_own() -> None:
    """Trained vectors do not lie in one narrow cone, and no text is every picture's favourite."""
    embed_images, embed_texts = encoders_of(load("demo"))
    images = embed_images([draw(HELD_OUT + number).image for number in range(50)])
    texts = embed_texts([f"a {noun}" for noun in NOUNS])
    cosines = images @ images.T
    assert np.median(cosines) < 0.7
    favourites = np.bincount((images @ texts.T).argmax(axis=1), minlength=len(NOUNS))
    assert favourites.max() <= 10
