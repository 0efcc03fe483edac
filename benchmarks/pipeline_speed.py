"""How fast a folder of 12-megapixel photographs is embedded, beside its two halves alone.

    python -m benchmarks.pipeline_speed [--model demo | --random large] [--photos 24]
                                        [--repeats 5] [--batch 8]

Exact and fast decoding. Where the model has a processor of its own, the folder must reach 95% of
the slower of decoding alone and the model alone; on a CPU both compute on the same cores, and the
most there can be is 1 / (1 / decode + 1 / model), of which it must reach 95%. Both are printed.
Fast decoding must be four times as fast as exact on one thread. Exits with 1 where a limit is
missed.
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from benchmarks import subjects
from mlx_aimv2.bench import checks
from mlx_aimv2.bench.checks import Check
from mlx_aimv2.bench.conditions import conditions
from mlx_aimv2.bench.decoding import MODES, decoding_figures
from mlx_aimv2.bench.figure import Figure
from mlx_aimv2.bench.photos import make_photos
from mlx_aimv2.bench.pipeline import pipeline_figures
from mlx_aimv2.bench.subject import Subject
from mlx_aimv2.device import backend

DIFFERENT = 8  # photographs; the folder is these again and again
OF_BOUND, FASTER = 0.95, 4.0


def measure(subject: Subject, folder: Path, options: argparse.Namespace) -> Iterator[Check]:
    """The folder in both modes, then decoding alone."""
    photos = make_photos(folder / "photos", min(DIFFERENT, options.photos))
    many = list(islice(cycle(photos), options.photos))
    on_cpu = backend() == "CPU"
    for mode in MODES:
        found = list(
            pipeline_figures(subject.model, many, options.repeats, batch_size=options.batch,
                             mode=mode)
        )  # fmt: skip
        yield from (Check(figure) for figure in found)
        about = found[0].about
        slower = Figure("folder", f"  {mode}: of the slower half", about["of_slower"], "")
        shared = Figure("folder", f"  {mode}: of both on the same cores", about["of_shared"], "")
        yield Check(slower, at_least=None if on_cpu else OF_BOUND)
        yield Check(shared, at_least=OF_BOUND if on_cpu else None)
    for figure in decoding_figures(subject.model, photos, options.repeats):
        yield Check(figure, at_least=FASTER if figure.name == "fast against exact" else None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    subjects.add_options(parser, model="demo")
    parser.add_argument("--photos", type=checks.positive, default=24)
    parser.add_argument("--repeats", type=checks.positive, default=5)
    parser.add_argument("--batch", type=checks.positive, default=8)
    options = parser.parse_args()
    return checks.reported(lambda: check(options))


def check(options: argparse.Namespace) -> int:
    """Measure and print; the exit code. Errors: those of making or loading the checkpoint."""
    print(json.dumps(conditions()), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = subjects.chosen(options, folder)
        print(f"{subject.name}, {subject.model.dtype}, {options.photos} photographs\n")
        return checks.show(measure(subject, folder, options), partial(print, flush=True))


if __name__ == "__main__":
    raise SystemExit(main())
