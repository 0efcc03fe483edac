"""How fast the vision encoder is beside others on the same weights, timed in turns in one run.

    python -m benchmarks.encoder_speed [--random large] [--repeats 5] [--batch 8] [--blocks N]

Against transformers on torch at 224 px, against the plainly written model at 224 px, 448 px and on
a padded mix of native sizes, and against its own matrix products alone. Random weights. Ratios are
medians of the rounds; exits with 1 where a limit is missed.
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from mlx_aimv2.harness import checks, peers
from mlx_aimv2.harness.checks import Check
from mlx_aimv2.harness.conditions import backend, conditions
from mlx_aimv2.harness.encoder import Case, figures, measure_case
from mlx_aimv2.harness.figure import Figure
from mlx_aimv2.harness.pace import FULL
from mlx_aimv2.harness.subject import Subject, make_subject

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
        found, failures = peers.compare(
            subject.model, case, folder, repeats=options.repeats,
            with_transformers=case.side_px == 224,
        )  # fmt: skip
        for failure in failures:
            print(failure)
        for figure in found:
            yield Check(figure, at_least=AGAINST[figure.about["peer"]])
            yield from (Check(each) for each in absolutes(figure))
    pace = replace(FULL, repeats=options.repeats)
    case = Case(224, options.batch, blocks)
    measured = measure_case(subject.model, case, pace, with_rest=True)
    (figure,) = figures([measured], depth)
    share = replace(
        figure,
        name=f"{case.describe()}: share of its matrix products alone",
        value=figure.fraction,
        unit="",
    )
    yield Check(share, at_least=OF_CEILING[backend()])
    for name, part in figure.about["shares"].items():
        yield Check(Figure("encoder", f"  time of {name}", part, ""))


def absolutes(ratio: Figure) -> Iterator[Figure]:
    """The rates that a ratio is of."""
    for whose in ("ours", "theirs"):
        yield Figure("encoder", f"  {whose}", ratio.about[f"{whose}_images_per_s"], "images/s",
                     ratio.about[whose])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", default="large")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--blocks", type=int, help="measure so many blocks instead of all")
    options = parser.parse_args()
    print(json.dumps(conditions()), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "checkpoint").mkdir()
        subject = make_subject(options.random, folder / "checkpoint", None)
        return checks.show(measure(subject, folder, options), partial(print, flush=True))


if __name__ == "__main__":
    raise SystemExit(main())
