"""What this process computes on: MLX's device, the dtype that suits it, and processor cores.

No other module asks MLX or the system for these. MLX is imported when it is first asked.
"""

import os
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


def default_dtype() -> str:
    """float16 on M1 and M2, bfloat16 on later Metal and on CUDA, float32 on a CPU."""
    if is_cpu():
        return "float32"
    architecture = str(facts().get("architecture", ""))
    return "float16" if architecture.startswith(_WITHOUT_FAST_BFLOAT16) else "bfloat16"
