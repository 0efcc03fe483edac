"""A tiny training run in a process of its own, which can end itself anywhere in it.

python -m tests.support.tiny_run FOLDER [KILL_AT] [SIGNAL] [RANK] — or under ``mlx.launch``

It counts what it does: log lines, parts of a checkpoint, steps. At number KILL_AT it gets SIGNAL,
of several processes the one of that RANK.
"""

import os
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files import atomic_folder
from mlx_aimv2.training.data_loader import Arrays, load_batches
from mlx_aimv2.training.runs import run_folder
from mlx_aimv2.training.runs.gradients import Batch, Counts, Logs, PooledGradient, Slope
from mlx_aimv2.training.runs.loop import Loop
from mlx_aimv2.training.runs.ranks import Ranks
from mlx_aimv2.training.runs.run_folder import RunFolder
from mlx_aimv2.training.runs.settings import PretrainingSettings

WIDTH, CLASSES, BROKEN = 13, 5, {7, 29, 31}
SETTINGS = PretrainingSettings(
    steps=23,
    batch_size=6,
    chunk_size=4,
    peak_rate=1e-2,
    warm_up_steps=5,
    weight_decay=1e-3,
    checkpoint_every=4,
    keep=2,
)


class Objective(nn.Module):
    """Two layers and a gain; a label to be told."""

    def __init__(self) -> None:
        super().__init__()
        keys = mx.random.split(mx.random.key(3), 2)
        self.first = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.RMSNorm(WIDTH)
        self.last = nn.Linear(WIDTH, CLASSES, bias=False)
        self.first.weight = 0.3 * mx.random.normal(self.first.weight.shape, key=keys[0])
        self.first.bias = mx.zeros((WIDTH,))
        self.last.weight = 0.3 * mx.random.normal(self.last.weight.shape, key=keys[1])

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"label": float(len(batch["labels"]))}

    def loss(self, batch: Batch, counts: Counts) -> tuple[mx.array, Logs]:
        hidden = self.norm(nn.silu(self.first(mx.array(batch["values"]))))
        errors = nn.losses.cross_entropy(self.last(hidden), mx.array(batch["labels"]))
        loss = errors.sum() / counts["label"]
        return loss, {"label": loss, "label_per_sample": errors}


class TinyBatches:
    """Random vectors, labelled by the sign of some of their values; a few samples are broken."""

    def __init__(self, ranks: Ranks, spoiled: int | None) -> None:
        self._ranks, self._spoiled = ranks, spoiled
        self.skipped = 0

    def from_step(self, step: int = 0) -> Generator[Arrays]:
        order = range(SETTINGS.steps - step)
        made = load_batches(order, 1, lambda later: self._read(step + later[0]))
        for number, arrays in enumerate(made, step):
            self.skipped += len(self._part(number)) - len(arrays["numbers"]) + 1
            yield {name: array[:-1] for name, array in arrays.items()}

    def _part(self, step: int) -> range:
        first = step * SETTINGS.batch_size
        return self._ranks.part(range(first, first + SETTINGS.batch_size))

    def _read(self, step: int) -> Arrays:
        # A row too many is taken off again: mlx-data takes no empty arrays.
        return self.make([*(each for each in self._part(step) if each not in BROKEN), 0])

    def make(self, numbers: Sequence[int]) -> Arrays:
        """The samples of these numbers."""
        values = [np.random.default_rng((5, each)).normal(size=WIDTH) for each in numbers]
        labels = [int((each[:4] > 0).sum()) for each in values]
        if self._spoiled in numbers:
            values[numbers.index(self._spoiled)][0] = np.nan
        return {
            "numbers": np.array(numbers, np.int64),
            "values": np.array(values, np.float32),
            "labels": np.array(labels, np.int64),
        }


class TinyWork:
    """The objective and its batches."""

    def __init__(self, ranks: Ranks, spoiled: int | None = None) -> None:
        self.objective = Objective()
        self.batches = TinyBatches(ranks, spoiled)
        self._gradient = PooledGradient(self.objective, ["label"], mx.float32, ranks)

    def prepare(self, arrays: Arrays) -> Batch:
        return arrays

    def slope(self, chunks: Sequence[Batch]) -> Slope:
        return self._gradient(chunks)

    def name_of(self, number: int) -> str:
        return f"number {number}"

    def write_model(self, folder: Path) -> None:
        mx.save_safetensors(str(folder / "model.safetensors"), {"last": self.objective.last.weight})
        (folder / "config.json").write_text("{}")


class Told:
    """What a run said."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def stepped(self, step: int, steps: int, loss: float) -> None:
        self.losses.append(loss)

    def kept(self, step: int, steps: int, loss: float) -> None:
        pass


def run(folder: Path, *, spoiled: int | None = None, settings: Any = SETTINGS) -> Told:
    """Begin or go on, to the end."""
    ranks, told = Ranks(), Told()
    kept = RunFolder(folder)
    with kept.held() if ranks.is_first else nullcontext():
        Loop(TinyWork(ranks, spoiled), settings, kept, ranks, told, []).run()
    return told


class Counted:
    """Counts calls of functions, and sends this process a signal at one of them."""

    def __init__(self, at: int, number: int) -> None:
        self.done, self._at, self._number = 0, at, number

    def watch(self, place: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(place, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            self._count()
            result = function(*arguments, **options)
            self._count()
            return result

        setattr(place, name, watched)

    def _count(self) -> None:
        self.done += 1
        if self.done == self._at:
            os.kill(os.getpid(), self._number)


def main(folder: str, kill_at: str = "0", number: str = "9", rank: str = "0") -> None:
    is_to_die = rank == os.environ.get("MLX_RANK", "0")
    counted = Counted(int(kill_at) if is_to_die else 0, int(number))
    for place, name in (
        (RunFolder, "log"),
        (Told, "stepped"),
        (run_folder, "write_weights"),
        (atomic_folder, "sync"),
        (atomic_folder, "_publish"),
        (shutil, "rmtree"),
        (TinyWork, "prepare"),
        (TinyWork, "write_model"),
        (Path, "replace"),
    ):
        counted.watch(place, name)
    try:
        run(Path(folder))
    except Aimv2Error as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(counted.done)


if __name__ == "__main__":
    main(*sys.argv[1:])
