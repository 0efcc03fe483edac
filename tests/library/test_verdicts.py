"""The owner's word: by a typed name, for all files of a shot, whatever becomes of the photos."""

import os
import shutil
from pathlib import Path

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.shots import share_words
from tests.support.albums import make_album

RUN = "vocabulary everyday"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    make_album(folder / "album", 4)
    return folder


@pytest.fixture
def album(template: Path, tmp_path: Path) -> list[Path]:
    shutil.copytree(template / "album", tmp_path / "album")
    return sorted((tmp_path / "album").iterdir())


@pytest.fixture
def library(album: list[Path], tmp_path: Path) -> Library:
    library = Library(tmp_path / "library.db")
    library.index(album[0].parent, model="demo")
    return library


def given(library: Library, photo: Path, *tags: str, origin: str = RUN) -> None:
    """Tags of a photo by a run of the program."""
    with library._writing() as store:
        file = store.file_at(os.fsencode(photo))
        assert file is not None
        with store.edit("tag", "a run"), store.transaction():
            store.add_tags(origin, [(file.id, tag, 0.9) for tag in tags])


def shown(library: Library, photo: Path) -> dict[str, str]:
    with Store(library.path) as store:
        file = store.file_at(os.fsencode(photo))
        assert file is not None
        return store.tags_of(file.id)


def test_words_are_kept_and_the_latest_counts(library: Library, album: list[Path]) -> None:
    photo = album[0]
    given(library, photo, "Animals|Dog")
    assert library.edit_tags("add", "Luna", photo).tag == "Luna"
    assert library.edit_tags("reject", "dog", [photo]).tag == "Animals|Dog"
    assert shown(library, photo) == {"Luna": "you"}
    library.edit_tags("confirm", "Animals|Dog", photo)
    assert shown(library, photo) == {"Animals|Dog": "you", "Luna": "you"}
    library.edit_tags("remove", "Dog", photo)
    library.edit_tags("reject", "Luna", photo)
    library.edit_tags("remove", "Luna", photo)  # a no is not taken back by removing
    assert shown(library, photo) == {}
    counts = {each.tag: (each.photos, each.rejected) for each in library.tags()}
    assert counts == {"Luna": (0, 1)}


def test_what_is_removed_may_come_back_and_what_is_rejected_is_hidden(
    library: Library, album: list[Path]
) -> None:
    photo = album[0]
    given(library, photo, "Sea", "Dog")
    given(library, photo, "Dog", origin="file")
    removed = library.edit_tags("remove", "Dog", photo)
    assert removed.from_others == (str(photo),)
    assert library.edit_tags("remove", "Sea", photo).from_others == ()
    assert shown(library, photo) == {"Dog": "file"}
    library.edit_tags("reject", "Dog", photo)
    assert shown(library, photo) == {}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sea", "Places|Sea"),
        ("PLACES | sea", "Places|Sea"),
        ("Dog", "Dog"),
        ("Pets|Dog", "Pets|Dog"),
    ],
)
def test_a_typed_name_is_a_path_or_the_last_name_of_one_tag(
    library: Library, album: list[Path], typed: str, meant: str
) -> None:
    given(library, album[0], "Places|Sea", "Dog", "Pets|Dog", "Toys|Car", "Roads|Car")
    assert library.edit_tags("confirm", typed, album[0]).tag == meant
    assert library.edit_tags("add", typed, album[0]).tag == meant


def test_a_name_of_two_tags_or_none_is_an_error(library: Library, album: list[Path]) -> None:
    given(library, album[0], "Toys|Car", "Roads|Car")
    with pytest.raises(UsageError, match=r"Roads\|Car, Toys\|Car"):
        library.edit_tags("add", "car", album[0])
    with pytest.raises(UsageError, match="has the tag Carr") as raised:
        library.edit_tags("reject", "Carr", album[0])
    assert "Car" in raised.value.hint
    with pytest.raises(UsageError, match="empty name"):
        library.edit_tags("add", "Toys||Car", album[0])
    assert library.tag_history()[0].kind == "tag"


def test_photos_that_are_not_known_are_told_and_the_others_done(
    library: Library, album: list[Path], tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.jpg"
    with pytest.raises(UsageError, match="does not know") as raised:
        library.edit_tags("add", "Luna", stranger)
    assert "aimv2 index" in raised.value.hint
    with pytest.raises(UsageError, match="is a folder"):
        library.edit_tags("add", "Luna", album[0].parent)
    with pytest.raises(UsageError, match="no photos"):
        library.edit_tags("add", "Luna", [])
    edited = library.edit_tags("add", "Luna", [stranger, album[1]])
    assert edited.photos == (str(album[1]),)
    assert [str(error) for error in edited.errors] == [f"the library does not know {stranger}"]
    assert shown(library, album[1]) == {"Luna": "you"}


def with_raw(library: Library, photo: Path) -> Path:
    """A RAW of a photo in the library, as if it could be read."""
    with library._writing() as store:
        store.run("UPDATE files SET taken_at = '2024-05-01T10:00:00'")
        store.run(
            "INSERT INTO files (path, size_bytes, mtime_ns, hash, last_hash, shot, taken_at) "
            "SELECT ?, 1, 1, x'07', x'07', shot, taken_at FROM files WHERE path = ?",
            os.fsencode(photo.with_suffix(".dng")), os.fsencode(photo),
        )  # fmt: skip
    return photo.with_suffix(".dng")


def test_a_word_is_of_all_files_of_a_shot(library: Library, album: list[Path]) -> None:
    raw = with_raw(library, album[0])
    edited = library.edit_tags("add", "Luna", raw)
    assert edited.photos == tuple(sorted(map(str, (raw, album[0]))))
    assert shown(library, album[0]) == shown(library, raw) == {"Luna": "you"}
    (luna,) = library.tags()
    assert (luna.photos, luna.origins) == (1, {"you": 1})
    library.undo_tags(library.tag_history()[0].number)
    assert shown(library, album[0]) == {}


def test_a_file_that_comes_to_a_shot_later_has_its_words(
    library: Library, album: list[Path]
) -> None:
    library.edit_tags("reject", library.edit_tags("add", "Dog", album[0]).tag, album[0])
    library.edit_tags("add", "Luna", album[0])
    raw = with_raw(library, album[0])
    given(library, raw, "Dog")
    with library._writing() as store:
        for _ in range(2):
            share_words(store)
    assert shown(library, album[0]) == shown(library, raw) == {"Luna": "you"}
    library.undo_tags(next(each.number for each in library.tag_history() if "Luna" in each.said))
    assert shown(library, raw) == {}


def test_words_outlive_moves_copies_prune_and_edited_pixels(
    library: Library, album: list[Path]
) -> None:
    given(library, album[0], "Dog", "Sea")
    library.edit_tags("reject", "Dog", album[0])
    library.edit_tags("add", "Luna", album[0])
    moved, copied = album[0].with_name("moved.jpg"), album[0].with_name("copied.jpg")
    shutil.copy(album[0], copied)
    album[0].rename(moved)
    library.index()
    both = [shown(library, moved), shown(library, copied)]  # one of them is the photo that moved
    assert sorted(both, key=len) == [{"Luna": "you"}, {"Luna": "you", "Sea": RUN}]
    moved.unlink()
    copied.unlink()
    library.index()
    assert library.prune().files == 2
    shutil.copy(album[1], moved)  # another photo at its place
    library.index()
    assert shown(library, moved) == {}


def test_edited_pixels_keep_the_word_and_a_cut_off_hour_does_not_lose_it(
    library: Library, album: list[Path]
) -> None:
    from PIL import Image  # noqa: PLC0415

    photo, whole = album[0], album[0].read_bytes()
    given(library, photo, "Dog")
    library.edit_tags("reject", "Dog", photo)
    photo.write_bytes(whole[:200])
    library.index()
    assert len(library.errors()) == 1
    with Image.open(album[1]) as image:
        image.rotate(90).save(photo)
    library.index()
    assert library.errors() == []
    given(library, photo, "Dog")
    assert shown(library, photo) == {}
    library.undo_tags(next(e.number for e in library.tag_history() if e.kind == "reject"))
    assert shown(library, photo) == {"Dog": RUN}


def test_a_copy_of_another_photo_over_it_takes_no_word_along(
    library: Library, album: list[Path]
) -> None:
    library.edit_tags("add", "Luna", album[0])
    shutil.copy(album[1], album[0])
    library.index()
    assert shown(library, album[0]) == shown(library, album[1]) == {}


def test_undoing_a_run_touches_no_word(library: Library, album: list[Path]) -> None:
    given(library, album[0], "Dog", "Sea")
    library.edit_tags("confirm", "Dog", album[0])
    given(library, album[0], "Boat")
    library.undo_tags()
    assert shown(library, album[0]) == {"Dog": "you", "Sea": RUN}
    library.undo_tags()
    assert shown(library, album[0]) == {"Dog": "you"}
    with pytest.raises(UsageError, match="no run"):
        library.undo_tags()
    with pytest.raises(UsageError, match="no edit 99"):
        library.undo_tags(99)


def test_undoing_all_takes_what_the_program_gave_and_leaves_no_run(
    library: Library, album: list[Path]
) -> None:
    given(library, album[0], "Dog", "Sea")
    given(library, album[0], "Keyword", origin="file")
    library.edit_tags("confirm", "Dog", album[0])
    library.undo_tags("all")
    assert shown(library, album[0]) == {"Dog": "you", "Keyword": "file"}
    with pytest.raises(UsageError, match="no run"):
        library.undo_tags()


def test_tags_are_renamed_and_merged_for_good(library: Library, album: list[Path]) -> None:
    given(library, album[0], "Animals|Dog", "Animals|Cat")
    library.edit_tags("add", "Animals|Dog|Luna", album[1])
    assert library.rename_tag("animals", "Fauna").tag == "Fauna"
    given(library, album[2], "Animals|Dog")
    assert shown(library, album[0]) == {"Fauna|Cat": RUN, "Fauna|Dog": RUN}
    assert shown(library, album[1]) == {"Fauna|Dog|Luna": "you"}
    assert shown(library, album[2]) == {"Fauna|Dog": RUN}
    with pytest.raises(UsageError, match="already") as raised:
        library.rename_tag("Fauna|Dog", "Fauna|Cat")
    assert "merge" in raised.value.hint
    with pytest.raises(UsageError, match="nothing to merge"):
        library.merge_tags(["Fauna|Dog"], "fauna|dog")
    library.merge_tags(["Cat", "Fauna|Dog"], "Pets")
    assert shown(library, album[0]) == {"Pets": RUN}
    assert shown(library, album[1]) == {"Pets|Luna": "you"}
    merge = library.tag_history()[0]
    assert (merge.kind, merge.said) == ("merge", "Fauna|Cat, Fauna|Dog into Pets")
    library.undo_tags(merge.number)
    assert shown(library, album[0]) == {"Fauna|Cat": RUN, "Fauna|Dog": RUN}
