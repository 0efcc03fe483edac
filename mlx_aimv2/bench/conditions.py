"""The machine and the software that figures are measured on. What is unknown is None."""

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlx_aimv2
from mlx_aimv2.cpu import blas
from mlx_aimv2.device import available_cores, backend, facts

_PACKAGES = ("mlx-aimv2", "mlx", "mlx-data", "numpy", "pillow", "torch", "transformers")


def conditions() -> dict[str, Any]:
    """Everything about the machine and the software that a figure depends on."""
    library, _ = blas.status()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "chip": chip(),
        "backend": backend(),
        "gpu_cores": gpu_cores(),
        "cpu_cores": available_cores(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "system": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "blas": Path(library).name if library else None,
        "blas_threads": blas.threads() if library else None,
        "commit": commit(),
        "power": power(),
        "load": list(os.getloadavg()),
    }


def chip() -> str | None:
    """The name of the GPU that computes, or of the processor."""
    if backend() == "CUDA":
        return str(facts()["device_name"])
    if platform.system() == "Darwin":
        return said_by("sysctl", "-n", "machdep.cpu.brand_string")
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return None
    return first_match(r"^model name\s*:\s*(.+)$", text)


def gpu_cores() -> int | None:
    """The cores of a Mac's GPU."""
    if platform.system() != "Darwin":
        return None
    said = said_by("system_profiler", "-json", "SPDisplaysDataType")
    try:
        displays = json.loads(said or "")["SPDisplaysDataType"]
        return next(int(each["sppci_cores"]) for each in displays if "sppci_cores" in each)
    except (ValueError, KeyError, TypeError, StopIteration):
        return None


def power() -> str | None:
    """A Mac's source of power: "AC Power" or "Battery Power"."""
    said = said_by("pmset", "-g", "batt") if platform.system() == "Darwin" else None
    return first_match(r"drawing from '([^']+)'", said or "")


def commit() -> str | None:
    """The commit of the sources, with "+" where they differ from it; None for a wheel."""
    folder = Path(mlx_aimv2.__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None
    head = said_by("git", "-C", str(folder), "rev-parse", "--short=12", "HEAD")
    changed = said_by("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return f"{head}+" if head and changed else head


def said_by(*command: str) -> str | None:
    """Output of a program; None where it is not installed, fails or prints nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def first_match(pattern: str, text: str) -> str | None:
    """The group of a pattern's first match in a text."""
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
