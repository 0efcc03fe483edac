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

from mlx_aimv2.harness.figure import Figure
from mlx_aimv2.harness.report import Report, amount, escaped, read_report

ROOT = Path(__file__).parent.parent
README, RESULTS = ROOT / "README.md", Path(__file__).parent / "results"
START = "<!-- measured: `python -m benchmarks.readme_table` writes what follows -->"
END = "<!-- /measured -->"
SIDE_PX = 224
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
    """The whole table, the newest report of a chip, backend and checkpoint for it."""
    newest = {}
    for report in sorted(reports, key=lambda each: each.conditions["date"]):
        known = report.conditions
        newest[known["chip"], known["backend"], report.subject["name"]] = report
    ordered = sorted(newest.values(), key=lambda each: str(each.conditions["chip"]))
    lines = [f"| {' | '.join(COLUMNS)} |", f"|---|---|---|{'---:|' * (len(COLUMNS) - 3)}"]
    lines += [f"| {' | '.join(cells)} |" for report in ordered for cells in rows(report)]
    return "\n".join(lines)


def rows(report: Report) -> Iterator[list[str]]:
    """A row for each precision: the fastest batch of whole networks at 224 px."""
    known, subject = report.conditions, report.subject
    chip = known["chip"] or known["machine"]
    weights = " (random weights)" if subject["is_random"] else ""
    place = f"{chip}, {known['backend']}, {known['cpu_cores']} cores"
    for figure in fastest(report):
        other = OTHERS.get(chip) if known["backend"] == "Metal" else None
        yield [
            escaped(place),
            escaped(f"{subject['name']}{weights}"),
            figure.about["dtype"],
            f"{amount(figure.value)} (batch {figure.about['batch']})",
            amount(figure.about["gemm"]["tflop_per_s"]),
            f"{figure.fraction:.0%}",
            _against_transformers(report, figure.about["dtype"]),
            _decoding(report),
            "–" if other is None else f"{other:g}",
        ]


def fastest(report: Report) -> Iterator[Figure]:
    """Of each precision the best figure of the encoder that was measured at full depth."""
    best: dict[str, Figure] = {}
    for figure in report.figures:
        about = figure.about
        if figure.section != "encoder" or about["side_px"] != SIDE_PX:
            continue
        if about["blocks_measured"] == about["blocks"]:
            kept = best.setdefault(about["dtype"], figure)
            best[about["dtype"]] = max(kept, figure, key=lambda each: each.value)
    return iter(best.values())


def with_table(readme: str, made: str) -> str:
    """The README with this table between its markers. Errors: ValueError where there are none."""
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(readme):
        raise ValueError(f"the README has no {START} and {END} behind it")
    return pattern.sub(lambda _: f"{START}\n\n{made}\n\n{END}", readme, count=1)


def _against_transformers(report: Report, dtype: str) -> str:
    for figure in report.figures:
        about = figure.about
        if about.get("peer") == "transformers" and about["dtype"] == dtype:
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    reports = [read_report(file) for file in sorted(RESULTS.glob("*.json"))]
    before = README.read_text(encoding="utf-8")
    try:
        after = with_table(before, table(reports))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if check and after != before:
        print("the README's table is not that of benchmarks/results: "
              "python -m benchmarks.readme_table", file=sys.stderr)  # fmt: skip
        return 1
    if not check:
        README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
