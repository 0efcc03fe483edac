"""One finding of a verification, and how far numbers may be apart that should be equal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

# Float32 against Apple's own modules on a CPU; another order of summation.
GOLDEN = 2e-5
# Float32 against four decimals that another decoder and machine produced.
PUBLISHED = 1e-3
# Of the largest value of a block's output, in float32: another order of summation (7e-7 on a CPU),
# and the exponential of another device.
BLOCK = 2e-5
# Of the length of a token, through all blocks on whatever machine: of the same weights, and where
# those of one of the two were rounded to half precision.
FEATURES = 3e-4
ROUNDED_FEATURES = 3e-2
# And where those of one were quantised, by bits: demo's are 2e-2 and 3e-1 away. Finds nonsense, not
# a wrong code or two, which is less than what quantisation does.
PACKED_FEATURES = {8: 0.1, 4: 1.0}
NORMALIZED = 1e-5  # a pixel's last bits
# TF32 keeps 10 bits of each factor, float32 23: products of 256 terms, against float64.
FULL_PRODUCT = 1e-5
# Attention with values of unit size against float64, by precision: a rounding of the result or two.
ATTENTION = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}

REPORT_HINT = "open an issue with this report: aimv2 verify --out report.json"
NOT_FULL = "float32 products are not full here"
_SHOWN = 12
Status = Literal["ok", "skipped", "FAILED"]


@dataclass(frozen=True)
class Check:
    """What was looked at, how it went, and what to do next.

    ``detail`` is what was found, or why the check was skipped; ``findings`` are its lines.
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


def judged(
    name: str,
    is_right: bool,
    detail: str,
    hint: str = "",
    *,
    findings: Sequence[str] = (),
    **more: Any,
) -> Check:
    """A check that was made: ok or FAILED, the hint only where it failed; the first findings."""
    hidden = len(findings) - _SHOWN
    if hidden > 0:
        findings = [*findings[:_SHOWN], f"and {hidden} more"]
    if is_right:
        return Check(name, "ok", detail, findings=findings, **more)
    return Check(name, "FAILED", detail, hint, findings, **more)


def skipped(name: str, why: str, **more: Any) -> Check:
    """A check that cannot be made here, and why."""
    return Check(name, "skipped", why, **more)


def finite(value: float | None) -> float | None:
    """A number as a report can hold it: JSON has neither NaN nor infinity."""
    return value if value is not None and math.isfinite(value) else None
