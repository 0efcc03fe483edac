"""How well taught tags are learnt: python -m benchmarks.teaching [--draws 20] [--json]

Half of the drawings teach, average precision is that over the other half. A draw is a tag, and
examples of it by chance; every figure is the mean of all draws. "Misleading" words are the tag's
vector with one and a half times that of another tag added; a mere name, as Luna, says nothing of
the looks. Asking is compared with answers about photos by chance, on a pool of 2,000 drawings and
one photo with the tag at the start. Constants were chosen on other draws (``--choosing``). Exits
with 1 where a limit is missed.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.checks import Check, four_digits, positive, run, share
from benchmarks.tagged_drawings import RARE, TAGS, Embedder, Floats, Truth
from mlx_aimv2.bench.figure import Figure
from mlx_aimv2.library.database.taught import TaughtTag
from mlx_aimv2.library.tagging.vocabulary import Tag, embed_vocabulary
from mlx_aimv2.library.teaching.classifier import Direction, Lesson, Space, learn, learn_space
from mlx_aimv2.library.teaching.confidence import learn_confidence
from mlx_aimv2.library.teaching.lessons import Learnt
from mlx_aimv2.library.teaching.questions import questions
from mlx_aimv2.training.drawings.nouns import NOUNS

REPORTED, CHOOSING, APART = 1_310_000, 1_200_000, 50_000  # first seeds
COUNTS = (1, 2, 4, 8, 16)
WIDE, RUNS = 1024, 15  # as wide as the vectors of the large checkpoints; runs that are timed
TOGETHER, ROUNDS, BY_CHANCE = 12, 8, 24  # photos asked at once, how often, and by chance
NAMES = ("Luna", "Rex", "Grandma", "Oslo", "Wedding", "To print", "Balou")
# Kinds of words, and how much above the words alone so many photos have to reach.
WORDS: dict[str, tuple[str, dict[int, float]]] = {
    "fitting": ("fitting words", dict.fromkeys(COUNTS, -0.01)),
    "misleading": ("misleading words", {16: 0.15}),
    "name": ("a mere name", {4: 0.15}),
}
NOUN_COLUMNS = [at for at, tag in enumerate(TAGS) if tag.name in NOUNS and tag.name not in RARE]
PLACE_COLUMNS = [at for at, tag in enumerate(TAGS) if tag.name not in NOUNS]


@dataclass(frozen=True)
class Drawings:
    """Drawings that teach, and those that are held out, with the words of tags and of names.

    Shapes: (N, P), (N, T), (T, P), (K, P).
    """

    rows: Floats
    truth: Truth
    held: Floats
    held_truth: Truth
    words: Floats
    names: Floats
    scale: float

    @cached_property
    def space(self) -> Space:
        return learn_space(self.rows)


class Pool:
    """The photos of a library, as questions are chosen from them."""

    def __init__(self, rows: Floats) -> None:
        self.vectors, self.rows = rows, np.arange(len(rows))

    def take(self, rows: NDArray[np.int64]) -> Floats:
        return self.vectors[rows]


def average_precision(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """The mean, over what is true, of the share that is true down to there."""
    sorted_truth = truth[np.argsort(-scores, kind="stable")]
    shares = sorted_truth.cumsum() / np.arange(1, len(truth) + 1)
    return float(shares[sorted_truth].mean())


def taught(
    drawings: Drawings, answers: dict[int, bool], words: Floats | None, rng: np.random.Generator
) -> tuple[Direction, NDArray[np.int64]]:
    """What answers teach, and the other drawings in the order they were drawn from."""
    yes = [row for row, has in answers.items() if has]
    no = [row for row, has in answers.items() if not has]
    rest = rng.permutation(np.setdiff1d(np.arange(len(drawings.rows)), list(answers)))
    random = max(100, 300 - len(answers))
    rows = drawings.rows
    lesson = Lesson(
        rows[yes], rows[no], rows[rest[:random]], rows[rest[random : random + 1000]], words,
        drawings.scale,
    )  # fmt: skip
    return learn(lesson, drawings.space), rest


def quality(
    drawings: Drawings, draw: int, columns: list[int], count: int, kind: str, *, rejected: bool
) -> float:
    """The average precision that so many examples of a tag reach in a draw."""
    rng = np.random.default_rng(draw)
    tag, other = rng.choice(columns), rng.integers(len(TAGS))
    having = rng.permutation(np.flatnonzero(drawings.truth[:, tag]))[:count]
    name = drawings.names[draw % len(drawings.names)]
    words = {"none": None, "fitting": drawings.words[tag], "name": name}.get(kind)
    if kind == "misleading":
        mixed = drawings.words[tag] + 1.5 * drawings.words[other if other != tag else other - 1]
        words = mixed / np.linalg.norm(mixed)
    answers = dict.fromkeys(having.tolist(), True)
    if rejected:  # the wrong ones that look most like what is known so far
        looks = drawings.rows[having].mean(axis=0) if words is None else words
        wrong = np.flatnonzero(~drawings.truth[:, tag])
        order = np.argsort(-(drawings.rows[wrong] @ looks), kind="stable")
        answers |= dict.fromkeys(wrong[order[:count]].tolist(), False)
    if count:
        direction, _ = taught(drawings, answers, words, rng)
        scores = direction.scores(drawings.held)
    else:
        assert words is not None
        scores = drawings.held @ words
    return average_precision(scores, drawings.held_truth[:, tag])


def mean(drawings: Drawings, draws: int, *about: object, rejected: bool = False) -> float:
    """The mean of :func:`quality` over draws."""
    found = [quality(drawings, each, *about, rejected=rejected) for each in range(draws)]  # type: ignore[arg-type]
    return float(np.mean(found))


def learnt_by(drawings: Drawings, draw: int, columns: list[int], *, is_asked: bool) -> list[float]:
    """Average precision after each dozen of answers, asked or by chance."""
    rng = np.random.default_rng(draw)
    tag = rng.choice(columns)
    truth = drawings.truth[:, tag]
    answers = {int(rng.choice(np.flatnonzero(truth))): True}
    pool, found = Pool(drawings.rows), []
    for _ in range(ROUNDS if is_asked else BY_CHANCE):
        direction, rest = taught(drawings, answers, None, rng)
        found.append(
            average_precision(direction.scores(drawings.held), drawings.held_truth[:, tag])
        )
        scores = direction.scores(drawings.rows)
        asked = rest[:TOGETHER]
        if is_asked:
            sure = learn_confidence(scores[rest], direction.yes_left_out)
            known = Learnt(TaughtTag(TAGS[tag].name, None), direction, sure, 1, 1, answers)
            asked = questions(pool, known, scores, TOGETHER)  # type: ignore[arg-type]
        answers |= {int(row): bool(truth[row]) for row in asked}
    return found


def asking(drawings: Drawings, draws: int) -> Check:
    """The share of the answers by which asking reaches the best that answers by chance reach;
    infinite where asking does not."""
    curves = {
        is_asked: np.mean(
            [learnt_by(drawings, each, NOUN_COLUMNS, is_asked=is_asked) for each in range(draws)],
            axis=0,
        )
        for is_asked in (True, False)
    }
    aim = curves[False].max()
    reached = np.flatnonzero(curves[True] >= aim)
    by_chance = int(np.argmax(curves[False] >= aim))
    ratio = float(reached[0] / by_chance) if len(reached) and by_chance else float("inf")
    name = f"asked answers, of {by_chance * TOGETHER} by chance, to the same {aim:.3f}"
    return Check(Figure("quality", name, ratio, ""), at_most=0.7)


def times(drawings: Drawings, rows: int) -> Iterator[Check]:
    """Milliseconds to learn from 256 answers, seconds to score a library anew."""
    rng = np.random.default_rng(0)
    width = drawings.rows.shape[1]
    turned = rng.normal(size=(width, WIDE)).astype(np.float32) / np.sqrt(np.float32(WIDE))
    for change in (np.eye(width, dtype=np.float32), turned):
        took, direction = learning_times(drawings, change)
        name = f"learning anew at 256 answers, width {change.shape[1]}"
        yield Check(Figure("time", name, median(took), "ms"), at_most=50)
    library = np.resize(drawings.rows @ turned, (rows, WIDE)).astype(np.float16)
    start = perf_counter()
    scores = np.concatenate(
        [
            direction.scores(library[first : first + 8192].astype(np.float32))
            for first in range(0, rows, 8192)
        ]
    )
    learn_confidence(scores[:: max(1, rows // 8192)], direction.yes_left_out).of(scores)
    name = f"scoring {rows:,} rows anew, width {WIDE}"
    yield Check(Figure("time", name, perf_counter() - start, "s"), at_most=1)


def learning_times(drawings: Drawings, change: Floats) -> tuple[list[float], Direction]:
    """Milliseconds of each run, of vectors that are changed to another width. Shapes: (P, Q)."""
    rows, words = drawings.rows @ change, drawings.words @ change
    tag = int(drawings.truth.sum(axis=0).argmax())
    having, lacking = (np.flatnonzero(drawings.truth[:, tag] == has)[:128] for has in (True, False))
    lesson = Lesson(
        rows[having], rows[lacking], rows[-100:], rows[-1100:-100], words[tag], drawings.scale
    )
    space, took = learn_space(rows), []
    for _ in range(RUNS):
        start = perf_counter()
        direction = learn(lesson, space)
        took.append(1000 * (perf_counter() - start))
    return took, direction


def teaching_figures(
    embedder: Embedder,
    scale: float,
    *,
    number: int = 2000,
    draws: int = 20,
    rows: int = 100_000,
    first: int = REPORTED,
) -> Iterator[Check]:
    """All figures of taught tags, with their limits."""
    teach, held = (embedder.drawings(number, first + step * APART) for step in (0, 1))
    words, names = (
        embed_vocabulary(tags, embedder.texts)
        for tags in (TAGS, [Tag((name,), (name,)) for name in NAMES])
    )
    drawings = Drawings(*teach, *held, words, names, scale)
    every = NOUN_COLUMNS + PLACE_COLUMNS
    for kind, (label, gains) in WORDS.items():
        text = mean(drawings, draws, every, 0, kind)
        yield share(f"AP, {label} alone", text)
        for count in COUNTS:
            found = mean(drawings, draws, every, count, kind)
            limit = text + gains[count] if count in gains else None
            yield share(f"AP, {label} and {count} photos", found, limit)
    parts = {"places": (PLACE_COLUMNS, {4: 0.95}), "nouns": (NOUN_COLUMNS, {16: 0.60})}
    for name, (columns, limits) in parts.items():
        for count in COUNTS:
            plain = mean(drawings, draws, columns, count, "none")
            yield share(f"AP, {name} without words, {count} photos", plain, limits.get(count))
            more = mean(drawings, draws, columns, count, "none", rejected=True)
            label = f"AP, {name} without words, {count} photos and as many rejected look-alikes"
            yield share(label, more, plain)
    yield asking(drawings, max(2, draws // 2))
    yield from times(drawings, rows)


def measure(options: argparse.Namespace) -> Iterator[Check]:
    """The figures, as the command's options say."""
    model = aimv2.load(options.source)
    yield from teaching_figures(
        Embedder(model, options.keep),
        model.logit_scale,
        number=options.number,
        draws=options.draws,
        rows=options.rows,
        first=CHOOSING if options.choosing else REPORTED,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="demo", help="a checkpoint that knows the drawings")
    parser.add_argument("--number", type=positive, default=2000, help="drawings in each half")
    parser.add_argument("--draws", type=positive, default=20)
    parser.add_argument("--rows", type=positive, default=100_000, help="photos that are timed")
    parser.add_argument("--keep", type=Path, help="keep the vectors here for another run")
    parser.add_argument(
        "--choosing", action="store_true", help="on the draws that constants were chosen on"
    )
    return run(parser, measure, four_digits)


if __name__ == "__main__":
    raise SystemExit(main())
