"""How fast the vision encoder is beside others on the same weights, timed in turns in one run.

    python -m benchmarks.encoder_speed [--random large | --model SOURCE] [--repeats 5] [--batch 8]
                                       [--blocks N]

Against transformers on torch at 224 px, where they are installed (`make parity` does it), against
the plainly written model at 224 px, 448 px and on a padded mix of native sizes, and against its own
matrix products alone. Ratios are medians of the rounds; exits with 1 where a limit is missed.
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import subjects
from mlx_aimv2.bench import checks, peers
from mlx_aimv2.bench.checks import Check
from mlx_aimv2.bench.conditions import conditions
from mlx_aimv2.bench.encoder import Case, figures, measure_case
from mlx_aimv2.bench.figure import Figure
from mlx_aimv2.bench.pace import FULL
from mlx_aimv2.bench.subject import Subject
from mlx_aimv2.device import backend

AGAINST = {peers.TRANSFORMERS: 1.0, peers.PLAIN: 0.97}
OF_CEILING = {"CPU": 0.5, "CUDA": 0.8, "Metal": 0.8}


def measure(subject: Subject, folder: Path, options: argparse.Namespace) -> Iterator[Check]:
    """The comparisons, then the share of the ceiling."""
    depth = subject.model.vision.config.num_hidden_layers
    blocks = min(depth, options.blocks or depth)
    fewer = max(1, options.batch // 4)  # as many tokens at 448 px
    for case in (
        Case(224, options.batch, blocks),
        Case(448, fewer, blocks),
        Case(None, max(2, options.batch // 2), blocks),
    ):
        yield from against(subject, case, folder, options.repeats)
    pace = replace(FULL, repeats=options.repeats)
    case = Case(224, options.batch, blocks)
    measured = measure_case(subject.model, case, pace, with_rest=True)
    (figure,) = figures([measured], depth)
    name = f"{case.describe()}: share of its matrix products alone"
    if figure.fraction is None:
        print(f"{name}: so small a network tells nothing", file=sys.stderr)
    else:
        share = replace(figure, name=name, value=figure.fraction, unit="")
        yield Check(share, at_least=OF_CEILING[backend()])
    for name, part in figure.about["shares"].items():
        yield Check(Figure("encoder", f"  time of {name}", part, ""))


def against(subject: Subject, case: Case, folder: Path, repeats: int) -> Iterator[Check]:
    """A case's comparisons; a peer that fails misses its limit."""
    wanted = [peers.PLAIN]
    if case.side_px == 224:
        if peers.installed():
            wanted.insert(0, peers.TRANSFORMERS)
        else:
            print("left out: transformers and torch are not installed", file=sys.stderr)
    found, failures = peers.compare(
        subject.model, case, folder, repeats=repeats,
        with_transformers=peers.TRANSFORMERS in wanted,
    )  # fmt: skip
    for failure in failures:
        print(failure, file=sys.stderr)
    ratios = {figure.about["peer"]: figure for figure in found}
    for peer in wanted:
        missing = Figure("peers", f"{case.describe()}, against {peer}", math.nan, "×")
        yield Check(ratios.get(peer, missing), at_least=AGAINST[peer])
        if peer in ratios:
            yield from (Check(each) for each in absolutes(ratios[peer]))


def absolutes(ratio: Figure) -> Iterator[Figure]:
    """The rates that a ratio is of."""
    for whose in ("ours", "theirs"):
        yield Figure("encoder", f"  {whose}", ratio.about[f"{whose}_images_per_s"], "images/s",
                     ratio.about[whose])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    subjects.add_options(parser, random="large")
    parser.add_argument("--repeats", type=checks.positive, default=5)
    parser.add_argument("--batch", type=checks.positive, default=8)
    parser.add_argument("--blocks", type=checks.positive, help="measure so many, not all")
    options = parser.parse_args()
    return checks.reported(lambda: check(options))


def check(options: argparse.Namespace) -> int:
    """Measure and print; the exit code. Errors: those of making or loading the checkpoint."""
    print(json.dumps(conditions()), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = subjects.chosen(options, folder)
        return checks.show(measure(subject, folder, options), partial(print, flush=True))


if __name__ == "__main__":
    raise SystemExit(main())
