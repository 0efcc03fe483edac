"""The vote of the nearest neighbours, against scikit-learn's and counted by hand."""

import numpy as np
import pytest

from mlx_aimv2.evaluation import nearest_neighbours
from mlx_aimv2.evaluation.nearest_neighbours import vote

CLASSES = 7


def units(count: int, seed: int, width: int = 13) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [1, 10, 20, 100])
def test_scikit_learn_votes_alike(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    monkeypatch.setattr(nearest_neighbours, "_ROWS", 31)  # the last part is a smaller one
    known, asked = units(211, 0), units(97, 1)
    labels = np.random.default_rng(2).integers(0, CLASSES, len(known))
    theirs = neighbors.KNeighborsClassifier(
        count,
        metric="cosine",
        algorithm="brute",
        weights=lambda distances: np.exp((1 - distances) / 0.07),
    ).fit(known.astype(np.float64), labels)
    chances = theirs.predict_proba(asked.astype(np.float64))
    best = vote(known, labels, asked, CLASSES, [count])[count]
    np.testing.assert_array_equal(best[:, 0], theirs.classes_[chances.argmax(axis=1)])
    five = np.argsort(-chances, axis=1, kind="stable")[:, :5]
    is_voted = np.take_along_axis(chances, five, axis=1) > 0
    np.testing.assert_array_equal(best[is_voted], theirs.classes_[five][is_voted])


def test_of_equally_near_ones_the_first_vote() -> None:
    known = np.repeat(np.eye(3, dtype=np.float32)[:1], 9, axis=0)
    labels = np.array([4, 2, 2, 1, 1, 1, 1, 1, 1])
    best = vote(known, labels, known[:1], 5, [1, 3, 9])
    assert [best[count][0, 0] for count in (1, 3, 9)] == [4, 2, 1]


def test_a_vote_on_which_two_classes_are_equal_goes_to_the_lower() -> None:
    known = np.eye(2, dtype=np.float32)
    asked = np.full((1, 2), np.sqrt(0.5), np.float32)
    assert vote(known, np.array([3, 1]), asked, 5, [2])[2][0].tolist()[:2] == [1, 3]


def test_more_neighbours_than_there_are_take_all() -> None:
    known, asked = units(5, 3), units(3, 4)
    labels = np.array([0, 1, 2, 1, 0])
    best = vote(known, labels, asked, 3, [5, 200])
    np.testing.assert_array_equal(best[5], best[200])
    powers = np.exp(asked.astype(np.float64) @ known.T / 0.07)
    votes = np.stack([powers[:, labels == each].sum(axis=1) for each in range(3)], axis=1)
    np.testing.assert_array_equal(best[200], np.argsort(-votes, axis=1))
