"""Shared fixtures. mlx_aimv2 comes first, so that its BLAS is the one MLX finds."""

import os

# On M5, float32 products would run as TF32. MLX reads this when it is imported.
os.environ.setdefault("MLX_ENABLE_TF32", "0")

import mlx_aimv2  # noqa: F401  isort: skip
import pytest

# No test may reach a hub but the loopback one, which sets its own endpoint.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def _seed() -> None:
    import mlx.core as mx  # noqa: PLC0415

    mx.random.seed(7)
