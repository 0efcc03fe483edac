"""Figures with a limit each, printed side by side, and whether all of them are met."""

import math
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mlx_aimv2.errors import Aimv2Error

from .figure import Figure
from .report import amount


@dataclass(frozen=True)
class Check:
    """A figure and the least or the most that it may be; without either it is only shown.

    One that could not be measured is NaN, and misses its limit.
    """

    figure: Figure
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        value = self.figure.value
        if self.at_least is not None and not value >= self.at_least:
            return False
        return self.at_most is None or value <= self.at_most

    @property
    def limit(self) -> str:
        """The limit as people read it, and "missed" where it was."""
        unit = self.figure.unit
        words = []
        if self.at_least is not None:
            words.append(f"at least {amount(self.at_least, unit)}")
        if self.at_most is not None:
            words.append(f"at most {amount(self.at_most, unit)}")
        return ", ".join(words) + ("" if self.is_met else " (missed)")


def show(checks: Iterable[Check], put: Callable[[str], object]) -> int:
    """Put lines of a Markdown table as figures come; returns 0 where every limit is met, else 1."""
    put("| what | figure | runs | limit |")
    put("|---|---:|---|---|")
    is_met = True
    for check in checks:
        figure = check.figure
        is_measured = not math.isnan(figure.value)
        value = amount(figure.value, figure.unit) if is_measured else "not measured"
        put(f"| {figure.name} | {value} | {_runs(figure)} | {check.limit} |")
        is_met = is_met and check.is_met
    return 0 if is_met else 1


def reported(work: Callable[[], int]) -> int:
    """A command's exit code; its error on one line, with the next thing to do."""
    try:
        return work()
    except Aimv2Error as error:
        hint = f" ({error.hint})" if error.hint else ""
        print(f"error: {' '.join(str(error).split())}{hint}", file=sys.stderr)
        return error.exit_code


def positive(text: str) -> int:
    """For argparse: a whole number above 0. Errors: ArgumentTypeError for anything else."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _runs(figure: Figure) -> str:
    rounds = figure.about.get("rounds")
    if rounds:  # of a ratio, what each round said
        return f"{len(rounds)}: {min(rounds):.2f} to {max(rounds):.2f}"
    if figure.spread is None:
        return ""
    least, most = (amount(figure.spread[key], "s") for key in ("least_s", "most_s"))
    return f"{figure.spread['runs']}: {least} to {most}"
