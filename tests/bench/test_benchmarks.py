"""Every script in benchmarks/ runs, by its own options and on next to nothing."""

from pathlib import Path

import pytest

from benchmarks import made_library
from benchmarks.made_library import COPIED, make_library, wide_checkpoint
from mlx_aimv2.library.library import Library
from tests.support.small_runs import WITH_TORCH, check_run

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    file.stem
    for file in (ROOT / "benchmarks").glob("*.py")
    if '__name__ == "__main__"' in file.read_text(encoding="utf-8")
)
RESULTS = ROOT / "benchmarks" / "results"
SMALL = {
    "accuracy": "--blocks 1 --drawings 3",
    "caption_search": "--number 30",
    "aria_full_size": "all --small --layers 1",
    "decoding": "--runs 1 --width 504 --photos 2 --blocks 1",
    "duplicates": "--drawings 2",
    "encoder_steps": "--model demo --batch 1 --blocks 1 --repeats 1",
    "help_time": "--runs 2",
    "kill_test": "--kills 1",
    "library_quality": "--number 20 --duplicates 2",
    "limits": f"{sorted(RESULTS.glob('*.json'))[0]}",
    "locating": "--number 2 --blocks 1",
    "library_scale": "--rows 300 --runs 1 --files 3",
    "readme_table": "--check",
    "recipe": "--classes 2 --count 4 --tests 2 --seeds 1 --steps 2 --lit-steps 2 --epochs 1 "
    "--number 1",
    "teaching": "--number 300 --draws 1 --rows 300",
    "training_speed": WITH_TORCH["training_speed"],
    "tagging": "--number 20 --photos 60 --seeds 1 --foreign 5 --near-equal 9 --topic 9 --rows 300 "
    "--taught 300 --draws 1",
}
# Run by tests of its own, with a library of kernels that they make; by training_speed; by
# aria_decoding; and by the tests in a browser.
ELSEWHERE = {"metal_kernels", "torch_pretraining", "torch_aria", "page"}


def test_each_has_a_small_run():
    assert sorted({*SMALL, *WITH_TORCH, *ELSEWHERE}) == SCRIPTS


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_run(name):
    if name in {"decoding", "tagging", "teaching"}:
        pytest.importorskip("skimage", reason="needs scikit-image")
    check_run(name, SMALL[name])


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
