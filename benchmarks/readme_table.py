"""The README's table of measured machines, made from the reports in benchmarks/results.

    python -m benchmarks.readme_table [--check]

Writes the table between the README's two markers, or with --check only tells whether it is there
as it would be written (exit code 1 where not). A row is a report of `aimv2 bench` that somebody
has contributed; nothing in it is estimated. The last column is not ours and says so.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.checks import reported
from mlx_aimv2.bench.figure import Figure, amount
from mlx_aimv2.bench.reports.report import SIDE_PX, Report, escaped, read_report
from mlx_aimv2.errors import UsageError

ROOT = Path(__file__).parent.parent
README, RESULTS = ROOT / "README.md", Path(__file__).parent / "results"
START = "<!-- measured: `python -m benchmarks.readme_table` writes what follows -->"
END = "<!-- /measured -->"
COLUMNS = (
    "chip", "checkpoint", "precision", "images/s, 224 px", "products alone, TFLOP/s", "reached",
    "against transformers", "photos/s a core: exact, fast",
    "others' figure for the chip's products, TFLOP/s",
)  # fmt: skip
# What others have published of MLX's float16 products on these chips, in TFLOP/s.
OTHERS = {
    "Apple M1": 1.6, "Apple M1 Pro": 4.1, "Apple M1 Max": 7.2, "Apple M2 Max": 9.0,
    "Apple M3": 2.8, "Apple M3 Ultra": 17.5, "Apple M4": 3.3, "Apple M4 Pro": 6.5,
    "Apple M4 Max": 12.8, "Apple M5 Max": 57.0,
}  # fmt: skip


def table(reports: Iterable[Report]) -> str:
    """The whole table: of each machine and checkpoint the newest report; none of --quick.

    One that is not whole counts where there is no whole one.
    """
    newest = {}
    slow = (each for each in reports if not each.settings.get("is_quick"))
    for report in sorted(slow, key=lambda each: (each.is_whole, each.conditions["date"])):
        known = report.conditions
        machine = known["chip"], known["backend"], known["gpu_cores"]
        newest[machine, report.subject["name"]] = report
    ordered = sorted(newest.values(), key=lambda each: str(each.conditions["chip"]))
    lines = [f"| {' | '.join(COLUMNS)} |", f"|---|---|---|{'---:|' * (len(COLUMNS) - 3)}"]
    lines += [f"| {' | '.join(cells)} |" for report in ordered for cells in rows(report)]
    return "\n".join(lines)


def rows(report: Report) -> Iterator[list[str]]:
    """A row for each precision: the fastest batch of whole networks at 224 px."""
    known, subject = report.conditions, report.subject
    chip = known["chip"] or known["machine"]
    weights = " (random weights)" if subject["is_random"] else ""
    gpu = f" {known['gpu_cores']} GPU cores," if known["gpu_cores"] else ""
    place = f"{chip}, {known['backend']},{gpu} {known['cpu_cores']} CPU cores"
    for figure in report.fastest():
        other = OTHERS.get(chip) if known["backend"] == "Metal" else None
        yield [
            escaped(place),
            escaped(f"{subject['name']}{weights}"),
            figure.about["dtype"],
            f"{amount(figure.value)} (batch {figure.about['batch']})",
            amount(figure.about["gemm"]["tflop_per_s"]),
            "–" if figure.fraction is None else f"{figure.fraction:.0%}",
            _against_transformers(report, figure),
            _decoding(report),
            "–" if other is None else f"{other:g}",
        ]


def with_table(readme: str, made: str) -> str:
    """The README with this table between its markers. Errors: ValueError where there are none."""
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(readme):
        raise ValueError(f"the README has no {START} and {END} behind it")
    return pattern.sub(lambda _: f"{START}\n\n{made}\n\n{END}", readme, count=1)


def _against_transformers(report: Report, ours: Figure) -> str:
    wanted = ("transformers", ours.about["dtype"], ours.about["blocks"])
    for figure in report.figures:
        found = (figure.about.get(key) for key in ("peer", "dtype", "blocks_measured"))
        if tuple(found) == wanted:
            return f"{amount(figure.value)} ×"
    return "–"


def _decoding(report: Report) -> str:
    alone = {
        figure.about["mode"]: figure.value
        for figure in report.figures
        if figure.section == "decoding" and figure.about.get("threads") == 1
    }
    if not alone:
        return "–"
    return ", ".join(amount(alone[mode]) for mode in ("exact", "fast"))


def read(file: Path) -> Report:
    """A contributed report. Errors: UsageError for one that no row can be made of."""
    report = read_report(file)
    try:
        if not list(rows(report)):
            raise ValueError(f"no batch of a whole network at {SIDE_PX} px")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{file} makes no row: {error!r}", hint="measure it again") from error
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    return reported(lambda: write(is_check=check))


def write(*, is_check: bool) -> int:
    """Write the table, or only compare it; the exit code. Errors: as ``read``."""
    reports = [read(file) for file in sorted(RESULTS.glob("*.json"))]
    before = README.read_text(encoding="utf-8")
    try:
        after = with_table(before, table(reports))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if is_check and after != before:
        print("the README's table is not that of benchmarks/results: "
              "python -m benchmarks.readme_table", file=sys.stderr)  # fmt: skip
        return 1
    if not is_check:
        README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
