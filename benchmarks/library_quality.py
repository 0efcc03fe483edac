"""What the photo library finds of what drawings are known to show, each figure with its limit.

    python -m benchmarks.library_quality [--number 2000] [--duplicates 500] [--json]

So many held-out drawings of mixed kinds are written as files, indexed with the demo checkpoint
and searched by ``aimv2.Library``, a noun at a time. Tags: ``benchmarks.tagging``. Duplicates:
``benchmarks.duplicates``. Exits with 1 where a limit is missed.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import duplicates
from benchmarks.checks import Check, four_digits, positive, run, share
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.text_cache import TextCache
from mlx_aimv2.training.drawings.nouns import NOUNS
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw

Floats = NDArray[np.float32]
Truth = NDArray[np.bool_]

FIRST = 950_000  # of the held-out seeds
BEST = 10
LINE = 0.5  # the score from which a search shows a photo


def drawings(folder: Path, number: int) -> Truth:
    """Files ``0000.png`` and on, and which noun is in which. Shapes: (number, nouns)."""
    truth = np.zeros((number, len(NOUNS)), np.bool_)
    for at in range(number):
        drawing = draw(HELD_OUT + FIRST + at)
        drawing.image.save(folder / f"{at:04}.png")
        truth[at] = [noun in {name for name, _ in drawing.kinds} for noun in NOUNS]
    return truth


def scores_of(library: Library, number: int) -> Floats:
    """The search's score of every drawing for every noun. Shapes: (number, nouns)."""
    scores = np.full((number, len(NOUNS)), np.nan, np.float32)
    for column, noun in enumerate(NOUNS):
        for hit in library.search(noun, count=number, min_score=0).hits:
            scores[int(Path(os.fsdecode(hit.file.path)).stem), column] = hit.score
    assert np.isfinite(scores).all()
    return scores


def cosines_of(library: Library, model: aimv2.Model, number: int) -> Floats:
    """The cosine of the same vectors and the same words. Shapes: (number, nouns)."""
    vectors = library.vectors()
    assert vectors is not None
    rows = np.empty((number, vectors.width), np.float32)
    segments = library.store.segments(vectors)
    for file in library.store.files():
        row = library.store.row_of(vectors.id, file.id)
        rows[int(Path(os.fsdecode(file.path)).stem)] = segments.take(np.array([row]))[0]
    return rows @ np.array(model.embed_texts(list(NOUNS))).T


def precision_at_best(scores: Floats, truth: Truth) -> float:
    """Mean over the nouns that are in as many drawings as are looked at."""
    best = np.argsort(-scores, axis=0, kind="stable")[:BEST]
    shares = np.take_along_axis(truth, best, axis=0).mean(axis=0)
    return float(shares[truth.sum(axis=0) >= BEST].mean())


def auc(scores: Floats, truth: Truth) -> float:
    """How often a pair that is true has a higher score than one that is not; half for equals."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places.reshape(scores.shape)]
    there = int(truth.sum())
    above = ranks[truth].sum() - there * (there + 1) / 2
    return float(above / (there * (truth.size - there)))


def search_figures(model: aimv2.Model, number: int) -> Iterator[Check]:
    """Text search through a library of its own."""
    with tempfile.TemporaryDirectory() as folder:
        album = Path(folder) / "album"
        album.mkdir()
        truth = drawings(album, number)
        cache = TextCache(Path(folder) / "texts.db")
        with Library(Path(folder) / "library.db", cache=cache) as library:
            library.index([album], model=model.source)
            scores = scores_of(library, number)
            cosines = cosines_of(library, model, number)
    shown = scores >= LINE
    raw = auc(cosines, truth)
    best = precision_at_best(scores, truth)
    yield share(f"search, precision of the first {BEST}", best, 0.9)
    yield share(f"raw cosine, precision of the first {BEST}", precision_at_best(cosines, truth))
    yield share("search, AUC of centred scores", auc(scores, truth), raw)
    yield share("search, AUC of raw cosines", raw)
    yield share(f"search, precision from {LINE}", float(truth[shown].mean()))
    yield share(f"search, recall from {LINE}", float(shown[truth].mean()))


def measure(options: argparse.Namespace) -> Iterator[Check]:
    """Searches and duplicates."""
    model = aimv2.load(options.source)
    yield from search_figures(model, options.number)
    yield from duplicates.measure(model.source, options.duplicates)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="demo", help="a checkpoint that knows the drawings")
    parser.add_argument("--number", type=positive, default=2000, help="drawings to search")
    parser.add_argument(
        "--duplicates", type=positive, default=500, help="drawings to make copies of"
    )
    return run(parser, measure, four_digits)


if __name__ == "__main__":
    raise SystemExit(main())
