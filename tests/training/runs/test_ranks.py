"""Two processes under ``mlx.launch`` are one with the same batch; one that is lost ends both."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.training.runs.ranks import Ranks
from mlx_aimv2.training.runs.run_folder import RunFolder, read_log
from tests.support import tiny_run
from tests.support.commands import PATIENCE_S, free_port
from tests.support.slopes import arrays_of, contrast_slope, pooled_slope

pytest.importorskip("mlx.data", reason="needs mlx-data")

ROOT = Path(__file__).parents[3]
LAUNCH = Path(sys.executable).with_name("mlx.launch")


def launch(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """A module in two processes."""
    return subprocess.run(
        [
            LAUNCH,
            "-n",
            "2",
            "-p",
            str(free_port()),
            "--",
            sys.executable,
            "-m",
            *map(str, arguments),
        ],
        # Two processes share the cores: neither waits for the other's threads.
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_log(RunFolder(folder).log_file)]


def test_first_gradients_of_two_are_those_of_one(tmp_path: Path) -> None:
    done = launch("tests.support.slopes", tmp_path)
    alone = Ranks()
    for name, slope in (
        ("pooled", pooled_slope(alone)),
        ("contrast", contrast_slope(alone, 8)),
        ("chunks", contrast_slope(alone, 8)),
    ):
        both = np.load(tmp_path / f"{name}.npz")
        ours = arrays_of(slope)
        assert set(both) == set(ours), done.stderr
        np.testing.assert_allclose(both["loss"], ours["loss"], rtol=1e-6)
        for key, each in ours.items():
            np.testing.assert_allclose(
                both[key], each, atol=1e-5 * max(abs(each).max(), 1e-3), err_msg=f"{name} {key}"
            )


def test_a_run_of_two_is_that_of_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    tiny_run.run(one)
    done = launch("tests.support.tiny_run", two)
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-6, err_msg=done.stderr)
    (place, ours), (other, theirs) = (RunFolder(each).restore() for each in (one, two))
    assert place == other
    assert place.step > 20
    for name, each in ours.items():
        largest = np.abs(np.array(each)).max()
        np.testing.assert_allclose(
            np.array(theirs[name]), np.array(each), atol=1e-4 * largest, err_msg=name
        )
    assert (two / "model.safetensors").is_file()


def test_a_lost_process_ends_the_other_and_the_run_goes_on(tmp_path: Path) -> None:
    calm, lost = tmp_path / "calm", tmp_path / "lost"
    launch("tests.support.tiny_run", calm)
    done = launch("tests.support.tiny_run", lost, 41, 9, 1)
    assert "error: another process of this run was lost" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (lost / "model.safetensors").exists()
    assert 4 <= RunFolder(lost).restore()[0].step < tiny_run.SETTINGS.steps
    launch("tests.support.tiny_run", lost)
    assert losses(lost) == losses(calm)
    (_, ours), (_, theirs) = (RunFolder(each).restore() for each in (lost, calm))
    for name, each in theirs.items():
        np.testing.assert_array_equal(np.array(ours[name]), np.array(each), err_msg=name)
