"""What a process that trains sets for itself, before it computes anything."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # Source: malloc.h of glibc


def prepare() -> None:
    """Compute arrays as late as can be, and keep the memory that they leave.

    A backward pass then holds fewer of them at a time; MLX reads its variable when it first
    computes. On Linux pages would go back to the system and come back cleared, 130,000 of them in
    a step of L's widths (``benchmarks.training_speed``).
    """
    os.environ.setdefault("MLX_BFS_MAX_WIDTH", "1")
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # musl has none
            library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
            library.mallopt(_MMAP_MAX, 0)
