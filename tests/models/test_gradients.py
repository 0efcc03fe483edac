"""Gradients of every parameter, against central finite differences."""

from collections.abc import Callable

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from mlx.utils import tree_flatten

from tests.support.makers import random_ids
from tests.support.networks import GRIDS, SIDE, images_of, lit, padded, pixels, vision
from tests.support.tolerances import GRADIENT

Loss = Callable[[nn.Module], mx.array]
STEP = 3e-3  # along a unit direction; weights have norms from 3 to 60


def projected(features: mx.array) -> mx.array:
    """A smooth number that depends on every feature."""
    weights = np.random.default_rng(3).standard_normal(features.shape).astype(np.float32)
    return (mx.tanh(features) * mx.array(weights)).mean()


def fixed(network: nn.Module) -> mx.array:
    return projected(network(pixels(2, SIDE, SIDE)))


def native_padded(network: nn.Module) -> mx.array:
    features, mask = network.encode_patches(padded(images_of(GRIDS), 17), GRIDS)
    return projected(network.pool(features, mask))


def with_head(network: nn.Module) -> mx.array:
    return projected(network.pool(network(pixels(2, SIDE, SIDE))))


def hidden_states(network: nn.Module) -> mx.array:
    output = network(pixels(1, SIDE, SIDE), hidden_states=[0])
    return projected(output.last_hidden_state) + projected(output.hidden_states[0])


def text(network: nn.Module) -> mx.array:
    return projected(network(mx.array(random_ids(np.random.default_rng(1), 4))))


def contrastive(network: nn.Module) -> mx.array:
    ids = mx.array(random_ids(np.random.default_rng(1), 3))
    per_image, per_text = network(pixels(3, SIDE, SIDE), ids)
    pairs = mx.arange(3)
    return nn.losses.cross_entropy(per_image, pairs, reduction="mean") + nn.losses.cross_entropy(
        per_text, pairs, reduction="mean"
    )


def text_encoder() -> nn.Module:
    return lit().text_encoder


NATIVE, HEAD = {"native": True}, {"head": True}
CASES = {
    "fixed": (vision, {}, fixed),
    "native, padded": (vision, NATIVE, native_padded),
    "native, padded, with head": (vision, NATIVE | HEAD, native_padded),
    "fixed with head": (vision, HEAD, with_head),
    "with an early block": (vision, {}, hidden_states),
    "text": (text_encoder, {}, text),
    "LiT": (lit, {}, contrastive),
}


@pytest.mark.parametrize(("make", "options", "loss"), CASES.values(), ids=CASES)
def test_gradients_are_those_of_finite_differences(make, options: dict, loss: Loss) -> None:
    network = make(**options)
    gradients = dict(tree_flatten(nn.value_and_grad(network, loss)(network)[1]))
    weights = dict(tree_flatten(network.parameters()))
    assert gradients.keys() == weights.keys()
    rng = np.random.default_rng(5)
    for name, gradient in gradients.items():
        size = mx.linalg.norm(gradient.reshape(-1)).item()
        assert size > 0, name
        anywhere = mx.array(rng.standard_normal(gradient.shape).astype(np.float32))
        for direction in (gradient, anywhere):
            unit = direction / mx.linalg.norm(direction.reshape(-1))
            expected = (gradient * unit).sum().item()
            slope = _slope(network, loss, name, weights[name], unit)
            assert slope == pytest.approx(expected, rel=0, abs=GRADIENT * size), name


def _slope(network, loss: Loss, name: str, weight: mx.array, unit: mx.array) -> float:
    losses = []
    for step in (STEP, -STEP):
        network.load_weights([(name, weight + step * unit)], strict=False)
        losses.append(loss(network).item())
    network.load_weights([(name, weight)], strict=False)
    return (losses[0] - losses[1]) / (2 * STEP)
