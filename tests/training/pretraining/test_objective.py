"""The objective against an independent reference in float64, and what would be wrong of it."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from mlx.utils import tree_flatten

from mlx_aimv2.cpu import kernels
from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.models.aimv2 import layers
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.layers import patchify
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.training.pretraining import objective as module
from mlx_aimv2.training.pretraining.decoder import Decoder
from mlx_aimv2.training.pretraining.initialisation import initialise
from mlx_aimv2.training.pretraining.objective import Pretraining, patch_errors
from mlx_aimv2.training.pretraining.prefix import prefix_mask
from mlx_aimv2.training.pretraining.targets import patch_targets, target_mask
from tests.support import tolerances
from tests.training.pretraining.golden_files import Golden, own_name, read_golden

NAMES = ["pretraining", "pretraining-native"]


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return read_golden(request.param)


def close(actual: mx.array, expected: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(np.array(actual), expected, rtol=0, atol=tolerance)


def lengths_of(golden: Golden) -> mx.array | None:
    grids = golden.batch.get("grids")
    return None if grids is None else mx.array(grids.prod(axis=1))


def patches_of(golden: Golden) -> mx.array:
    if "patches" in golden.batch:
        return mx.array(golden.batch["patches"])
    return patchify(mx.array(golden.batch["pixels"]), 14)


def real(golden: Golden) -> np.ndarray:
    """Patches that are not padding. Shapes: (B, I, 1) bool."""
    everywhere = np.ones((len(golden.batch["prefix"]), 9), np.uint8)
    return golden.tensors.get("input.real", everywhere).astype(bool)[..., None]


def features_of(golden: Golden) -> mx.array:
    _, features, _ = golden.objective._encoded(golden.batch)
    return features


def test_targets(golden):
    ours = mx.where(mx.array(real(golden)), patch_targets(patches_of(golden)), 0)
    close(ours, golden.tensors["targets"], tolerances.PRETRAINING)


def test_masks(golden):
    tensors, lengths = golden.tensors, lengths_of(golden)
    prefix = mx.array(golden.batch["prefix"])
    seen = np.array(prefix_mask(prefix, 9, lengths))[:, 0]
    assert (seen == tensors["encoder_mask"].astype(bool)).all()
    scored = np.array(target_mask(prefix, 9, lengths))
    assert (scored == tensors["pixel_mask"].astype(bool)).all()


def test_features_outputs_predictions_and_logits(golden):
    tensors, decoder = golden.tensors, golden.objective.decoder
    features = features_of(golden)
    image, text = decoder(features, mx.array(golden.batch["tokens"]), lengths_of(golden))
    where = mx.array(real(golden))
    for ours, name in (
        (mx.where(where, features, 0), "encoder_features"),
        (mx.where(where, image, 0), "decoder_output_image"),
        (text, "decoder_output_text"),
        (mx.where(where, decoder.image_head(image), 0), "image_predictions"),
        (decoder.text_head(text), "text_logits"),
    ):
        close(ours, tensors[name], tolerances.PRETRAINING)


def test_full_attention_is_that_of_inference():
    golden = read_golden("pretraining")
    whole = {**golden.batch, "prefix": np.full(3, 9)}
    _, masked, _ = golden.objective._encoded(whole)
    expected = golden.tensors["encoder_features_bidirectional"]
    close(masked, expected, tolerances.PRETRAINING)
    close(golden.objective.encoder(mx.array(whole["pixels"])), expected, tolerances.PRETRAINING)


def pooled(golden: Golden, objective: Pretraining) -> mx.array:
    return objective.loss(golden.batch, objective.counts(golden.batch))[0]


def mean_of_samples(golden: Golden, objective: Pretraining) -> mx.array:
    """The paper's formula, of the losses that are logged."""
    _, logs = objective.loss(golden.batch, objective.counts(golden.batch))
    return (logs["text_per_sample"] + 0.4 * logs["pixel_per_sample"]).mean()


TOTALS: dict[str, Callable[[Golden, Pretraining], mx.array]] = {
    "total_pooled": pooled, "total_mean_of_samples": mean_of_samples,
}  # fmt: skip


def test_counts_and_losses(golden):
    tensors, objective = golden.tensors, golden.objective
    counts = objective.counts(golden.batch)
    assert counts == {
        "pixel": tensors["pixel_count"].sum(), "text": tensors["text_count"].sum(),
    }  # fmt: skip
    _, logs = objective.loss(golden.batch, counts)
    for ours, name in (
        (logs["pixel"], "pixel_loss_pooled"),
        (logs["text"], "text_loss_pooled"),
        (logs["pixel_per_sample"], "pixel_loss_per_sample"),
        (logs["text_per_sample"], "text_loss_per_sample"),
    ):
        close(ours, tensors[name], tolerances.PRETRAINING_LOSS)


@pytest.mark.parametrize("way", [nullcontext, kernels.own_gradients])
@pytest.mark.parametrize("total", TOTALS)
def test_totals_and_gradients(golden, total, way):
    with way():
        check_total(golden, total)


def check_total(golden: Golden, total: str) -> None:
    loss, gradient = nn.value_and_grad(golden.objective, partial(TOTALS[total], golden))(
        golden.objective
    )
    close(loss, golden.tensors[total], tolerances.PRETRAINING_LOSS)
    ours = dict(tree_flatten(gradient))
    given = [name for name in golden.tensors if name.startswith(f"gradient.{total}.")]
    assert len(given) == 6
    for name in given:
        expected = golden.tensors[name]
        close(
            ours[own_name(name.removeprefix(f"gradient.{total}."))],
            expected,
            tolerances.PRETRAINING * np.abs(expected).max(),
        )


def without_the_end(golden: Golden, _patch: pytest.MonkeyPatch) -> None:
    golden.batch["token_mask"] &= golden.batch["tokens"] != 1


def biased_variance(_golden: Golden, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(mx.array, "var", lambda self, **given: mx.var(self, **(given | {"ddof": 0})))


def bidirectional(_golden: Golden, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "prefix_mask", lambda *given: mx.ones_like(prefix_mask(*given)))


def its_own_patch_as_target(_golden: Golden, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        module, "patch_errors", lambda ours, patches: patch_errors(ours, mx.roll(patches, 1, 1))
    )


def one_patch_of_the_prefix_too(_golden: Golden, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "target_mask", lambda prefix, *given: target_mask(prefix - 1, *given))


def one_patch_fewer(_golden: Golden, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "target_mask", lambda prefix, *given: target_mask(prefix + 1, *given))


def each_sample_the_same(golden: Golden, patch: pytest.MonkeyPatch) -> None:
    counts, samples = golden.objective.counts(golden.batch), len(golden.batch["prefix"])

    def loss(batch, _counts):
        _, logs = Pretraining.loss(golden.objective, batch, counts)
        return (0.4 * logs["pixel_per_sample"] + logs["text_per_sample"]).sum() / samples, logs

    patch.setattr(golden.objective, "loss", loss)


WRONG = [
    without_the_end, biased_variance, bidirectional, its_own_patch_as_target,
    one_patch_of_the_prefix_too, one_patch_fewer, each_sample_the_same,
]  # fmt: skip


@pytest.mark.parametrize("make_wrong", WRONG)
def test_what_is_wrong_is_noticed(golden, monkeypatch, make_wrong):
    make_wrong(golden, monkeypatch)
    with pytest.raises(AssertionError):
        check_total(golden, "total_pooled")


def test_parts_of_a_batch_add_up_to_it(golden):
    """Losses, logs and gradients, if the counts are those of the whole."""
    objective, batch = golden.objective, golden.batch
    counts = objective.counts(batch)
    run = nn.value_and_grad(objective, lambda part: objective.loss(part, counts))
    (whole, logs), gradient = run(batch)
    parts = [
        {name: array[rows] for name, array in batch.items()}
        for rows in ([0], [1, 2][: len(batch["prefix"]) - 1])
    ]
    found = [run(part) for part in parts]
    close(sum(loss for (loss, _), _ in found), np.array(whole), 1e-6)
    for name in ("pixel", "text"):
        close(sum(each[name] for (_, each), _ in found), np.array(logs[name]), 1e-6)
    summed = [dict(tree_flatten(each)) for _, each in found]
    for name, expected in tree_flatten(gradient):
        close(sum(each[name] for each in summed), np.array(expected), tolerances.PRETRAINING)


def test_nothing_leaks_back_from_what_is_predicted():
    """Of a caption's later ids and an image's later patches, what comes before them knows none."""
    golden = read_golden("pretraining")
    decoder, tokens = golden.objective.decoder, golden.batch["tokens"]
    features = features_of(golden)
    image, text = decoder(features, mx.array(tokens))
    others = tokens.copy()
    others[:, 3:] = (others[:, 3:] + 5) % 31
    image_too, text_too = decoder(features, mx.array(others))
    assert (image == image_too).all()
    assert (text[:, :4] == text_too[:, :4]).all()
    assert not (text[:, 4] == text_too[:, 4]).all()
    batch = {**golden.batch, "prefix": np.array([1, 4, 5])}
    _, features, _ = golden.objective._encoded(batch)
    pixels = batch["pixels"].copy()
    pixels[:, 28:, 28:] += 1  # the last patch
    _, features_too, _ = golden.objective._encoded({**batch, "pixels": pixels})
    assert (features[:, :8] == features_too[:, :8]).all()


def plainly(q: mx.array, k: mx.array, v: mx.array, scale: float, mask: mx.array | str) -> mx.array:
    scores = scale * q @ k.swapaxes(-1, -2)
    seen = mx.tril(mx.ones(scores.shape, mx.bool_)) if isinstance(mask, str) else mask
    return mx.softmax(mx.where(seen, scores, -1e9), axis=-1) @ v


@pytest.mark.parametrize("is_native", [False, True])
def test_prefixes_of_1024_patches(monkeypatch, is_native):
    """From 725 patches on, attention on a CPU takes the queries of one map in parts."""
    sizes = {"is_native": True} if is_native else {"image_size": 448}
    encoder = VisionEncoder(VisionConfig(48, 128, 1, 3, **sizes))
    decoder = Decoder(TextConfig(31, 32, 96, 1, 2, 6, eos_token_id=1), 48, 588)
    objective, random = Pretraining(encoder, decoder), np.random.default_rng(2)
    initialise(objective, 3)
    batch = {
        "pixels": random.standard_normal((2, 448, 448, 3)).astype(np.float32),
        "patches": random.standard_normal((2, 1024, 588)).astype(np.float32),
        "grids": np.array([[32, 32], [25, 40]]),
        "prefix": np.array([1000, 700]),
        "tokens": random.integers(2, 31, (2, 6)),
        "token_mask": np.ones((2, 6), bool),
    }
    counts = objective.counts(batch)
    run = nn.value_and_grad(objective, lambda: objective.loss(batch, counts)[0])
    with kernels.own_gradients():
        loss, gradient = run()
    monkeypatch.setattr(layers, "attention", plainly)
    expected_loss, expected = run()
    close(loss, np.array(expected_loss), tolerances.PRETRAINING_LOSS)
    for (name, a), (_, b) in zip(tree_flatten(gradient), tree_flatten(expected), strict=True):
        limit = tolerances.PRETRAINING * mx.abs(b).max().item()
        assert mx.abs(a - b).max().item() <= limit, name


def test_what_is_padded_may_be_anything():
    golden = read_golden("pretraining-native")
    counts = golden.objective.counts(golden.batch)
    _, logs = golden.objective.loss(golden.batch, counts)
    patches = np.where(real(golden), golden.batch["patches"], 100)
    _, logs_too = golden.objective.loss({**golden.batch, "patches": patches}, counts)
    for name, expected in logs.items():
        close(logs_too[name], np.array(expected), tolerances.PRETRAINING_LOSS)


def test_a_loss_without_weight_is_not_computed(golden):
    counts = golden.objective.counts(golden.batch)
    _, both = golden.objective.loss(golden.batch, counts)
    for weights, name in (
        ({"pixel_weight": 1, "text_weight": 0}, "pixel"),
        ({"pixel_weight": 0}, "text"),
    ):
        alone = Pretraining(golden.objective.encoder, golden.objective.decoder, **weights)
        loss, logs = alone.loss(golden.batch, counts)
        assert logs.keys() == {name, f"{name}_per_sample"}
        close(loss, np.array(both[name]), 1e-6)


def test_without_a_patch_to_predict_there_is_no_pixel_loss():
    golden = read_golden("pretraining")
    batch = {**golden.batch, "prefix": np.full(3, 9)}
    counts = golden.objective.counts(batch)
    loss, logs = golden.objective.loss(batch, counts)
    assert counts["pixel"] == 0
    assert (logs["pixel_per_sample"] == 0).all()
    assert loss.item() == logs["text"].item()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prefix": np.array([1, 0, 3])}, "0 to 3"),
        ({"prefix": np.array([1, 10, 3])}, "1 to 10"),
        ({"tokens": np.full((3, 6), 31)}, "vocabulary of 31"),
        ({"tokens": np.full((3, 6), -1)}, "vocabulary of 31"),
    ],
)
def test_a_batch_that_is_none_is_refused(given, message):
    golden = read_golden("pretraining")
    with pytest.raises(Aimv2Error, match=message):
        golden.objective.counts({**golden.batch, **given})


def test_longer_captions_than_there_are_positions_are_refused():
    golden = read_golden("pretraining")
    with pytest.raises(Aimv2Error, match=r"captions of 7 tokens.* 6"):
        golden.objective.decoder(features_of(golden), mx.zeros((3, 7), mx.int32))


def test_blocks_that_are_computed_again_give_the_same(golden):
    objective, loss = golden.objective, partial(pooled, golden)
    with kernels.own_gradients():
        expected = nn.value_and_grad(objective, loss)(objective)
        objective.recompute_blocks()
        ours = nn.value_and_grad(objective, loss)(objective)
    assert ours[0] == expected[0]
    for (name, a), (_, b) in zip(tree_flatten(ours[1]), tree_flatten(expected[1]), strict=True):
        assert (a == b).all(), name


def test_half_precision_is_of_the_model_alone(golden):
    """Targets, errors and losses stay float32."""
    objective, batch = golden.objective, golden.batch
    counts = objective.counts(batch)
    expected, _ = objective.loss(batch, counts)
    objective.set_dtype(mx.bfloat16)
    (loss, logs), gradient = nn.value_and_grad(objective, lambda: objective.loss(batch, counts))()
    assert {array.dtype for array in (loss, *logs.values())} == {mx.float32}
    assert {array.dtype for _, array in tree_flatten(gradient)} == {mx.bfloat16}
    assert features_of(golden).dtype == mx.bfloat16
    close(loss, np.array(expected), tolerances.PRETRAINING_HALF)
    patches = patches_of(golden)
    assert (patch_targets(patches.astype(mx.float16)).dtype) == mx.float32
