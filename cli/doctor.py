"""``aimv2 doctor``: whether everything this package needs is here and works."""

import os
import platform
import shutil
import sys
import timeit
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from mlx_aimv2 import device, install_hints
from mlx_aimv2.files.path_text import escape

from . import output
from .exit_codes import FAILED
from .options import JSON

EXAMPLES = """
aimv2 doctor
aimv2 doctor --json
"""

# A part: its distribution, the module that shows it works, and what is lost without it, empty
# where nothing works without it.
_PARTS = (
    ("mlx", "mlx.core", ""),
    ("mlx-data", "mlx.data", "no checkpoint can be trained (it needs Python 3.13 or older)"),
    ("numpy", "numpy", ""),
    ("pillow", "PIL.Image", ""),
    ("safetensors", "safetensors", ""),
    ("huggingface_hub", "huggingface_hub", ""),
    ("tokenizers", "tokenizers", "texts cannot be embedded"),
    ("pillow-heif", "pillow_heif", "HEIC pictures, as iPhones make them, cannot be read"),
)

_KNOWN_AS = {"HEIF": "HEIC"}
_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}

_SIDE = 1024  # of the matrices multiplied
_REPEATS = 3
_TOLERANCE = 5e-3  # of the largest value; TF32 keeps 10 bits of each factor


@dataclass(frozen=True)
class Check:
    """One finding; ``values`` are its numbers, in bytes where they are sizes."""

    name: str
    detail: str
    status: Literal["ok", "note", "broken"] = "ok"
    hint: str = ""
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """What ``aimv2 doctor`` takes."""

    as_json: bool = JSON()


def doctor(options: Options) -> int:
    """Check this installation: versions, device, BLAS, memory, cache, and a product.

    The exit code is 1 if something that is needed does not work.
    """
    checks = list(examine())
    if options.as_json:
        for check in checks:
            output.record(asdict(check))
    else:
        output.table([(_MARKS[check.status], check.name, check.detail) for check in checks])
        for check in checks:
            if check.hint:
                output.line(f"{check.name}: {check.hint}")
    return FAILED if any(check.status == "broken" for check in checks) else 0


def examine() -> Iterator[Check]:
    """Every check; one that cannot be made at all is a broken one."""
    yield from _versions()
    for name, check in (
        ("device", _device),
        ("BLAS", _blas),
        ("memory", _memory),
        ("formats", _formats),
        ("library", _library),
        ("cache", _cache),
        ("network", _network),
        ("product", _product),
    ):
        yield _guarded(name, check)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # whatever is missing: that is what is looked for here
        return Check(name, f"{type(error).__name__}: {error}", "broken", _again())


def _versions() -> Iterator[Check]:
    yield _guarded("mlx-aimv2", lambda: Check("mlx-aimv2", version("mlx-aimv2")))
    yield Check("Python", f"{platform.python_version()} ({sys.executable})")
    yield Check("system", platform.platform())
    for distribution, module, lost in _PARTS:
        yield _part(distribution, module, lost)


def _noted(name: str, detail: str, hint: str, values: dict[str, Any]) -> Check:
    """A finding that is fine, with a hint that would make it better."""
    return Check(name, detail, "note" if hint else "ok", hint, values)


def _again() -> str:
    return f"install the package again: {install_hints.again()}"


def _part(distribution: str, module: str, lost: str) -> Check:
    severity: Literal["note", "broken"] = "note" if lost else "broken"
    try:
        found = version(distribution)
        import_module(module)
    except PackageNotFoundError:
        detail = f"not installed{f': {lost}' if lost else ''}"
        return Check(distribution, detail, severity, install_hints.packages(distribution))
    except Exception as error:  # a broken library can raise anything as it is imported
        detail = f"{found}, but {module} does not load: {error}"
        hint = _again()
        if module == "mlx.core" and sys.platform.startswith("linux"):
            hint = f"MLX needs a backend: {install_hints.packages('mlx[cpu]')} (or cuda12, cuda13)"
        return Check(distribution, detail, severity, hint)
    return Check(distribution, found, values={"version": found})


def _device() -> Check:
    backend, dtype = device.backend(), device.default_dtype()
    name = device.facts().get("device_name", "unknown device")
    values = {"backend": backend, "device_name": name, "default_dtype": dtype}
    detail = f"{name}, {backend}, computing in {dtype}"
    is_virtual = backend == "CPU" and sys.platform == "darwin"
    hint = "MLX sees no GPU: is this a virtual machine?" if is_virtual else ""
    return _noted("device", detail, hint, values)


def _blas() -> Check:
    from mlx_aimv2.cpu import blas  # noqa: PLC0415

    library, problem = blas.status()
    if problem:
        return Check("BLAS", "only MLX's slow reference BLAS", "note", problem)
    values = {"library": library, "threads": blas.threads()}
    return Check("BLAS", library or "MLX's own", values=values)


def _memory() -> Check:
    total = device.total_bytes()
    values = {"total_bytes": total}
    words = [f"{output.size(total)} in all"]
    if available := device.available_bytes():
        values["available_bytes"] = available
        words.append(f"{output.size(available)} available")
    if device.backend() == "Metal":
        working_set = device.room_bytes()
        values["metal_working_set_bytes"] = working_set
        words.append(f"{output.size(working_set)} for Metal's working set")
    return Check("memory", ", ".join(words), values=values)


def _formats() -> Check:
    from PIL import features  # noqa: PLC0415

    from mlx_aimv2.images.formats.header import FORMATS  # noqa: PLC0415

    missing = [name for name in ("jpg", "webp", "avif") if not features.check(name)]
    if missing:
        detail = f"this Pillow cannot read {', '.join(missing)}"
        return Check(
            "formats", detail, "note", install_hints.packages("--force-reinstall", "pillow")
        )
    names = [format.name for format in FORMATS if _loads(format.module)]
    return Check("formats", ", ".join(_KNOWN_AS.get(name, name) for name in names))


def _loads(module: str) -> bool:
    try:
        import_module(module)
    except Exception:  # as a part it is told of already
        return False
    return True


def _library() -> Check:
    """Where the library is by default, and the vectors of texts that were searched for."""
    from mlx_aimv2.library import text_cache  # noqa: PLC0415
    from mlx_aimv2.library.database import schema  # noqa: PLC0415

    file, texts = schema.default_path(), text_cache.default_path()
    state = output.size(_folder_bytes(file.parent)) if file.exists() else "not there yet"
    values = {"library": escape(str(file)), "texts": escape(str(texts))}
    return Check("library", f"{file} ({state}); texts searched for: {texts}", values=values)


def _cache() -> Check:
    from mlx_aimv2.checkpoints import hub  # noqa: PLC0415
    from mlx_aimv2.models.published import CHECKPOINTS  # noqa: PLC0415

    folder = hub.cache_folder()
    here = [checkpoint.alias for checkpoint in CHECKPOINTS if hub.cached(checkpoint)]
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    used, free = _folder_bytes(folder), shutil.disk_usage(existing).free
    values = {
        "folder": escape(str(folder)),
        "size_bytes": used,
        "free_bytes": free,
        "checkpoints": here,
    }
    sizes = f"{output.size(used)}, {output.size(free)} free"
    detail = f"{folder} ({sizes}); checkpoints: {', '.join(here) or 'none'}"
    hint = problem = ""
    if not existing.is_dir():
        problem = f"; {existing} is not a folder"
    elif not os.access(existing, os.W_OK):
        problem = "; may not be written"
    if problem:
        variable = "HF_HUB_CACHE" if "HF_HUB_CACHE" in os.environ else "HF_HOME"
        hint = f"nothing can be downloaded there: set {variable} to a folder of yours"
    return _noted("cache", detail + problem, hint, values)


def _folder_bytes(folder: Path) -> int:
    # Links are not followed: a snapshot's files are links to the blobs beside it.
    return sum(
        (Path(parent) / name).lstat().st_size
        for parent, _, names in os.walk(folder)
        for name in names
    )


def _network() -> Check:
    """What is known without a request: nothing is tried here."""
    from huggingface_hub import constants, is_offline_mode  # noqa: PLC0415

    is_offline, endpoint = is_offline_mode(), constants.ENDPOINT
    detail = f"checkpoints come from {endpoint}, HF_HUB_OFFLINE is not set"
    if is_offline:
        detail = "offline, because HF_HUB_OFFLINE is set"
    values = {"is_offline": is_offline, "endpoint": endpoint}
    return Check("network", f"not tried: {detail}", "note", values=values)


def _product() -> Check:
    """A matrix product on the device, held against NumPy's."""
    import mlx.core as mx  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, _SIDE, _SIDE), dtype=np.float32)
    expected = left @ right
    a, b = mx.array(left), mx.array(right)
    found = np.array(a @ b)
    elapsed_s = min(timeit.repeat(lambda: mx.eval(a @ b), number=1, repeat=_REPEATS))
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    gigaflops = 2 * _SIDE**3 / elapsed_s / 1e9
    values = {"relative_error": error, "gflop_per_s": round(gigaflops, 1)}
    if not error < _TOLERANCE:
        detail = f"MLX multiplies wrongly: off by {error:.2g} of the largest value"
        hint = f"update MLX: {install_hints.packages('--upgrade', 'mlx')}"
        return Check("product", detail, "broken", hint, values)
    return Check("product", f"right, {gigaflops:.0f} GFLOP/s", values=values)
