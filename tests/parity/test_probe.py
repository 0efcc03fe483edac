"""The attentive probe and its training beside torch's, from the same weights."""

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from mlx.utils import tree_flatten

from benchmarks.evaluation import torch_probe, train_torch, weights_of
from mlx_aimv2.evaluation.probe import Run
from mlx_aimv2.training.probe import AttentiveProbe, probe_loss

torch = pytest.importorskip("torch")

BATCH, TOKENS, WIDTH, HEADS, CLASSES = 11, 13, 24, 3, 7
OF_THE_LARGEST = 1e-5  # float32 in another order of summation


def probe_of(seed: int) -> AttentiveProbe:
    probe = AttentiveProbe(WIDTH, HEADS, CLASSES)
    probe.initialise(seed)
    probe.cls_token = 50 * probe.cls_token  # far from even attention
    return probe


def batch_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = 3 * rng.standard_normal((BATCH, TOKENS, WIDTH)) + rng.standard_normal(WIDTH)
    return features.astype(np.float32), rng.integers(0, CLASSES, BATCH)


def assert_close(ours: mx.array, theirs: object) -> None:
    ours, theirs = np.array(ours), theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=OF_THE_LARGEST * abs(theirs).max())


@pytest.mark.parametrize("trains", [True, False])
def test_logits_and_gradients(trains: bool) -> None:
    ours = probe_of(0)
    ours(mx.array(batch_of(9)[0]))  # statistics that are not the first
    theirs = torch_probe(weights_of(ours), HEADS)
    if not trains:
        ours.eval()
        theirs.eval()
    features, labels = batch_of(1)
    given = mx.array(features), mx.array(labels)
    logits = theirs(torch.from_numpy(features))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
    before = weights_of(ours)
    loss, gradients = nn.value_and_grad(ours, probe_loss)(ours, *given)
    del loss
    for name, gradient in tree_flatten(gradients):
        assert_close(gradient, theirs.get_parameter(name).grad)
    for name in ("bn.running_mean", "bn.running_var"):
        assert_close(weights_of(ours)[name], theirs.get_buffer(name))
        assert np.array_equal(weights_of(ours)[name], before[name]) != trains
    assert_close(ours(given[0]), logits)


def test_training_goes_the_same_way() -> None:
    ours, steps = probe_of(2), 23
    theirs = torch_probe(weights_of(ours), HEADS)
    run = Run(ours, rate=1e-2, decay=0.1, steps=steps)
    batches = [batch_of(seed % 3) for seed in range(steps)]
    losses = [run.step(mx.array(x), None, mx.array(labels)) for x, labels in batches]
    expected = train_torch(theirs, iter(batches), steps, 1e-2, 0.1)
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-4)
    assert losses[-1] < losses[0] - 0.5
    ours.eval()
    theirs.eval()
    features = batch_of(0)[0]
    with torch.no_grad():
        logits = theirs(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(ours(mx.array(features)), logits, atol=1e-3)
