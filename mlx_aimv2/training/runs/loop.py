"""The loop of every stage: steps, their log, checkpoints, and how a run ends."""

import math
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any, Protocol, cast

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error, CheckpointError, NumericsError, UsageError
from mlx_aimv2.files.atomic_folder import staged
from mlx_aimv2.files.paths import unwritable

from ..data_loader import Arrays
from .adamw import gradient_length
from .gradients import Slope
from .optimizer import make_optimizer, take_step
from .ranks import Ranks
from .run_folder import Place, RunFolder, read_log
from .settings import Settings
from .work import NUMBERS, Work, chunks_of

_MODEL, _OPTIMIZER = "objective.", "optimizer."
_EPSILON = 1e-6  # beside a gradient's length. Source: torch's clip_grad_norm_, and MLX's
_COUNTED = (".step", ".learning_rate")  # of an optimiser's state: they follow from the step


class Listener(Protocol):
    """Whoever is told how far a run is."""

    def stepped(self, step: int, steps: int, loss: float) -> None:
        """A step is done."""

    def kept(self, step: int, steps: int, loss: float) -> None:
        """A checkpoint is on the disk."""


class Loop:
    """A run: its work, from its last checkpoint to its last step.

    ``left_out`` is where names of broken samples come to while batches are taken; the log has them.
    """

    def __init__(
        self,
        work: Work,
        settings: Settings,
        folder: RunFolder,
        ranks: Ranks,
        listener: Listener,
        left_out: list[str],
    ) -> None:
        self._work, self._settings = work, settings
        self._folder, self._ranks, self._listener = folder, ranks, listener
        self._optimizer = make_optimizer(settings)
        self._optimizer.init(work.objective.trainable_parameters())
        self._left_out = left_out
        self.place = Place()
        self._skipped = 0

    def run(self) -> None:
        """Go on from the last checkpoint to the end, and write the model; the folder is held.

        Ctrl-C or a request to end is answered after the step at hand, with a checkpoint.
        Errors: KeyboardInterrupt once stopped; NumericsError for a loss that is not finite;
        OutputError; Aimv2Error where another process was lost.
        """
        is_first = self._ranks.is_first
        with self._ranks.watched():
            self._restore()
            if (steps := self._settings.steps) < self.place.step:
                raise UsageError(
                    f"the run is at step {self.place.step} already, not before {steps}",
                    hint=f"end it as it is: --resume --set steps={self.place.step}",
                )
            batches = self._work.batches.from_step(self.place.step)
            with _asked_to_stop() as asked, closing(batches):
                while self.place.step < self._settings.steps:
                    if self._take(next(batches), asked):
                        raise KeyboardInterrupt
            if is_first:
                self._publish()

    def _take(self, arrays: Arrays, asked: Sequence[int]) -> bool:
        """Do one step; True where some process was asked to stop, and is not at the end."""
        started = time.perf_counter()
        chunks = chunks_of(arrays, self._settings.chunk_size)
        slope = self._work.slope([self._work.prepare(chunk) for chunk in chunks])
        loss = _number(slope.loss)
        norm = _number(gradient_length(slope.gradient))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(loss, slope, arrays[NUMBERS])
        scale = min(self._settings.clip_norm / (norm + _EPSILON), 1.0)
        take_step(self._optimizer, self._work.objective, slope.gradient, scale)
        sums = {name: float(losses.sum()) for name, losses in slope.of_samples.items()}
        told = self._over_ranks(
            samples=len(arrays[NUMBERS]),
            broken=self._work.batches.skipped - self._skipped,
            asked=len(asked),
            **sums,
        )
        self._skipped = self._work.batches.skipped
        self.place = Place(self.place.step + 1, self.place.broken + int(told["broken"]))
        if self._ranks.is_first:
            self._folder.log(
                {
                    "step": self.place.step,
                    "loss": loss,
                    **{name: _number(part) for name, part in slope.parts.items()},
                    **{name: told[name] / max(told["samples"], 1) for name in sums},
                    "rate": _number(self._optimizer.learning_rate),
                    "norm": norm,
                    "samples": int(told["samples"]),
                    "broken": self.place.broken,
                    **({"left_out": self._left_out} if self._left_out else {}),
                    "seconds": round(time.perf_counter() - started, 4),
                }
            )
        self._left_out.clear()
        is_last = self.place.step == self._settings.steps
        self._listener.stepped(self.place.step, self._settings.steps, loss)
        if told["asked"] or is_last or not self.place.step % self._settings.checkpoint_every:
            self._save(loss)
        return bool(told["asked"]) and not is_last

    def _over_ranks(self, **numbers: float) -> dict[str, float]:
        sums = self._ranks.total({name: mx.array(float(each)) for name, each in numbers.items()})
        return {name: _number(each) for name, each in sums.items()}

    def _not_finite(self, loss: float, slope: Slope, numbers: NDArray[Any]) -> NumericsError:
        found = [numbers[~np.isfinite(losses)] for losses in slope.of_samples.values()]
        first = next((each[0] for each in found if len(each)), None)
        what = "gradient" if math.isfinite(loss) else "loss"
        name = "" if first is None else f", first of the sample {self._work.name_of(int(first))}"
        return NumericsError(
            f"step {self.place.step + 1}: the {what} is not finite{name}",
            hint="look at that sample, or go on from the last checkpoint with a lower rate: "
            f"--resume --set peak_rate={self._settings.peak_rate / 2:g}",
        )

    def _save(self, loss: float) -> None:
        if self._ranks.is_first:
            arrays = _named(_MODEL, self._work.objective.parameters())
            arrays |= {
                name: array
                for name, array in _named(_OPTIMIZER, self._optimizer.state).items()
                if not name.endswith(_COUNTED)
            }
            self._folder.save(self.place, arrays, self._settings.keep)
        self._listener.kept(self.place.step, self._settings.steps, loss)

    def _restore(self) -> None:
        """Begin at the last checkpoint, on every process with what the first one has."""
        objective, optimizer = self._work.objective, self._optimizer
        place, arrays = self._folder.restore() if self._ranks.is_first else (Place(), {})
        numbers = self._ranks.of_the_first([mx.array([place.step, place.broken])])
        self.place = Place(*map(int, np.array(numbers[0])))
        if arrays:
            try:
                objective.load_weights(_below(_MODEL, arrays))
            except ValueError as error:
                raise CheckpointError(
                    f"{self._folder.path} is of a run of other sizes: {error}",
                    hint="go on with the settings that it was begun with: leave --set out",
                ) from error
        objective.update(self._ranks.of_the_first(objective.parameters()))
        state = _named("", optimizer.state) | dict(_below(_OPTIMIZER, arrays))
        moments = {name: each for name, each in state.items() if not name.endswith(_COUNTED)}
        state |= _named("", self._ranks.of_the_first(tree_unflatten(list(moments.items()))))
        for name in state:
            if name.endswith(".step"):
                state[name] = mx.array(self.place.step, dtype=mx.uint64)
        optimizer.state = tree_unflatten(list(state.items()))
        mx.eval(objective.parameters(), optimizer.state)
        if self._ranks.is_first:
            self._folder.cut_log(self.place.step)

    def _publish(self) -> None:
        """Write the model into the folder of the result, its weights last."""
        if not any(line.get("samples") for line in read_log(self._folder.log_file)):
            raise Aimv2Error(
                "no sample of this run could be used: nothing was learnt",
                hint="look at what was skipped, and begin a new run in another folder",
            )
        made = self._folder.path / "model"
        with staged(made, replaces=made.is_dir()) as folder:
            self._work.write_model(folder)
        parts = sorted(made.iterdir(), key=lambda part: part.name.startswith("model"))
        try:
            for part in parts:
                place = self._folder.target / part.name
                if place.is_dir():  # of a run that was shorter
                    shutil.rmtree(place)
                part.replace(place)
            made.rmdir()
        except OSError as error:
            raise unwritable(self._folder.target, error) from error


def _number(array: mx.array) -> float:
    return float(np.array(array))


def _named(prefix: str, tree: Any) -> dict[str, mx.array]:
    """The arrays of a tree by their dotted names."""
    pairs = cast("list[tuple[str, mx.array]]", tree_flatten(tree))
    return {f"{prefix}{name}": array for name, array in pairs}


def _below(prefix: str, arrays: dict[str, mx.array]) -> list[tuple[str, mx.array]]:
    return [
        (name.removeprefix(prefix), each)
        for name, each in arrays.items()
        if name.startswith(prefix)
    ]


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Signals that came; the first is only noted, a second of its kind ends at once."""
    asked: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, before[number])

    for each in (signal.SIGINT, signal.SIGTERM):
        before[each] = signal.signal(each, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
