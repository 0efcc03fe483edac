"""OpenBLAS from its wheel, under plain names: the copy computes, and what is missing is named."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mlx_aimv2 import install_hints
from mlx_aimv2.cpu import openblas
from mlx_aimv2.errors import Aimv2Error
from tests.support.commands import PATIENCE_S

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")


@pytest.fixture
def library(tmp_path, monkeypatch):
    path = tmp_path / "environment" / "lib" / "libopenblas.so.0"
    monkeypatch.setattr(openblas, "COPY", path)
    return path


@pytest.fixture
def installed(library):
    pytest.importorskip("scipy_openblas32", reason="needs OpenBLAS")
    return openblas.install()


def product(library: ctypes.CDLL, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.zeros((len(a), b.shape[1]), np.float32)
    floats = ctypes.POINTER(ctypes.c_float)
    (rows, inner), columns = a.shape, b.shape[1]
    library.cblas_sgemm(
        101, 111, 111, rows, columns, inner, ctypes.c_float(1), a.ctypes.data_as(floats), inner,
        b.ctypes.data_as(floats), columns, ctypes.c_float(0), out.ctypes.data_as(floats), columns,
    )  # fmt: skip
    return out


def test_the_copy_multiplies_under_plain_names(installed, library):
    assert installed == library
    assert [path.name for path in library.parent.iterdir()] == [library.name]
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((37, 53), (53, 29)))
    loaded = ctypes.CDLL(str(library))
    np.testing.assert_allclose(product(loaded, a, b), a @ b, rtol=1e-5, atol=1e-5)
    for name in ("scipy_openblas_set_num_threads", "ssyevd_", "sgesdd_"):
        assert getattr(loaded, name)
    for name in ("scipy_cblas_sgemm", "openblas_set_num_threads", "openblas_get_num_threads"):
        assert not hasattr(loaded, name)


def test_again_is_the_same(installed):
    before = installed.read_bytes()
    assert openblas.install().read_bytes() == before


def test_mlx_computes_with_it(installed):
    code = f"""
import numpy as np
from mlx_aimv2.cpu import blas
blas._loaded = blas._problem = None
blas._LIBRARIES = [{str(installed)!r}]
blas.preload()
import mlx.core as mx
a = np.random.default_rng(1).standard_normal((300, 300)).astype(np.float32)
found = np.array(mx.array(a) @ mx.array(a))
maps = open("/proc/self/maps").read()
print(blas.threads() > 0, {str(installed)!r} in maps, np.abs(found - a @ a).max() < 1e-3)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout.split() == ["True", "True", "True"]


def test_elsewhere_there_is_nothing_to_do(library, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Aimv2Error, match="only MLX on Linux"):
        openblas.install()


def test_help_installs_nothing():
    code = "import runpy, sys; sys.argv = ['openblas', '--help']; sys.prefix = sys.argv[0];"
    code += "runpy.run_module('mlx_aimv2.cpu.openblas', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert "usage:" in done.stdout


def test_without_the_wheel_or_patchelf_one_is_told(library, monkeypatch):
    monkeypatch.setattr(openblas, "find_spec", lambda name: None)
    with pytest.raises(Aimv2Error, match="scipy-openblas32 is not installed") as caught:
        openblas.install()
    assert install_hints.extra("openblas") in caught.value.hint
    monkeypatch.setattr(openblas, "find_spec", lambda name: SimpleNamespace(origin="x/y.py"))
    monkeypatch.setattr(openblas.shutil, "which", lambda *args, **options: None)
    with pytest.raises(Aimv2Error, match="patchelf is not installed"):
        openblas.install()
    assert not library.exists()


def test_a_library_that_is_none_leaves_the_former_one(installed, library, tmp_path, monkeypatch):
    broken = tmp_path / "lib" / "libscipy_openblas.so"
    broken.parent.mkdir()
    broken.write_bytes(b"no library at all")
    wheel = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(openblas, "find_spec", lambda name: wheel)
    before = library.read_bytes()
    with pytest.raises(Aimv2Error, match="patchelf"):
        openblas.install()
    assert library.read_bytes() == before
    assert [path.name for path in library.parent.iterdir()] == [library.name]


def test_a_place_that_cannot_be_written_is_named(installed, library, monkeypatch):
    file = library.parent / "file"
    file.write_text("")
    monkeypatch.setattr(openblas, "COPY", file / "lib" / library.name)
    with pytest.raises(Aimv2Error, match="file/lib"):
        openblas.install()
