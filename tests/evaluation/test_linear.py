"""The linear probe: scikit-learn's regression, and the search for its decay."""

import sys

import numpy as np
import pytest

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.evaluation import linear
from mlx_aimv2.evaluation.classification import best_classes
from mlx_aimv2.evaluation.data_sets.part import held_out

COUNT, WIDTH, CLASSES = 211, 11, 7


def made(seed: int, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, WIDTH))
    labels = rng.integers(0, classes, COUNT)
    scales = 10.0 ** np.arange(-5, 6)  # what is not standardised would be lost
    vectors = (centres[labels] + rng.standard_normal((COUNT, WIDTH))) * scales
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, CLASSES])
def test_scikit_learn_s_own_answers(classes: int) -> None:
    models = pytest.importorskip("sklearn.linear_model")
    (vectors, labels), (asked, _) = made(0, classes), made(1, classes)
    mean, deviation = vectors.mean(axis=0, dtype=float), vectors.std(axis=0, dtype=float)
    theirs = models.LogisticRegression(C=0.3, max_iter=1000)
    theirs.fit((vectors - mean) / deviation, labels)
    fitted = linear.fit(vectors, labels, classes, 0.3)
    best = best_classes(fitted.scores(asked))[:, 0]
    np.testing.assert_array_equal(best, theirs.predict((asked - mean) / deviation))
    assert fitted.is_converged


def test_a_class_that_was_not_learnt_is_never_the_answer() -> None:
    pytest.importorskip("sklearn")
    vectors, labels = made(0)
    labels[labels == 3] = 2
    scores = linear.fit(vectors, labels, CLASSES + 2, 1.0).scores(vectors)
    assert np.isneginf(scores[:, [3, 7, 8]]).all()
    assert np.isfinite(scores[:, [0, 1, 2, 4, 5, 6]]).all()


def test_one_class_alone() -> None:
    with pytest.raises(UsageError, match="one class only"):
        linear.fit(np.zeros((3, 2), np.float32), np.zeros(3, np.int64), 5, 1.0)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    vectors, labels = made(0)
    with pytest.raises(Aimv2Error, match="needs scikit-learn") as raised:
        linear.fit(vectors, labels, CLASSES, 1.0)
    assert "eval" in raised.value.hint or "scikit-learn" in raised.value.hint


@pytest.mark.parametrize("place", [0, 1, 23, 40, 63, 64])
def test_the_search_finds_the_top_of_a_hill(place: int) -> None:
    asked: list[float] = []

    def height(strength: float) -> float:
        asked.append(strength)
        return -abs(int(np.argmin(abs(linear.STRENGTHS - strength))) - place)

    assert linear.choose_strength(height) == linear.STRENGTHS[place]
    assert len(asked) == len(set(asked)) <= 13


def test_of_equal_ones_the_strongest_decay() -> None:
    assert linear.choose_strength(lambda strength: 0.5) == linear.STRENGTHS[0]


def test_a_tenth_of_each_class_is_held_out() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 4], [30, 21, 2, 1]))
    is_held = held_out(labels)
    assert [int(is_held[labels == each].sum()) for each in (0, 1, 2, 4)] == [3, 2, 1, 0]
    assert np.flatnonzero(is_held[labels == 0]).tolist() == [1, 11, 21]
