"""Vocabularies side by side: each gives its own tags, and takes only those it gave."""

from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.tagging import in_use
from tests.support.albums import make_album


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in-use")
    make_album(folder / "album", 13, side_px=112)
    with Library(folder / "library.db") as library:
        library.index(folder / "album", model="demo")
    return folder


@pytest.fixture
def library(indexed: Path, tmp_path: Path):
    with Library(tmp_path / "library.db") as opened:
        opened.index(indexed / "album", model="demo")
        yield opened


def given(library: Library) -> dict[str, int]:
    rows = library.store.rows("SELECT origin, count(*) FROM tags GROUP BY origin")
    return dict(rows)


def write(folder: Path, name: str, *words: str) -> Path:
    path = folder / f"{name}.txt"
    path.write_text("".join(f"{word}\n" for word in words))
    return path


def test_one_beside_another(library: Library, tmp_path: Path) -> None:
    library.tag()
    before = given(library)
    assert set(before) == {"vocabulary demo"}
    own = write(tmp_path, "own", "Things|Dog: dog", "Sea", "Beach", "Forest", "City", "Snow")
    library.tag(vocabulary=own, min_confidence=0.5, limit=2)
    assert given(library)["vocabulary demo"] == before["vocabulary demo"]
    assert "vocabulary own" in given(library)
    own.unlink()
    both = given(library)
    library.tag()
    assert given(library) == both
    used = {each.name: each for each in in_use.vocabularies_in_use(library.store)}
    assert (used["own"].min_confidence, used["own"].limit) == (0.5, 2)


def test_an_edited_vocabulary_replaces_its_own_tags(library: Library, tmp_path: Path) -> None:
    library.tag(vocabulary=write(tmp_path, "own", "Sea", "Beach", "Forest", "City", "Snow"))
    library.tag(vocabulary="demo")
    before = given(library)["vocabulary demo"]
    library.tag(vocabulary=write(tmp_path, "own", "Sea"))
    tags = {tag for _, tag, _ in library.store.tags("vocabulary own")}
    assert tags <= {"Sea"}
    assert given(library)["vocabulary demo"] == before


def test_replacing_asks_first(library: Library, tmp_path: Path) -> None:
    library.tag()
    count = given(library)["vocabulary demo"]
    asked: list[tuple[int, int]] = []

    def no(tags: int, photos: int) -> bool:
        asked.append((tags, photos))
        return False

    own = write(tmp_path, "own", "Sea", "Beach")
    library.tag(vocabulary=own, replace=no)
    assert asked[0][0] == count
    assert given(library)["vocabulary demo"] == count
    library.tag(vocabulary=own, replace=True)
    assert set(given(library)) <= {"vocabulary own"}
    assert [each.name for each in in_use.vocabularies_in_use(library.store)] == ["own"]
    with pytest.raises(UsageError, match="needs a vocabulary"):
        library.tag(replace=True)


def test_what_was_rejected_is_not_given(library: Library) -> None:
    library.tag()
    id, tag, _ = next(library.store.tags("vocabulary demo"))
    hash = library.store.files_of([id])[id].hash
    assert hash is not None
    with Store(library.path, can_write=True) as store:
        store.say(hash, tag, "rejected")
    told = []
    library.tag(told=lambda tagged, _: told.append((tagged.file.id, dict(tagged.tags))))
    assert tag not in dict(told)[id]
    assert tag not in library.store.origins_of([id])[id]


def test_a_run_is_undone(library: Library, tmp_path: Path) -> None:
    library.tag()
    before = given(library)
    own = write(tmp_path, "own", "Sea", "Beach", "Forest", "City", "Snow")
    library.tag(vocabulary=own, replace=True)
    with Store(library.path, can_write=True) as store:
        store.undo_edit(store.edits()[0].number)
    assert given(library) == before
    assert [each.name for each in in_use.vocabularies_in_use(library.store)] == ["demo"]


def test_taking_all_tags_back_forgets_no_vocabulary(library: Library, tmp_path: Path) -> None:
    library.tag()
    library.tag(vocabulary=write(tmp_path, "own", "Sea", "Beach"), min_confidence=0.1)
    before = given(library)
    library.undo_tags("all")
    assert given(library) == {}
    assert [each.name for each in in_use.vocabularies_in_use(library.store)] == ["demo", "own"]
    library.tag()
    assert given(library) == before


def test_names_of_others_are_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the name everyday is taken"):
        library.tag(vocabulary=write(tmp_path, "everyday", "Sea"))
    with pytest.raises(UsageError, match="cannot read"):
        library.tag(vocabulary="nothing-of-that-name")


def test_tags_of_renamed_paths_keep_their_names(library: Library) -> None:
    with Store(library.path, can_write=True) as store:
        store.alias("Animals", "Fauna")
        store.alias("Transport", "Fauna")
    library.tag(min_confidence=0.05)
    heads = {tag.partition("|")[0] for _, tag, _ in library.store.tags("vocabulary demo")}
    assert "Fauna" in heads
    assert heads.isdisjoint({"Animals", "Transport"})
    assert np.isfinite([score for *_, score in library.store.tags("vocabulary demo")]).all()


def test_a_run_after_a_rejection_is_no_edit(library: Library) -> None:
    library.tag()
    file_id, tag = library.store.one("SELECT file_id, tag FROM tags LIMIT 1")
    path = library.store.files_of([file_id])[file_id].path_str
    library.edit_tags("reject", tag, path)
    library.tag()
    assert [each.kind for each in library.tag_history()] == ["reject", "tag"]
    library.undo_tags()
    assert given(library) == {}
