"""Two reports side by side: the ratio of each figure, and the conditions that differ."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..figure import amount
from .report import CHOICES, HEADINGS, Report

COLUMNS = ("what", "first", "second", "second / first")
RIGHT = (1, 2, 3)
_NO_CONDITION = ("date", "load", "commit")  # they always differ, and matter where others tell it


@dataclass(frozen=True)
class Pair:
    """One figure in two reports; its value is None in a report that lacks it."""

    section: str
    name: str
    unit: str
    first: float | None
    second: float | None

    @property
    def ratio(self) -> float | None:
        """The second value over the first; None where one is missing or the first is 0."""
        if self.second is None or not self.first:
            return None
        return self.second / self.first

    def to_dict(self) -> dict[str, Any]:
        """The pair with its ratio, for JSON."""
        return asdict(self) | {"ratio": self.ratio}


def pairs(first: Report, second: Report) -> list[Pair]:
    """Every figure of either report, by section and name, in the first one's order.

    A star tells of few blocks, which is among the conditions.
    """
    ours, theirs = (
        {
            (each.section, each.name.removesuffix(" *"), each.unit): each.value
            for each in report.figures
        }
        for report in (first, second)
    )
    return [Pair(*key, ours.get(key), theirs.get(key)) for key in dict.fromkeys([*ours, *theirs])]


def differences(first: Report, second: Report) -> list[tuple[str, str, str]]:
    """Conditions that were not alike: their name, and what each report has for it."""
    one, other = _conditions(first), _conditions(second)
    return [
        (name, _said(one.get(name)), _said(other.get(name)))
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]


def rows(compared: list[Pair]) -> Iterator[tuple[str, ...]]:
    """Rows of a table; a section's heading is a row whose other cells are empty."""
    for section in dict.fromkeys(each.section for each in compared):
        yield (HEADINGS.get(section, section), "", "", "")
        for each in compared:
            if each.section == section:
                first, second = (_amount(value, each.unit) for value in (each.first, each.second))
                yield (f"  {each.name}", first, second, _amount(each.ratio, "×"))


def _amount(value: float | None, unit: str) -> str:
    return "–" if value is None else amount(value, unit)


def _conditions(report: Report) -> Mapping[str, Any]:
    found = {name: value for name, value in report.conditions.items() if name not in _NO_CONDITION}
    packages = found.pop("packages", None) or {}
    found |= {f"version of {name}": version for name, version in packages.items()}
    found |= {f"checkpoint: {name}": value for name, value in report.subject.items()}
    found |= {f"setting: {name}": report.settings.get(name) for name in CHOICES}
    pace = report.settings.get("pace") or {}
    return found | {f"pace: {name}": pace.get(name) for name in ("repeats", "blocks")}


def _said(value: object) -> str:
    return "unknown" if value is None else str(value)
