"""Tags that fit: what lies beside hardly matters, any library gets an answer, failures are said."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated import SETTINGS, Simulated, simulated
from benchmarks.tagged_drawings import best_threshold, scored
from mlx_aimv2.errors import NumericsError, UsageError
from mlx_aimv2.library.tagging.blanks import NUMBER, make_blanks
from mlx_aimv2.library.tagging.calibration import Calibration, choose, fit

TAGS, PHOTOS = 149, 1201


@cache
def made(name: str = "well fitting", seed: int = 7, photos: int = PHOTOS) -> Simulated:
    return simulated(SETTINGS[name], seed, photos, tags=TAGS)


def calibrated(images: np.ndarray, of: Simulated | None = None) -> Calibration:
    space = of or made()
    return fit([images], space.tags, space.background, space.blanks)


def f1(fitted: Calibration, of: Simulated) -> float:
    return float(np.nanmean(scored(choose(fitted.confidence(of.images)), of.truth).f1))


@cache
def clean() -> float:
    return f1(calibrated(made().images), made())


def foreign(number: int, seed: int = 3) -> np.ndarray:
    """Pictures like the blanks, of which no two are alike."""
    rng = np.random.default_rng(seed)
    blanks = made().blanks
    mixed = rng.dirichlet(np.full(len(blanks), 0.02), number) @ blanks
    mixed += 0.1 * rng.normal(size=mixed.shape) / np.sqrt(mixed.shape[1])
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("name", SETTINGS)
def test_it_beats_one_threshold_from_another_draw(name):
    other, space = made(name, 8), made(name)
    threshold = best_threshold(other.images @ other.tags.T, other.truth)
    plain = scored(space.images @ space.tags.T >= threshold, space.truth).f1
    assert f1(calibrated(space.images, space), space) > np.nanmean(plain) + 0.05


def test_foreign_pictures_change_nothing_and_get_no_tags():
    beside = foreign(9 * PHOTOS)
    fitted = calibrated(np.concatenate([made().images, beside]))
    assert f1(fitted, made()) >= 0.98 * clean()
    assert choose(fitted.confidence(beside)).sum() <= 0.1 * len(beside)


def test_one_topic_in_most_of_the_library_is_still_found():
    space, rng = made(), np.random.default_rng(0)
    tag = int(space.truth.sum(axis=0).argmax())
    has = space.truth[:, tag]
    mixed = calibrated(space.images)
    topic = space.images[has][rng.integers(has.sum(), size=9 * (~has).sum() // 30)]
    full = calibrated(np.concatenate([space.images[~has][::30], topic]))
    recall = [choose(each.confidence(space.images[has]))[:, tag].mean() for each in (full, mixed)]
    assert recall[0] >= 0.95 * recall[1] > 0


def test_near_copies_count_once():
    space = made()
    burst = space.images[:1] + 0.05 * np.random.default_rng(0).normal(size=(2 * PHOTOS, 768)) / 27
    burst = (burst / np.linalg.norm(burst, axis=1, keepdims=True)).astype(np.float32)
    assert abs(f1(calibrated(np.concatenate([space.images, burst])), space) - clean()) <= 0.02


def test_order_batches_and_doubling_do_not_matter():
    space, rng = made(), np.random.default_rng(0)
    images, texts = space.images, (space.tags, space.background, space.blanks)
    whole = calibrated(images)
    expected = whole.confidence(images)
    for blocks in (
        [rng.permutation(images)],
        [images[:1], images[1:700], images[700:700], images[700:]],
        [images, images],
    ):
        np.testing.assert_allclose(fit(blocks, *texts).confidence(images), expected, atol=1e-3)
    np.testing.assert_allclose(whole.confidence(images[31:97]), expected[31:97], atol=1e-4)


@pytest.mark.parametrize("size", [1, 10, 60])
def test_small_libraries_are_tagged_like_large_ones(size):
    space = made()
    parts = [space.images[at : at + size] for at in range(0, 360, size)]
    chosen = np.concatenate([choose(calibrated(part).confidence(part)) for part in parts])
    large = choose(calibrated(space.images).confidence(space.images[:360]))
    ours, theirs = (
        2 * (each & space.truth[:360]).sum() / (each.sum() + space.truth[:360].sum())
        for each in (chosen, large)
    )
    assert ours >= 0.95 * theirs


@pytest.mark.parametrize("size", [1, 2, 5, 46])
def test_other_tags_hardly_matter(size):
    space = made()
    common = np.argsort(-space.truth.sum(axis=0))[:5]
    before = scored(choose(calibrated(space.images).confidence(space.images)), space.truth).f1
    for tag in common:
        tags = (tag + np.arange(size)) % TAGS
        fitted = fit([space.images], space.tags[tags], space.background, space.blanks, space.tags)
        chosen = choose(fitted.confidence(space.images))
        assert abs(scored(chosen, space.truth[:, tags]).f1[0] - before[tag]) <= 0.03


def test_a_vocabulary_full_of_words_of_its_own_is_judged_by_these():
    space = made()
    words = np.resize(space.tags, (600, 768))  # no room for words of the checkpoint beside them
    rivals = unit(np.random.default_rng(0).normal(size=(30, 768)))
    fitted = fit([space.images], words, space.background, space.blanks, rivals)
    assert fitted.scale > 1.01 / 512
    assert np.isfinite(fitted.scores(space.images[:9])).all()


def test_a_synonym_takes_no_photo_away():
    space = made()
    common = np.argsort(-space.truth.sum(axis=0))[:5]
    # Near to what sets each apart from all texts.
    each = space.tags - space.tags.mean(axis=0)
    other = np.random.default_rng(0).normal(size=(5, TAGS)) @ each
    length = np.linalg.norm(each[common], axis=1, keepdims=True)
    away = length * unit(0.75 * unit(each[common]) + 0.66 * unit(other))
    synonyms = unit(space.tags.mean(axis=0) + away)
    before = scored(choose(calibrated(space.images).confidence(space.images)), space.truth).f1
    more = replace(space, tags=np.concatenate([space.tags, synonyms]))
    chosen = choose(calibrated(space.images, more).confidence(space.images))[:, :TAGS]
    after = scored(chosen, space.truth).f1
    assert (after[common] >= before[common] - 0.03).all()


def test_libraries_that_say_nothing_are_tagged_as_any_and_it_is_said():
    first, other = made().images[:1], made().images[5:6]
    for images in (
        np.repeat(first, 500, axis=0),
        np.repeat(made().blanks[:1], 500, axis=0),
        np.concatenate([np.repeat(first, 300, axis=0), np.repeat(other, 300, axis=0)]),
    ):
        fitted = calibrated(images)
        assert fitted.note.startswith(f"{len(images)} photos say too little")
        assert f1(fitted, made()) >= 0.95 * clean()
    assert calibrated(made().images).note == calibrated(made().images[:9]).note == ""


def test_half_precision_vectors_are_taken():
    images = made().images.astype(np.float16)
    assert calibrated(images).confidence(images).dtype == np.float32


def test_a_library_without_photos_gets_an_answer():
    fitted = calibrated(made().images[:0])
    assert fitted.confidence(made().images[:0]).shape == (0, TAGS)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@given(st.integers(0, 40), st.integers(1, 5), st.integers(0, 2), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_any_vectors_give_confidence_that_rises_with_the_score(number, tags, prompts, seed):
    rng = np.random.default_rng(seed)
    images, words, background, blanks = (
        unit(rng.normal(size=(rows, 7)) + 1) for rows in (number, tags, prompts, 5)
    )
    fitted = fit([images], words, background, blanks)
    scores, confidence = fitted.scores(images), fitted.confidence(images)
    assert np.isfinite(scores).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()
    taken = confidence.max(axis=1, initial=0) > 0
    order = np.argsort(scores[taken], axis=0, kind="stable")
    assert (np.diff(np.take_along_axis(confidence[taken], order, axis=0), axis=0) >= -1e-6).all()


def test_blanks_are_the_same_every_time():
    first, second = make_blanks(), make_blanks()
    assert len(first) == NUMBER
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    assert len({each.tobytes() for each in first}) == NUMBER


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
    space = made()
    images, texts = space.images[:5].copy(), (space.background, space.blanks)
    with pytest.raises(UsageError, match="no tags"):
        fit([images], space.tags[:0], *texts)
    with pytest.raises(UsageError, match="more than once"):
        fit(iter([images]), space.tags, *texts)
    images[3, 2] = np.nan
    with pytest.raises(NumericsError, match="not finite"):
        fit([images], space.tags, *texts)
