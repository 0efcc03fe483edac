"""Taught tags: the classifier's properties, and what a library does with answers."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import NumericsError, UsageError
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.teaching.classifier import Lesson, learn, learn_space
from mlx_aimv2.library.teaching.confidence import Confidence, learn_confidence
from mlx_aimv2.library.text_cache import TextCache
from tests.support.albums import make_album

WIDTH, COUNT = 17, 499
Rows = np.ndarray


def made(seed: int = 0) -> tuple[Rows, Rows, Rows]:
    """Unit rows, which of them have the tag, and the direction that tells. Shapes: (n, P)."""
    rng = np.random.default_rng(seed)
    tag = rng.normal(size=WIDTH)
    tag /= np.linalg.norm(tag)
    has = np.arange(COUNT) < 61
    rows = rng.normal(size=(COUNT, WIDTH)) * np.geomspace(1, 0.2, WIDTH) + 2.0 * np.outer(has, tag)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), has, tag.astype(np.float32)


def lesson(rows: Rows, has: Rows, k: int, words: Rows | None, no: int = 0) -> Lesson:
    others = rows[k::2]
    return Lesson(rows[has][:k], rows[~has][:no], others[:100], others[100:], words, scale=20.0)


def placed(scores: Rows, has: Rows) -> float:
    """How often a row with the tag is above one without it."""
    return float((scores[has][:, None] > scores[~has]).mean())


def test_examples_alone_teach() -> None:
    rows, has, _ = made()
    space = learn_space(rows)
    few, many = (
        placed(learn(lesson(rows, has, k, None), space).scores(rows), has) for k in (1, 16)
    )
    assert many > 0.95
    assert many > few


def test_fitting_words_stay_and_misleading_ones_are_left() -> None:
    rows, has, tag = made()
    space = learn_space(rows)
    fitting = learn(lesson(rows, has, 16, tag), space)
    assert placed(fitting.scores(rows), has) >= placed(rows @ tag, has) - 0.01
    assert all(learn(lesson(rows, has, k, tag), space).follows_words for k in (1, 2, 3))
    wrong = -tag
    assert not any(learn(lesson(rows, has, k, wrong), space).follows_words for k in (1, 3, 16))


def test_few_photos_of_a_library_do_not_tell_that_words_are_wrong() -> None:
    rows, has, tag = made()
    some = np.concatenate([rows[has][:3], rows[~has][:3]])
    given = Lesson(some[:3], some[:0], some[3:], some[3:], -tag, 20.0)
    assert learn(given, learn_space(some)).follows_words


def test_a_left_out_answer_is_judged_as_if_it_were_not_there() -> None:
    rows, has, tag = made()
    space = learn_space(rows)
    whole = lesson(rows, has, 7, tag, no=5)
    told = learn(whole, space).yes_left_out
    for number in range(7):
        kept = np.arange(7) != number
        without = Lesson(
            whole.yes[kept], whole.no, whole.random, whole.judges, whole.words, whole.scale
        )
        exact = learn(without, space).scores(whole.yes[number][None])[0]
        assert told[number] == pytest.approx(exact, abs=0.35)  # fewer yes weigh the library less


def test_the_order_of_answers_does_not_matter() -> None:
    rows, has, tag = made()
    space = learn_space(rows)
    given = lesson(rows, has, 11, tag, no=7)
    turned = Lesson(
        given.yes[::-1], given.no[::-1], given.random, given.judges, given.words, given.scale
    )
    first, second = learn(given, space), learn(turned, space)
    np.testing.assert_allclose(first.weights, second.weights, atol=1e-4)


def test_a_tag_is_learnt_until_its_chances_agree_with_the_answers() -> None:
    rows, has, tag = made()
    given = lesson(rows, has, 3, tag, no=5)
    learnt = learn(given, learn_space(rows))
    yes, no, random = (
        1 / (1 + np.exp(-learnt.scores(each).astype(np.float64)))
        for each in (given.yes, given.no, given.random)
    )
    # The intercept is free, so chances sum to what was said; the library counts as 3 each yes.
    assert yes.sum() + no.sum() + 3 * 3 * random.mean() == pytest.approx(3, abs=1e-3)


def test_rejected_look_alikes_tell_what_judges_that_have_the_tag_cannot() -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(COUNT, 13)) * np.geomspace(1, 0.2, 13)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    has = rows[:, 0] > np.quantile(rows[:, 0], 0.8)  # most of what the library varies in
    yes, others = rows[has][:8], rows[~has]
    alike = others[np.argsort(-(others @ yes.mean(axis=0)))[:8]]
    given = Lesson(yes, alike, rows[100:300], rows[has][8:], None, 20.0)
    assert placed(learn(given, learn_space(rows)).scores(rows), has) > 0.97


def test_what_is_not_finite_and_what_is_nothing_is_refused() -> None:
    rows, has, _ = made()
    space = learn_space(rows)
    with pytest.raises(UsageError, match="nothing to learn from"):
        learn(lesson(rows, has, 0, None), space)
    rows[0, 0] = np.nan
    with pytest.raises(NumericsError):
        learn(lesson(rows, has, 3, None), space)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_library_of_few_photos(count: int) -> None:
    rows, _, tag = made()
    some = rows[:count]
    for words in (None, tag):
        given = Lesson(some[:1], some[1:1], some[1:], some[1:], words, 20.0)
        learnt = learn(given, learn_space(some))
        sure = learn_confidence(learnt.scores(some[1:]), learnt.yes_left_out)
        assert np.isfinite(learnt.weights).all()
        assert np.isfinite(sure.of(learnt.scores(some))).all()


def test_confidence_never_falls_and_is_half_on_its_line() -> None:
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.normal(0, 1, 950), rng.normal(5, 1.5, 50)]).astype(np.float32)
    sure = learn_confidence(scores, rng.normal(5, 1.5, 13))
    rising = sure.of(np.linspace(-20, 30, 1009, dtype=np.float32))
    assert (np.diff(rising) >= 0).all()
    assert sure.of(np.array([sure.line()[0]]))[0] == pytest.approx(0.5, abs=1e-3)
    assert sure.share == pytest.approx(0.05, abs=0.02)
    assert (sure.of(scores) >= 0.5).sum() == pytest.approx(50, abs=12)


def test_scores_that_are_all_equal() -> None:
    sure = learn_confidence(np.full(100, 2.0, np.float32), np.zeros(0))
    assert isinstance(sure, Confidence)
    assert (sure.of(np.array([2.0])) < 0.5).all()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_album(tmp_path_factory.mktemp("photos") / "album", 40)


@pytest.fixture
def library(photos: list[Path], tmp_path: Path) -> Iterator[Library]:
    with Library(tmp_path / "library.db", cache=TextCache(tmp_path / "texts.db")) as opened:
        opened.index(photos[0].parent, model="demo")
        yield opened


def having(library: Library, tag: str) -> set[str]:
    rows = library.store.rows(
        "SELECT path FROM shown_tags JOIN files ON files.id = file_id WHERE tag = ?", (tag,)
    )
    return {os.fsdecode(path) for (path,) in rows}


def test_answers_count_and_are_undone_as_one_edit(library: Library, photos: list[Path]) -> None:
    found = library.teach("Pets|Luna", yes=photos[:2], no=photos[2], words=False)
    assert found is not None
    assert (found.yes, found.no, found.words) == (2, 1, None)
    have = having(library, "Pets|Luna")
    assert {str(photos[0]), str(photos[1])} <= have
    assert str(photos[2]) not in have
    assert len(have) == 2 + found.given
    [edit] = library.tag_history()
    assert edit.kind == "teach"
    library.undo_tags(edit.number)
    assert having(library, "Pets|Luna") == set()
    with pytest.raises(UsageError, match="not taught"):
        library.taught("Pets|Luna")


def test_what_was_rejected_never_gets_the_tag(library: Library, photos: list[Path]) -> None:
    library.teach("Luna", yes=photos[:3], words=False)
    given = sorted(having(library, "Luna") - {str(each) for each in photos[:3]})
    rejected = given or [str(photos[5])]
    library.teach("Luna", no=rejected)
    assert having(library, "Luna").isdisjoint(rejected)
    library.tag()
    assert having(library, "Luna").isdisjoint(rejected)


def test_a_run_gives_taught_tags_to_new_photos(library: Library, photos: list[Path]) -> None:
    library.teach("owls", words="owl")
    before = having(library, "owls")
    with library._writing() as store:
        store.remove_tags("taught")
    assert having(library, "owls") == set()
    library.tag()
    assert having(library, "owls") == before


def test_questions_are_new_and_unanswered(library: Library, photos: list[Path]) -> None:
    library.teach("Luna", yes=photos[:2], no=photos[2:5], words=False)
    asked = [each.path for each in library.questions("Luna", 12)]
    assert len(asked) == len(set(asked)) == 12
    assert not {str(each) for each in photos[:5]} & set(asked)
    assert asked == [each.path for each in library.questions("Luna", 12)]
    with pytest.raises(UsageError, match="count"):
        library.questions("Luna", 0)


def test_photos_that_say_two_things_or_are_not_known(
    library: Library, photos: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="is said to have Luna, and not to"):
        library.teach("Luna", yes=photos[0], no=photos[0])
    with pytest.raises(UsageError, match="does not know"):
        library.teach("Luna", yes=[photos[0], tmp_path / "other.jpg"])
    assert library.tag_history() == []


def test_examples_are_kept_not_weights(library: Library, photos: list[Path]) -> None:
    library.teach("Luna", yes=photos[:5], words="owl")
    before = library.taught("Luna")
    with library._writing() as store:  # as a new checkpoint does: other rows, another set
        store.remove_tags("taught")
    again = library.teach("luna")
    assert again is not None
    assert (again.tag, again.words, again.yes) == ("Luna", "owl", before.yes)


def test_a_taught_tag_is_a_term_of_a_query(library: Library, photos: list[Path]) -> None:
    library.teach("Luna", yes=photos[:9], no=photos[9:12], words=False)
    alone = library.search("tag:luna", count=40, min_score=0.0)
    scores = {hit.path: hit.score for hit in alone.hits}
    given = {os.fsdecode(store_path) for (store_path,) in library.store.rows(
        "SELECT path FROM tags JOIN files ON files.id = file_id WHERE origin = 'taught'"
    )}  # fmt: skip
    answered = {str(each) for each in photos[:12]}
    assert {path for path, score in scores.items() if score and score > 0.5} - answered == given
    both = library.search(["tag:luna", "+", "boat"], count=40, min_score=0.0)
    assert [hit.path for hit in both.hits] != [hit.path for hit in alone.hits]
    with pytest.raises(UsageError, match="has the tag Lnua"):
        library.search("tag:Lnua")
