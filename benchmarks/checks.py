"""What the scripts share: figures with a limit each, printed side by side, and the exit code."""

import json
import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from mlx_aimv2.bench.conditions import conditions
from mlx_aimv2.bench.figure import Figure, amount
from mlx_aimv2.errors import Aimv2Error


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

    def limit(self, shown: Callable[[float, str], str] = amount) -> str:
        """The limit as people read it, and "missed" where it was."""
        unit = self.figure.unit
        words = []
        if self.at_least is not None:
            words.append(f"at least {shown(self.at_least, unit)}")
        if self.at_most is not None:
            words.append(f"at most {shown(self.at_most, unit)}")
        return ", ".join(words) + ("" if self.is_met else " (missed)")


def share(name: str, value: float, at_least: float | None = None) -> Check:
    """A share of 1, and the least it may be."""
    return Check(Figure("quality", name, value, ""), at_least)


def four_digits(value: float, unit: str) -> str:
    """A number whose thousandths say something."""
    return f"{value:.4f} {unit}".rstrip()


def run(
    parser: ArgumentParser,
    measure: Callable[[Namespace], Iterable[Check]],
    shown: Callable[[float, str], str] = amount,
) -> int:
    """Measure as a script's options say and print each figure, its limit and the conditions.

    The exit code: 0 where every limit is met, 1 where one is missed, of an error its own.
    """
    parser.add_argument("--json", action="store_true", dest="as_json", help="one line, no table")
    options = parser.parse_args()

    def work() -> int:
        if not options.as_json:
            print(json.dumps(conditions()), end="\n\n", flush=True)
            return show(measure(options), shown)
        found = list(measure(options))
        figures = [asdict(each) | {"is_met": each.is_met} for each in found]
        print(json.dumps({"conditions": conditions(), "figures": figures}))
        return int(not all(each.is_met for each in found))

    return reported(work)


def show(checks: Iterable[Check], shown: Callable[[float, str], str] = amount) -> int:
    """Print lines of a Markdown table as figures come; 0 where every limit is met, else 1."""
    print("| what | figure | runs | limit |\n|---|---:|---|---|")
    is_met = True
    for check in checks:
        figure = check.figure
        is_measured = not math.isnan(figure.value)
        value = shown(figure.value, figure.unit) if is_measured else "not measured"
        cells = (figure.name, value, _runs(figure), check.limit(shown))
        print(f"| {' | '.join(cells)} |", flush=True)
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
