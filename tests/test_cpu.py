"""The CPU's exponentials against NumPy's in float64, and the attention against MLX's own."""

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

from mlx_aimv2 import cpu
from tests import networks, tolerances

pytestmark = pytest.mark.skipif(
    mx.default_device().type != mx.DeviceType.cpu, reason="used on a CPU only"
)


def numbers(low: float, high: float) -> np.ndarray:
    return np.random.default_rng(7).uniform(low, high, 100_003).astype(np.float32)


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-10, 10), (-87, 87), (-1e-6, 1e-6)])
def test_exp_is_exact_to_what_its_argument_is_rounded_by(low, high):
    x = numbers(low, high)
    exact = np.exp(x.astype(np.float64))
    error = np.abs(np.array(cpu.exp(mx.array(x))) - exact) / exact
    assert (error <= tolerances.CPU_EXP * np.maximum(1, np.abs(x))).all()


def test_exp_at_its_ends():
    ends = np.array(cpu.exp(mx.array([0.0, -0.0, -87.0, -1e4, -3e6, 87.0, 1e4], dtype=mx.float32)))
    assert ends[0] == ends[1] == 1
    assert (ends[2:5] > 0).all()
    assert (ends[2:5] < 1e-37).all()
    assert (ends[5:] > 1e37).all()
    assert np.isfinite(ends).all()
    assert np.isnan(np.array(cpu.exp(mx.array([np.nan], dtype=mx.float32)))).all()


@pytest.mark.parametrize("scale", [0.1, 3, 40, 1000])
def test_gated_silu(scale):
    gate, up = numbers(-scale, scale), numbers(-2, 2)
    with np.errstate(over="ignore"):
        exact = gate / (1 + np.exp(-gate.astype(np.float64))) * up
    ours = np.array(cpu.gated_silu(mx.array(gate), mx.array(up)))
    assert (np.abs(ours - exact) <= tolerances.CPU_EXP * np.maximum(1, np.abs(exact))).all()


def test_what_is_not_finite_shows():
    for value in (np.nan, np.inf, -np.inf):
        gate = mx.array([value, 1.0], dtype=mx.float32)
        assert not np.isfinite(np.array(cpu.gated_silu(gate, mx.ones(2)))[0])


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize("size", [1, 30])
def test_attention_is_mlx_s_own(is_padded, size):
    mx.random.seed(3)
    q, k, v = mx.random.normal((3, 2, 5, 13, 7)) * size
    mask = None
    if is_padded:
        mask = (mx.arange(13) < mx.array([9, 13])[:, None])[:, None, None]
        v = mx.where(mask.swapaxes(-1, -2), v, 1e30)  # what is padded may be anything
    ours = cpu.attention(q, k, v, 0.3, mask)
    expected = mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=mask)
    assert mx.abs(ours - expected).max().item() <= tolerances.CPU_EXP * size**2


@pytest.mark.parametrize(("items", "fewest"), [(1, 1), (1, 5), (60, 1), (1 << 19, 32)])
def test_attention_is_the_same_for_any_number_of_queries_at_once(monkeypatch, items, fewest):
    monkeypatch.setattr(cpu, "_MAP_ITEMS", items)
    monkeypatch.setattr(cpu, "_FEWEST_QUERIES", fewest)
    mx.random.seed(3)
    q, k, v = mx.random.normal((3, 2, 5, 13, 7))
    expected = mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3)
    assert mx.abs(cpu.attention(q, k, v, 0.3) - expected).max().item() <= tolerances.CPU_EXP * 2


def test_gradients_are_those_of_the_plain_functions():
    mx.random.seed(5)
    gate, up = mx.random.normal((2, 11, 13))
    ours = mx.grad(lambda g, u: cpu.gated_silu(g, u).sum(), argnums=(0, 1))(gate, up)
    plain = mx.grad(lambda g, u: (nn.silu(g) * u).sum(), argnums=(0, 1))(gate, up)
    for a, b in zip(ours, plain, strict=True):
        assert mx.abs(a - b).max().item() < tolerances.CPU_EXP * 10
    q, k, v = mx.random.normal((3, 2, 3, 11, 5))

    def fast(q, k, v):
        return (mx.fast.scaled_dot_product_attention(q, k, v, scale=0.4) ** 2).sum()

    def by_hand(q, k, v):
        return (cpu.attention(q, k, v, 0.4) ** 2).sum()

    for a, b in zip(
        mx.grad(by_hand, (0, 1, 2))(q, k, v), mx.grad(fast, (0, 1, 2))(q, k, v), strict=True
    ):
        assert mx.abs(a - b).max().item() < tolerances.CPU_EXP * 10


def test_it_is_for_float32_on_a_cpu():
    assert cpu.is_used(mx.zeros(1)) != mx.metal.is_available()
    assert not cpu.is_used(mx.zeros(1, mx.float16))
    assert not cpu.is_used(mx.zeros(1, mx.bfloat16))


def test_blocks_are_evaluated_one_by_one_where_that_is_asked_for(monkeypatch):
    network = networks.vision()
    pixels = networks.pixels(2, networks.SIDE, networks.SIDE)
    whole = np.array(network.features(pixels))
    evaluate, seen = mx.eval, []
    monkeypatch.setattr(mx, "eval", lambda *arrays: (seen.append(1), evaluate(*arrays)))
    with cpu.by_blocks():
        assert np.array_equal(network.features(pixels), whole)
    assert len(seen) == networks.BLOCKS
    network.features(pixels)
    mx.grad(lambda pixels: network.features(pixels).sum())(pixels)  # a trace cannot be evaluated
    assert len(seen) == networks.BLOCKS
