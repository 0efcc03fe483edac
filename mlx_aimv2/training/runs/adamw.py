"""AdamW in one pass over the weights, and the length of a gradient; on a CPU, on all its cores.

MLX's own AdamW makes an array of each of its terms, and on a CPU one core makes them all.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import cycle, repeat
from typing import Any, cast

import mlx.core as mx
import mlx.optimizers as optim
from mlx.utils import tree_flatten

from mlx_aimv2.cpu import blas
from mlx_aimv2.device import is_cpu

_compile = partial(mx.compile, shapeless=True)
_thread = threading.local()


class AdamW(optim.AdamW):
    """MLX's AdamW with bias correction: the same state, and weights that differ by a rounding.

    A step takes gradients ``scale`` times as long, as clipping asks for.
    """

    def __init__(
        self, learning_rate: Any, betas: list[float], eps: float, weight_decay: float
    ) -> None:
        super().__init__(learning_rate, betas, eps, weight_decay, bias_correction=True)
        self.scale = mx.array(1.0)

    def apply_gradients(self, gradients: Any, parameters: Any) -> Any:
        """The parameters after a step. Errors: KeyError for a gradient of no parameter."""
        self._turns = _turns()
        return super().apply_gradients(gradients, parameters)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]
    ) -> mx.array:
        """A parameter after a step, and its state."""
        (beta1, beta2), rate = self.betas, self.learning_rate
        step = self.step.astype(mx.float32)
        part1, part2 = (1 - beta1) * self.scale, (1 - beta2) * mx.square(self.scale)
        with next(self._turns):
            m = state["m"] = _mean(state["m"], gradient, mx.array(beta1), part1)
            v = state["v"] = _mean_square(state["v"], gradient, mx.array(beta2), part2)
            corrected = (rate / (1 - beta1**step), mx.rsqrt(1 - beta2**step))
            kept = 1 - rate * self.weight_decay
            return _stepped(parameter, m, v, kept, *corrected, mx.array(self.eps))


# Kernels of one result each: it takes the place of what it was made from.


@_compile
def _mean(m: mx.array, gradient: mx.array, kept: mx.array, part: mx.array) -> mx.array:
    return kept * m + part * gradient


@_compile
def _mean_square(v: mx.array, gradient: mx.array, kept: mx.array, part: mx.array) -> mx.array:
    return kept * v + part * (gradient * gradient)


@_compile
def _stepped(
    parameter: mx.array,
    m: mx.array,
    v: mx.array,
    kept: mx.array,
    rate: mx.array,
    sharpness: mx.array,
    eps: mx.array,
) -> mx.array:
    """``rate`` and ``sharpness`` correct the bias of both means."""
    return kept * parameter - rate * m / (mx.sqrt(v) * sharpness + eps)


def gradient_length(gradient: Any) -> mx.array:
    """The length of a gradient, all its arrays together, in float32. Shapes: ()."""
    squares = []
    arrays = cast("list[tuple[str, mx.array]]", tree_flatten(gradient))
    for (_, each), turn in zip(arrays, _turns(), strict=False):
        with turn:
            squares.append(mx.square(each.astype(mx.float32)).sum())
    return mx.sqrt(mx.stack(squares).sum())


def _turns() -> Iterator[AbstractContextManager[Any]]:
    """Streams to compute on in turns: on a CPU this thread's own, one a core."""
    if not is_cpu():
        return repeat(nullcontext())
    if not hasattr(_thread, "streams"):
        more = [mx.new_stream(mx.cpu) for _ in range(blas.threads() - 1)]
        _thread.streams = [mx.default_stream(mx.cpu), *more]
    return map(mx.stream, cycle(_thread.streams))
