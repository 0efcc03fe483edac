"""How soon the first embedding is there, and what loading takes.

    python -m benchmarks.startup [--random lit | --model SOURCE] [--runs 5]

Each figure is of new processes: the demo's first embedding; loading a published checkpoint's sizes
with random weights, as float16 and in the file's own float32; and one text through its text tower.
Exits with 1 where a limit is missed.
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import subjects
from mlx_aimv2.bench import checks
from mlx_aimv2.bench.checks import Check
from mlx_aimv2.bench.conditions import conditions
from mlx_aimv2.bench.photos import make_small_pictures
from mlx_aimv2.bench.startup import first_embedding, load_figures, text_tower

FIRST_S = 1.0
OF_FILE = {"float16": 0.65, "float32": 1.10}
OF_TOWER = 1.1  # the headers and the tokenizer are read beside it


def measure(folder: Path, options: argparse.Namespace) -> Iterator[Check]:
    """All figures, in the order in which they are printed."""
    picture = make_small_pictures(folder / "pictures")[0]
    yield Check(first_embedding(picture, options.runs), at_most=FIRST_S)
    subject = subjects.chosen(options, folder)
    for dtype, limit in OF_FILE.items():
        for figure in load_figures(subject, dtype, options.runs):
            yield Check(figure)
            if (of_file := figure.about.get("of_file")) is not None:
                named = replace(figure, name=f"  {dtype}: peak over the file", value=of_file,
                                unit="")  # fmt: skip
                yield Check(named, at_most=limit)
    if subject.model.has_text:
        for figure in text_tower(subject):
            yield Check(figure)
            of_tower = figure.value / figure.about["tower_bytes"]
            named = replace(figure, name=f"  {figure.name}, over the tower", value=of_tower,
                            unit="")  # fmt: skip
            yield Check(named, at_most=OF_TOWER if "reads" in figure.name else None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    subjects.add_options(parser, random="lit")
    parser.add_argument("--runs", type=checks.positive, default=5)
    options = parser.parse_args()
    return checks.reported(lambda: check(options))


def check(options: argparse.Namespace) -> int:
    """Measure and print; the exit code. Errors: those of making or loading the checkpoint."""
    print(json.dumps(conditions()), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), options)
        return checks.show(found, partial(print, flush=True))


if __name__ == "__main__":
    raise SystemExit(main())
