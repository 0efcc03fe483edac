"""Linux CPU only: load an optimised BLAS before ``mlx.core`` is imported.

MLX's Linux wheel links a reference BLAS. A library with the same symbols that is already
loaded, globally, takes its place; one that is loaded after ``mlx.core`` changes nothing.
"""

import ctypes
import os
import sys
import warnings
from importlib.machinery import PathFinder
from pathlib import Path

from .errors import Aimv2Warning

# Tried in this order: the environment's own, then the system's.
_ENVIRONMENT_LIBRARIES = ("libmkl_rt.so.3", "libmkl_rt.so.2")
_SYSTEM_LIBRARIES = ("libopenblas.so.0", "libopenblas.so", "libmkl_rt.so")
_MKL_REPRODUCIBLE = ("MKL_CBWR", "AUTO,STRICT")

INSTALL_HINT = (
    "MLX runs on its slow reference BLAS: install a fast one with `pip install mkl` (x86-64) "
    "or `apt install libopenblas0`"
)
LATE_HINT = (
    "mlx.core was imported before mlx_aimv2, so no fast BLAS could be loaded: "
    "import mlx_aimv2 first"
)

_loaded: str | None = None
_problem: str | None = None
_warned = False


def preload() -> str | None:
    """Load the first fast BLAS found and return its name; None where there is nothing to do.

    Does nothing on a Mac, nor where MLX has its CUDA backend, nor a second time.
    """
    global _loaded, _problem
    if _loaded or _problem or not sys.platform.startswith("linux") or _has_cuda_backend():
        return _loaded
    if "mlx.core" in sys.modules:
        _problem = LATE_HINT
        return None
    # MKL sums in an order that follows where arrays lie in memory, which no two processes share:
    # told to be strict, it gives the same bits in each. It reads this as it is loaded.
    os.environ.setdefault(*_MKL_REPRODUCIBLE)
    folder = Path(sys.prefix) / "lib"
    candidates = [str(folder / name) for name in _ENVIRONMENT_LIBRARIES] + [*_SYSTEM_LIBRARIES]
    for candidate in candidates:
        try:
            ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        _loaded = candidate
        return _loaded
    _problem = INSTALL_HINT
    return None


def status() -> tuple[str | None, str | None]:
    """What was loaded and what is wrong: ``(library, None)``, ``(None, hint)`` or neither."""
    return _loaded, _problem


def warn_once() -> None:
    """Say, the first time a model is loaded, that it will be slow and how to mend that."""
    global _warned
    if _problem and not _warned:
        _warned = True
        warnings.warn(_problem, Aimv2Warning, stacklevel=2)


def _has_cuda_backend() -> bool:
    spec = PathFinder.find_spec("mlx")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return any(any(Path(folder).parent.glob("mlx_cuda_*")) for folder in folders)
