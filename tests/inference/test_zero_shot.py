"""Prompts, label embeddings and scores."""

import mlx.core as mx
import numpy as np
import pytest

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference import zero_shot


def fake_embed_texts(texts):
    """A unit vector a text, the same for the same text."""
    rows = []
    for text in texts:
        row = np.random.default_rng(list(text.encode())).standard_normal(11)
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, np.float32)


@pytest.mark.parametrize("name", sorted(zero_shot.TEMPLATES))
def test_every_template_takes_one_label(name):
    assert zero_shot.templates_of(name) == zero_shot.TEMPLATES[name]
    assert all(template.count("{}") == 1 for template in zero_shot.TEMPLATES[name])


@pytest.mark.parametrize("bad", ["nope", [], ["no place"], ["{} and {}"]])
def test_other_templates_are_refused(bad):
    with pytest.raises(UsageError):
        zero_shot.templates_of(bad)


def test_a_label_is_the_normalised_mean_of_its_normalised_prompts():
    labels, templates = ["dog", "a {weird} label"], ["a {}.", "the {}", "{}"]
    actual = zero_shot.label_embeddings(labels, templates, fake_embed_texts)
    for label, row in zip(labels, actual, strict=True):
        prompts = [template.replace("{}", label) for template in templates]
        mean = fake_embed_texts(prompts).mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)


def test_one_template_of_ones_own_needs_no_list():
    assert zero_shot.templates_of("my {}") == ("my {}",)


@pytest.mark.parametrize(
    "labels", [[], [""], ["dog", " "], "dog", b"dog", [1], [b"dog"], 7, np.array([]), np.arange(3)]
)
def test_labels_that_are_none_are_refused(labels):
    with pytest.raises(UsageError):
        zero_shot.label_embeddings(labels, "plain", fake_embed_texts)


def test_labels_come_in_anything_that_can_be_gone_through():
    words = ["dog", "beach"]
    expected = zero_shot.label_embeddings(words, "ensemble", fake_embed_texts)
    for labels in (np.array(words), (word for word in words), dict.fromkeys(words)):
        actual = zero_shot.label_embeddings(labels, "ensemble", fake_embed_texts)
        np.testing.assert_array_equal(actual, expected)


def test_probabilities_are_a_softmax_and_never_overflow():
    images, labels = fake_embed_texts(["i", "j", "k"]), fake_embed_texts(["a", "b"])
    actual = zero_shot.probabilities(images, labels, 100.0)
    powers = np.exp(100.0 * (images @ labels.T).astype(np.float64))
    np.testing.assert_allclose(actual, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)
    assert np.isfinite(zero_shot.probabilities(images, labels, 1e6)).all()


def test_independent_scores_do_not_know_of_each_other():
    images, labels = fake_embed_texts(["i", "j"]), fake_embed_texts(["a", "b", "c"])
    background = fake_embed_texts(list(zero_shot.BACKGROUND))
    together = zero_shot.independent_scores(images, labels, background, 20.0)
    alone = zero_shot.independent_scores(images, labels[1:2], background, 20.0)
    np.testing.assert_allclose(together[:, 1:2], alone, atol=1e-6)
    assert ((together > 0) & (together < 1)).all()
    same = zero_shot.independent_scores(images, background.mean(axis=0)[None], background, 20.0)
    np.testing.assert_allclose(same, 0.5, atol=1e-6)  # fits as well as anything does
    assert np.isfinite(zero_shot.independent_scores(images, labels, background, 1e6)).all()


@pytest.fixture(scope="module")
def demo():
    return aimv2.load("demo")


def test_transformers_names_and_logits(demo):
    images = list(np.random.default_rng(1).integers(0, 256, (3, 90, 120, 3), dtype=np.uint8))
    texts = ["a red car", "two dogs"]
    output = demo(images=images, texts=texts)
    assert output.image_embeds.shape[0] == 3
    assert output.text_embeds.shape[0] == 2
    expected = demo.logit_scale * (output.image_embeds @ output.text_embeds.T)
    np.testing.assert_allclose(np.array(output.logits_per_image), np.array(expected), atol=1e-4)
    np.testing.assert_array_equal(
        np.array(output.logits_per_text), np.array(output.logits_per_image.T)
    )
    only = demo(texts=texts)
    assert only.image_embeds is None
    assert only.logits_per_image is None


def test_classify_is_softmax_of_the_logits(demo):
    images = list(np.random.default_rng(1).integers(0, 256, (2, 90, 120, 3), dtype=np.uint8))
    labels = ["dog", "cat", "house"]
    actual = demo.classify(images, labels, templates="plain")
    expected = mx.softmax(demo(images=images, texts=labels).logits_per_image, axis=-1)
    np.testing.assert_allclose(np.array(actual), np.array(expected), atol=1e-5)
    independent = np.array(demo.classify(images, labels, independent=True))
    assert independent.shape == (2, 3)
    assert ((independent > 0) & (independent < 1)).all()


def test_texts_of_any_batch_size_are_the_same(demo):
    texts = [f"{'very ' * number}big dog {number}" for number in range(13)]
    whole = np.array(demo.embed_texts(texts))
    np.testing.assert_allclose(whole, np.array(demo.embed_texts(texts, batch_size=3)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    with pytest.raises(UsageError, match="batch_size"):
        demo.embed_texts(texts, batch_size=0)
