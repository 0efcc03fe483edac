"""A process that trains: its memory, and what blocks that are computed again save of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlx_aimv2.device import is_cpu
from tests.support.commands import PATIENCE_S

ROOT = Path(__file__).parents[2]

# Peaks of a loss and its gradient beyond the weights, in bytes, for few blocks and many.
MEASURED = """
from mlx_aimv2.training import process
process.prepare()
from mlx_aimv2.cpu import kernels
import json
import mlx.core as mx
import numpy as np
from mlx import nn
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.training.pretraining.decoder import Decoder
from mlx_aimv2.training.pretraining.objective import Pretraining

def peak(blocks, is_recomputed):
    encoder = VisionEncoder(VisionConfig(48, 132, blocks, 3, image_size=112))
    text = TextConfig(31, 48, 132, blocks, 3, max_position_embeddings=8, eos_token_id=1)
    objective = Pretraining(encoder, Decoder(text, 48, 588))
    if is_recomputed:
        objective.recompute_blocks()
    batch = {
        "pixels": mx.random.normal((8, 112, 112, 3)), "prefix": mx.full((8,), 20),
        "tokens": mx.full((8, 8), 3), "token_mask": mx.ones((8, 8), mx.bool_),
    }
    counts = {"pixel": 8.0, "text": 8.0}
    mx.eval(objective.parameters(), batch)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    with kernels.own_gradients():
        found = nn.value_and_grad(objective, lambda: objective.loss(batch, counts)[0])()
        mx.eval(found)
    return mx.get_peak_memory() - before

print(json.dumps([[peak(blocks, each) for blocks in (2, 8)] for each in (False, True)]))
"""


@pytest.mark.skipif(not is_cpu(), reason="counts what MLX's CPU backend keeps")
def test_of_blocks_that_are_computed_again_only_the_inputs_are_kept():
    """Six blocks more in encoder and decoder take 28 times as much where all of them is kept.

    MLX's own count of memory; what it computes ahead makes it differ by a few arrays.
    """
    done = subprocess.run(
        [sys.executable, "-c", MEASURED],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    kept, again = json.loads(done.stdout)
    assert kept[1] - kept[0] > 5 * (again[1] - again[0])
    assert kept[1] > 2.5 * again[1]
