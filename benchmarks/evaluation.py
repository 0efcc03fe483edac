"""The attentive probe beside one in torch: the same first weights, the same batches of drawings.

python -m benchmarks.evaluation [--model SOURCE] [--classes N] [--number N] [--epochs N] [--seeds N]

Half of the drawings are learnt, half are measured. Needs torch (extra parity).
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from numpy.typing import NDArray

from mlx_aimv2.bench.figure import Figure
from mlx_aimv2.evaluation.data_sets.part import read_classes
from mlx_aimv2.evaluation.probe import Run
from mlx_aimv2.evaluation.views import Views, together
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model, load
from mlx_aimv2.training.drawings.album import write_data_set
from mlx_aimv2.training.probe import AttentiveProbe

from .checks import Check, four_digits, positive, run

_RATE, _DECAY, _BATCH = 1e-3, 0.05, 64
_MOST_POINTS = 0.5
Drawn = tuple[NDArray[np.float32], NDArray[np.int64]]  # (n, N, D) features and (n,) classes


def torch_probe(weights: dict[str, NDArray[Any]], heads: int) -> Any:
    """The attentive probe as a module of torch, from its description in the paper, its weights."""
    import torch  # noqa: PLC0415  (an extra)

    class Probe(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            classes, width = weights["linear.weight"].shape
            self.cls_token = torch.nn.Parameter(torch.zeros(weights["cls_token"].shape))
            self.bn = torch.nn.BatchNorm1d(width, affine=False, eps=1e-6)
            self.attention = torch.nn.functional.scaled_dot_product_attention
            self.k = torch.nn.Linear(width, width, bias=False)
            self.v = torch.nn.Linear(width, width, bias=False)
            self.linear = torch.nn.Linear(width, classes, bias=False)

        def forward(self, features: Any) -> Any:
            features = self.bn(features.transpose(1, 2)).transpose(1, 2)
            query, key, value = (
                tokens.unflatten(-1, (heads, -1)).transpose(1, 2)
                for tokens in (
                    self.cls_token.expand(len(features), -1, -1),
                    self.k(features),
                    self.v(features),
                )
            )
            pooled = self.attention(query, key, value).transpose(1, 2).flatten(2)
            return self.linear(pooled.mean(dim=1))

    probe = Probe()
    named = {name: torch.tensor(np.array(value)) for name, value in weights.items()}
    count = {"bn.num_batches_tracked": torch.tensor(0)}  # torch's own, used by no momentum of 0.1
    probe.load_state_dict(named | count)
    return probe


def train_torch(
    probe: Any, batches: Iterator[Drawn], steps: int, rate: float, decay: float
) -> list[float]:
    """Train as the paper does, by torch's AdamW, clipping and half a cosine; the losses."""
    import torch  # noqa: PLC0415

    optimizer = torch.optim.AdamW(probe.parameters(), rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=1e-5)
    losses = []
    for features, labels in batches:
        loss = torch.nn.functional.cross_entropy(
            probe(torch.from_numpy(features)), torch.from_numpy(labels)
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(probe.parameters(), 3.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def weights_of(probe: AttentiveProbe) -> dict[str, NDArray[Any]]:
    """A probe's weights and running statistics, by Apple's names."""
    named: list[tuple[str, mx.array]] = tree_flatten(probe.parameters())  # type: ignore[assignment]
    return {name: np.array(value) for name, value in named}


def batches_of(drawn: Drawn, epochs: int, seed: int) -> Iterator[Drawn]:
    """Whole batches, in another order in each epoch."""
    features, labels = drawn
    for epoch in range(epochs):
        order = np.random.default_rng((seed, epoch)).permutation(len(labels))
        for start in range(0, len(order) - _BATCH + 1, _BATCH):
            chosen = order[start : start + _BATCH]
            yield features[chosen], labels[chosen]


def measure(options: Namespace) -> Iterator[Check]:
    """The accuracies of both, and how far they are from each other."""
    model = load(options.model)
    with TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        write_data_set(data, options.classes, options.number // 2 // options.classes)
        learnt, asked = (_features(model, data, part) for part in ("train", "test"))
    for seed in range(options.seeds):
        ours, theirs = _trained(model, learnt, asked, options, seed)
        yield Check(Figure("probe", f"accuracy here, seed {seed}", 100 * ours, "%"))
        yield Check(Figure("probe", f"accuracy of torch, seed {seed}", 100 * theirs, "%"))
        apart = 100 * abs(ours - theirs)
        name = f"difference, seed {seed}"
        yield Check(Figure("probe", name, apart, "points"), at_most=_MOST_POINTS)


def _features(model: Model, data: Path, part: str) -> Drawn:
    pictures = read_classes(data, part)
    views = Views(pictures, model, ImageOptions(pooling="none", as_stored=True))
    seen = [each for each in views.plain(range(len(pictures.labels))) if each is not None]
    places, features, _ = together(seen)
    return np.array(features), pictures.labels[places]


def _trained(
    model: Model, learnt: Drawn, asked: Drawn, options: Namespace, seed: int
) -> tuple[float, float]:
    """The shares that are right of both probes."""
    import torch  # noqa: PLC0415

    config = model.vision.config
    probe = AttentiveProbe(config.hidden_size, config.num_attention_heads, options.classes)
    probe.initialise(seed)
    other = torch_probe(weights_of(probe), config.num_attention_heads)
    steps = options.epochs * (len(learnt[1]) // _BATCH)
    ours = Run(probe, _RATE, _DECAY, steps)
    for features, labels in batches_of(learnt, options.epochs, seed):
        ours.step(mx.array(features), None, mx.array(labels))
    train_torch(other, batches_of(learnt, options.epochs, seed), steps, _RATE, _DECAY)
    probe.eval()
    other.eval()
    right, right_there = [], []
    for start in range(0, len(asked[1]), _BATCH):
        features, labels = asked[0][start : start + _BATCH], asked[1][start : start + _BATCH]
        right.append(np.array(probe(mx.array(features))).argmax(axis=1) == labels)
        with torch.no_grad():
            right_there.append(other(torch.from_numpy(features)).numpy().argmax(axis=1) == labels)
    return float(np.concatenate(right).mean()), float(np.concatenate(right_there).mean())


def main() -> int:
    """Measure, print, and exit with 1 where the two are too far from each other."""
    parser = ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--classes", type=positive, default=20)
    parser.add_argument("--number", type=positive, default=4000, help="drawings in all")
    parser.add_argument("--epochs", type=positive, default=8)
    parser.add_argument("--seeds", type=positive, default=1)
    return run(parser, measure, four_digits)


if __name__ == "__main__":
    sys.exit(main())
