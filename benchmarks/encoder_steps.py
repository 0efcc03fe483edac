"""What each step of making the encoder fast brings, timed in turns in one run.

    python -m benchmarks.encoder_steps [--random large | --model SOURCE] [--blocks 4] [--batch 8]
                                       [--repeats 7]

At 224 px. Each row is a step more than the one before; the next ones are what was tried and left
out. Ratios are to the first row, medians of the rounds. At the end all steps against the plain
model at 448 px and on a padded mix of native sizes, with as many tokens or fewer.
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import mlx.core as mx
from mlx import nn

from benchmarks.checks import Check, positive, show
from mlx_aimv2.bench import encoder
from mlx_aimv2.bench.conditions import conditions
from mlx_aimv2.bench.encoder import encode, random_pixels, variant
from mlx_aimv2.bench.figure import Timing, clock, interleave, ratio
from mlx_aimv2.bench.peers import compare
from mlx_aimv2.bench.subject import subject_of
from mlx_aimv2.bench.unfused import PlainEncoder
from mlx_aimv2.cpu import kernels
from mlx_aimv2.inference import parallel
from mlx_aimv2.inference.embedder import Embedder

SIDE_PX = 224
Work = Callable[[], object]


# Steps from the last to the first: what stands in its place where one is not taken.
UNDONE = (
    (encoder, "one_by_one", parallel.in_shares),
    (kernels, "block_done", lambda x: None),
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


def steps(model: Embedder, pixels: mx.array) -> Iterator[tuple[str, Work]]:
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
    yield "one product for q, k, v; MLX's attention", run(4)
    yield "fast exponentials", run(3)
    yield "a share of the batch on each core", run(2)
    yield "its blocks evaluated one after the other", run(1)
    yield "one image at a time on each core", run(0)


def left_out(model: Embedder, tokens: int) -> Iterator[tuple[str, Work, Work]]:
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


def in_turns(works: Mapping[str, Work], repeats: int) -> dict[str, Timing]:
    """Seconds of each, all in turns, after one of each that does not count."""
    timed = {name: partial(clock, work) for name, work in works.items()}
    return interleave(timed, repeats=repeats)


def line(name: str, timing: Timing, first: Timing) -> str:
    """A row: the median, its spread, and how much faster than the first, round by round."""
    spread = f"{timing.least_s * 1e3:.0f} to {timing.most_s * 1e3:.0f}"
    faster = ratio(first, timing).median_s
    return f"| {name} | {timing.median_s * 1e3:.0f} ms | {spread} | {faster:.2f} × |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", help="a checkpoint")
    source.add_argument("--random", default="large", help="random weights in the sizes of this one")
    parser.add_argument("--blocks", type=positive, default=4)
    parser.add_argument("--batch", type=positive, default=8)
    parser.add_argument("--repeats", type=positive, default=7)
    options = parser.parse_args()
    print(json.dumps(conditions()) + "\n")
    with tempfile.TemporaryDirectory() as name:
        named = options.model or options.random
        whole = subject_of(named, not options.model, Path(name)).model
    model = variant(whole, SIDE_PX, options.blocks)
    pixels = random_pixels(options.batch, SIDE_PX)
    print("| step | median | runs | against the first |\n|---|---:|---|---:|")
    found = in_turns(dict(steps(model, pixels)), options.repeats)
    first = next(iter(found.values()))
    print("\n".join(line(name, timing, first) for name, timing in found.items()))
    print("\n| left out | median | runs | against a block's own |\n|---|---:|---|---:|")
    tokens = options.batch * (SIDE_PX // model.vision.config.patch_size) ** 2
    for name, own, tried in left_out(model, tokens):
        pair = in_turns({"own": own, "tried": tried}, options.repeats)
        print(line(name, pair["tried"], pair["own"]))
    print()
    show(larger(whole, options))


def larger(model: Embedder, options: argparse.Namespace) -> Iterator[Check]:
    """Ours against the plain model where images are larger."""
    with tempfile.TemporaryDirectory() as name:
        for side_px, batch in ((2 * SIDE_PX, options.batch // 4), (None, options.batch // 2)):
            case = encoder.Case(side_px, max(1, batch), options.blocks)
            found, _ = compare(
                model, case, Path(name), repeats=options.repeats, with_transformers=False
            )
            yield from (Check(figure) for figure in found)


if __name__ == "__main__":
    main()
