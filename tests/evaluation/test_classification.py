"""Accuracies by their definitions."""

import numpy as np
import pytest

from mlx_aimv2.evaluation.classification import (
    best_classes,
    calibration_figures,
    classification_figures,
)


def test_of_equal_scores_the_lower_class_is_first() -> None:
    scores = np.array([[0.5, 0.7, 0.7, 0.1, 0.5, 0.7, 0.5]], np.float32)
    assert best_classes(scores).tolist() == [[1, 2, 5, 0, 4]]


def test_figures_by_hand() -> None:
    best = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [6, 5, 0, 1, 2]])
    figures = classification_figures(best, np.array([0, 4, 5, 6]), 7)
    assert figures == {
        "n": 4,
        "classes": 7,
        "acc1": 0.5,
        "acc5": 0.75,
        "mean_per_class_recall": 0.5,  # of the four classes that occur: 1, 0, 0, 1
    }


def test_classes_count_alike_however_many_pictures_they_have() -> None:
    best = np.array([[0], [0], [0], [1], [1]])
    figures = classification_figures(best, np.array([0, 0, 0, 0, 1]), 2)
    assert figures["acc1"] == 0.8
    assert figures["mean_per_class_recall"] == (0.75 + 1) / 2


def test_fewer_than_five_classes_have_no_top_5() -> None:
    scores = np.random.default_rng(0).random((11, 4))
    assert best_classes(scores).shape == (11, 4)
    figures = classification_figures(best_classes(scores), np.arange(11) % 4, 4)
    assert figures["acc5"] is None


def test_calibration_by_its_definition() -> None:
    rng = np.random.default_rng(3)
    logits = (3 * rng.normal(size=(1501, 7))).astype(np.float32)
    labels = np.where(rng.random(1501) < 0.6, logits.argmax(axis=1), rng.integers(0, 7, 1501))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    confidence, right = shares.max(axis=1), logits.argmax(axis=1) == labels
    error = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            error += inside.mean() * gap
    own = np.take_along_axis(shares, labels[:, None], axis=1)
    assert calibration_figures(logits, labels) == pytest.approx(
        {
            "ece": error,
            "nll": -np.log(own).mean(),
            "brier": np.square(shares - np.eye(7)[labels]).sum(axis=1).mean(),
        },
        rel=1e-4,
    )


@pytest.mark.parametrize(("label", "ece", "brier"), [(2, 0, 0), (1, 1, 2)])
def test_confidence_without_doubt(label: int, ece: float, brier: float) -> None:
    logits = np.array([[0, 0, 900, 0]] * 3, np.float32)
    figures = calibration_figures(logits, np.array([label] * 3))
    assert figures == pytest.approx({"ece": ece, "nll": 450 * brier, "brier": brier})
