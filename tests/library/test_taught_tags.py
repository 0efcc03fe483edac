"""Taught tags in the life of a library: other checkpoints, an index that runs, names."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_aimv2.errors import Aimv2Warning, UsageError
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search.filters import Filters
from mlx_aimv2.library.text_cache import TextCache
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from tests.support.seeing_demo import write_seeing_demo

COUNT, TAG = 61, "Trips|Winter"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    for number in range(COUNT):
        drawing = draw(HELD_OUT + number, 64)
        drawing.image.save(folder / f"{number:03}-{drawing.place}.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_seeing_demo(tmp_path_factory.mktemp("checkpoints") / "seeing"))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library(tmp_path / "library.db", cache=TextCache(tmp_path / "texts.db")) as opened:
        yield opened


def of(album: Path, place: str) -> list[str]:
    return sorted(map(str, album.glob(f"*-{place}.jpg")))


def given(library: Library) -> dict[str, float]:
    """The files that have the taught tag from the program, with its confidence."""
    with Store(library.path) as store:
        rows = store.rows(
            "SELECT path, score FROM shown_tags JOIN files ON files.id = file_id "
            "WHERE tag = ? AND origin = 'taught'",
            (TAG,),
        )
    return {os.fsdecode(path): score for path, score in rows}


def said(library: Library) -> dict[bytes, str]:
    with Store(library.path) as store:
        return dict(store.verdicts_on(TAG))


def test_a_checkpoint_without_texts_learns_from_photos_and_tags_by_that(
    library: Library, album: Path, seeing: str
) -> None:
    library.index(album, model=seeing)
    snow, sea = of(album, "snow"), of(album, "sea")
    with pytest.raises(UsageError, match=r"reads no texts: .* needs a photo that has it"):
        library.teach(TAG)
    with pytest.raises(UsageError, match="reads no texts, only pictures"):
        library.tag()
    with pytest.warns(Aimv2Warning, match="the words do not count yet"):
        found = library.teach(TAG, yes=snow[:3], no=sea[:2], words="winter")
    assert found is not None
    assert (found.yes, found.no, found.follows_words) == (3, 2, False)
    first = given(library)
    assert not first.keys().isdisjoint(snow[3:])
    with library._writing() as store:
        store.remove_tags("taught")
    told = []
    with pytest.warns(Aimv2Warning, match="gives no tags but those taught"):
        library.tag(told=lambda tagged, _: told.extend(tagged.added))
    assert given(library) == first
    assert told == [TAG] * len(first)
    with pytest.raises(UsageError, match="reads no texts, only pictures"):
        library.tag(vocabulary="everyday")
    with pytest.raises(UsageError, match="reads no texts, only pictures"):
        library.tag(min_confidence=0.5)


def test_what_words_gave_stays_while_a_checkpoint_reads_none(
    library: Library, album: Path, seeing: str
) -> None:
    library.index(album, model="demo")
    library.teach(TAG, words="snow")
    before = given(library)
    assert before
    library.index(album, model=seeing)
    with pytest.warns(Aimv2Warning, match="gives no tags"):
        library.tag()
    assert given(library) == before


def test_another_checkpoint_learns_a_tag_anew_from_the_answers(
    library: Library, album: Path, seeing: str
) -> None:
    library.index(album, model="demo")
    snow, sea = of(album, "snow"), of(album, "sea")
    library.teach(TAG, yes=snow[:3], no=sea[:1], words=False)
    before, verdicts = given(library), said(library)
    library.index(album, model=seeing)
    with pytest.warns(Aimv2Warning, match="gives no tags"):
        library.tag()
    after = given(library)
    assert after != before  # other vectors, other scores
    assert not after.keys().isdisjoint(snow[3:])
    assert after.keys().isdisjoint([*snow[:3], sea[0]])
    assert said(library) == verdicts
    library.index(album, model="demo")
    library.tag()
    assert given(library) == pytest.approx(before)


def test_a_run_without_writing_tells_of_taught_tags_and_a_place_bounds_them(
    library: Library, album: Path
) -> None:
    library.index(album, model="demo")
    library.teach(TAG, yes=of(album, "snow")[:3], words=False)
    all_given = given(library)
    with library._writing() as store:
        store.remove_tags("taught")
    told: dict[str, tuple[str, ...]] = {}
    library.tag(dry_run=True, told=lambda tagged, _: told.update({tagged.path: tagged.added}))
    assert {path for path, added in told.items() if TAG in added} == set(all_given)
    assert given(library) == {}
    [one, *_] = all_given
    library.tag(filters=Filters((one,)))
    assert given(library) == {one: all_given[one]}


def test_teaching_waits_while_an_index_runs_and_the_last_word_counts(
    library: Library, album: Path
) -> None:
    library.index(album, model="demo")
    snow, sea = of(album, "snow"), of(album, "sea")
    library.teach(TAG, yes=snow[:2], words=False)
    before = given(library)
    with Store(library.path, can_write=True):  # as another process that indexes
        assert library.teach(TAG, no=snow[0], words="snow") is None
        assert library.teach(TAG, yes=snow[0], no=sea[0]) is None
        assert library.teach("Sea", words="waves") is None
        assert given(library) == before
        with pytest.raises(UsageError, match="Sea counts once the index"):
            library.taught("Sea")
    with library._writing():  # whoever writes next
        pass
    assert sorted(each == "rejected" for each in said(library).values()) == [False, False, True]
    with Store(library.path) as store:
        words = [each.words for each in store.taught_tags()]
    assert words == ["waves", "snow"]
    library.tag()
    assert given(library)
    assert given(library).keys().isdisjoint([*snow[:2], sea[0]])
