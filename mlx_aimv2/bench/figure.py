"""One figure of a report: what was measured, and the ceiling it is held against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .timing import Timing


@dataclass(frozen=True)
class Figure:
    """A number with its unit.

    ``ceiling`` is the most that it could be, in the same unit, and ``ceiling_name`` how that was
    measured; ``limit`` is what keeps it from being more: compute, memory, decode or start-up.
    ``spread`` is of the runs' seconds; ``about`` tells the case: batch, tokens, dtype.
    """

    section: str
    name: str
    value: float
    unit: str
    spread: Mapping[str, Any] | None = None
    ceiling: float | None = None
    ceiling_name: str = ""
    limit: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fraction(self) -> float | None:
        """The share of the ceiling that was reached."""
        return None if self.ceiling is None else self.value / self.ceiling


def rate(
    section: str,
    name: str,
    count: int,
    unit: str,
    timing: Timing,
    *,
    ceiling: float | None = None,
    ceiling_name: str = "",
    limit: str = "",
    about: Mapping[str, Any] | None = None,
) -> Figure:
    """So many things in the median of some times, as things per second."""
    value, spread = count / timing.median_s, timing.summary()
    return Figure(section, name, value, unit, spread, ceiling, ceiling_name, limit, about or {})


def seconds(
    section: str,
    name: str,
    timing: Timing,
    *,
    limit: str = "",
    about: Mapping[str, Any] | None = None,
) -> Figure:
    """The median of some times."""
    spread = timing.summary()
    return Figure(section, name, timing.median_s, "s", spread, limit=limit, about=about or {})
