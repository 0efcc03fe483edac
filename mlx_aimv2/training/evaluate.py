"""How well a checkpoint knows drawings it has not seen: zero-shot labels, search, colours, places.

python -m mlx_aimv2.training.evaluate SOURCE [--number N] [--against OTHER] [--json]
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.inference.model import Model, load

from .data_loader import Arrays, load_batches
from .drawings.captions import NUMBERS, with_article
from .drawings.nouns import COLOURS, GLYPHS, NOUNS
from .drawings.places import PLACES
from .drawings.scene import HELD_OUT, Kind, Scene, paint, plan

Vectors = NDArray[np.float32]
EmbedImages = Callable[[list[Image.Image]], Vectors]
EmbedTexts = Callable[[list[str]], Vectors]

_SIDE_PX, _BATCH_SIZE = 112, 50
TEMPLATES = ("{}", "a photo of {}", "a drawing of {}", "a picture of {}")


@dataclass(frozen=True)
class Figures:
    """What was measured; shares are of 1. Chance is one over the number of labels."""

    drawings: int
    nouns: int
    single_top1: float
    single_top5: float
    several_top1: float
    several_precision: float
    colours_top1: float
    places_top1: float
    counts_top1: float
    search_precision_at_10: float


def measure(embed_images: EmbedImages, embed_texts: EmbedTexts, *, number: int = 1000) -> Figures:
    """Measure on held-out drawings: ``number`` of each kind, twice as many for search.

    single_top1: one object, all nouns as labels. several_top1: pictures of two to four nouns,
    the best label is one of them. several_precision: share of the n best labels of a picture
    with n nouns that are true. colours, counts: "a red car" against the other colours, "three
    cars" against other numbers. search: the ten best of mixed drawings for each noun.
    """
    labels = label_vectors([with_article(noun) for noun in NOUNS], embed_texts)
    single, singles = _held_out(embed_images, "single", number, 0)
    several, severals = _held_out(embed_images, "several", number, number)
    counted, counteds = _held_out(embed_images, "counted", max(1, number // 2), 2 * number)
    mixed, mixeds = _held_out(embed_images, None, 2 * number, 3 * number)
    order = np.argsort(-(singles @ labels.T), axis=1)
    true = np.array([NOUNS.index(scene.kinds[0][0]) for scene in single])
    top1, precision = _several(severals @ labels.T, several)
    return Figures(
        drawings=number,
        nouns=len(NOUNS),
        single_top1=float((order[:, 0] == true).mean()),
        single_top5=float((order[:, :5] == true[:, None]).any(axis=1).mean()),
        several_top1=top1,
        several_precision=precision,
        colours_top1=_colours(singles, single, embed_texts),
        places_top1=_places(np.concatenate([singles, severals]), [*single, *several], embed_texts),
        counts_top1=_counts(counteds, counted, embed_texts),
        search_precision_at_10=_search(mixeds @ labels.T, mixed),
    )


def least_cosine(first: EmbedImages, second: EmbedImages, *, number: int = 200) -> float:
    """The smallest cosine between two encoders' vectors of the same held-out drawings."""
    (_, ours), (_, theirs) = (_held_out(embed, None, number, 0) for embed in (first, second))
    return float((ours * theirs).sum(axis=1).min())


def label_vectors(labels: Sequence[str], embed_texts: EmbedTexts) -> Vectors:
    """One unit vector a label: the mean over the templates. Shapes: L -> (L, P)."""
    texts = [template.format(label) for label in labels for template in TEMPLATES]
    vectors = embed_texts(texts).reshape(len(labels), len(TEMPLATES), -1).mean(axis=1)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _held_out(
    embed_images: EmbedImages, kind: Kind | None, number: int, first: int
) -> tuple[list[Scene], Vectors]:
    """Scenes that no training has seen, and the vectors of their drawings."""
    seeds = range(HELD_OUT + first, HELD_OUT + first + number)
    scenes = [plan(seed, kind=kind) for seed in seeds]

    def drawn(numbers: list[int]) -> Arrays:
        pictures = [paint(scenes[index], _SIDE_PX, _SIDE_PX)[0] for index in numbers]
        return {"pixels": np.stack([np.asarray(picture) for picture in pictures])}

    vectors = [
        embed_images([Image.fromarray(picture) for picture in batch["pixels"]])
        for batch in load_batches(range(number), _BATCH_SIZE, drawn)
    ]
    return scenes, np.concatenate(vectors)


def _several(scores: Vectors, scenes: list[Scene]) -> tuple[float, float]:
    hits, shares = [], []
    for row, scene in zip(scores, scenes, strict=True):
        present = {NOUNS.index(noun) for noun, _ in scene.kinds}
        best = np.argsort(-row)[: len(present)]
        hits.append(int(best[0]) in present)
        shares.append(len(present.intersection(best.tolist())) / len(present))
    return float(np.mean(hits)), float(np.mean(shares))


def _colours(vectors: Vectors, scenes: list[Scene], embed_texts: EmbedTexts) -> float:
    colours = list(COLOURS)
    texts = [with_article(f"{colour} {noun}") for noun in NOUNS for colour in colours]
    labels = label_vectors(texts, embed_texts).reshape(len(NOUNS), len(colours), -1)
    return _share_right(
        (labels[NOUNS.index(noun)] @ vector, colours.index(colour))
        for vector, scene in zip(vectors, scenes, strict=True)
        for noun, colour in scene.kinds
    )


def _places(vectors: Vectors, scenes: list[Scene], embed_texts: EmbedTexts) -> float:
    places = list(PLACES)
    labels = label_vectors([place.alone[0] for place in PLACES.values()], embed_texts)
    return _share_right(
        (labels @ vector, places.index(scene.place))
        for vector, scene in zip(vectors, scenes, strict=True)
        if scene.place is not None
    )


def _counts(vectors: Vectors, scenes: list[Scene], embed_texts: EmbedTexts) -> float:
    counts = range(2, 6)
    texts = [f"{NUMBERS[count]} {GLYPHS[noun].plural}" for noun in NOUNS for count in counts]
    labels = label_vectors(texts, embed_texts).reshape(len(NOUNS), len(counts), -1)
    return _share_right(
        (labels[NOUNS.index(scene.kinds[0][0])] @ vector, counts.index(len(scene.kinds)))
        for vector, scene in zip(vectors, scenes, strict=True)
    )


def _share_right(answers: Iterable[tuple[Vectors, int]]) -> float:
    """How often the highest of the scores is the one at that place."""
    return float(np.mean([int(np.argmax(scores)) == place for scores, place in answers]))


def _search(scores: Vectors, scenes: list[Scene]) -> float:
    present = np.array([[noun in dict(scene.kinds) for noun in NOUNS] for scene in scenes])
    best = np.argsort(-scores, axis=0)[:10]  # (10, nouns)
    enough = present.sum(axis=0) >= 10
    precision = np.take_along_axis(present, best, axis=0).mean(axis=0)
    return float(precision[enough].mean()) if enough.any() else float("nan")


def encoders_of(model: Model) -> tuple[EmbedImages, EmbedTexts]:
    """How ``measure`` embeds with a loaded model."""

    def embed_images(images: list[Image.Image]) -> Vectors:
        return np.array(model.embed_images(images))

    def embed_texts(texts: list[str]) -> Vectors:
        return np.array(model.embed_texts(texts))

    return embed_images, embed_texts


def main(arguments: list[str] | None = None) -> None:
    """Measure a checkpoint and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m mlx_aimv2.training.evaluate", description=__doc__
    )
    parser.add_argument("source", help='a checkpoint with a text tower: "demo", or a folder')
    parser.add_argument("--number", type=int, default=1000, help="drawings of each kind")
    parser.add_argument("--against", help="also: the smallest cosine to this checkpoint's vectors")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.number < 1:
        parser.error("--number is at least 1")
    embed_images, embed_texts = encoders_of(load(options.source))
    figures = asdict(measure(embed_images, embed_texts, number=options.number))
    if options.against:
        other, _ = encoders_of(load(options.against))
        figures["least_cosine"] = least_cosine(embed_images, other)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:24} {value if isinstance(value, int) else format(value, '.4f')}")


if __name__ == "__main__":
    try:
        main()
    except Aimv2Error as problem:
        sys.exit(f"error: {problem}\nhint: {problem.hint}")
