"""Figures of classification: how often the right class is the first, or one of the first five."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 5


def best_classes(scores: NDArray[Any]) -> NDArray[np.int64]:
    """The five best classes, or all if there are fewer; of equal scores the lower number is first.

    Shapes: (n, classes) -> (n, min(5, classes)).
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :TOP]


def classification_figures(
    best: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> dict[str, Any]:
    """Accuracies as CLIP_benchmark defines them; shares from 0 to 1.

    ``acc5`` is None with fewer than five classes. ``mean_per_class_recall`` is the mean over the
    classes that occur.
    Shapes: best classes (n, k), labels (n,), n at least 1.
    """
    hits = best == labels[:, None]
    counts = np.bincount(labels)
    recalls = np.bincount(labels, weights=hits[:, 0])[counts > 0] / counts[counts > 0]
    return {
        "n": len(labels),
        "classes": classes,
        "acc1": float(hits[:, 0].mean()),
        "acc5": float(hits[:, :TOP].any(axis=1).mean()) if classes >= TOP else None,
        "mean_per_class_recall": float(recalls.mean()),
    }
