"""A step of pre-training beside torch's: python -m benchmarks.training_speed [--blocks 2] [--json]

L's widths, those of its decoder and its 32,000 words, with a few blocks of each, in float32 on a
CPU. The same weights and the same batch, in turns with the same objective in torch
(``torch_pretraining.py``, a process of its own) on as many threads: the loss and its gradient
alone, and with clipping and AdamW. Figures are how many times as fast ours is. Then the memory
that blocks keep for the backward pass, and what is left of it where they are computed again.
Exits with 1 where a limit is missed. Torch comes by: make parity.
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_flatten

from benchmarks.checks import Check, positive, run
from mlx_aimv2.bench.figure import Figure, Timing, clock, interleave, ratio
from mlx_aimv2.bench.process import Worker
from mlx_aimv2.cpu import blas, kernels
from mlx_aimv2.errors import UsageError
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.training import process
from mlx_aimv2.training.pretraining.decoder import Decoder
from mlx_aimv2.training.pretraining.initialisation import initialise
from mlx_aimv2.training.pretraining.objective import Pretraining
from mlx_aimv2.training.runs.adamw import gradient_length
from mlx_aimv2.training.runs.gradients import PooledGradient
from mlx_aimv2.training.runs.optimizer import make_optimizer, take_step
from mlx_aimv2.training.runs.ranks import Ranks
from mlx_aimv2.training.runs.settings import PretrainingSettings

PEER = Path(__file__).with_name("torch_pretraining.py")
SIDE_PX, CAPTION = 224, 77
FEW = 2  # blocks: what more of them keep is counted beyond these
SETTINGS = PretrainingSettings(peak_rate=1e-5, last_rate=1e-5, weight_decay=1e-6)
LEAST = {"gradient": 0.8, "step": 0.7}
NAMES = {"gradient": "loss and gradient", "step": "step, clipping and AdamW with it"}
SAME = 1e-4  # of the losses: float32, summed in another order
MORE = 1.2  # times inputs and gradients of blocks: what those may take that are computed again


def make_objective(options: argparse.Namespace, blocks: int) -> Pretraining:
    """Random weights: the encoder and the decoder are as wide, with as many blocks."""
    width = options.width
    inner, heads = 11 * width // 4, max(1, width // 128)
    vision = VisionConfig(width, inner, blocks, heads, image_size=SIDE_PX)
    text = TextConfig(options.words, width, inner, blocks, heads, CAPTION, eos_token_id=1)
    decoder = Decoder(text, width, vision.patch_width)
    objective = Pretraining(VisionEncoder(vision), decoder)
    initialise(objective, 0)
    return objective


def make_batch(options: argparse.Namespace) -> dict[str, np.ndarray]:
    random, size = np.random.default_rng(0), options.batch
    return {
        "pixels": random.standard_normal((size, SIDE_PX, SIDE_PX, 3)).astype(np.float32),
        "prefix": random.integers(1, 256, size).astype(np.int32),
        "tokens": random.integers(2, options.words, (size, CAPTION)).astype(np.int32),
        "token_mask": np.ones((size, CAPTION), np.bool_),
    }


def flat(module: nn.Module) -> dict[str, mx.array]:
    """The parameters by their dotted names."""
    return dict(cast("list[tuple[str, mx.array]]", tree_flatten(module.parameters())))


class Ours:
    """A step as a run takes it."""

    def __init__(self, objective: Pretraining, batch: dict[str, np.ndarray]) -> None:
        self._objective, self._batch = objective, batch
        self._slope_of = PooledGradient(objective, ["pixel", "text"], mx.float32, Ranks())
        self._optimizer = make_optimizer(SETTINGS)
        self._optimizer.init(objective.trainable_parameters())
        self.losses: list[float] = []

    def gradient(self) -> Any:
        slope = self._slope_of([self._batch])
        mx.eval(slope.loss, slope.gradient)
        return slope

    def step(self) -> None:
        slope = self.gradient()
        norm = float(np.array(gradient_length(slope.gradient)))
        take_step(self._optimizer, self._objective, slope.gradient, min(1.0, 1 / (norm + 1e-6)))
        self.losses.append(float(np.array(slope.loss)))


def speed(options: argparse.Namespace) -> Iterator[Check]:
    """Ours beside torch, and how far apart their losses are."""
    objective, batch = make_objective(options, options.blocks), make_batch(options)
    with tempfile.TemporaryDirectory() as folder:
        weights, arrays = f"{folder}/weights.safetensors", f"{folder}/batch.safetensors"
        mx.save_safetensors(weights, flat(objective))
        mx.save_safetensors(arrays, {name: mx.array(each) for name, each in batch.items()})
        settings = {
            "weights": weights,
            "batch": arrays,
            "heads": [objective.encoder.config.num_attention_heads] * 2,
            "rate": SETTINGS.peak_rate,
            "decay": SETTINGS.decay,
            "threads": blas.threads(),
        }
        ours, theirs = Ours(objective, batch), list[float]()
        with Worker("torch", settings, script=str(PEER)) as peer:

            def ask(what: str) -> float:
                answer = peer.ask(what)
                if what == "step":
                    theirs.append(answer["loss"])
                return float(answer["elapsed_s"])

            works = {
                "our gradient": partial(clock, ours.gradient),
                "torch's gradient": partial(ask, "gradient"),
                "our step": partial(clock, ours.step),
                "torch's step": partial(ask, "step"),
            }
            timings = interleave(works, repeats=options.repeats)
            facts = peer.facts
    about = {"blocks": options.blocks, "width": options.width, "batch": options.batch, **facts}
    for what, least in LEAST.items():
        yield _faster(what, least, timings[f"our {what}"], timings[f"torch's {what}"], about)
    apart = np.abs(np.array(ours.losses) / theirs - 1).max()
    yield Check(Figure("speed", "losses apart, of themselves", float(apart), ""), at_most=SAME)


def _faster(what: str, least: float, ours: Timing, torch: Timing, about: dict[str, Any]) -> Check:
    rounds = ratio(torch, ours)
    said = {"rounds": list(rounds.seconds), "ours": ours.summary(), "torch": torch.summary()}
    name = f"{NAMES[what]}: {ours.median_s:.2f} s, torch {torch.median_s:.2f} s"
    return Check(Figure("speed", name, rounds.median_s, "×", about=about | said), at_least=least)


def memory(options: argparse.Namespace) -> Iterator[Check]:
    """What more blocks take beyond their weights: activations, and their gradients at the end."""
    more, batch = options.memory_blocks - FEW, make_batch(options)
    peaks = {
        is_recomputed: [
            peak_bytes(options, blocks, batch, is_recomputed=is_recomputed)
            for blocks in (FEW, options.memory_blocks)
        ]
        for is_recomputed in (False, True)
    }
    kept, again = (max(many - few, 1) for few, many in peaks.values())
    tokens = 2 * (SIDE_PX // 14) ** 2 + CAPTION
    inputs = options.batch * tokens * options.width * mx.float32.size
    block = make_objective(options, 1).encoder.trunk.blocks[0]
    gradients = 2 * sum(each.nbytes for each in flat(block).values())
    least = more * (inputs + gradients)
    name = f"{more} blocks more of each"
    yield Check(Figure("memory", name, kept, "B"))
    yield Check(Figure("memory", f"{name}, computed again", again, "B"), at_most=MORE * least)
    whole = peaks[False][1] / peaks[True][1]
    yield Check(Figure("memory", f"peak with {options.memory_blocks} of each, cut", whole, "×"))


def peak_bytes(
    options: argparse.Namespace,
    blocks: int,
    batch: dict[str, np.ndarray],
    *,
    is_recomputed: bool,
) -> int:
    """The most memory of a loss and its gradient, beyond weights and batch."""
    objective = make_objective(options, blocks)
    counts = objective.counts(batch)
    if is_recomputed:
        objective.recompute_blocks()
    given = {name: mx.array(each) for name, each in batch.items()}
    mx.eval(given)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    with kernels.own_gradients():
        mx.eval(nn.value_and_grad(objective, lambda: objective.loss(given, counts)[0])())
    return mx.get_peak_memory() - before


def measure(options: argparse.Namespace) -> Iterator[Check]:
    if options.memory_blocks <= FEW:
        raise UsageError(f"--memory-blocks must be more than {FEW}")
    process.prepare()
    if find_spec("torch") is None:
        print("left out: torch is not installed (make parity)", file=sys.stderr)
    else:
        yield from speed(options)
    yield from memory(options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=positive, default=1024)
    parser.add_argument("--words", type=positive, default=32_000)
    parser.add_argument("--blocks", type=positive, default=2)
    parser.add_argument("--batch", type=positive, default=4)
    parser.add_argument("--repeats", type=positive, default=7)
    parser.add_argument("--memory-blocks", type=positive, default=8)
    return run(parser, measure)


if __name__ == "__main__":
    sys.exit(main())
