"""Where MLX compiles for a CPU: a folder that others may have made first."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from mlx_aimv2.cpu import compile_cache
from tests.support.commands import PATIENCE_S
from tests.support.makers import random_vision, vision_config, write_checkpoint


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_a_folder_of_ones_own_is_used(temporary):
    assert compile_cache.has_own_folder()
    (temporary / "mlx" / version("mlx") / "cpu").mkdir(parents=True)
    assert compile_cache.has_own_folder()


def test_a_folder_that_another_user_made_is_not(temporary, monkeypatch):
    (temporary / "mlx").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: (temporary / "mlx").stat().st_uid + 1)
    assert not compile_cache.has_own_folder()


def test_a_file_in_its_place_is_not(temporary):
    (temporary / "mlx").touch()
    assert not compile_cache.has_own_folder()


def test_no_folder_for_kernels_is_no_reason_to_fail(tmp_path):
    folder = write_checkpoint(tmp_path / "vision", random_vision(), vision_config())
    code = f"""
import numpy as np
import mlx_aimv2 as aimv2
model = aimv2.load({str(folder)!r})
print(model.embed_images(np.zeros((9, 9, 3), np.uint8)).shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(tmp_path / "missing")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout == "(1, 76)\n", done.stderr
