"""A run's figures as JSON, as Markdown, and as a table for a terminal."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.json_lines import to_json

from ..figure import Figure, amount

SCHEMA = 1  # of a report; it changes when a field changes its meaning
KIND = "aimv2 bench"
COLUMNS = ("what", "figure", "ceiling", "reached", "limit")
RIGHT = (1, 2, 3)
SIDE_PX = 224  # of the one figure that stands for a machine
NOT_MEASURED = "Not measured"  # begins a note of a section that failed, or came too late
# What leaves something out, in the settings.
CHOICES = ("is_quick", "sections", "batch_sizes", "dtypes")
HEADINGS = {
    "peers": "ours against others, same weights, same run",
    "encoder": "image encoder",
    "text": "text tower",
    "folder": "a folder from end to end",
    "decoding": "photographs to pixels (12 megapixels)",
    "start": "start",
    "memory": "memory",
    "search": "search",
}
_FIELDS = {"schema": int, "kind": str, "conditions": dict, "subject": dict, "settings": dict,
           "figures": list, "notes": list}  # fmt: skip
_FIGURE = {"section": str, "name": str, "value": (int, float), "unit": str,
           "spread": (dict, NoneType), "ceiling": (int, float, NoneType), "ceiling_name": str,
           "limit": str, "about": dict}  # fmt: skip
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


@dataclass(frozen=True)
class Report:
    """Figures with the machine (conditions), the checkpoint (subject), the settings and remarks."""

    conditions: Mapping[str, Any]
    subject: Mapping[str, Any]
    settings: Mapping[str, Any]
    figures: Sequence[Figure]
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON; each figure with the share of its ceiling."""
        figures = [asdict(each) | {"fraction": each.fraction} for each in self.figures]
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "conditions": dict(self.conditions),
            "subject": dict(self.subject),
            "settings": dict(self.settings),
            "figures": figures,
            "notes": list(self.notes),
            "best": self.best(),
        }

    @property
    def is_whole(self) -> bool:
        """Whether every section, size and precision was measured: none left out, none failed."""
        is_cut = any(self.settings.get(choice) for choice in CHOICES)
        return not is_cut and not any(note.startswith(NOT_MEASURED) for note in self.notes)

    def fastest(self) -> list[Figure]:
        """The best batch of each precision at 224 px, of those measured at full depth."""
        best: dict[str, Figure] = {}
        for figure in self.figures:
            about = figure.about
            if figure.section != "encoder" or about.get("side_px") != SIDE_PX:
                continue
            if about["blocks_measured"] == about["blocks"]:
                kept = best.setdefault(about["dtype"], figure)
                best[about["dtype"]] = max(kept, figure, key=lambda each: each.value)
        return list(best.values())

    def best(self) -> dict[str, Any] | None:
        """The machine's one figure: images a second at 224 px, by the best batch."""
        figure = max(self.fastest(), key=lambda each: each.value, default=None)
        if figure is None:
            return None
        return {
            "images_per_s": figure.value,
            "side_px": SIDE_PX,
            "batch": figure.about["batch"],
            "dtype": figure.about["dtype"],
            "fraction": figure.fraction,
        }


def read_report(file: Path) -> Report:
    """A report from its file. Errors: UsageError for another kind of file."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return from_dict(stored)
    except (OSError, ValueError) as error:
        is_text = not isinstance(error, UnicodeDecodeError)
        reason = (getattr(error, "strerror", "") or error) if is_text else "it is no text"
        hint = "reports are made by: aimv2 bench --out FILE.json"
        raise UsageError(f"{file} is no report of aimv2 bench: {reason}", hint=hint) from error


def from_dict(stored: Any) -> Report:
    """A report from JSON. Errors: ValueError for other JSON, or another schema."""
    if not isinstance(stored, dict) or stored.get("kind") != KIND:
        raise ValueError(f'its "kind" is not {KIND!r}')
    _check(stored, _FIELDS)
    if stored["schema"] != SCHEMA:
        raise ValueError(f"its schema is {stored['schema']}, and known is {SCHEMA}")
    _check(stored["conditions"], {"date": str, "packages": (dict, NoneType)})
    _check(stored["settings"], {"pace": (dict, NoneType)})
    figures = []
    for number, each in enumerate(stored["figures"], 1):
        if not isinstance(each, dict):
            raise ValueError(f"its figure {number} is none")
        _check(each, _FIGURE)
        figures.append(Figure(**{name: each[name] for name in _FIGURE}))
    return Report(
        stored["conditions"], stored["subject"], stored["settings"], figures, stored["notes"]
    )


def _check(stored: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Look at the types of fields. Errors: ValueError for another one, or a missing field."""
    for name, kind in kinds.items():
        if not isinstance(stored.get(name), kind):
            raise ValueError(f'its "{name}" is missing or of another type')


def write_json(report: Report, file: Path) -> None:
    """Write a report as one JSON object, on lines that a diff can show."""
    text = json.dumps(json.loads(to_json(report.to_dict())), indent=1, ensure_ascii=False)
    file.write_text(f"{text}\n", encoding="utf-8")


def stem_of(report: Report) -> str:
    """The name of a report's files: the date and the chip."""
    chip = str(report.conditions["chip"] or report.conditions["machine"])
    words = re.findall(r"[a-z0-9]+", chip.casefold())
    return "-".join([str(report.conditions["date"])[:10], *words])


# For people


def headline(report: Report) -> list[str]:
    """The checkpoint, the machine, the software and the one figure, in a line each."""
    subject, known = report.subject, report.conditions
    weights = "random weights" if subject["is_random"] else "its own weights"
    gpu = f"{known['gpu_cores']} GPU cores" if known["gpu_cores"] else None
    place = [
        known["chip"] or known["machine"],
        known["backend"],
        gpu,
        f"{known['cpu_cores']} CPU cores",
        f"{known['memory_bytes'] / 1e9:.0f} GB",
        known["power"],
    ]
    software = [f"MLX {known['packages']['mlx']}", f"Python {known['python']}"]
    if known["blas"]:
        software.append(f"{known['blas']}, {known['blas_threads'] or '?'} threads")
    software += [f"commit {known['commit']}"] if known["commit"] else []
    best = ""
    if figure := report.best():
        rate = f"{amount(figure['images_per_s'])} images/s at {figure['side_px']} px"
        best = f"{rate} (batch {figure['batch']}, {figure['dtype']})"
        if figure["fraction"] is not None:
            best += f", {figure['fraction']:.0%} of the ceiling"
    return [
        f"{subject['name']}, {weights}, {subject['dtype']}",
        ", ".join(part for part in place if part),
        ", ".join(software),
        *([best] if best else []),
    ]


def rows(report: Report) -> Iterator[tuple[str, ...]]:
    """Rows of the table; a section's heading is a row whose other cells are empty."""
    for section, heading in HEADINGS.items():
        figures = [each for each in report.figures if each.section == section]
        if figures:
            yield (heading, "", "", "", "")
            yield from (row(each) for each in figures)


def row(figure: Figure) -> tuple[str, ...]:
    """A figure, its ceiling, the share of it that was reached, and what limits it."""
    ceiling = "" if figure.ceiling is None else amount(figure.ceiling)
    reached = "" if figure.fraction is None else f"{figure.fraction:.0%}"
    return (f"  {figure.name}", amount(figure.value, figure.unit), ceiling, reached, figure.limit)


def remarks(report: Report) -> list[str]:
    """What the table leaves out: where time goes, what ceilings are, drift, notes."""
    found = []
    for figure in report.figures:
        if shares := figure.about.get("shares"):
            named = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
            found.append(f"Time of {figure.name}: {named}.")
    if small := [each.name for each in report.figures if each.about.get("is_too_small")]:
        found.append(
            f"Too small to tell how near the ceiling: {'; '.join(small)}. The matrix products "
            "alone take longer than the whole."
        )
    ceilings = {each.section: each.ceiling_name for each in report.figures if each.ceiling_name}
    for name in dict.fromkeys(ceilings.values()):
        sections = [section for section, other in ceilings.items() if other == name]
        found.append(f"Ceiling of {' and '.join(sections)}: {name}.")
    drifting = [each.name for each in report.figures if each.spread and each.spread["is_drifting"]]
    if drifting:
        found.append(
            f"The machine slowed down while these were measured: {', '.join(drifting)}. Is it "
            "hot, or does other work run?"
        )
    return [*found, *report.notes]


def to_markdown(report: Report) -> str:
    """The report as a page of Markdown: headline, table, remarks."""
    lines = [f"# {KIND}: {escaped(report.subject['name'])}", ""]
    lines += [f"{escaped(line)}  " for line in headline(report)]
    lines += ["", f"Measured {escaped(str(report.conditions['date']))}.", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|---|---:|---:|---:|---|"]
    for cells in rows(report):
        first, *others = (escaped(cell.strip()) for cell in cells)
        first = first if any(others) else f"**{first}**"
        lines.append(f"| {' | '.join([first, *others])} |")
    lines += ["", *(f"- {escaped(remark)}" for remark in remarks(report)), ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text on one line, its special characters escaped for Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
