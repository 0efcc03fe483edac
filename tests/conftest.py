"""Shared fixtures. mlx_aimv2 comes first, so that its BLAS is the one MLX finds."""

import mlx_aimv2  # noqa: F401  isort: skip
import os

import pytest

# No test may reach a hub but the loopback one, which sets its own endpoint.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def _seed() -> None:
    import mlx.core as mx  # noqa: PLC0415

    mx.random.seed(7)
