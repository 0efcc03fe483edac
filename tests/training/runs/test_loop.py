"""A run that is ended anywhere and gone on with is, bit for bit, one that nobody disturbed."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_aimv2.errors import NumericsError
from mlx_aimv2.training.runs.run_folder import RunFolder, read_log
from tests.support import tiny_run
from tests.support.commands import PATIENCE_S

pytest.importorskip("mlx.data", reason="needs mlx-data")

ROOT = Path(__file__).parents[3]
STEPS = tiny_run.SETTINGS.steps
KILLS = 10


def in_a_process(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.support.tiny_run", *map(str, (folder, *arguments))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def state(folder: Path) -> dict[str, np.ndarray]:
    """Parameters and the optimiser's memory after the last step, and where the data is."""
    place, arrays = RunFolder(folder).restore()
    assert place.step == STEPS
    return {name: np.array(each) for name, each in arrays.items()} | vars(place)


def told(folder: Path) -> list[dict[str, object]]:
    """The log without what the clock says."""
    lines = list(read_log(RunFolder(folder).log_file))
    return [{key: line[key] for key in line if key != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An undisturbed run, and how many moments it has."""
    folder = tmp_path_factory.mktemp("calm")
    done = in_a_process(folder)
    assert done.returncode == 0, done.stderr
    return folder, int(done.stdout)


def assert_same(folder: Path, calm: Path) -> None:
    ours, theirs = state(folder), state(calm)
    assert ours.keys() == theirs.keys()
    for name, each in theirs.items():
        np.testing.assert_array_equal(ours[name], each, err_msg=name)
    assert told(folder) == told(calm)
    files = [path.name for path in sorted(folder.rglob("*")) if path.name != "lock"]
    assert files == [path.name for path in sorted(calm.rglob("*")) if path.name != "lock"]


def test_killed_at_ten_moments_it_is_bit_for_bit_the_same(
    calm: tuple[Path, int], tmp_path: Path
) -> None:
    rng, kills = random.Random(11), 0
    while kills < KILLS:
        done = in_a_process(tmp_path, rng.randint(1, calm[1] // 3))
        if done.returncode == -signal.SIGKILL:
            kills += 1
            continue
        assert done.returncode == 0, done.stderr
        assert_same(tmp_path, calm[0])
        tmp_path = tmp_path / "again"
    assert in_a_process(tmp_path).returncode == 0
    assert_same(tmp_path, calm[0])


def test_a_stop_keeps_the_step_at_hand(calm: tuple[Path, int], tmp_path: Path) -> None:
    assert in_a_process(tmp_path, calm[1] // 2, int(signal.SIGINT)).returncode == 130
    place, _ = RunFolder(tmp_path).restore()
    assert place.step == len(told(tmp_path)) > STEPS // 3
    assert place.step % tiny_run.SETTINGS.checkpoint_every
    assert in_a_process(tmp_path).returncode == 0
    for name, each in state(calm[0]).items():
        np.testing.assert_array_equal(state(tmp_path)[name], each, err_msg=name)


def test_the_last_checkpoints_are_kept(calm: tuple[Path, int]) -> None:
    assert [path.name for path in RunFolder(calm[0]).places()] == ["step-0000023", "step-0000020"]
    lines = told(calm[0])
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[-1]["broken"] == len(tiny_run.BROKEN)
    assert sum(line["samples"] for line in lines) == 6 * STEPS - len(tiny_run.BROKEN)
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]
    assert lines[0]["rate"] == pytest.approx(1e-6)
    assert max(line["rate"] for line in lines) == pytest.approx(1e-2, rel=0.01)


def test_chunks_are_one_batch(calm: tuple[Path, int], tmp_path: Path) -> None:
    tiny_run.run(tmp_path, settings=replace(tiny_run.SETTINGS, chunk_size=0))
    losses = [[line["loss"] for line in told(folder)] for folder in (tmp_path, calm[0])]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_loss_that_is_not_finite_names_step_and_sample(tmp_path: Path) -> None:
    with pytest.raises(NumericsError, match=r"step 5: .*sample number 26$"):
        tiny_run.run(tmp_path, spoiled=26)
    place, arrays = RunFolder(tmp_path).restore()
    assert place.step == 4
    assert all(mx.isfinite(each).all().item() for each in arrays.values())


def test_a_log_line_is_json_of_its_step(calm: tuple[Path, int]) -> None:
    first = json.loads(RunFolder(calm[0]).log_file.read_text().splitlines()[0])
    assert first["schema"] == 1
    assert first["label"] == first["loss"] == pytest.approx(first["label_per_sample"])
