"""A picture of throughput against batch and against tokens, with the ceiling drawn in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import OutputError, UsageError

from ..encoder import SECTION
from ..figure import Figure
from .report import Report

FORMATS = (".png", ".svg")
_WIDTH_IN, _HEIGHT_IN, _DPI = 10, 4.2, 150
_CEILING = {"linestyle": "--", "marker": "_", "alpha": 0.6}


def check_plot(file: Path) -> None:
    """Refuse a picture that cannot be drawn, before minutes of work.

    Errors: UsageError for another kind of picture, or where matplotlib is not installed.
    """
    if file.suffix.casefold() not in FORMATS:
        raise UsageError(f"no picture can be drawn as {file.name}", hint="name it .png or .svg")
    try:
        import matplotlib  # noqa: F401, PLC0415
    except ImportError as error:
        raise UsageError(
            "pictures are drawn with matplotlib, which is not installed",
            hint=f"{install_hints.extra('bench')}, or leave --plot out",
        ) from error


def draw(report: Report, file: Path) -> None:
    """Draw a report's image encoder: each precision a colour, its ceiling dashed.

    Errors: as ``check_plot``; UsageError for a report without an encoder; OutputError for a file
    that cannot be written.
    """
    check_plot(file)
    from matplotlib.figure import Figure as Sheet  # noqa: PLC0415

    found = [each for each in report.figures if each.section == SECTION]
    if not found:
        raise UsageError("nothing to draw: the encoder was not measured", hint="--only encoder")
    sheet = Sheet(figsize=(_WIDTH_IN, _HEIGHT_IN), layout="constrained")
    batches, tokens = sheet.subplots(1, 2)
    side = found[0].about["side_px"]
    of_side = [each for each in found if each.about["side_px"] == side]
    _panel(batches, of_side, "batch", f"images at once, {side} px")
    _panel(tokens, _best_of_each(found), "tokens", "patches an image")
    name, weights = report.subject["name"], "random" if report.subject["is_random"] else "its own"
    place = report.conditions["chip"] or report.conditions["machine"]
    title = f"{name} ({weights} weights) on {place}, {report.conditions['backend']}"
    # A folder's name may have dollars in it, and bytes that are no text.
    sheet.suptitle(title.encode("utf-8", "backslashreplace").decode(), parse_math=False)
    try:
        sheet.savefig(file, dpi=_DPI)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}") from error


def _panel(axes: Any, figures: Sequence[Figure], key: str, label: str) -> None:
    for number, dtype in enumerate(dict.fromkeys(each.about["dtype"] for each in figures)):
        ordered = sorted(
            (each for each in figures if each.about["dtype"] == dtype),
            key=lambda each: each.about[key],
        )
        places = [each.about[key] for each in ordered]
        colour = f"C{number}"
        axes.plot(places, [each.value for each in ordered], "o-", color=colour, label=dtype)
        with_one = [each for each in ordered if each.ceiling is not None]
        if with_one:
            of_it = f"{dtype}: matrix products alone"
            places = [each.about[key] for each in with_one]
            ceilings = [each.ceiling for each in with_one]
            axes.plot(places, ceilings, color=colour, label=of_it, **_CEILING)
    axes.set_xlabel(label)
    axes.set_ylabel("images a second")
    axes.set_ylim(0, 1.1 * max(max(each.value, each.ceiling or 0) for each in figures))
    axes.set_xticks(sorted({each.about[key] for each in figures}))
    axes.grid(alpha=0.3)
    axes.legend()


def _best_of_each(figures: Sequence[Figure]) -> list[Figure]:
    """The fastest figure of each precision and number of tokens."""
    best: dict[tuple[str, int], Figure] = {}
    for each in figures:
        key = each.about["dtype"], each.about["tokens"]
        if key not in best or each.value > best[key].value:
            best[key] = each
    return list(best.values())
