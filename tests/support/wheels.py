"""The wheel of this tree, and commands around it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.commands import PATIENCE_S

ROOT = Path(__file__).parents[2]


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(folder: Path) -> Path:
    # From a copy: a build writes into the tree, which other tests may be reading. The tree may be
    # another user's.
    run("git", "-c", "safe.directory=*", "-C", str(ROOT), "archive", "--prefix=tree/",
        "--output", str(folder / "tree.tar"), "HEAD", cwd=folder)  # fmt: skip
    run("tar", "-xf", "tree.tar", cwd=folder)
    # As in a clone from which a former version was built and in which tests have run.
    for left in ("build/lib/mlx_aimv2/loader.py", "mlx_aimv2/harness/__pycache__/suite.pyc"):
        (folder / "tree" / left).parent.mkdir(parents=True)
        (folder / "tree" / left).touch()
    # Isolated, as a user's build is; the one step of these tests that asks a package index.
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", ".", "./tree", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built
