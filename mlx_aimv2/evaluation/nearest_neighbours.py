"""Classes by a vote of the nearest neighbours, as DINO's evaluation counts them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .classification import best_classes

Floats = NDArray[np.float32]

TEMPERATURE = 0.07
_ROWS = 256  # compared at once: 256 x 1.28 million similarities are 1.3 GB


def vote(
    known: Floats,
    known_labels: NDArray[np.int64],
    asked: Floats,
    classes: int,
    counts: Sequence[int],
) -> dict[int, NDArray[np.int64]]:
    """The best classes of each vector by so many neighbours, for each count.

    A neighbour votes for its class with exp(cosine / 0.07). Of equally near ones those that come
    first are taken; a count above the number of known vectors takes them all.
    Shapes: unit vectors (m, D), (m,), unit vectors (n, D) -> count: (n, min(5, classes)).
    Source: ``knn_classifier`` of facebookresearch/dino.
    """
    found: dict[int, list[NDArray[np.int64]]] = {count: [] for count in counts}
    for start in range(0, len(asked), _ROWS):
        near, similarities = _nearest(asked[start : start + _ROWS] @ known.T, max(counts))
        powers = np.exp(similarities.astype(np.float64) / TEMPERATURE)
        rows = np.arange(len(near))[:, None]
        for count, best in found.items():
            votes = np.zeros((len(near), classes))
            np.add.at(votes, (rows, known_labels[near[:, :count]]), powers[:, :count])
            best.append(best_classes(votes))
    return {count: np.concatenate(best) for count, best in found.items()}


def _nearest(similarities: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
    """The places of the highest similarities in each row, the highest first, and these.

    Shapes: (n, m) -> (n, min(count, m)), both.
    """
    count = min(count, similarities.shape[1])
    least = np.partition(similarities, -count, axis=1)[:, -count]
    near = np.empty((len(similarities), count), np.int64)
    for row, (values, lowest) in enumerate(zip(similarities, least, strict=True)):
        able = np.flatnonzero(values >= lowest)  # more than the count where some are equal
        near[row] = able[np.argsort(-values[able], kind="stable")[:count]]
    return near, np.take_along_axis(similarities, near, axis=1)
