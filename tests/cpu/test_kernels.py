"""The CPU's exponentials against NumPy's in float64, and the attention against MLX's own."""

import itertools
from contextlib import nullcontext

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

from mlx_aimv2.cpu import attention, kernels
from mlx_aimv2.models.aimv2.layers import Attention
from tests.support import networks, tolerances

pytestmark = pytest.mark.skipif(
    mx.default_device().type != mx.DeviceType.cpu, reason="needs a CPU as the default device"
)


def numbers(low: float, high: float) -> np.ndarray:
    return np.random.default_rng(7).uniform(low, high, 100_003).astype(np.float32)


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-10, 10), (-87, 87), (-1e-6, 1e-6)])
def test_exp_is_exact_to_what_its_argument_is_rounded_by(low, high):
    x = numbers(low, high)
    exact = np.exp(x.astype(np.float64))
    error = np.abs(np.array(kernels.exp(mx.array(x))) - exact) / exact
    assert (error <= tolerances.CPU_EXP * np.maximum(1, np.abs(x))).all()


def test_exp_at_its_ends():
    ends = np.array(
        kernels.exp(mx.array([0.0, -0.0, -87.0, -1e4, -3e6, 87.0, 1e4], dtype=mx.float32))
    )
    assert ends[0] == ends[1] == 1
    assert (ends[2:5] > 0).all()
    assert (ends[2:5] < 1e-37).all()
    assert (ends[5:] > 1e37).all()
    assert np.isfinite(ends).all()
    assert np.isnan(np.array(kernels.exp(mx.array([np.nan], dtype=mx.float32)))).all()


@pytest.mark.parametrize("scale", [0.1, 3, 40, 1000])
def test_gated_silu(scale):
    gate, up = numbers(-scale, scale), numbers(-2, 2)
    with np.errstate(over="ignore"):
        exact = gate / (1 + np.exp(-gate.astype(np.float64))) * up
    ours = np.array(kernels.gated_silu(mx.array(gate), mx.array(up)))
    assert (np.abs(ours - exact) <= tolerances.CPU_EXP * np.maximum(1, np.abs(exact))).all()


def test_what_is_not_finite_shows():
    for value in (np.nan, np.inf, -np.inf):
        gate = mx.array([value, 1.0], dtype=mx.float32)
        assert not np.isfinite(np.array(kernels.gated_silu(gate, mx.ones(2)))[0])


def by_mlx(q: mx.array, k: mx.array, v: mx.array, mask: mx.array | str | None) -> mx.array:
    return mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=mask)


def difference(ours: mx.array, expected: mx.array) -> float:
    assert ours.shape == expected.shape
    return mx.abs(ours - expected).max().item()


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize("size", [1, 30])
def test_attention_is_mlx_s_own(is_padded, size):
    mx.random.seed(3)
    q, k, v = mx.random.normal((3, 2, 5, 13, 7)) * size
    mask = None
    if is_padded:
        mask = (mx.arange(13) < mx.array([9, 13])[:, None])[:, None, None]
        v = mx.where(mask.swapaxes(-1, -2), v, 1e30)  # what is padded may be anything
    ours = attention.attention(q, k, v, 0.3, mask)
    assert difference(ours, by_mlx(q, k, v, mask)) <= tolerances.CPU_EXP * size**2


# With these numbers 5 x 11 maps are taken whole, one by one, and a few queries at a time.
IN_PARTS = pytest.mark.parametrize(
    ("items", "fewest"), [(1, 1), (1, 5), (60, 1), (100, 3), (1 << 19, 32)]
)


@IN_PARTS
def test_attention_is_the_same_for_any_number_of_queries_at_once(monkeypatch, items, fewest):
    monkeypatch.setattr(attention, "_MAP_ITEMS", items)
    monkeypatch.setattr(attention, "_FEWEST_QUERIES", fewest)
    mx.random.seed(3)
    q, k, v = mx.random.normal((3, 2, 5, 13, 7))
    ours, expected = attention.attention(q, k, v, 0.3), by_mlx(q, k, v, None)
    assert difference(ours, expected) <= tolerances.CPU_EXP * 2


MASK_SHAPES = [
    (), (11,), (1, 11), (5, 1), (5, 11), (6, 1, 11), (1, 5, 11), (6, 5, 11),
    *itertools.product((1, 2), (1, 6), (1, 5), (1, 11)),
]  # fmt: skip


@IN_PARTS
def test_every_shape_of_mask_that_the_fused_call_takes(monkeypatch, items, fewest):
    """Two images, six heads over three of keys, 5 queries and 11 keys."""
    monkeypatch.setattr(attention, "_MAP_ITEMS", items)
    monkeypatch.setattr(attention, "_FEWEST_QUERIES", fewest)
    mx.random.seed(3)
    q = mx.random.normal((2, 6, 5, 7))
    k, v = mx.random.normal((2, 3, 11, 7)), mx.random.normal((2, 3, 11, 13))
    added = [mx.random.normal(shape) for shape in MASK_SHAPES]
    far = [mx.where(mask > 0.5, -mx.inf, mask) for mask in added if mask.size > 10]
    masks = [None, "causal", *added, *far, *(mask > 0 for mask in added)]
    for mask in masks:
        expected = by_mlx(q, k, v, mask)
        if not mx.isnan(expected).any():  # of a query without any key
            ours = attention.attention(q, k, v, 0.3, mask)
            assert difference(ours, expected) <= tolerances.CPU_EXP * 8, mask


def masks_of(queries: int, keys: int) -> dict[str, mx.array | str | None]:
    whole = mx.random.normal((2, 1, queries, keys))
    return {
        "none": None,
        "causal": "causal",
        "boolean": whole > 0,
        "added": whole,
        "keys": whole[:, :, :1] > 0,
        "of heads": mx.random.normal((2, 2, queries, keys)) > 0,
        "no key at all": mx.zeros((queries, keys), mx.bool_),
        "least": mx.where(whole > 0, 0, mx.finfo(mx.float32).min),
    }


@pytest.mark.parametrize(
    ("queries", "keys"), [(1, 1), (13, 7), (1, 729), (724, 724), (725, 725), (731, 1031), (1031, 3)]
)
def test_masked_attention_at_every_size(queries, keys):
    """From 725 tokens on, the queries of one head are taken in parts."""
    mx.random.seed(3)
    q = mx.random.normal((2, 2, queries, 5))
    k, v = mx.random.normal((2, 2, 2, keys, 5))
    for name, mask in masks_of(queries, keys).items():
        ours, expected = attention.attention(q, k, v, 0.3, mask), by_mlx(q, k, v, mask)
        assert difference(ours, expected) <= tolerances.CPU_EXP * 16, name


def test_boolean_masks_are_computed_in_parts(monkeypatch):
    """None of them takes MLX's own way, whose maps are whole."""
    monkeypatch.setattr(mx.fast, "scaled_dot_product_attention", None)
    q = mx.random.normal((2, 2, 13, 5))
    for name, mask in masks_of(13, 13).items():
        if name not in ("added", "least"):
            mx.eval(attention.attention(q, q, q, 0.3, mask))


@pytest.mark.parametrize("size", [(0, 3, 5, 7), (2, 3, 0, 7)])
def test_attention_of_nothing(size):
    q = mx.zeros(size)
    assert attention.attention(q, q, q, 0.3).shape == size


def test_an_odd_mask_is_refused_as_by_mlx():
    q = mx.zeros((2, 3, 5, 7))
    for mask in ("upper", mx.zeros((4, 5)), mx.zeros((3, 1, 1, 5)), mx.zeros((1,) * 5)):
        with pytest.raises(ValueError, match=r"mask option|broadcast|at most rank 4"):
            attention.attention(q, q, q, 0.3, mask)


def test_maps_are_those_that_the_features_come_from():
    """An added mask means the same to the maps as to the fused path."""
    mx.random.seed(3)
    layer, x = Attention(12, 2), mx.random.normal((2, 11, 12))
    values = layer.qkv(x).reshape(2, 11, 3, 2, 6).transpose(2, 0, 3, 1, 4)[2]
    for name, mask in masks_of(11, 11).items():
        pooled = (layer.weights(x, mask) @ values).swapaxes(1, 2).reshape(2, 11, 12)
        assert difference(layer.proj(pooled), layer(x, mask)) < tolerances.CPU_EXP * 16, name


WAYS = pytest.mark.parametrize("way", [nullcontext, kernels.own_gradients])


@WAYS
def test_gradients_are_those_of_the_plain_functions(way):
    mx.random.seed(5)
    gate, up = mx.random.normal((2, 11, 13))
    with way():
        ours = mx.grad(lambda g, u: kernels.gated_silu(g, u).sum(), argnums=(0, 1))(gate, up)
    plain = mx.grad(lambda g, u: (nn.silu(g) * u).sum(), argnums=(0, 1))(gate, up)
    for a, b in zip(ours, plain, strict=True):
        assert mx.abs(a - b).max().item() < tolerances.CPU_EXP * 10


@pytest.mark.parametrize("at_once", [1, 90, 1 << 19])
def test_cross_entropy_and_its_gradient(monkeypatch, at_once):
    monkeypatch.setattr(kernels, "_LOGITS", at_once)
    rng = np.random.default_rng(5)
    logits, ids = rng.standard_normal((13, 31)) * 10, rng.integers(0, 31, 13)
    logits[3, 5], ids[3] = 300, 6
    slopes = rng.standard_normal(13)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    rows = np.arange(13)
    losses = -(logits - logits.max(axis=1, keepdims=True))[rows, ids]
    losses += np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1))
    shares[rows, ids] -= 1
    (ours,), (gradient,) = mx.vjp(
        lambda given: kernels.cross_entropy(given, mx.array(ids)),
        [mx.array(logits.astype(np.float32))],
        [mx.array(slopes.astype(np.float32))],
    )
    assert np.abs(np.array(ours) - losses).max() <= tolerances.CPU_EXP * 400
    assert np.abs(np.array(gradient) - shares * slopes[:, None]).max() <= tolerances.CPU_EXP * 40


def test_logits_that_are_not_finite_show():
    for value in (np.nan, np.inf):
        logits = mx.array([[value, 1.0, 2.0]], dtype=mx.float32)
        assert not np.isfinite(np.array(kernels.cross_entropy(logits, mx.array([1])))).any()


@WAYS
@pytest.mark.parametrize(("queries", "keys"), [(11, 11), (5, 11), (727, 727)])
def test_gradients_of_attention_are_those_of_mlx(queries, keys, way):
    mx.random.seed(5)
    q = mx.random.normal((2, 2, queries, 5))
    k, v = mx.random.normal((2, 2, 2, keys, 5))
    for name, mask in masks_of(queries, keys).items():
        which = (0, 1, 2, 3) if name == "added" else (0, 1, 2)
        with way():
            ours, expected = (
                mx.grad(lambda *given, attend=attend: (attend(*given) ** 2).sum(), which)(
                    q, k, v, mask
                )
                for attend in (lambda q, k, v, m: attention.attention(q, k, v, 0.3, m), by_mlx)
            )
        for a, b in zip(ours, expected, strict=True):
            assert difference(a, b) < tolerances.CPU_EXP * 20, name


def test_backward_passes_of_our_own_are_taken_where_they_are_asked_for(monkeypatch):
    """Elsewhere what is computed can be exported: a function that has its own gradient cannot."""
    taken = []
    passed = attention._Parts.gradients
    monkeypatch.setattr(
        attention._Parts, "gradients", lambda *given: (taken.append(1), passed(*given))[1]
    )
    network = networks.vision()
    pixels = networks.pixels(1, networks.SIDE, networks.SIDE)
    gradient = mx.grad(lambda pixels: network.features(pixels).sum())
    mx.eval(gradient(pixels))
    assert not taken
    with kernels.own_gradients():
        mx.eval(gradient(pixels))
    assert len(taken) == networks.BLOCKS
    mx.export_function(lambda _: None, network.features, pixels)


def test_it_is_for_float32_on_a_cpu():
    assert kernels.is_used(mx.zeros(1)) != mx.metal.is_available()
    assert not kernels.is_used(mx.zeros(1, mx.float16))
    assert not kernels.is_used(mx.zeros(1, mx.bfloat16))


def test_blocks_are_evaluated_one_by_one_where_that_is_asked_for(monkeypatch):
    network = networks.vision()
    pixels = networks.pixels(2, networks.SIDE, networks.SIDE)
    whole = np.array(network.features(pixels))
    evaluate, seen = mx.eval, []
    monkeypatch.setattr(mx, "eval", lambda *arrays: (seen.append(1), evaluate(*arrays)))
    with kernels.by_blocks():
        assert np.array_equal(network.features(pixels), whole)
    assert len(seen) == networks.BLOCKS
    network.features(pixels)
    mx.grad(lambda pixels: network.features(pixels).sum())(pixels)  # a trace cannot be evaluated
    assert len(seen) == networks.BLOCKS
