"""Figures of classification: how often the right class is the first, or one of the first five."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 5
_BINS = 15
_ROWS = 1024  # at once: of 50,000 pictures and 1000 classes all would be a gigabyte


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


def calibration_figures(logits: NDArray[Any], labels: NDArray[np.int64]) -> dict[str, float]:
    """How far the confidence in the best class, its softmax, is from how often that is right.

    ``ece`` is their distance in 15 bins of equal width, each counting as its pictures do; ``nll``
    and ``brier`` (0 to 2) are means over the pictures.
    Shapes: logits (n, classes), labels (n,), n at least 1.
    Source: Guo et al., "On Calibration of Modern Neural Networks".
    """
    gaps = np.zeros(_BINS)
    nll = brier = 0.0
    for first in range(0, len(labels), _ROWS):
        rows, right = (
            logits[first : first + _ROWS].astype(np.float64),
            labels[first : first + _ROWS],
        )
        logs = rows - rows.max(axis=1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
        shares = np.exp(logs)
        confidence = shares.max(axis=1)
        is_right = rows.argmax(axis=1) == right
        places = np.minimum(np.ceil(confidence * _BINS).astype(np.int64), _BINS) - 1
        gaps += np.bincount(places, is_right - confidence, _BINS)
        own = np.arange(len(right)), right
        nll -= logs[own].sum()
        brier += (np.square(shares).sum(axis=1) - 2 * shares[own] + 1).sum()
    count = len(labels)
    return {"ece": np.abs(gaps).sum() / count, "nll": nll / count, "brier": brier / count}
