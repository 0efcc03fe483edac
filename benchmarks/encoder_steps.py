"""What each step of making the encoder fast brings, timed in turns in one run.

    python -m benchmarks.encoder_steps [--random large | --model SOURCE] [--blocks 4] [--batch 8]
                                       [--repeats 7]

At 224 px. Each row is a step more than the one before; the last ones are what was
tried and left out. Ratios are to the first row, medians of the rounds.
"""

import mlx_aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import mlx.core as mx
from mlx import nn

from benchmarks import subjects
from mlx_aimv2.bench import checks, encoder
from mlx_aimv2.bench.conditions import conditions
from mlx_aimv2.bench.encoder import encode, random_pixels, variant
from mlx_aimv2.bench.plain import PlainEncoder
from mlx_aimv2.bench.timing import clock
from mlx_aimv2.cpu import kernels
from mlx_aimv2.inference import parallel

SIDE_PX = 224
Work = Callable[[], object]


# Steps from the last to the first: what stands in its place where one is not taken.
UNDONE = (
    (encoder, "one_by_one", parallel.in_shares),
    (parallel, "is_cpu", lambda: False),
    (kernels, "is_used", lambda x: False),
)


@contextmanager
def without(last: int) -> Iterator[None]:
    """Inside it, so many of the last steps are not taken."""
    with ExitStack() as stack:
        for owner, name, replacement in UNDONE[:last]:
            stack.enter_context(patch.object(owner, name, replacement))
        yield


def steps(model: mlx_aimv2.Model, pixels: mx.array) -> Iterator[tuple[str, Work]]:
    """The whole encoder, from plain to what it is."""
    plain = PlainEncoder(model.vision)

    def run(last: int) -> Work:
        def work() -> None:
            with without(last):
                encode(model, pixels)

        return work

    def plainly() -> None:
        mx.eval(plain.features(pixels))

    yield "plain: products apart, softmax by hand", plainly
    yield "one product for q, k, v; MLX's attention", run(3)
    yield "fast exponentials", run(2)
    yield "a share of the batch on each core", run(1)
    yield "one image at a time on each core", run(0)


def left_out(model: mlx_aimv2.Model, tokens: int) -> Iterator[tuple[str, Work, Work]]:
    """What was tried: a step's name, a block's work as it is, and as it was tried."""
    mlp = model.vision.trunk.blocks[0].mlp
    gate, up = mlp.fc1.weight, mlp.fc3.weight
    both, turned = mx.concatenate([gate, up]), mx.contiguous(gate.T)
    x = mx.random.normal((tokens, gate.shape[1]))
    compiled = mx.compile(lambda g, u: nn.silu(g) * u, shapeless=True)
    mx.eval(both, turned, x)

    def as_one() -> None:
        g, u = mx.split(x @ both.T, 2, axis=-1)
        mx.eval(nn.silu(g) * u)

    yield (
        "gate and up as one product",
        lambda: mx.eval(nn.silu(x @ gate.T) * (x @ up.T)),
        as_one,
    )
    yield "weights turned beforehand", lambda: mx.eval(x @ gate.T), lambda: mx.eval(x @ turned)
    yield (
        "SwiGLU's chain compiled as one",
        lambda: mx.eval(nn.silu(x @ gate.T) * (x @ up.T)),
        lambda: mx.eval(compiled(x @ gate.T, x @ up.T)),
    )


def in_turns(works: Mapping[str, Work], repeats: int) -> dict[str, list[float]]:
    """Seconds of each, all in turns, after one of each that does not count."""
    for work in works.values():
        work()
    rounds = [{name: clock(work) for name, work in works.items()} for _ in range(repeats)]
    return {name: [each[name] for each in rounds] for name in works}


def line(name: str, seconds: list[float], first: list[float]) -> str:
    """A row: the median, its spread, and how much faster than the first, round by round."""
    faster = statistics.median(a / b for a, b in zip(first, seconds, strict=True))
    return (
        f"| {name} | {statistics.median(seconds) * 1e3:.0f} ms "
        f"| {min(seconds) * 1e3:.0f} to {max(seconds) * 1e3:.0f} | {faster:.2f} × |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    subjects.add_options(parser, random="large")
    parser.add_argument("--blocks", type=checks.positive, default=4)
    parser.add_argument("--batch", type=checks.positive, default=8)
    parser.add_argument("--repeats", type=checks.positive, default=7)
    options = parser.parse_args()
    print(json.dumps(conditions()) + "\n")
    with tempfile.TemporaryDirectory() as name:
        model = subjects.chosen(options, Path(name)).model
    model = variant(model, SIDE_PX, options.blocks)
    pixels = random_pixels(options.batch, SIDE_PX)
    print("| step | median | runs | against the first |\n|---|---:|---|---:|")
    found = in_turns(dict(steps(model, pixels)), options.repeats)
    first = next(iter(found.values()))
    print("\n".join(line(name, seconds, first) for name, seconds in found.items()))
    print("\n| left out | median | runs | against a block's own |\n|---|---:|---|---:|")
    tokens = options.batch * (SIDE_PX // model.vision.config.patch_size) ** 2
    for name, own, tried in left_out(model, tokens):
        pair = in_turns({"own": own, "tried": tried}, options.repeats)
        print(line(name, pair["tried"], pair["own"]))


if __name__ == "__main__":
    main()
