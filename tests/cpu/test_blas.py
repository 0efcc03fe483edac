"""The preloaded BLAS: in a fresh process each, because it is decided once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import PATIENCE_S

LINUX = sys.platform.startswith("linux")


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    return done.stdout.strip()


def test_mlx_is_not_imported_by_the_package_itself():
    assert run("import sys, mlx_aimv2; print('mlx.core' in sys.modules)") == "False"


@pytest.mark.skipif(not LINUX, reason="needs Linux")
def test_preloading_after_mlx_warns_once_and_loads_nothing():
    code = """
import warnings
import mlx.core
from mlx_aimv2.cpu import blas
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    blas.warn_once()
    blas.warn_once()
print(blas.status()[0], len(caught), "import mlx_aimv2 first" in str(caught[0].message))
"""
    assert run(code) == "None 1 True"


@pytest.mark.skipif(not LINUX, reason="needs Linux")
def test_without_a_fast_blas_one_is_told_what_to_install():
    code = """
import ctypes, warnings
def missing(*args, **kwargs):
    raise OSError("not there")
ctypes.CDLL = missing
from mlx_aimv2.cpu import blas
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    blas.warn_once()
print(blas.status()[0], "apt install libopenblas0" in str(caught[0].message))
"""
    assert run(code) == "None True"


@pytest.mark.parametrize(("platform", "cuda"), [("darwin", False), ("linux", True)])
def test_nothing_is_loaded_on_a_mac_or_beside_cuda(platform, cuda):
    code = f"""
import sys
sys.platform = {platform!r}
import mlx_aimv2.cpu.blas as blas
blas._loaded = blas._problem = None
blas._has_cuda_backend = lambda: {cuda}
print(blas.preload(), blas.status())
"""
    assert run(code) == "None (None, None)"


@pytest.mark.skipif(not LINUX, reason="needs Linux")
def test_the_environment_s_own_comes_before_the_system_s():
    code = """
import ctypes
from mlx_aimv2.cpu import blas
blas._loaded = blas._problem = None
ctypes.CDLL = lambda name, **options: name
print(blas.preload())
"""
    assert Path(run(code)).is_absolute()


@pytest.mark.skipif(not LINUX, reason="needs Linux")
@pytest.mark.parametrize("call", ["scipy_openblas_set_num_threads", "openblas_set_num_threads"])
def test_the_threads_of_a_product_are_settled(call):
    code = f"""
import os
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "3"
import ctypes
from mlx_aimv2.cpu import blas
told = []
blas._loaded = blas._problem = None
library = type("Library", (), {{{call!r}: told.append}})()
ctypes.CDLL = lambda name, **options: library
blas.preload()
with blas.one_thread():
    print(told == [3, 1])
print(told == [3, 1, 3], blas.threads())
"""
    assert run(code).split() == ["True", "True", "3"]


@pytest.mark.skipif(not LINUX, reason="needs Linux")
def test_threads_that_decode_change_nothing():
    code = """
import ctypes, hashlib
import numpy as np
import mlx_aimv2 as aimv2
from mlx_aimv2.cpu import blas
model = aimv2.load("demo")
picture = np.random.default_rng(5).integers(0, 255, (112, 112, 3), np.uint8)
alone = np.array(model.embed_images([picture]))
many = np.array(model.embed_images([picture] * 16, batch_size=1, threads=4))
print((many == alone).all())
"""
    assert run(code) == "True"


@pytest.mark.skipif(not LINUX, reason="needs Linux")
@pytest.mark.parametrize(
    ("call", "variable", "expected"),
    [
        ("print", "OPENBLAS_NUM_THREADS", 3),
        ("print", "OMP_NUM_THREADS", 3),
        ("print", "MKL_NUM_THREADS", "cores"),
        (None, "OMP_NUM_THREADS", 1),
    ],
)
def test_the_number_of_threads_is_the_user_s_or_the_cores(call, variable, expected):
    code = f"""
import os
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.pop(name, None)
from mlx_aimv2.cpu import blas
os.environ[{variable!r}] = "3"
blas._set_threads = {call}
cores = len(os.sched_getaffinity(0))
print(blas.threads() == {expected})
"""
    assert run(code) == "True"
