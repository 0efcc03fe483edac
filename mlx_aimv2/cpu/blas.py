"""Linux CPU only: load OpenBLAS before ``mlx.core`` is imported.

MLX's Linux wheel links a reference BLAS. A library with the same symbols that is already
loaded, globally, takes its place; one that is loaded after ``mlx.core`` changes nothing.
"""

import ctypes
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from mlx_aimv2 import install_hints
from mlx_aimv2.device import available_cores
from mlx_aimv2.errors import Aimv2Warning

# Our copy of OpenBLAS (see ``openblas``), in a folder of its own: beside that may be another's.
COPY = Path(sys.prefix) / "lib" / "mlx-aimv2" / "libopenblas.so.0"

# The environment's own, then the system's.
_LIBRARIES = (
    str(COPY),
    str(Path(sys.prefix) / "lib" / "libopenblas.so.0"),
    "libopenblas.so.0",
    "libopenblas.so",
)
_THREADS_CALLS = ("scipy_openblas_set_num_threads", "openblas_set_num_threads")  # our copy's first
_THREADS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")

_SLOW = "MLX runs on its slow reference BLAS"
LATE_HINT = (
    "mlx.core was imported before mlx_aimv2, so no fast BLAS could be loaded: "
    "import mlx_aimv2 first"
)

_loaded: str | None = None
_problem: str | None = None
_set_threads: Callable[[int], object] | None = None


def preload() -> str | None:
    """Load the first OpenBLAS found and return its name; None where there is nothing to do.

    Does nothing on a Mac, nor where MLX has its CUDA backend, nor a second time.
    """
    global _loaded, _problem, _set_threads
    if _loaded or _problem or not sys.platform.startswith("linux") or _has_cuda_backend():
        return _loaded
    if "mlx.core" in sys.modules:
        _problem = LATE_HINT
        return None
    for candidate in _LIBRARIES:
        try:
            library = ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        _loaded = candidate
        calls = (getattr(library, name, None) for name in _THREADS_CALLS)
        _set_threads = next(filter(None, calls), None)
        if _set_threads:
            _set_threads(threads())
        return _loaded
    _problem = _SLOW
    return None


def status() -> tuple[str | None, str | None]:
    """What was loaded and what is wrong: ``(library, None)``, ``(None, hint)`` or neither."""
    if _problem != _SLOW:
        return _loaded, _problem
    copy = f"{install_hints.python()} -m mlx_aimv2.cpu.openblas"
    wheel = f"`{install_hints.extra('openblas')}` and then `{copy}`"
    return None, f"{_SLOW}: install a fast one with `apt install libopenblas0`, or {wheel}"


def threads() -> int:
    """How many threads there are for products, the parts of a batch together; 1 without a library.

    The library is not asked: training's mlx-data changes what a system's OpenBLAS says.
    """
    if _set_threads is None:
        return 1
    given = (os.environ.get(name, "") for name in _THREADS_VARIABLES)
    return next(
        (int(number) for number in given if number.isdecimal() and int(number)), available_cores()
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside it a product takes one thread, that which asks for it, in this whole process."""
    if _set_threads is None:
        yield
        return
    _set_threads(1)
    try:
        yield
    finally:
        _set_threads(threads())


@cache
def warn_once() -> None:
    """Say, the first time a model is loaded, that it will be slow and how to mend that."""
    if problem := status()[1]:
        warnings.warn(problem, Aimv2Warning, stacklevel=2)


def _has_cuda_backend() -> bool:
    spec = PathFinder.find_spec("mlx")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return any(any(Path(folder).parent.glob("mlx_cuda_*")) for folder in folders)
