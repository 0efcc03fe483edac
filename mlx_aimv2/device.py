"""What this process computes on: MLX's device, the dtype that suits it, and processor cores.

No other module asks MLX or the system for these. MLX is imported when it is first asked.
"""

import os
from pathlib import Path
from typing import Literal

Backend = Literal["Metal", "CUDA", "CPU"]

_WITHOUT_FAST_BFLOAT16 = ("applegpu_g13", "applegpu_g14")  # M1 and M2 emulate it


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def backend() -> Backend:
    """MLX's backend for its default device."""
    import mlx.core as mx  # noqa: PLC0415

    if is_cpu():
        return "CPU"
    return "Metal" if mx.metal.is_available() else "CUDA"


def is_cpu() -> bool:
    """Whether MLX's default device is a CPU."""
    import mlx.core as mx  # noqa: PLC0415

    return bool(mx.default_device().type == mx.DeviceType.cpu)


def has_metal() -> bool:
    """Whether this is a Mac with a GPU, whichever device is MLX's default."""
    import mlx.core as mx  # noqa: PLC0415

    return bool(mx.metal.is_available())


def facts() -> dict[str, str | int]:
    """What MLX tells of its default device, like ``device_name`` and ``architecture``."""
    import mlx.core as mx  # noqa: PLC0415

    return dict(mx.device_info())


def default_dtype(half: Literal["float16", "bfloat16"] = "float16") -> str:
    """float16 on M1 and M2, bfloat16 on later Metal and on CUDA, float32 on a CPU.

    ``half`` is the half precision that fits on M1 and M2: bfloat16 where float16 is too narrow.
    """
    if is_cpu():
        return "float32"
    architecture = str(facts().get("architecture", ""))
    return half if architecture.startswith(_WITHOUT_FAST_BFLOAT16) else "bfloat16"


def total_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int | None:
    """What Linux says could be used without swapping; other systems do not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kilobytes[0]) * 1024 if kilobytes else None


def room_bytes() -> int:
    """Memory that a network may take on MLX's default device, as far as the system tells it."""
    own = facts()
    match backend():
        case "Metal":
            return int(own["max_recommended_working_set_size"])
        case "CUDA":
            return int(own.get("free_memory", own.get("total_memory", total_bytes())))
        case "CPU":
            return available_bytes() or total_bytes()
