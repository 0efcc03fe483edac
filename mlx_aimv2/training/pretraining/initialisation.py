"""The first weights of a pre-training, as Apple's training code draws them."""

import math
from collections.abc import Callable, Mapping
from typing import cast

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten

from .objective import Pretraining

Draw = Callable[[mx.array, mx.array], mx.array]  # a weight and a key to another of its shape

_CUT = 0.87962566103423978  # deviation of a normal distribution that is cut at twice its own


def initialise(objective: Pretraining, seed: int) -> None:
    """Draw the weights of an encoder without a head and of its decoder; a seed gives the same ones.

    Source: apple/ml-l3m, ``configs/aimv2/001_aimv2_hfdata.yaml`` and the modules that it names.
    """
    depth = len(objective.decoder.trunk.blocks)
    rules: dict[str, Draw] = {
        "pos_embed": normal(0.02),
        "start_token": normal(0.02),
        "positional_embedding": normal(0.01),
        "text_embedding.weight": normal(0.02),
        "patchifier.proj.bias": _uniform(objective.encoder.config.patch_width),
        "image_projection.weight": _uniform(objective.encoder.config.hidden_size),
        "image_projection.bias": _uniform(objective.encoder.config.hidden_size),
        "image_head.weight": _cut_normal(1 / (1 + depth)),
        "text_head.weight": _cut_normal(1 / (1 + depth)),
    }
    draw_weights(objective, seed, rules | BLOCK_RULES)


def draw_weights(module: nn.Module, seed: int, rules: Mapping[str, Draw]) -> None:
    """Draw all weights of a module, each by the first rule whose key its name ends with."""
    weights = cast("list[tuple[str, mx.array]]", tree_flatten(module.parameters()))
    drawn = []
    keys = mx.random.split(mx.random.key(seed), len(weights))
    for (name, weight), key in zip(weights, keys, strict=True):
        draw = next(draw for end, draw in rules.items() if name.endswith(end))
        drawn.append((name, draw(weight, key)))
    module.load_weights(drawn)
    mx.eval(module.parameters())


def normal(deviation: float) -> Draw:
    """Around 0."""
    return lambda weight, key: deviation * mx.random.normal(weight.shape, key=key)


def zeros(weight: mx.array, _key: mx.array) -> mx.array:
    """Nothing."""
    return mx.zeros(weight.shape)


def _uniform(inputs: int) -> Draw:
    bound = 1 / math.sqrt(inputs)
    return lambda weight, key: mx.random.uniform(-bound, bound, weight.shape, key=key)


def _cut_normal(scale: float) -> Draw:
    """Variance ``scale`` over the number of inputs. Source: timm, ``variance_scaling_``."""

    def draw(weight: mx.array, key: mx.array) -> mx.array:
        deviation = math.sqrt(scale / weight.shape[1]) / _CUT
        return deviation * mx.random.truncated_normal(-2, 2, weight.shape, key=key)

    return draw


def _xavier(weight: mx.array, key: mx.array) -> mx.array:
    """Of a kernel, all that it sees of a patch is input, as in MAE."""
    outputs, inputs = len(weight), weight.size // len(weight)
    bound = math.sqrt(6 / (inputs + outputs))
    return mx.random.uniform(-bound, bound, weight.shape, key=key)


def _ones(weight: mx.array, _key: mx.array) -> mx.array:
    return mx.ones(weight.shape)


BLOCK_RULES: dict[str, Draw] = {
    "norm.weight": _ones,
    "norm_1.weight": _ones,
    "norm_2.weight": _ones,
    "weight": _xavier,
}
