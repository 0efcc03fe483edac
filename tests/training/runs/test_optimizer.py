"""The optimiser against its formula in float64: decay, rates, and who is not decayed."""

import math
from functools import partial

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx import nn
from mlx.utils import tree_flatten, tree_map

from mlx_aimv2.cpu import blas
from mlx_aimv2.device import is_cpu
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.training.pretraining.decoder import Decoder
from mlx_aimv2.training.runs.adamw import AdamW, gradient_length
from mlx_aimv2.training.runs.optimizer import (
    is_decayed,
    learning_rate,
    make_optimizer,
    take_step,
)
from mlx_aimv2.training.runs.settings import PretrainingSettings, ProbeSettings

SETTINGS = PretrainingSettings(
    steps=31, warm_up_steps=7, peak_rate=3e-3, first_rate=1e-6, last_rate=1e-5, weight_decay=1e-2
)


def rate(step: int) -> float:
    """Of a step from 0. Source: apple/ml-l3m: linear from the first rate, then a cosine."""
    settings, warm_up = SETTINGS, SETTINGS.warm_up_steps
    if step < warm_up:
        share = step / warm_up
        return settings.first_rate + share * (settings.peak_rate - settings.first_rate)
    share = (step - warm_up) / (settings.steps - warm_up)
    half = (settings.peak_rate - settings.last_rate) / 2
    return settings.last_rate + half * (1 + math.cos(math.pi * share))


def test_rates_rise_and_fall() -> None:
    ours = [float(learning_rate(SETTINGS)(mx.array(step)).item()) for step in range(31)]
    np.testing.assert_allclose(ours, [rate(step) for step in range(31)], rtol=1e-4, atol=1e-9)
    without = PretrainingSettings(steps=31, warm_up_steps=0, peak_rate=3e-3)
    assert learning_rate(without)(mx.array(0)).item() == pytest.approx(3e-3)


def test_steps_are_those_of_the_formula() -> None:
    """Fully decoupled AdamW: p ← p·(1 − λ·rate/peak), then Adam's corrected step."""
    model = nn.Module()
    rng = np.random.default_rng(1)
    start = {name: rng.normal(size=7) for name in ("weight", "bias")}
    for name, value in start.items():
        setattr(model, name, mx.array(value.astype(np.float32)))
    expected = {name: value.astype(np.float32).astype(np.float64) for name, value in start.items()}
    mean, square = ({name: np.zeros(7) for name in start} for _ in range(2))
    optimizer = make_optimizer(SETTINGS)
    for step in range(SETTINGS.steps):
        slopes = {name: rng.normal(size=7).astype(np.float32) for name in start}
        optimizer.update(model, {name: mx.array(each) for name, each in slopes.items()})
        for name, slope in slopes.items():
            decay = SETTINGS.weight_decay * rate(step) / SETTINGS.peak_rate
            if name == "weight":
                expected[name] *= 1 - decay
            mean[name] += 0.1 * (slope - mean[name])
            square[name] += 0.05 * (slope.astype(np.float64) ** 2 - square[name])
            corrected = mean[name] / (1 - 0.9 ** (step + 1))
            size = np.sqrt(square[name] / (1 - 0.95 ** (step + 1)))
            expected[name] -= rate(step) * corrected / (size + SETTINGS.epsilon)
    for name, value in expected.items():
        np.testing.assert_allclose(np.array(model[name]), value, atol=2e-6, err_msg=name)
    assert np.abs(expected["weight"] - start["weight"]).max() > 1e-2


def test_a_step_is_that_of_mlx_on_a_clipped_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kernel in turn on one of the streams; the memory has MLX's names."""
    models, optimizers = [], []
    for make in (
        lambda decay: AdamW(1e-2, [0.9, 0.95], 1e-8, decay),
        lambda decay: optim.AdamW(1e-2, [0.9, 0.95], 1e-8, decay, bias_correction=True),
    ):
        mx.random.seed(5)
        models.append(nn.Sequential(nn.Linear(7, 11), nn.Linear(11, 3)))
        optimizers.append(
            optim.MultiOptimizer([make(0.1), make(0.0)], [lambda name, _: name.endswith("weight")])
        )
    used, stream = [], mx.stream
    monkeypatch.setattr(mx, "stream", lambda each: (used.append(str(each)), stream(each))[1])
    for step in range(5):
        wild = tree_map(lambda each: mx.sin(37 * each), models[0].parameters())
        gradient = tree_map(partial(mx.multiply, step + 1), wild)
        clipped, length = optim.clip_grad_norm(gradient, 1.0)
        assert gradient_length(gradient).item() == pytest.approx(length.item(), rel=1e-6)
        take_step(optimizers[0], models[0], gradient, 1 / (length.item() + 1e-6))
        optimizers[1].update(models[1], clipped)
    trees = [
        (model.parameters(), each.state) for model, each in zip(models, optimizers, strict=True)
    ]
    ours, theirs = (dict(tree_flatten(tree)) for tree in trees)
    assert ours.keys() == theirs.keys()
    for name, each in theirs.items():
        np.testing.assert_allclose(np.array(ours[name]), np.array(each), rtol=2e-5, atol=1e-7)
    cores = blas.threads() if is_cpu() else 0
    assert len(set(used)) == min(cores, 4)


def test_a_probe_decays_as_in_pytorch() -> None:
    assert ProbeSettings(weight_decay=0.1, peak_rate=1e-3).decay == 0.1


def test_gains_biases_tables_and_queries_are_not_decayed() -> None:
    encoder = VisionEncoder(VisionConfig(32, 48, 1, 2, image_size=28, use_head=True))
    decoder = Decoder(TextConfig(31, 32, 48, 1, 2, 7, eos_token_id=1), 32, 588)
    names = [name for each in (encoder, decoder) for name, _ in tree_flatten(each.parameters())]
    plain = sorted(name for name in names if not is_decayed(name))
    assert plain == sorted(
        [
            *(name for name in names if "norm" in name),
            *("preprocessor.pos_embed", "preprocessor.patchifier.proj.bias", "head.cls_token"),
            *("head.linear.bias", "image_projection.bias", "start_token", "positional_embedding"),
        ]
    )
    assert is_decayed("text_embedding.weight")
    assert not is_decayed("log_logit_scale")
