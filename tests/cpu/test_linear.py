"""A linear layer for one row at a time gives what MLX's own gives."""

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

from mlx_aimv2.cpu import linear
from mlx_aimv2.cpu.linear import Linear

WIDTH = 31


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Products of more than 77 columns are large."""
    monkeypatch.setattr(linear, "_LARGEST", WIDTH * 77)
    monkeypatch.setattr(linear, "is_used", lambda x: x.dtype == mx.float32)


@pytest.fixture
def whole(monkeypatch):
    """Calls of MLX's own layer."""
    calls, call = [], nn.Linear.__call__

    def note(self, x):
        calls.append(x.shape)
        return call(self, x)

    monkeypatch.setattr(nn.Linear, "__call__", note)
    return calls


def both(columns, *, bias=True):
    ours, theirs = Linear(WIDTH, columns, bias=bias), nn.Linear(WIDTH, columns, bias=bias)
    ours.update(theirs.parameters())
    return ours, theirs


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("columns", "is_whole"), [(77, True), (128, False), (192, False), (601, True), (640, False)]
)
def test_one_row_is_computed_in_parts(whole, columns, is_whole, bias):
    """601 has no divisor, and 77 columns are one part."""
    ours, theirs = both(columns, bias=bias)
    for shape in [(WIDTH,), (1, WIDTH), (1, 1, WIDTH)]:
        x = mx.random.normal(shape)
        found = ours(x)
        assert len(whole) == is_whole
        np.testing.assert_allclose(found, theirs(x), rtol=0, atol=1e-6)  # float32, another order
        assert found.shape == (*shape[:-1], columns)
        whole.clear()


@pytest.mark.parametrize(("rows", "dtype"), [(2, mx.float32), (0, mx.float32), (1, mx.bfloat16)])
def test_all_else_is_mlxs_own(whole, rows, dtype):
    ours, theirs = both(128)
    ours.set_dtype(dtype)
    theirs.set_dtype(dtype)
    x = mx.random.normal((rows, WIDTH)).astype(dtype)
    found = ours(x)
    assert len(whole) == 1
    assert found.dtype == dtype
    assert mx.array_equal(found, theirs(x))


def test_it_is_quantised_like_any_other():
    layer = Linear(64, 128)
    assert isinstance(layer.to_quantized(64, 4), nn.QuantizedLinear)
