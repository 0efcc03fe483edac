"""Attentive probes of several rates and decays, trained at once on the same features."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx import nn
from mlx.utils import tree_flatten, tree_unflatten
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error, NumericsError, OutputError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.training.probe import AttentiveProbe

from .classification import best_classes
from .features import Tell
from .probe_settings import ProbeSettings
from .views import Seen, Views, together

_LAST_RATE, _MOST_NORM = 1e-5, 3.0
_BETAS = [0.9, 0.999]
_MEASURED_TOGETHER = 64
_NO_CLASS = -1


def rate_at(peak: float, steps: int, warm_up_steps: int) -> Callable[[mx.array], mx.array]:
    """The rate of each step: a rise to the peak, then half a cosine down to 1e-5."""
    fall = optim.cosine_decay(peak, max(1, steps - warm_up_steps), min(peak, _LAST_RATE))
    if not warm_up_steps:
        return fall
    rise = optim.linear_schedule(peak / warm_up_steps, peak, warm_up_steps)
    return optim.join_schedules([rise, fall], [warm_up_steps])


class Run:
    """One probe with its optimiser, AdamW as in PyTorch: decays are multiplied by the rate.

    ``is_finite`` is False once a loss was not; then the run ends.
    """

    def __init__(
        self, probe: AttentiveProbe, rate: float, decay: float, steps: int, warm_up_steps: int = 0
    ) -> None:
        self.probe, self.rate, self.decay = probe, rate, decay
        self.is_finite = True
        self._optimizer = optim.AdamW(
            rate_at(rate, steps, warm_up_steps),
            betas=_BETAS,
            weight_decay=decay,
            bias_correction=True,
        )
        self._optimizer.init(probe.trainable_parameters())
        self._loss_and_gradient: Callable[..., tuple[mx.array, Any]] = nn.value_and_grad(
            probe, _loss
        )

    @property
    def state(self) -> dict[str, mx.array]:
        """All that a step changes, by flat names."""
        both = {"probe": self.probe.parameters(), "optimizer": self._optimizer.state}
        return dict(cast("list[tuple[str, mx.array]]", tree_flatten(both)))

    def restore(self, state: dict[str, mx.array]) -> None:
        """Go back to a state."""
        both = cast("dict[str, Any]", tree_unflatten([*state.items()]))
        self.probe.update(both["probe"])
        self._optimizer.state = both["optimizer"]

    def step(self, features: mx.array, mask: mx.array | None, labels: mx.array) -> float:
        """One update; returns the loss before it. Shapes: (B, N, D), (B, 1, 1, N), (B,)."""
        loss, gradient = self._loss_and_gradient(self.probe, features, mask, labels)
        gradient, _ = optim.clip_grad_norm(gradient, _MOST_NORM)
        self._optimizer.update(self.probe, gradient)
        mx.eval(self.probe.parameters(), self._optimizer.state, loss)
        self.is_finite = bool(mx.isfinite(loss))
        return float(loss)


def _loss(
    probe: AttentiveProbe, features: mx.array, mask: mx.array | None, labels: mx.array
) -> mx.array:
    return nn.losses.cross_entropy(probe(features, mask), labels, reduction="mean")


def train(
    views: Views,
    places: NDArray[np.int64],
    classes: int,
    settings: ProbeSettings,
    tell: Tell,
    file: Path,
) -> list[Run]:
    """Train every rate with every decay on these pictures of a part; those that stayed finite.

    Each epoch has its own order and its own views; what is less than a batch at its end is left
    out. Pictures that cannot be read drop out of their batches. After each epoch all is written to
    ``file``, from which the next run with these arguments goes on.
    Errors: NumericsError where no run stayed finite; Aimv2Error if no picture could be read;
    OutputError where the file cannot be written.
    """
    batch = min(settings.batch or 1, len(places))
    steps = len(places) // batch
    warm_up_steps = (settings.warm_up or 0) * steps
    config = views.model.vision.config
    runs = []
    for rate in settings.rates:
        for decay in settings.decays:
            probe = AttentiveProbe(config.hidden_size, config.num_attention_heads, classes)
            probe.initialise(settings.seed)
            runs.append(Run(probe, rate, decay, settings.epochs * steps, warm_up_steps))
    for epoch in range(_restore(file, runs), settings.epochs):
        rng = np.random.default_rng((settings.seed, epoch, 0))
        order = rng.permutation(places)[: steps * batch]
        seen = views.for_training(order.tolist(), settings.seed, epoch * len(order))
        for step, (found, features, mask) in enumerate(_batches(seen, batch), 1):
            labels = mx.array(views.part.labels[found])
            for run in _finite(runs):
                run.step(features, mask, labels)
            tell(epoch * steps + step, settings.epochs * steps)
        if views.errors.keys() >= {*order.tolist()}:
            raise _none_read(views, len(order))
        _save(file, epoch + 1, runs)
    return _finite(runs)


def _finite(runs: Sequence[Run]) -> list[Run]:
    if not (finite := [run for run in runs if run.is_finite]):
        raise NumericsError("no probe stayed finite", hint="try lower rates: --rates 1e-4")
    return finite


def _save(file: Path, epochs: int, runs: Sequence[Run]) -> None:
    arrays = {
        f"{number}.{name}": array
        for number, run in enumerate(runs)
        if run.is_finite
        for name, array in run.state.items()
    }
    partial = file.with_name(f".{file.name}")  # MLX wants the extension at the end
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        mx.save_safetensors(str(partial), arrays, {"epochs": str(epochs)})
        partial.replace(file)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"{printable(file)} cannot be written: {error}",
            options={"cache FOLDER": "keep what is done elsewhere"},
        ) from error


def _restore(file: Path, runs: Sequence[Run]) -> int:
    """How many epochs a file has, if it is there and whole; the runs are as they were then."""
    try:
        loaded = mx.load(str(file), return_metadata=True)
        arrays, metadata = cast("tuple[dict[str, mx.array], dict[str, str]]", loaded)
        epochs = int(metadata["epochs"])
        for number, run in enumerate(runs):
            prefix = f"{number}."
            state = {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            run.is_finite = bool(state)
            if state:
                run.restore(state)
    except (OSError, RuntimeError, KeyError, ValueError):
        return 0
    return epochs


def best_of(
    runs: Sequence[Run], views: Views, places: Sequence[int], tell: Tell
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """The best classes of pictures by each run, and the places of those that could be read.

    Of a run whose scores are not finite they are all -1, which is no class.
    Shapes: places (n,), then for each run (n, min(5, classes)).
    Errors: Aimv2Error if no picture could be read; NumericsError where no run's scores are finite.
    """
    for run in runs:
        run.probe.eval()
    known: list[NDArray[np.int64]] = []
    best: list[list[NDArray[np.int64]]] = [[] for _ in runs]
    for found, features, mask in _batches(views.plain(places), _MEASURED_TOGETHER):
        known.append(found)
        for run, rows in zip(runs, best, strict=True):
            scores = np.array(run.probe(features, mask))
            if not np.isfinite(scores).all():  # its last step spoiled it, after its last loss
                run.is_finite = False
            rows.append(best_classes(scores))
        tell(sum(map(len, known)), len(places))
    if not known:
        raise _none_read(views, len(places))
    _finite(runs)
    whole = [np.concatenate(rows) for rows in best]
    for run, classes in zip(runs, whole, strict=True):
        if not run.is_finite:
            classes[:] = _NO_CLASS
    return np.concatenate(known), whole


def _none_read(views: Views, count: int) -> Aimv2Error:
    return Aimv2Error(
        f"none of {count} pictures in {printable(views.part.name)} could be read",
        hint=str(next(iter(views.errors.values()))),
    )


def _batches(
    seen: Iterator[Seen | None], size: int
) -> Iterator[tuple[NDArray[np.int64], mx.array, mx.array | None]]:
    while batch := list(islice(seen, size)):
        if known := [each for each in batch if each is not None]:
            yield together(known)
