"""Retrieval with several captions a picture, as CLIP_benchmark counts it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_DEPTHS = (1, 5, 10)
_ROWS = 512  # compared at once


def retrieval_figures(
    images: Floats, texts: Floats, owners: NDArray[np.int64]
) -> dict[str, float | int]:
    """Recalls both ways; shares from 0 to 1.

    ``image_retrieval_recall@K``: of the texts, how many have their picture among the K best.
    ``text_retrieval_recall@K``: of the pictures, how many have at least one of their captions
    among the K best. ``owners`` are the pictures' numbers; each picture has a caption.
    Shapes: unit vectors (n, P), unit vectors (t, P), (t,).
    Source: ``zeroshot_retrieval.py`` of LAION's CLIP_benchmark, whose names these are.
    """
    captions: list[list[int]] = [[] for _ in images]
    for text, owner in enumerate(owners):
        captions[owner].append(text)
    ways = {
        "image": _ranks(texts, images, [[owner] for owner in owners]),
        "text": _ranks(images, texts, captions),
    }
    figures: dict[str, float | int] = {"n": len(images), "captions": len(texts)}
    for way, ranks in ways.items():
        for depth in _DEPTHS:
            figures[f"{way}_retrieval_recall@{depth}"] = float((ranks < depth).mean())
        figures[f"{way}_retrieval_median_rank"] = float(np.median(ranks)) + 1
    recalls = [value for name, value in figures.items() if "recall" in name]
    return figures | {"mean_recall": float(np.mean(recalls))}


def _ranks(asked: Floats, items: Floats, right: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """The place, from 0, of the best of each row's right items; of equal ones the first counts."""
    ranks = []
    for start in range(0, len(asked), _ROWS):
        scores = asked[start : start + _ROWS] @ items.T
        for row, mine in zip(scores, right[start : start + _ROWS], strict=True):
            own = min(mine, key=lambda item: (-row[item], item))
            before = np.count_nonzero(row > row[own]) + np.count_nonzero(row[:own] == row[own])
            ranks.append(before)
    return np.array(ranks)
