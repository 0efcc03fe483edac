"""Every script in benchmarks/ runs, by its own options and on next to nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import made_library
from benchmarks.made_library import COPIED, make_library, wide_checkpoint
from mlx_aimv2.library.library import Library
from tests.support.commands import PATIENCE_S

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    file.stem
    for file in (ROOT / "benchmarks").glob("*.py")
    if '__name__ == "__main__"' in file.read_text(encoding="utf-8")
)
RESULTS = ROOT / "benchmarks" / "results"
SMALL = {
    "accuracy": "--blocks 1 --drawings 3",
    "decoding": "--runs 1 --width 504 --photos 2 --blocks 1",
    "duplicates": "--drawings 2",
    "encoder_steps": "--model demo --batch 1 --blocks 1 --repeats 1",
    "help_time": "--runs 2",
    "kill_test": "--kills 1",
    "library_quality": "--number 20 --duplicates 2",
    "limits": f"{sorted(RESULTS.glob('*.json'))[0]}",
    "locating": "--number 2 --blocks 1",
    "library_scale": "--rows 300 500 --runs 1 --files 3",
    "readme_table": "--check",
    "teaching": "--number 300 --draws 1 --rows 300",
    "training_speed": "--width 64 --blocks 1 --batch 1 --words 70 --repeats 1 --memory-blocks 4",
    "tagging": "--number 20 --photos 60 --seeds 1 --foreign 5 --near-equal 9 --topic 9 --rows 300 "
    "--taught 300 --draws 1",
}
# Run by tests/parity: beside torch.
WITH_TORCH = {
    "evaluation": "--classes 4 --number 160 --epochs 1",
    "training_speed": SMALL["training_speed"],
}
# Run by tests of its own, with a library of kernels that they make; and by training_speed.
ELSEWHERE = {"metal_kernels", "torch_pretraining"}


def test_each_has_a_small_run():
    assert sorted({*SMALL, *WITH_TORCH, *ELSEWHERE}) == SCRIPTS


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_run(name):
    if name in {"decoding", "tagging", "teaching"}:
        pytest.importorskip("skimage", reason="needs scikit-image")
    check_run(name, SMALL[name])


def check_run(name: str, options: str) -> None:
    """A script does its work and prints figures."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options.split()],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    # Whether a limit was met is none of a test's business: that depends on the machine.
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.strip() or name == "readme_table"
    if name != "library_quality":  # of few drawings some of its figures tell nothing
        assert "not measured" not in done.stdout, done.stdout


def test_planted_copies_are_copies_in_every_block(monkeypatch, tmp_path):
    """Their vectors and their signatures alike, however many rows are written at once."""
    monkeypatch.setattr(made_library, "_TOGETHER", 3 * COPIED)
    make_library(tmp_path / "made.db", 10 * COPIED, wide_checkpoint())
    with Library(tmp_path / "made.db") as library:
        groups = [group.files for group in library.duplicates()]
    assert len(groups) == 10
    assert all(abs(second - first) == 1 for first, second in groups)


def test_blocks_of_made_libraries_are_whole_hundreds():
    assert made_library._TOGETHER % COPIED == 0
