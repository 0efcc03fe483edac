"""Drawings of which every tag is known, as vectors; and how well chosen tags fit what is true."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mlx_aimv2 as aimv2
from mlx_aimv2.library.tagging.vocabulary import Tag
from mlx_aimv2.training.drawings.nouns import GLYPHS, NOUNS
from mlx_aimv2.training.drawings.places import PLACES
from mlx_aimv2.training.drawings.scene import HELD_OUT, Kind, Scene, paint, plan
from mlx_aimv2.training.evaluate import encoders_of

Floats = NDArray[np.float32]
Truth = NDArray[np.bool_]

TAGS = (
    *(Tag(("Things", noun), tuple(dict.fromkeys((noun, GLYPHS[noun].plural)))) for noun in NOUNS),
    *(Tag(("Places", place), (place,)) for place in PLACES),
)
RARE = frozenset(NOUNS[1::2])
RARITY = 0.1
KINDS: tuple[Kind, ...] = ("single", "several", "several", "counted", "several")
SIDE_PX, BATCH = 112, 64


@dataclass(frozen=True)
class Scored:
    """Shares of 1 for each tag, NaN for a tag that is true of no picture. Shapes: (T,)."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def scored(chosen: Truth, truth: Truth) -> Scored:
    """What was chosen against what is true. Shapes: (N, T), (N, T)."""
    hits, given, there = (each.sum(axis=0) for each in (chosen & truth, chosen, truth))
    known = np.where(there > 0, there, np.nan)
    return Scored(hits / np.maximum(given, 1), hits / known, 2 * hits / (given + known))


def best_threshold(scores: Floats, truth: Truth) -> float:
    """The threshold with the best macro F1 that one threshold for all tags can have."""
    tried = np.unique(np.quantile(scores, np.linspace(0.5, 0.9999, 600)))
    above = np.searchsorted(tried, scores, side="right")  # thresholds that each score reaches
    size = len(tried) + 1

    def reached(chosen: Truth) -> NDArray[np.int64]:
        bins = (above + size * np.arange(scores.shape[1]))[chosen]
        counts = np.bincount(bins, minlength=size * scores.shape[1]).reshape(-1, size)
        return counts[:, ::-1].cumsum(axis=1)[:, -2::-1]

    hits, given = reached(truth), reached(np.ones_like(truth))
    there = truth.sum(axis=0)
    f1 = 2 * hits / np.maximum(given + there[:, None], 1)
    return float(tried[f1[there > 0].mean(axis=0).argmax()])


class Embedder:
    """A checkpoint's vectors of pictures, kept in a folder for another run where one is given."""

    def __init__(self, model: aimv2.Model, keep: Path | None) -> None:
        self._embed, self.texts = encoders_of(model)
        self._keep = keep

    def pictures(self, name: str, images: Iterable[Image.Image]) -> Floats:
        """Their vectors; those of this name from an earlier run where they were kept."""
        file = self._keep / f"{name}.npy" if self._keep else None
        if file and file.exists():
            return np.asarray(np.load(file), np.float32)
        left = iter(images)
        rows = [self._embed(part) for part in iter(lambda: list(islice(left, BATCH)), [])]
        vectors = np.concatenate(rows).astype(np.float32)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, vectors)
        return vectors

    def drawings(self, number: int, first: int) -> tuple[Floats, Truth]:
        """Vectors of held-out drawings, and which tag is true of which. Shapes: (N, P), (N, T)."""
        scenes = list(_scenes(number, first))
        return self._painted(f"drawings-{first}-{number}", scenes), _truth(scenes)

    def topic(self, noun: str, number: int, first: int) -> Floats:
        """Vectors of drawings that all have this noun, alone or among others."""
        seeds = range(HELD_OUT + first, HELD_OUT + first + number)
        kinds = [KINDS[seed % len(KINDS)] for seed in seeds]
        scenes = [plan(seed, kind=kind, noun=noun) for seed, kind in zip(seeds, kinds, strict=True)]
        return self._painted(f"topic-{noun}-{first}-{number}", scenes)

    def _painted(self, name: str, scenes: list[Scene]) -> Floats:
        return self.pictures(name, (paint(each, SIDE_PX, SIDE_PX)[0] for each in scenes))


def _scenes(number: int, first: int) -> Iterator[Scene]:
    """Scenes of several kinds, where every other noun is that much rarer."""
    rng = random.Random(f"tagging {first}")
    seed = HELD_OUT + first
    for index in range(number):
        kind = KINDS[index % len(KINDS)]
        while True:
            scene = plan(seed, kind=kind)
            seed += 1
            if rng.random() < RARITY ** len({thing.noun for thing in scene.things} & RARE):
                break
        yield scene


def _truth(scenes: list[Scene]) -> Truth:
    names = [{scene.place, *(thing.noun for thing in scene.things)} for scene in scenes]
    return np.array([[tag.name in each for tag in TAGS] for each in names])
