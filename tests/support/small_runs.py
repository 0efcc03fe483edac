"""Small runs of the scripts in benchmarks/."""

import subprocess
import sys
from pathlib import Path

from .commands import PATIENCE_S

ROOT = Path(__file__).parents[2]
# Run by tests/parity: beside torch.
WITH_TORCH = {
    "aria_decoding": "--width 128 --words 500 --blocks 2 --experts 4 --tokens 8 --repeats 1",
    "evaluation": "--classes 4 --number 160 --epochs 1",
    "training_speed": "--width 64 --blocks 1 --batch 1 --words 70 --repeats 1 --memory-blocks 4",
}


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
