"""On a CPU MLX compiles fused kernels with g++ into one folder for all users of a machine.

Who comes second may not write there, which ends the run; and would load code that somebody else
has left. So the kernels are compiled only where the folder is one's own.
"""

import os
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx

from mlx_aimv2.device import is_cpu

_TEMPORARY = ("TMPDIR", "TMP", "TEMP", "TEMPDIR")  # in the order of C++'s temp_directory_path


def protect() -> None:
    """Go on without compiled kernels, in this process, where the folder is not our own."""
    if is_cpu() and not has_own_folder():
        mx.disable_compile()


def has_own_folder() -> bool:
    """Whether this user alone writes, and may write, to the folder that MLX compiles into."""
    named = next(filter(None, map(os.environ.get, _TEMPORARY)), "/tmp")
    folder = Path(named)
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    for part in ("mlx", version("mlx"), "cpu"):
        folder /= part
        try:
            status = folder.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if status.st_uid != os.geteuid() or not os.access(folder, os.W_OK | os.X_OK):
            return False
    return True
