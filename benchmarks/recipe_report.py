"""What ``benchmarks.recipe`` prints and draws: its objectives, results and their differences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import UsageError
from mlx_aimv2.training.evaluate import Figures


@dataclass(frozen=True)
class Objective:
    """An objective as settings of a pre-training, and what the paper has of it.

    Units: ``paper`` in percent: IN-1k by attentive probe; VQAv2 and TextVQA after tuning an LLM.
    Source: AIMv2 paper, table 9a.
    """

    title: str
    words: tuple[str, ...]
    paper: tuple[float, float, float]


UNTRAINED, PAPERS = "untrained", "paper"
_POINTS = 100  # of a line of losses, each a mean of so many steps
OBJECTIVES = {
    "captions-full": Objective(
        "captions, full attention", ("pixel_weight=0", "prefix=false"), (85.1, 76.2, 34.4)
    ),
    "captions-prefix": Objective("captions, prefix", ("pixel_weight=0",), (85.4, 76.8, 36.5)),
    "pixels": Objective("pixels, prefix", ("text_weight=0",), (72.0, 65.4, 12.7)),
    PAPERS: Objective("both, prefix (AIMv2)", (), (85.6, 76.9, 37.5)),
}
PROTOCOLS = ("probe", "zero-shot")
PAIRS = (
    ("captions-prefix", "captions-full"),
    (PAPERS, "captions-prefix"),
    (PAPERS, "captions-full"),
    (PAPERS, "pixels"),
    (PAPERS, UNTRAINED),
    ("pixels", UNTRAINED),
)


@dataclass(frozen=True)
class Result:
    """What came of an objective and a seed.

    ``shares`` are accuracies by protocol, from 0 to 1; ``hits`` a 1 or a 0 for each test drawing.
    ``minutes`` are of all of it, ``cores`` how many this process had on average; ``load`` is the
    machine's at the end, over five minutes.
    """

    objective: str
    seed: int
    shares: Mapping[str, float]
    hits: Mapping[str, str]
    minutes: float
    cores: float
    load: float

    @property
    def title(self) -> str:
        """The objective in words."""
        return _title(self.objective)


def tables(results: Sequence[Result]) -> Iterator[str]:
    """Lines of two Markdown tables: accuracies, and differences with their standard errors."""
    seeds = sorted({result.seed for result in results})
    drawings = len(results[0].hits["probe"])
    yield f"{drawings:,} test drawings; seeds: {', '.join(map(str, seeds))}. In percent.\n"
    yield "| objective | probe | LiT, zero-shot | paper: IN-1k, probe | VQAv2 | TextVQA |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name in (UNTRAINED, *OBJECTIVES):
        ours = [_accuracy(_hits(results, name, protocol)) for protocol in PROTOCOLS]
        theirs = map(str, OBJECTIVES[name].paper) if name in OBJECTIVES else ("", "", "")
        yield f"| {' | '.join((_title(name), *ours, *theirs))} |"
    yield "\n| difference, in points | probe | LiT, zero-shot | paper: IN-1k, probe |"
    yield "|---|---:|---:|---:|"
    for one, other in PAIRS:
        ours = [
            _difference(*(_hits(results, name, protocol) for name in (one, other)))
            for protocol in PROTOCOLS
        ]
        paper = ""
        if other in OBJECTIVES:
            paper = f"{OBJECTIVES[one].paper[0] - OBJECTIVES[other].paper[0]:+.1f}"
        yield f"| {' | '.join((f'{_title(one)} − {_title(other)}', *ours, paper))} |"


def demo_table(figures: Mapping[str, Figures]) -> Iterator[str]:
    """Lines of a Markdown table: figures of checkpoints beside each other."""
    yield f"| | {' | '.join(figures)} |"
    yield f"|---|{'---:|' * len(figures)}"
    for field in fields(Figures):
        if field.name not in ("drawings", "nouns"):
            shares = (f"{getattr(each, field.name):.1%}" for each in figures.values())
            yield f"| {field.name.replace('_', ' ')} | {' | '.join(shares)} |"


def conditions_table(results: Sequence[Result]) -> Iterator[str]:
    """Lines of a Markdown table: minutes of each run, cores that it had, load of the machine."""
    yield "| run | seed | minutes | cores that it had | load of the machine |"
    yield "|---|---:|---:|---:|---:|"
    for each in results:
        numbers = f"{each.seed} | {each.minutes:.1f} | {each.cores:.2f} | {each.load:.1f}"
        yield f"| {each.title} | {numbers} |"
    yield f"\n{sum(each.minutes for each in results):.0f} minutes in all."


def draw(
    results: Sequence[Result], logs: Mapping[str, Sequence[dict[str, Any]]], file: Path
) -> None:
    """Draw accuracies with their standard errors, and the losses of the first seed.

    Errors: UsageError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "pictures are drawn with matplotlib, which is not installed",
            hint=install_hints.extra("train"),
        ) from error
    sheet = Figure(figsize=(11, 3.6), layout="constrained")
    bars, *losses = sheet.subplots(1, 3)
    names = [UNTRAINED, *OBJECTIVES]
    for number, protocol in enumerate(PROTOCOLS):
        found = [_mean_and_error(_hits(results, name, protocol)) for name in names]
        places = np.arange(len(names)) + 0.4 * (number - 0.5)
        heights, errors = np.array(found).T * 100
        bars.bar(places, heights, 0.38, yerr=errors, label=protocol)
    bars.set_xticks(
        range(len(names)), [_title(name).replace(", ", ",\n") for name in names], fontsize=6
    )
    bars.set_ylabel("accuracy, %")
    for axes, part in zip(losses, ("text", "pixel"), strict=True):
        for number, (name, lines) in enumerate(logs.items()):
            if part in lines[0]:
                values = np.array([line[part] for line in lines])
                size = max(1, len(values) // _POINTS)
                means = values[: len(values) // size * size].reshape(-1, size).mean(axis=1)
                axes.plot(
                    size * (1 + np.arange(len(means))), means, f"C{number}", label=_title(name)
                )
        axes.set_xlabel("step")
        axes.set_yscale("log")
        axes.set_ylabel({"text": "loss of a word", "pixel": "loss of a patch"}[part])
    for axes in (bars, *losses):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=6)
    sheet.savefig(file, dpi=110)


def _title(name: str) -> str:
    return OBJECTIVES[name].title if name in OBJECTIVES else "untrained"


def _hits(results: Sequence[Result], name: str, protocol: str) -> NDArray[np.float64]:
    """Which drawings were right. Shapes: (seeds, n)."""
    found = [each.hits[protocol] for each in results if each.objective == name]
    return np.array([list(map(int, hits)) for hits in found], float)


def _mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """The mean over drawings of what all seeds make of each, and its standard error."""
    each = values.mean(axis=0)
    return float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)


def _accuracy(hits: NDArray[np.float64]) -> str:
    value, error = _mean_and_error(hits)
    return f"{100 * value:.1f} ± {100 * error:.1f}"


def _difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """A difference, its error over the same drawings and, of several seeds, over seeds."""
    value, error = _mean_and_error(one - other)
    shown = f"{100 * value:+.1f} ± {100 * error:.1f}"
    if len(one) > 1:
        by_seed = (one - other).mean(axis=1)
        shown += f" (seeds ± {100 * by_seed.std(ddof=1) / len(one) ** 0.5:.1f})"
    return shown
