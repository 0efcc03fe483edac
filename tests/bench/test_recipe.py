"""The recipe's tables are right, and what it keeps is not done again."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.recipe import SETTINGS_FILE
from benchmarks.recipe_report import OBJECTIVES, UNTRAINED, Result, draw, tables
from tests.support.commands import PATIENCE_S
from tests.support.small_runs import ROOT

RIGHT = {"captions-prefix": "1101 1100", "captions-full": "1100 1000"}  # of two seeds


def result(objective: str, seed: int, hits: str) -> Result:
    shares = {"probe": 0.0, "zero-shot": 0.0}
    return Result(objective, seed, shares, dict.fromkeys(shares, hits), 1, 1, 1)


def results() -> list[Result]:
    return [
        result(name, seed, hits)
        for name in (UNTRAINED, *OBJECTIVES)
        for seed, hits in enumerate(RIGHT.get(name, "1111 0000").split())
    ]


def row(start: str) -> list[str]:
    line = next(line for line in tables(results()) if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_accuracies_have_the_standard_error_of_drawings():
    """Each drawing counts once, with what both seeds make of it: 1, 1, 0 and 1/2."""
    error = np.std([1, 1, 0, 0.5], ddof=1) / math.sqrt(4)
    assert row("captions, prefix")[1:3] == [f"62.5 ± {100 * error:.1f}"] * 2


def test_differences_are_of_the_same_drawings_and_of_seeds():
    """Drawing by drawing 0, 1/2, 0, 1/2; seed by seed 1/4 and 1/4."""
    error = np.std([0, 0.5, 0, 0.5], ddof=1) / math.sqrt(4)
    cells = row("captions, prefix − captions, full attention")
    assert cells[1] == f"+25.0 ± {100 * error:.1f} (seeds ± 0.0)"
    assert cells[3] == "+0.3"  # the paper's: 85.4 and 85.1


def test_an_untrained_encoder_has_no_figure_in_the_paper():
    assert row("untrained")[3:] == ["", "", ""]


def test_the_picture_has_losses_of_those_that_have_them(tmp_path):
    """Pixels only have no loss of words, captions only none of patches."""
    pytest.importorskip("matplotlib", reason="needs the extra train")
    lines = [{"step": step, "loss": 1.0} for step in (1, 2, 3)]
    logs = {
        "pixels": [line | {"pixel": 0.5} for line in lines],
        "captions-full": [line | {"text": 0.5} for line in lines],
    }
    draw(results(), logs, tmp_path / "recipe.svg")
    assert "<svg" in (tmp_path / "recipe.svg").read_text(encoding="utf-8")


@pytest.fixture
def kept(tmp_path):
    """A folder of shorter runs."""
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / SETTINGS_FILE).write_text(json.dumps({"settings": {"steps": 1}, "conditions": {}}))
    return folder


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.recipe", *options],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip


def test_a_folder_of_other_settings_is_refused(kept):
    done = run("--keep", str(kept), "--steps", "2")
    assert done.returncode == 2
    assert "keeps runs of other settings" in done.stderr
    assert [file.name for file in kept.iterdir()] == [SETTINGS_FILE]
