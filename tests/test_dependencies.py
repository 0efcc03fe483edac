"""What a Mac would install, resolved from here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import PATIENCE_S

ROOT = Path(__file__).parent.parent


def pip_setting(name: str) -> str:
    """A setting of pip's: a resolver with settings of its own must ask the same index."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", name],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_a_mac_gets_wheels_only(python, tmp_path):
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists() and not shutil.which("uv"):
        pytest.skip("needs uv")
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}  # the oldest MLX supports
    if index := pip_setting("global.index-url"):
        environment["UV_DEFAULT_INDEX"] = index
    done = subprocess.run(
        [
            str(uv if uv.exists() else "uv"), "pip", "compile", "pyproject.toml", "--quiet",
            "--python-platform", "aarch64-apple-darwin", "--python-version", python,
            "--only-binary", ":all:", "--no-header", "--no-annotate", "--extra", "parquet",
            "--no-cache", "--output-file", str(tmp_path / "resolved.txt"),
        ],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    resolved = (tmp_path / "resolved.txt").read_text()
    for package in ("mlx==", "mlx-metal==", "pillow-heif==", "pyarrow=="):
        assert package in resolved
    assert ("mlx-data==" in resolved) == (python != "3.14")  # it has no wheels there
    assert "mlx-cpu" not in resolved
