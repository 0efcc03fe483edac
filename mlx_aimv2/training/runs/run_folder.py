"""What a run keeps on the disk: its settings, its log, its last checkpoints.

In the folder of the result, beside the model's files: ``training/run.json``, ``log.jsonl`` and
``step-0000500`` and so on, each of them whole or absent whenever the process ends.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_aimv2.checkpoints.safetensors_file import Spec, load_lazily, write_weights
from mlx_aimv2.checkpoints.weights import weight_files
from mlx_aimv2.errors import CheckpointError, OutputError
from mlx_aimv2.files.atomic_folder import staged
from mlx_aimv2.files.file_diagnosis import unfit
from mlx_aimv2.files.json_lines import SCHEMA, to_json
from mlx_aimv2.files.lock import release_lock, take_lock
from mlx_aimv2.files.paths import unwritable
from mlx_aimv2.files.whole_file import write_whole

_FOLDER, _RUN_FILE, _LOG_FILE, _STATE_FILE = "training", "run.json", "log.jsonl", "state.json"
_FULL = "make room, then go on with --resume"
_STEP = re.compile(r"step-(\d{7,})")


@dataclass(frozen=True)
class Place:
    """Where a run is: steps that are done, and samples in them that were broken.

    All that is random follows from the seed and the step: there is no other state of it.
    """

    step: int = 0
    broken: int = 0


class RunFolder:
    """The files of one run."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target / _FOLDER
        self.log_file = self.path / _LOG_FILE

    @property
    def is_there(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / _RUN_FILE).is_file()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside it no other run writes here.

        Errors: LockedError where one does; OutputError where the folder cannot be made.
        """
        try:
            self.target.mkdir(parents=True, exist_ok=True)
            lock = take_lock(self.path, str(self.target))
        except OSError as error:
            raise unwritable(self.target, error) from error
        try:
            yield
        finally:
            release_lock(lock)

    def read_run(self) -> dict[str, Any]:
        """What the run was started with. Errors: CheckpointError where that cannot be read."""
        return _read_json(self.path / _RUN_FILE)

    def write_run(self, about: Mapping[str, Any]) -> None:
        """Keep what the run was started with. Errors: OutputError."""
        write_whole(self.path / _RUN_FILE, json.dumps(about, indent=1) + "\n")

    def places(self) -> list[Path]:
        """The checkpoints, the last one first."""
        found = {path: _STEP.fullmatch(path.name) for path in self.path.glob("step-*")}
        return sorted(
            (path for path, match in found.items() if match),
            key=lambda path: int(path.name.removeprefix("step-")),
            reverse=True,
        )

    def save(self, place: Place, arrays: Mapping[str, mx.array], keep: int) -> None:
        """Keep a checkpoint, and of those before it the last few, ``keep`` in all.

        Errors: OutputError where it cannot be written; the checkpoints before are still there.
        """
        target = self.path / f"step-{place.step:07}"
        if not target.exists():
            specs = {name: Spec.of(array) for name, array in arrays.items()}
            with staged(target) as folder:
                write_weights(folder, specs, arrays.items())
                (folder / _STATE_FILE).write_text(to_json(vars(place)) + "\n")
        for old in self.places()[keep:]:
            shutil.rmtree(old, ignore_errors=True)

    def restore(self) -> tuple[Place, dict[str, mx.array]]:
        """The last checkpoint; the beginning, and no arrays, where there is none.

        Errors: CheckpointError where it cannot be read.
        """
        last = next(iter(self.places()), None)
        if last is None:
            return Place(), {}
        arrays: dict[str, mx.array] = {}
        for file in weight_files(last):
            arrays |= load_lazily(file)
        try:
            return Place(**_read_json(last / _STATE_FILE)), arrays
        except TypeError as error:
            raise unfit(last / _STATE_FILE, "the state of a run", error) from error

    def log(self, fields: Mapping[str, Any]) -> None:
        """Add a line to the log. Errors: OutputError."""
        try:
            with self.log_file.open("a", encoding="utf-8") as file:
                file.write(to_json({"schema": SCHEMA, **fields}) + "\n")
        except OSError as error:
            raise unwritable(self.log_file, error, full=_FULL) from error

    def cut_log(self, step: int) -> None:
        """Take out of the log what came after a step: it is done again. Errors: OutputError."""
        if self.log_file.exists():
            kept = [
                to_json(each) + "\n" for each in read_log(self.log_file) if each["step"] <= step
            ]
            write_whole(self.log_file, "".join(kept))


def read_log(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; what a kill left of a last one is passed over.

    Errors: OutputError where there is none.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise OutputError(f"{file} cannot be read: {error.strerror}") from error
    for line in lines:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict) and isinstance(fields.get("step"), int):
            yield fields


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise unfit(file, "readable JSON", error) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} is not a JSON object")
    return found
