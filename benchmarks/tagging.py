"""How well tags fit drawings with known content: `python -m benchmarks.tagging`, as Markdown.

The calibrated method of docs/tagging.md against one threshold for all tags on raw cosines: the
best there is for drawings in which all nouns are as common, as a program would ship it, and the
best for the very drawings that are measured, which nobody knows. There every other noun is ten
times as rare as the rest. Every figure is computed here and now.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.checks import positive
from mlx_aimv2.inference.zero_shot import BACKGROUND
from mlx_aimv2.library.tagging import calibration
from mlx_aimv2.library.tagging.vocabulary import Tag, embed_vocabulary
from mlx_aimv2.training.drawings.nouns import GLYPHS, NOUNS
from mlx_aimv2.training.drawings.places import PLACES
from mlx_aimv2.training.drawings.scene import HELD_OUT, Drawing, Kind, draw, plan
from mlx_aimv2.training.evaluate import encoders_of

Truth = NDArray[np.bool_]
Values = NDArray[np.float64]

TAGS = (
    *(Tag(("Things", noun), tuple(dict.fromkeys((noun, GLYPHS[noun].plural)))) for noun in NOUNS),
    *(Tag(("Places", place), (place,)) for place in PLACES),
)
RARE = frozenset(NOUNS[1::2])
RARITY = 0.1
KINDS: tuple[Kind, ...] = ("single", "several", "several", "counted", "several")

# Where the seeds begin: what the default was chosen on, the baseline's own half, the figures.
CHOOSING, HALF, REPORT = 600_000, 900_000, 800_000
BATCH = 64
BEST = "one threshold, the best for these drawings"
SHIPPED = "one threshold, chosen on others"
CALIBRATED = "calibrated"


@dataclass(frozen=True)
class Figures:
    """Shares of 1 for each tag. Shapes: (T,)."""

    precision: Values
    recall: Values
    f1: Values


def figures(chosen: Truth, truth: Truth) -> Figures:
    """What was chosen against what is true. Shapes: (N, T), (N, T)."""
    hits = (chosen & truth).sum(axis=0)
    given, there = chosen.sum(axis=0), truth.sum(axis=0)
    return Figures(
        hits / np.maximum(given, 1), hits / np.maximum(there, 1), 2 * hits / (given + there)
    )


def drawings(number: int, first: int, rarity: float) -> Iterator[Drawing]:
    """Held-out drawings of several kinds, where rare nouns are that much rarer."""
    rng = random.Random(f"tagging {first}")
    seed = HELD_OUT + first
    for index in range(number):
        kind = KINDS[index % len(KINDS)]
        while True:
            nouns = {thing.noun for thing in plan(seed, kind=kind).things}
            if rng.random() < rarity ** len(nouns & RARE):
                break
            seed += 1
        yield draw(seed, kind=kind)
        seed += 1


def pictures(
    model: aimv2.Model, number: int, first: int, rarity: float = RARITY
) -> tuple[NDArray[np.float32], Truth]:
    """Vectors of drawings, and which tag is true of which. Shapes: (N, P), (N, T)."""
    embed_images, _ = encoders_of(model)
    vectors, truth, batch = [], [], []
    for drawing in drawings(number, first, rarity):
        names = {noun for noun, _ in drawing.kinds} | {drawing.place}
        truth.append([tag.name in names for tag in TAGS])
        batch.append(drawing.image)
        if len(batch) == BATCH or len(truth) == number:
            vectors.append(embed_images(batch))
            batch = []
    return np.concatenate(vectors), np.array(truth)


def best_threshold(scores: NDArray[np.float32], truth: Truth) -> float:
    """The threshold with the best macro F1 that one threshold for all tags can have."""
    tried = np.quantile(scores, np.linspace(0.5, 0.9999, 600))
    return float(max(tried, key=lambda value: figures(scores >= value, truth).f1.mean()))


def methods(
    model: aimv2.Model, number: int, first: int = REPORT
) -> tuple[Truth, dict[str, Figures]]:
    """Which tag is true of which drawing, and the figures of each method, by its name."""
    _, embed_texts = encoders_of(model)
    tags = embed_vocabulary(TAGS, embed_texts)
    vectors, truth = pictures(model, number, first)
    others, others_truth = pictures(model, number, HALF, rarity=1.0)
    raw = vectors @ tags.T
    shipped = best_threshold(others @ tags.T, others_truth)
    fitted = calibration.fit([vectors], tags, embed_texts(list(BACKGROUND)))
    confidence = fitted.confidence(vectors)
    chosen = {
        BEST: raw >= best_threshold(raw, truth),
        SHIPPED: raw >= shipped,
        CALIBRATED: calibration.choose(confidence),
    }
    for value in (0.05, 0.1, 0.25, 0.5, 0.75):
        chosen[f"calibrated, confidence from {value}"] = calibration.choose(confidence, value)
    return truth, {name: figures(each, truth) for name, each in chosen.items()}


def row(name: str, values: Figures) -> str:
    """A line of the table: macro figures, F1 of rare tags and of common ones."""
    rare = np.array([tag.name in RARE for tag in TAGS])
    numbers = [values.precision.mean(), values.recall.mean(), values.f1.mean()]
    numbers += [values.f1[rare].mean(), values.f1[~rare].mean()]
    return f"| {name} | {' | '.join(f'{number:.3f}' for number in numbers)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="demo", help="a checkpoint that knows the drawings")
    parser.add_argument("--number", type=positive, default=2000, help="drawings")
    parser.add_argument(
        "--choosing", action="store_true", help="on the drawings that the default was chosen on"
    )
    options = parser.parse_args()
    first = CHOOSING if options.choosing else REPORT
    truth, found = methods(aimv2.load(options.source), options.number, first)
    print(
        f"{len(truth)} drawings, {len(TAGS)} tags, {truth.sum() / len(truth):.2f} true of each.\n"
    )
    print("| method | precision | recall | F1 | F1, rare | F1, common |\n|---|---|---|---|---|---|")
    for name, values in found.items():
        print(row(name, values))
    print("\n| tag | drawings | precision | recall | F1 | one threshold: F1 |")
    print("|---|---|---|---|---|---|")
    ours, baseline = found[CALIBRATED], found[BEST]
    for index, tag in enumerate(TAGS):
        numbers = (ours.precision, ours.recall, ours.f1, baseline.f1)
        cells = " | ".join(f"{values[index]:.2f}" for values in numbers)
        print(f"| {tag.name} | {truth[:, index].sum()} | {cells} |")


if __name__ == "__main__":
    main()
