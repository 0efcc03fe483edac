"""Linux CPU only: load an optimised BLAS before ``mlx.core`` is imported.

MLX's Linux wheel links a reference BLAS. A library with the same symbols that is already
loaded, globally, takes its place; one that is loaded after ``mlx.core`` changes nothing.
"""

import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from mlx_aimv2 import install
from mlx_aimv2.device import available_cores
from mlx_aimv2.errors import Aimv2Warning

# Our copy of OpenBLAS (see ``openblas``), in a folder of its own: beside that may be another's.
COPY = Path(sys.prefix) / "lib" / "mlx-aimv2" / "libopenblas.so.0"

# The environment's own, then the system's; on AMD OpenBLAS before MKL, which is slower there.
_OWN = Path(sys.prefix) / "lib"
_OWN_MKL = (str(_OWN / "libmkl_rt.so.3"), str(_OWN / "libmkl_rt.so.2"))
_OPENBLAS = (str(COPY), str(_OWN / "libopenblas.so.0"), "libopenblas.so.0", "libopenblas.so")
_SYSTEM_MKL = ("libmkl_rt.so",)
_MKL_REPRODUCIBLE = "MKL_CBWR"
# How a library is told its number of threads, and the variables that have told it already. The
# first is that of our copy (see ``openblas``), the second that of every other OpenBLAS.
_THREADS = {
    "scipy_openblas_set_num_threads": ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
    "openblas_set_num_threads": ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
    "MKL_Set_Num_Threads": ("MKL_NUM_THREADS", "OMP_NUM_THREADS"),
}

_SLOW = "MLX runs on its slow reference BLAS"
LATE_HINT = (
    "mlx.core was imported before mlx_aimv2, so no fast BLAS could be loaded: "
    "import mlx_aimv2 first"
)

_loaded: str | None = None
_library: Any = None
_problem: str | None = None
_warned = False


def how_to_install() -> str:
    """Commands that give a fast BLAS."""
    wheel = f"`{install.extra('openblas')}` and then `{install.python()} -m mlx_aimv2.cpu.openblas`"
    return f"`apt install libopenblas0`, or {wheel}"


def preload() -> str | None:
    """Load the first fast BLAS found and return its name; None where there is nothing to do.

    Does nothing on a Mac, nor where MLX has its CUDA backend, nor a second time.
    """
    global _library, _loaded, _problem
    if _loaded or _problem or not sys.platform.startswith("linux") or _has_cuda_backend():
        return _loaded
    if "mlx.core" in sys.modules:
        _problem = LATE_HINT
        return None
    # MKL sums in an order that follows where arrays lie in memory, which no two processes share:
    # told to be strict, it gives the same bits in each. It reads this as it is loaded.
    # On AMD "AUTO" is a tenth slower than AVX2.
    os.environ.setdefault(_MKL_REPRODUCIBLE, "AVX2,STRICT" if _is_amd() else "AUTO,STRICT")
    for candidate in _candidates():
        try:
            _library = ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        _loaded = candidate
        _set_threads(_threads_of_a_product())
        return _loaded
    _problem = _SLOW
    return None


def status() -> tuple[str | None, str | None]:
    """What was loaded and what is wrong: ``(library, None)``, ``(None, hint)`` or neither."""
    is_slow = _problem == _SLOW
    return _loaded, f"{_SLOW}: install a fast one with {how_to_install()}" if is_slow else _problem


def threads() -> int:
    """How many threads there are for products, the parts of a batch together; 1 without a library.

    It is not asked: mlx-data changes what it says, and with it a batch's parts would change.
    """
    call = _call()
    if call is None:
        return 1
    given = (os.environ.get(name, "") for name in _THREADS[call])
    return next(
        (int(number) for number in given if number.isdecimal() and int(number)), available_cores()
    )


@contextmanager
def using(number: int) -> Iterator[None]:
    """Inside it the preloaded library multiplies with so many threads, in this whole process."""
    _set_threads(number)
    try:
        yield
    finally:
        _set_threads(_threads_of_a_product())


def is_slower_than_openblas() -> bool:
    """Whether it is MKL that was preloaded, on a processor for which OpenBLAS is faster."""
    return _loaded is not None and "mkl" in _loaded and _is_amd()


def warn_once() -> None:
    """Say, the first time a model is loaded, that it will be slow and how to mend that."""
    global _warned
    if _problem and not _warned:
        _warned = True
        warnings.warn(status()[1] or _problem, Aimv2Warning, stacklevel=2)


def _candidates() -> list[str]:
    if _is_amd():
        return [*_OPENBLAS, *_OWN_MKL, *_SYSTEM_MKL]
    return [*_OWN_MKL, *_OPENBLAS, *_SYSTEM_MKL]


def _threads_of_a_product() -> int:
    """Where nothing is computed in parts. mlx-data sets the threads of a library whose call it
    knows to 1 and back while it decodes: OpenBLAS, whose bits follow from them, always has 1 then.
    """
    return 1 if _call() == "openblas_set_num_threads" else threads()


def _call() -> str | None:
    return next((call for call in _THREADS if hasattr(_library, call)), None)


def _set_threads(number: int) -> None:
    if call := _call():
        getattr(_library, call)(number)


def _is_amd() -> bool:
    try:
        processors = Path("/proc/cpuinfo").read_text(encoding="ascii")
    except (OSError, ValueError):
        return False
    return "AuthenticAMD" in processors and " avx2 " in processors


def _has_cuda_backend() -> bool:
    spec = PathFinder.find_spec("mlx")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return any(any(Path(folder).parent.glob("mlx_cuda_*")) for folder in folders)
