"""Accuracies by their definitions."""

import numpy as np

from mlx_aimv2.evaluation.classification import best_classes, classification_figures


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
