"""The loss of a step and its gradient: sums over the chunks of a batch and over processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map, tree_map_with_path
from numpy.typing import NDArray

from mlx_aimv2.cpu import kernels

from .ranks import Ranks

Batch = Mapping[str, Any]
Counts = Mapping[str, mx.array]
Logs = Mapping[str, mx.array]

OF_SAMPLES = "_per_sample"  # what the names of losses of single samples end with
_WIDE = "logit_scale"  # what stays float32: rounding alone would move a logit


@dataclass(frozen=True)
class Slope:
    """A step's loss over all processes, its parts, and its gradient.

    ``of_samples`` are losses of this process's samples, chunk after chunk.
    Shapes: loss (), parts () each, of_samples (n,) each.
    """

    loss: mx.array
    parts: dict[str, mx.array]
    of_samples: dict[str, NDArray[np.float32]]
    gradient: Any


class PooledObjective(Protocol):
    """An objective whose loss is a sum over samples, once the number of its terms is known."""

    def counts(self, batch: Batch) -> dict[str, float]:
        """How many terms each loss has in a batch."""

    def loss(self, batch: Batch, counts: Counts) -> tuple[mx.array, Logs]:
        """What these samples add to the loss of the batch that ``counts`` are of, and its parts."""

    def trainable_parameters(self) -> Any:
        """What is trained."""

    def update(self, parameters: Any) -> Any:
        """Set parameters."""


class PooledGradient:
    """The gradient of an objective whose losses are sums over samples.

    ``terms`` are the losses that are counted, ``parts`` what else is logged of each step.
    """

    def __init__(
        self,
        objective: PooledObjective,
        terms: Sequence[str],
        dtype: mx.Dtype,
        ranks: Ranks,
        parts: Sequence[str] = (),
    ) -> None:
        self._objective = objective
        self._terms, self._parts = tuple(terms), (*terms, *parts)
        self._ranks = ranks

        def loss(parameters: Any, batch: Batch, counts: Counts) -> tuple[mx.array, Logs]:
            objective.update(narrowed(parameters, dtype))
            return objective.loss(batch, counts)

        self._slope_of = mx.value_and_grad(loss)

    def __call__(self, chunks: Sequence[Batch]) -> Slope:
        """The slope of a batch in chunks: a process whose samples are all broken has none."""
        parameters = self._objective.trainable_parameters()
        counted = [self._objective.counts(chunk) for chunk in chunks]
        counts = self._ranks.total(
            {name: mx.array(float(sum(each[name] for each in counted))) for name in self._terms}
        )
        sums = {name: mx.array(0.0) for name in ("loss", *self._parts)}
        gradient: Any = None
        seen: list[Logs] = []
        for chunk in chunks:
            with kernels.own_gradients():
                (own, logs), slope = self._slope_of(parameters, chunk, counts)
            sums = {name: sums[name] + {"loss": own, **logs}[name] for name in sums}
            gradient = slope if gradient is None else tree_map(mx.add, gradient, slope)
            seen.append({name: logs[name] for name in logs if name.endswith(OF_SAMPLES)})
            mx.eval(sums, gradient, seen)
        self._objective.update(parameters)
        if gradient is None:
            gradient = tree_map(mx.zeros_like, parameters)
        sums, gradient = self._ranks.total(sums), self._ranks.total(gradient)
        of_samples = {
            name: np.concatenate(
                [np.zeros(0, np.float32), *(np.array(each[name]) for each in seen)]
            )
            for name in (f"{term}{OF_SAMPLES}" for term in self._terms)
        }
        return Slope(sums.pop("loss"), sums, of_samples, gradient)


def narrowed(parameters: Any, dtype: mx.Dtype) -> Any:
    """Weights in the dtype that is computed in; those kept in float32 stay as they are."""

    def cast(name: str, array: mx.array) -> mx.array:
        return array if _WIDE in name else array.astype(dtype)

    return tree_map_with_path(cast, parameters)
