"""How well a checkpoint knows drawings it has not seen: zero-shot labels, search, colours, places.

python -m mlx_aimv2.training.evaluate SOURCE [--number N] [--against OTHER] [--json]
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.inference.model import Model, load

from .drawings.captions import NUMBERS, with_article
from .drawings.nouns import COLOURS, GLYPHS, NOUNS
from .drawings.places import PLACES
from .drawings.scene import HELD_OUT, Drawing, Kind, draw

Vectors = NDArray[np.float32]
EmbedImages = Callable[[list[Image.Image]], Vectors]
EmbedTexts = Callable[[list[str]], Vectors]

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

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def measure(embed_images: EmbedImages, embed_texts: EmbedTexts, *, number: int = 1000) -> Figures:
    """Measure on held-out drawings: ``number`` of each kind, twice as many for search.

    single_top1: one object, all nouns as labels. several_top1: pictures of two to four nouns,
    the best label is one of them. several_precision: share of the n best labels of a picture
    with n nouns that are true. colours, counts: "a red car" against the other colours, "three
    cars" against other numbers. search: the ten best of mixed drawings for each noun.
    """
    labels = label_vectors([with_article(noun) for noun in NOUNS], embed_texts)
    single = _held_out("single", number, 0)
    singles = embed_images([drawing.image for drawing in single])
    order = np.argsort(-(singles @ labels.T), axis=1)
    true = np.array([NOUNS.index(drawing.objects[0][0]) for drawing in single])
    several = _held_out("several", number, number)
    severals = embed_images([drawing.image for drawing in several])
    top1, precision = _several(severals @ labels.T, several)
    counted = _held_out("counted", number // 2, 2 * number)
    return Figures(
        drawings=number,
        nouns=len(NOUNS),
        single_top1=float((order[:, 0] == true).mean()),
        single_top5=float((order[:, :5] == true[:, None]).any(axis=1).mean()),
        several_top1=top1,
        several_precision=precision,
        colours_top1=_colours(singles, single, embed_texts),
        places_top1=_places(np.concatenate([singles, severals]), [*single, *several], embed_texts),
        counts_top1=_counts(embed_images([d.image for d in counted]), counted, embed_texts),
        search_precision_at_10=_search(embed_images, labels, 2 * number, 3 * number),
    )


def least_cosine(first: EmbedImages, second: EmbedImages, *, number: int = 200) -> float:
    """The smallest cosine between two encoders' vectors of the same held-out drawings."""
    images = [drawing.image for drawing in _held_out(None, number, 0)]
    return float((first(images) * second(images)).sum(axis=1).min())


def label_vectors(labels: Sequence[str], embed_texts: EmbedTexts) -> Vectors:
    """One unit vector a label: the mean over the templates. Shapes: L -> (L, P)."""
    texts = [template.format(label) for label in labels for template in TEMPLATES]
    vectors = embed_texts(texts).reshape(len(labels), len(TEMPLATES), -1).mean(axis=1)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _held_out(kind: Kind | None, number: int, first: int) -> list[Drawing]:
    return [draw(HELD_OUT + first + index, kind=kind) for index in range(number)]


def _several(scores: Vectors, drawings: list[Drawing]) -> tuple[float, float]:
    hits, shares = [], []
    for row, drawing in zip(scores, drawings, strict=True):
        present = {NOUNS.index(noun) for noun, _, _ in drawing.objects}
        best = np.argsort(-row)[: len(present)]
        hits.append(int(best[0]) in present)
        shares.append(len(present.intersection(best.tolist())) / len(present))
    return float(np.mean(hits)), float(np.mean(shares))


def _colours(vectors: Vectors, drawings: list[Drawing], embed_texts: EmbedTexts) -> float:
    colours = list(COLOURS)
    labels = label_vectors(
        [with_article(f"{colour} {noun}") for noun in NOUNS for colour in colours], embed_texts
    ).reshape(len(NOUNS), len(colours), -1)
    hits = [
        colours[int(np.argmax(labels[NOUNS.index(noun)] @ vector))] == colour
        for vector, drawing in zip(vectors, drawings, strict=True)
        for noun, colour, _ in drawing.objects
    ]
    return float(np.mean(hits))


def _places(vectors: Vectors, drawings: list[Drawing], embed_texts: EmbedTexts) -> float:
    places = list(PLACES)
    labels = label_vectors([place.alone[0] for place in PLACES.values()], embed_texts)
    hits = [
        places[int(np.argmax(labels @ vector))] == drawing.place
        for vector, drawing in zip(vectors, drawings, strict=True)
        if drawing.place is not None
    ]
    return float(np.mean(hits))


def _counts(vectors: Vectors, drawings: list[Drawing], embed_texts: EmbedTexts) -> float:
    counts = range(2, 6)
    labels = label_vectors(
        [f"{NUMBERS[count]} {GLYPHS[noun].plural}" for noun in NOUNS for count in counts],
        embed_texts,
    ).reshape(len(NOUNS), len(counts), -1)
    hits = [
        counts[int(np.argmax(labels[NOUNS.index(drawing.objects[0][0])] @ vector))]
        == len(drawing.objects)
        for vector, drawing in zip(vectors, drawings, strict=True)
    ]
    return float(np.mean(hits))


def _search(embed_images: EmbedImages, labels: Vectors, number: int, first: int) -> float:
    drawings = _held_out(None, number, first)
    vectors = embed_images([drawing.image for drawing in drawings])
    present = np.array(
        [[noun in {name for name, _, _ in d.objects} for noun in NOUNS] for d in drawings]
    )
    best = np.argsort(-(vectors @ labels.T), axis=0)[:10]  # (10, nouns)
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
    embed_images, embed_texts = encoders_of(load(options.source))
    figures = measure(embed_images, embed_texts, number=options.number).as_dict()
    if options.against:
        other, _ = encoders_of(load(options.against))
        figures["least_cosine"] = least_cosine(embed_images, other)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:24} {value if isinstance(value, int) else format(value, '.4f')}")


if __name__ == "__main__":
    main()
