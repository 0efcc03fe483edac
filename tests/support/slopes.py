"""First gradients of both kinds of objective, alone or under ``mlx.launch``, as files.

python -m tests.support.slopes FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_flatten

from mlx_aimv2.models.aimv2.lit import normalize
from mlx_aimv2.training.runs.gradients import Batch, Slope
from mlx_aimv2.training.runs.ranks import Ranks
from mlx_aimv2.training.stages.contrast import ContrastGradient
from tests.support.tiny_run import TinyWork

SAMPLES, WIDTH = 8, 13


class Pairs(nn.Module):
    """A linear layer for each side of a pair, and the scale."""

    def __init__(self) -> None:
        super().__init__()
        keys = mx.random.split(mx.random.key(4), 2)
        self.image_projector = nn.Linear(WIDTH, 7, bias=False)
        self.text_projector = nn.Linear(WIDTH, 7, bias=False)
        self.image_projector.weight = mx.random.normal((7, WIDTH), key=keys[0])
        self.text_projector.weight = mx.random.normal((7, WIDTH), key=keys[1])
        self.log_logit_scale = mx.array(2.0)

    def vectors(self, batch: Batch) -> tuple[mx.array, mx.array]:
        images = self.image_projector(mx.array(batch["features"]))
        return normalize(images), normalize(self.text_projector(mx.array(batch["tokens"])))


def contrast_slope(ranks: Ranks, chunk: int) -> Slope:
    """Of captions and images, in chunks of so many; the last sample is broken."""
    features, tokens = np.random.default_rng(2).normal(size=(2, SAMPLES, WIDTH)).astype(np.float32)
    own = ranks.part(range(SAMPLES))
    whole = [each for each in own if each < SAMPLES - 1]
    parts = [whole[start : start + chunk] for start in range(0, len(whole), chunk)]
    gradient = ContrastGradient(Pairs(), len(own), 100.0, mx.float32, ranks)
    return gradient([{"features": features[part], "tokens": tokens[part]} for part in parts])


def pooled_slope(ranks: Ranks) -> Slope:
    """Of the tiny run's first 11 samples."""
    work = TinyWork(ranks)
    return work.slope([work.batches.make(ranks.part(range(11)))])


def arrays_of(slope: Slope) -> dict[str, Any]:
    """The loss and gradient by their names."""
    return {"loss": np.array(slope.loss)} | {
        name: np.array(each) for name, each in tree_flatten(slope.gradient)
    }


if __name__ == "__main__":
    ranks = Ranks()
    found = {"pooled": pooled_slope(ranks), "contrast": contrast_slope(ranks, SAMPLES)}
    found["chunks"] = contrast_slope(ranks, 3)
    if ranks.is_first:
        for name, slope in found.items():
            np.savez(Path(sys.argv[1]) / f"{name}.npz", **arrays_of(slope))
