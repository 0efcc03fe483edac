"""Figures of a report, and the runs that they are of: warmed up, several times, in turns."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DRIFT = 0.1  # the later half of the runs slower than the earlier by more than this share
_FEWEST_FOR_DRIFT = 4  # runs: two halves of two
_DIGITS = ((0, 100), (1, 10), (2, 0.1))  # behind the point, for numbers of at least that
_PAUSE_S = 0.3  # BLAS threads spin for 0.2 s after their work, on the cores that others need


@dataclass(frozen=True)
class Timing:
    """Seconds of each run, in order."""

    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    @property
    def least_s(self) -> float:
        return min(self.seconds)

    @property
    def most_s(self) -> float:
        return max(self.seconds)

    @property
    def quartiles_s(self) -> tuple[float, float]:
        """The first quartile and the third; both are the run where there is one."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    @property
    def drift(self) -> float | None:
        """How much longer the later half took than the earlier, as a share; None for few runs."""
        half = len(self.seconds) // 2
        if len(self.seconds) < _FEWEST_FOR_DRIFT:
            return None
        earlier = statistics.median(self.seconds[:half])
        return statistics.median(self.seconds[-half:]) / earlier - 1

    @property
    def is_drifting(self) -> bool:
        """Whether the machine slowed down while this was measured, as a hot one does."""
        return self.drift is not None and self.drift > DRIFT

    def scaled(self, factor: float) -> "Timing":
        """Each run's seconds times a factor: those of so many times the work."""
        return Timing(tuple(factor * second for second in self.seconds))

    def summary(self) -> dict[str, Any]:
        """The runs as a report holds them: their number, median, spread and drift."""
        return {
            "runs": len(self.seconds),
            "median_s": self.median_s,
            "least_s": self.least_s,
            "quartiles_s": list(self.quartiles_s),
            "most_s": self.most_s,
            "drift": self.drift,
            "is_drifting": self.is_drifting,
        }


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
        """Share of the ceiling that was reached; None without a ceiling."""
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


def amount(value: float, unit: str = "") -> str:
    """A number as people read it, with its unit: at least two digits that say something."""
    if unit == "s" and abs(value) < 1:
        value, unit = 1000 * value, "ms"
    if unit == "B":
        scale = 1e9 if abs(value) >= 1e9 else 1e6
        value, unit = value / scale, "GB" if scale == 1e9 else "MB"
    digits = next((digits for digits, least in _DIGITS if abs(value) >= least), 3)
    return f"{value:,.{digits}f} {unit}".rstrip()


def clock(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def measure(
    work: Callable[[], object], *, repeats: int, warmups: int = 1, limit_s: float = math.inf
) -> Timing:
    """Time work so many times after runs that do not count.

    Past ``limit_s``, warm-up included, there is one run and no other.
    """
    started_s = time.perf_counter()
    for _ in range(warmups):
        work()
    seconds = [clock(work)]
    while len(seconds) < repeats and time.perf_counter() - started_s < limit_s:
        seconds.append(clock(work))
    return Timing(tuple(seconds))


def interleave(
    works: Mapping[str, Callable[[], float]],
    *,
    repeats: int,
    warmups: int = 1,
    pause_s: float = _PAUSE_S,
) -> dict[str, Timing]:
    """Time several works in turns, so that what slows the machine down slows them all.

    Each tells its own seconds. The order is turned round each time, and the first rounds do not
    count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-warmups, repeats):
        for name in _turned(list(works), number):
            time.sleep(pause_s)
            elapsed_s = works[name]()
            if number >= 0:
                seconds[name].append(elapsed_s)
    return {name: Timing(tuple(each)) for name, each in seconds.items()}


def ratio(slower: Timing, faster: Timing) -> Timing:
    """The first work's seconds over the second's, round by round, of two that took turns."""
    pairs = zip(slower.seconds, faster.seconds, strict=True)
    return Timing(tuple(one / other for one, other in pairs))


def _turned(names: Sequence[str], number: int) -> Sequence[str]:
    return names if number % 2 else names[::-1]
