"""One finding of a verification: what was looked at, how it went, and what to do next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

_SHOWN = 12
Status = Literal["ok", "skipped", "FAILED"]


@dataclass(frozen=True)
class Check:
    """``detail`` is what was found, or why it was skipped; ``findings`` are its lines.

    ``checkpoint`` is the one it is about, None where it is about the port as a whole; ``values``
    are numbers for the report.
    """

    name: str
    status: Status
    detail: str
    hint: str = ""
    findings: Sequence[str] = ()
    checkpoint: str | None = None
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Whether it was made, and nothing is wrong."""
        return self.status == "ok"


def judged(name: str, is_right: bool, detail: str, hint: str = "", **more: Any) -> Check:
    """A check that was made: ok or FAILED, the hint only where it failed."""
    status: Status = "ok" if is_right else "FAILED"
    return Check(name, status, detail, "" if is_right else hint, **more)


def skipped(name: str, why: str, **more: Any) -> Check:
    """A check that cannot be made here, and why."""
    return Check(name, "skipped", why, **more)


def finite(value: float | None) -> float | None:
    """A number as a report can hold it: JSON has neither NaN nor infinity."""
    return value if value is not None and math.isfinite(value) else None


def few(findings: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    more = len(findings) - _SHOWN
    return [*findings] if more <= 0 else [*findings[:_SHOWN], f"and {more} more"]
