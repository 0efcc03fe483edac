"""A linear classifier on frozen vectors: logistic regression by scikit-learn."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import Aimv2Error, UsageError

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

# Strengths of scikit-learn's C, one over the decay: eight a decade, first every second decade.
STRENGTHS = np.logspace(-6, 2, 65)
_COARSE, _FINE = 16, (8, 4, 2, 1)
_ITERATIONS = 1000  # as in CLIP's evaluation


@dataclass(frozen=True)
class Fitted:
    """A classifier; ``is_converged`` unless L-BFGS was stopped after 1000 iterations."""

    scores: Callable[[Floats], NDArray[np.float64]]
    is_converged: bool


def fit(vectors: Floats, labels: Labels, classes: int, strength: float) -> Fitted:
    """Logistic regression on vectors that are standardised by their own means and deviations.

    A class without a vector gets the score -inf.
    Shapes: (n, D), (n,); scores (m, D) -> (m, classes).
    Errors: UsageError where all vectors are of one class; Aimv2Error without scikit-learn.
    """
    if len(np.unique(labels)) < 2:
        raise UsageError("there is one class only to learn", hint="add a folder of another class")
    try:
        from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  (an extra)
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
        from sklearn.pipeline import make_pipeline  # noqa: PLC0415
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415
    except ImportError as error:
        raise Aimv2Error(
            "the linear probe needs scikit-learn, which is not installed",
            hint=install_hints.extra("eval"),
        ) from error
    regression = LogisticRegression(C=strength, max_iter=_ITERATIONS)
    classifier: Any = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(vectors.astype(np.float64), labels)

    def scores(asked: Floats) -> NDArray[np.float64]:
        decided = classifier.decision_function(asked.astype(np.float64))
        if decided.ndim == 1:  # of two classes scikit-learn gives the second's
            decided = np.stack([-decided, decided], axis=1)
        full = np.full((len(asked), classes), -np.inf)
        full[:, classifier.classes_] = decided
        return full

    return Fitted(scores, int(regression.n_iter_.max()) < _ITERATIONS)


def choose_strength(measure: Callable[[float], float]) -> float:
    """The strength with the highest measure: every second decade, then finer around the best.

    Of equal ones the weakest, whose decay is strongest.
    Source: the search of CLIP_benchmark's linear probe, over another range.
    """
    measured: dict[int, float] = {}

    def best(places: list[int]) -> int:
        for place in places:
            if 0 <= place < len(STRENGTHS) and place not in measured:
                measured[place] = measure(float(STRENGTHS[place]))
        return max(sorted(measured), key=lambda place: measured[place])

    middle = best(list(range(0, len(STRENGTHS), _COARSE)))
    for step in _FINE:
        middle = best([middle - step, middle + step])
    return float(STRENGTHS[middle])
