"""A library whose file is deleted, or another one, while it is open: what is there now counts."""

from pathlib import Path

import pytest

from mlx_aimv2.errors import OutputError
from mlx_aimv2.library.browsing.browsable import BrowsableLibrary
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support.synthetic import add_photo


def made(path: Path, count: int) -> Path:
    with Store(path, can_write=True) as store:
        for number in range(count):
            add_photo(store, f"/p/{number}.jpg")
    return path


def test_no_edit_is_answered_into_a_library_that_was_deleted(tmp_path: Path) -> None:
    path = made(tmp_path / "library.db", 3)
    with Library(path) as library:
        assert library.edit_tags("add", "Boat", [1]).changed == 1
        assert library.counts().files == library.store.counts().files == 3
        for file in tmp_path.glob("library.db*"):
            if file.is_file():
                file.unlink()
        for ask in (
            library.counts,
            library.tags,
            lambda: library.store,
            lambda: library.edit_tags("add", "Sea", [2]),
            lambda: library.undo_edit(1),
        ):
            with pytest.raises(OutputError, match="there is no library"):
                ask()
    assert not path.exists()


def test_a_library_that_was_put_back_from_a_copy_is_the_one_shown_and_edited(
    tmp_path: Path,
) -> None:
    path, other = made(tmp_path / "library.db", 3), made(tmp_path / "copy.db", 7)
    with Library(path) as library:
        assert library.counts().files == 3
        other.replace(path)
        assert library.counts().files == library.store.counts().files == 7
        assert library.edit_tags("add", "Boat", [7]).changed == 1
        assert [each.tag for each in library.tags()] == ["Boat"]


def test_nothing_that_was_computed_of_another_library_is_kept(tmp_path: Path) -> None:
    path, other = made(tmp_path / "library.db", 3), made(tmp_path / "other.db", 3)
    with Store(other, can_write=True) as store:
        store.run("UPDATE files SET taken_at = '2024-05-03T10:00:00'")
    with Store(path, can_write=True) as store:
        store.run("UPDATE files SET taken_at = NULL")
    with BrowsableLibrary(path) as library:
        assert library._of_one_moment(library.timeline.months).undated == 3
        other.replace(path)
        assert library._of_one_moment(library.timeline.months).months == (("2024-05", 3),)
