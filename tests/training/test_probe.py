"""The attentive probe against its formula, and what padding must not change."""

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_aimv2.training.probe import AttentiveProbe, probe_loss

BATCH, TOKENS, WIDTH, HEADS, CLASSES, QUERIES = 5, 7, 12, 3, 11, 2


def make_probe(**options: bool) -> AttentiveProbe:
    probe = AttentiveProbe(WIDTH, HEADS, CLASSES, num_queries=QUERIES, **options)
    probe.initialise(1)
    probe.cls_token = probe.cls_token * 50  # far from even attention
    return probe


def features(seed: int = 0, tokens: int = TOKENS) -> mx.array:
    return 3 * mx.random.normal((BATCH, tokens, WIDTH), key=mx.random.key(seed)) + 1


def by_formula(probe: AttentiveProbe, x: np.ndarray, mean: np.ndarray, var: np.ndarray) -> object:
    """Section 5 of the paper's protocol, head by head in float64."""
    weights = {name: np.array(w, np.float64) for name, w in tree_flatten(probe.parameters())}
    x = (np.array(x, np.float64) - mean) / np.sqrt(var + 1e-6)
    k, v = x @ weights["k.weight"].T, x @ weights["v.weight"].T
    heads = []
    for part in np.split(np.arange(WIDTH), HEADS):
        scores = weights["cls_token"][0][:, part] @ k[..., part].swapaxes(1, 2)
        scores = np.exp(scores / np.sqrt(WIDTH / HEADS))
        heads.append(scores / scores.sum(-1, keepdims=True) @ v[..., part])
    return np.concatenate(heads, -1).mean(1) @ weights["linear.weight"].T


def test_parameters_have_the_published_names() -> None:
    names = {name for name, _ in tree_flatten(make_probe().parameters())}
    assert names == {
        "cls_token", "k.weight", "v.weight", "linear.weight", "bn.running_mean", "bn.running_var",
    }  # fmt: skip
    with_bias = make_probe(bias=True)
    assert "bias" in with_bias.linear
    trained = {name for name, _ in tree_flatten(with_bias.trainable_parameters())}
    assert not {name for name in trained if name.startswith("bn")}


def test_logits_are_the_formula_s() -> None:
    probe, x = make_probe(), features()
    flat = np.array(x, np.float64).reshape(-1, WIDTH)
    expected = by_formula(probe, x, flat.mean(0), flat.var(0))
    np.testing.assert_allclose(np.array(probe(x)), expected, atol=1e-5)
    mean, var = 0.1 * flat.mean(0), 0.9 + 0.1 * flat.var(0, ddof=1)
    np.testing.assert_allclose(np.array(probe.bn.running_mean), mean, atol=1e-6)
    np.testing.assert_allclose(np.array(probe.bn.running_var), var, rtol=1e-5)
    probe.eval()
    np.testing.assert_allclose(np.array(probe(x)), by_formula(probe, x, mean, var), atol=1e-5)


def test_padding_changes_nothing() -> None:
    x = features(tokens=4)
    padded = mx.concatenate([x, 1e3 * features(3, 2)], axis=1)
    mask = mx.broadcast_to(mx.arange(6) < 4, (BATCH, 1, 1, 6))
    plain, masked = make_probe(), make_probe()
    np.testing.assert_allclose(np.array(masked(padded, mask)), np.array(plain(x)), atol=1e-5)
    np.testing.assert_allclose(
        np.array(masked.bn.running_var), np.array(plain.bn.running_var), rtol=1e-6
    )
    for each in (plain, masked):
        each.eval()
    np.testing.assert_allclose(np.array(masked(padded, mask)), np.array(plain(x)), atol=1e-5)


def test_the_loss_is_cross_entropy() -> None:
    probe, x = make_probe(), features()
    labels = np.arange(BATCH) % CLASSES
    logits = np.array(probe(x), np.float64)
    picked = np.exp(logits)[np.arange(BATCH), labels] / np.exp(logits).sum(1)
    loss = probe_loss(probe, x, mx.array(labels))
    np.testing.assert_allclose(loss.item(), -np.log(picked).mean(), rtol=1e-5)
