"""The optimiser of every stage: AdamW, whose decay follows the shape of the rates alone."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
from mlx import nn

from .adamw import AdamW
from .settings import Settings

# Parts of names that are not decayed. Source: apple/ml-l3m; its start token is named cls_token.
_NOT_DECAYED = ("bias", "norm", "pos_embed", "positional_embedding", "logit_scale", "cls_token",
                "start_token")  # fmt: skip


def make_optimizer(settings: Settings) -> optim.MultiOptimizer:
    """AdamW with bias correction, decaying all but gains, biases, tables of positions and queries.

    Fully decoupled: a step takes lambda·rate/peak off the weights, which is MLX's AdamW with
    lambda/peak. Source: AIMv2 paper, table A1; ``AdamLH`` of apple/ml-l3m.
    """
    rate = learning_rate(settings)
    decayed, plain = (
        AdamW(rate, [settings.beta1, settings.beta2], settings.epsilon, decay)
        for decay in (settings.decay, 0.0)
    )
    return optim.MultiOptimizer([decayed, plain], [lambda name, _: is_decayed(name)])


def take_step(
    optimizer: optim.MultiOptimizer, objective: nn.Module, gradient: Any, scale: float
) -> None:
    """Update an objective by a gradient that is ``scale`` times as long, and compute it."""
    for each in optimizer.optimizers:
        each.scale = mx.array(scale)
    optimizer.update(objective, gradient)
    mx.eval(objective.parameters(), optimizer.state)


def learning_rate(settings: Settings) -> Callable[[mx.array], mx.array]:
    """The rate of a step, counted from 0: a linear warm-up, then a cosine to the last rate."""
    warm_up = settings.warm_up_steps
    fall = optim.cosine_decay(settings.peak_rate, settings.steps - warm_up, settings.last_rate)
    if not warm_up:
        return fall
    rise = optim.linear_schedule(settings.first_rate, settings.peak_rate, warm_up)
    return optim.join_schedules([rise, fall], [warm_up])


def is_decayed(name: str) -> bool:
    """Whether a parameter of that name shrinks."""
    return not any(part in name for part in _NOT_DECAYED)
