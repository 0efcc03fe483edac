"""What a stage brings to the loop."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..data_loader import Arrays
from .gradients import Batch, Slope

NUMBERS = "numbers"  # of a batch's samples, by which they are named


class Batches(Protocol):
    """The batches of this process; everything random in them follows from the seed and the step.

    ``skipped`` is how many samples dropped out of those that were taken, as they were broken.
    """

    @property
    def skipped(self) -> int: ...

    def from_step(self, step: int = 0) -> Generator[Arrays]:
        """The batches from a step on, each with ``NUMBERS`` (B,); B may be 0."""


class Work(Protocol):
    """What a stage trains and on what.

    ``objective`` is a module of all that is trained, and of what else changes with it.
    """

    @property
    def objective(self) -> Any: ...
    @property
    def batches(self) -> Batches: ...

    def prepare(self, arrays: Arrays) -> Batch:
        """What the objective takes."""

    def slope(self, chunks: Sequence[Batch]) -> Slope:
        """The loss and gradient of a step."""

    def name_of(self, number: int) -> str:
        """The name of a sample, for messages."""

    def write_model(self, folder: Path) -> None:
        """Write the checkpoint that the stage makes into an empty folder."""


def chunks_of(arrays: Arrays, size: int) -> list[Arrays]:
    """A batch in parts of at most ``size`` samples; 0 for one part. None of an empty batch."""
    count = len(arrays[NUMBERS])
    return [
        {name: array[first : first + (size or count)] for name, array in arrays.items()}
        for first in range(0, count, size or max(count, 1))
    ]
