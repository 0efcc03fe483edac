"""Whether a machine's report keeps the limits: each of its figures beside what it must be.

    aimv2 bench --model demo --only folder,decoding --out report.json
    python -m benchmarks.limits report.json

Looked at are the sections that the report has: against others, the encoder against its own matrix
products, a folder against its halves, fast decoding against exact, the first embedding, what
loading and a text query take. Exits with 1 where a limit is missed or was not measured.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.checks import Check, reported, show
from mlx_aimv2.bench.figure import Figure
from mlx_aimv2.bench.peers import PLAIN, TRANSFORMERS
from mlx_aimv2.bench.reports.report import NOT_MEASURED, Report, read_report

AGAINST = {TRANSFORMERS: 1.0, PLAIN: 0.97}
OF_CEILING = {"CPU": 0.5, "CUDA": 0.8, "Metal": 0.8}
OF_BOUND = 0.95
FASTER = 4.0  # fast decoding against exact, on one thread
FIRST_S = 1.0
OF_FILE = {"float16": 0.65, "float32": 1.10}
OF_TOWER = 1.1  # the headers and the tokenizer are read beside it
LARGE_BYTES = 100e6  # of a file: beside a smaller one nothing that is loaded is small


def checks_of(report: Report) -> Iterator[Check]:
    """Every figure that has a limit, and what the report says could not be measured."""
    for figure in report.figures:
        yield from _limited(figure, report)
    best = report.best()
    if best and best["fraction"] is not None:
        name = f"{best['side_px']} px, batch {best['batch']}: share of its matrix products alone"
        share = Figure("encoder", name, best["fraction"], "")
        yield Check(share, at_least=OF_CEILING[report.conditions["backend"]])
    for note in report.notes:
        if note.startswith(NOT_MEASURED) or "cannot be measured" in note:
            yield Check(Figure("", note, math.nan, ""), at_least=0)


def _limited(figure: Figure, report: Report) -> Iterator[Check]:
    about = figure.about
    if about.get("peer") in AGAINST:
        yield Check(figure, at_least=AGAINST[about["peer"]])
        for whose in ("ours", "theirs"):
            rate = about[f"{whose}_images_per_s"]
            yield Check(Figure("encoder", f"  {whose}", rate, "images/s", about[whose]))
    elif "of_shared" in about:
        on_cpu = report.conditions["backend"] == "CPU"
        part = "both on the same cores" if on_cpu else "the slower half"
        value = about["of_shared" if on_cpu else "of_slower"]
        yield Check(figure)
        yield Check(Figure("folder", f"  of {part}", value, ""), at_least=OF_BOUND)
    elif figure.name == "fast against exact":
        yield Check(figure, at_least=FASTER)
    elif figure.name.startswith("process to first embedding"):
        yield Check(figure, at_most=FIRST_S)
    elif about.get("file_bytes", 0) >= LARGE_BYTES and "of_file" in about:
        of_file = replace(figure, value=about["of_file"], unit="× file")
        yield Check(of_file, at_most=OF_FILE.get(about["dtype"]))
    elif about.get("file_bytes", 0) >= LARGE_BYTES and "tower_bytes" in about:
        of_tower = replace(figure, value=figure.value / about["tower_bytes"], unit="× tower")
        yield Check(of_tower, at_most=OF_TOWER if "reads" in figure.name else None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="JSON that `aimv2 bench` has written")
    options = parser.parse_args()
    return reported(lambda: show(checks_of(read_report(options.report))))


if __name__ == "__main__":
    raise SystemExit(main())
