"""Tags that fit: rare ones are found, common ones do not flood, any library gets an answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.errors import NumericsError, UsageError
from mlx_aimv2.library.tagging.calibration import Calibration, choose, fit

TAGS, WIDTH = 23, 67
SHARES = np.geomspace(0.5, 0.005, TAGS - 1)  # the last tag is in no picture


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def library(number: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures that are sums of their tags and noise; each third tag is near the two before."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(rng.normal(size=(TAGS // 3 + 1, WIDTH)), 3, axis=0)[:TAGS]
    tags = unit(rng.normal(size=(TAGS, WIDTH)) + kinds)
    background = unit(rng.normal(size=(3, WIDTH)))
    shown = np.zeros((number, TAGS), bool)
    shown[:, :-1] = rng.random((number, TAGS - 1)) < SHARES
    images = 2 * (shown @ tags) + 1.6 * rng.normal(size=(number, WIDTH)) / np.sqrt(WIDTH)
    return unit(images + background[0] + 0.5 * tags[3]), tags, background, shown


def f1(chosen: np.ndarray, shown: np.ndarray) -> np.ndarray:
    return 2 * (chosen & shown).sum(0) / np.maximum(chosen.sum(0) + shown.sum(0), 1)


def fitted(number: int, seed: int = 5) -> tuple[Calibration, np.ndarray, np.ndarray]:
    images, tags, background, shown = library(number, seed)
    return fit([images], tags, background), images, shown


def test_it_beats_the_best_single_threshold():
    images, tags, background, shown = library(3001, 5)
    raw = images @ tags.T
    thresholds = np.quantile(raw, np.linspace(0.5, 0.999, 150))
    best = max(f1(raw >= threshold, shown)[:-1].mean() for threshold in thresholds)
    calibration = fit([images], tags, background)
    assert f1(choose(calibration.confidence(images)), shown)[:-1].mean() > best + 0.05


def test_rare_is_not_lost_and_common_does_not_flood():
    calibration, images, shown = fitted(3001)
    chosen = choose(calibration.confidence(images))
    assert 0 < shown[:, -2].sum() < 30
    assert f1(chosen, shown)[-2] > 0.7
    assert chosen[:, 0].sum() < 1.1 * shown[:, 0].sum()
    assert chosen[:, -1].mean() < 0.01
    groups = calibration.groups
    np.testing.assert_allclose(groups.share[:4], shown.mean(0)[:4], rtol=0.25)


def test_blocks_do_not_matter():
    images, tags, background, _ = library(1201, 7)
    whole = fit([images], tags, background)
    parts = fit([images[:1], images[1:700], images[700:700], images[700:]], tags, background)
    for name, value in vars(whole.groups).items():
        np.testing.assert_allclose(vars(parts.groups)[name], value, rtol=1e-3, err_msg=name)
    some = whole.confidence(images)[31:97]
    np.testing.assert_allclose(whole.confidence(images[31:97]), some, atol=1e-4)
    assert (whole.confidence(images) == whole.confidence(images)).all()


def test_half_precision_vectors_are_taken():
    images, tags, background, _ = library(701, 7)
    calibration = fit([images.astype(np.float16)], tags, background)
    assert calibration.confidence(images.astype(np.float16)).dtype == np.float32


@pytest.mark.parametrize("number", [0, 1, 2, 13])
def test_a_small_library_gets_an_answer(number):
    _, tags, background, _ = library(1, 11)
    images = unit(2 * tags[:number] + background[0])
    calibration = fit([images], tags, background)
    confidence = calibration.confidence(images)
    assert confidence.shape == (number, TAGS)
    assert ((confidence >= 0) & (confidence <= 1)).all()
    chosen = choose(confidence)
    assert chosen[:, :number].diagonal().all()
    assert chosen.sum() <= 2 * number


@given(st.integers(0, 40), st.integers(1, 5), st.integers(0, 2), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_any_vectors_give_confidence_that_rises_with_the_score(number, tags, prompts, seed):
    rng = np.random.default_rng(seed)
    images, words, background = (
        unit(rng.normal(size=(rows, 7)) + 1) for rows in (number, tags, prompts)
    )
    calibration = fit([images], words, background)
    scores, confidence = calibration.scores(images), calibration.confidence(images)
    assert np.isfinite(confidence).all()
    order = np.argsort(scores, axis=0, kind="stable")
    assert (np.diff(np.take_along_axis(confidence, order, axis=0), axis=0) >= -1e-6).all()


def test_pictures_that_are_all_the_same():
    _, tags, background, _ = library(1, 11)
    images = np.repeat(background[:1], 101, axis=0)
    assert choose(fit([images], tags, background).confidence(images)).sum() == 0


def test_choosing():
    confidence = np.array([[0.9, 0.1, 0.5, 0.9], [0.0, 0.3, 0.2, 0.1]], np.float32)
    assert choose(confidence, 0.5).tolist() == [[True, False, True, True], [False] * 4]
    assert choose(confidence, 0.5, limit=1).tolist() == [[True, False, False, False], [False] * 4]
    assert choose(confidence, 0.15, limit=2)[1].tolist() == [False, True, True, False]
    assert choose(confidence, 0.0, limit=9).all()
    assert choose(confidence[:0]).shape == (0, 4)
    for wrong in ({"min_confidence": 1.01}, {"min_confidence": float("nan")}, {"limit": 0}):
        with pytest.raises(UsageError):
            choose(confidence, **wrong)


def test_what_cannot_be_calibrated():
    images, tags, background, _ = library(5, 3)
    with pytest.raises(UsageError, match="no tags"):
        fit([images], tags[:0], background)
    with pytest.raises(UsageError, match="more than once"):
        fit(iter([images]), tags, background)
    images[3, 2] = np.nan
    with pytest.raises(NumericsError, match="not finite"):
        fit([images], tags, background)
