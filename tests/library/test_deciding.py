"""What the owner decides on duplicates: picks, no duplicates, what is carried; all of it undone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.lock import release_lock, take_lock
from mlx_aimv2.files.stamp import stamp_of
from mlx_aimv2.images.metadata.xmp_values import read_rating, read_taken_at
from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.duplicates import WholeGroupError
from mlx_aimv2.library.indexing.photo_reader import hash_file
from mlx_aimv2.library.library import Library
from tests.support.synthetic import facts

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
STARS = f"""<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>\r
<x:xmpmeta xmlns:x='adobe:ns:meta/'>\r
 <rdf:RDF xmlns:rdf='{RDF}'>\r
  <rdf:Description rdf:about='' xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:Rating='{{}}'/>\r
 </rdf:RDF>\r
</x:xmpmeta>\r
<?xpacket end='w'?>"""
DATE = "2019-05-06T07:08:09"


def write(path: Path, shade: int, side: int = 8) -> Path:
    Image.new("RGB", (side, side), (shade, 90, 30)).save(path)
    return path


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """kept.jpg without a date; copy.jpg, a smaller one with a date; twin.jpg is copy.jpg again."""
    folder = tmp_path / "album"
    folder.mkdir()
    write(folder / "kept.jpg", 200, 16)
    write(folder / "copy.jpg", 200)
    write(folder / "other.jpg", 10)
    (folder / "twin.jpg").write_bytes((folder / "copy.jpg").read_bytes())
    return folder


@pytest.fixture
def library(tmp_path: Path, album: Path) -> Iterator[Library]:
    path = tmp_path / "library.db"
    with Store(path, can_write=True) as store:
        for photo in sorted(album.iterdir()):
            taken_at = DATE if photo.name in ("copy.jpg", "twin.jpg") else None
            stamp = stamp_of(os.fsencode(photo))
            assert stamp is not None
            store.add_file(
                os.fsencode(photo), stamp, hash=hash_file(photo), facts=facts(taken_at=taken_at)
            )
    with Library(path) as opened:
        yield opened


def names(library: Library) -> list[str]:
    return [Path(path).name for path in library.picks().paths]


def dates(library: Library) -> dict[str, str | None]:
    with Store(library.path) as store:
        return {
            Path(file.path_str).name: file.facts and file.facts.taken_at for file in store.files()
        }


def undo(library: Library) -> None:
    with Store(library.path) as store:
        number = store.edits(count=1)[0].number
    library.undo_edit(number)


# Picks


def test_files_are_picked_and_no_other_with_them(library: Library, album: Path) -> None:
    edited = library.pick(album / "copy.jpg")
    assert (edited.said, edited.changed) == ("1 file picked for removal", 1)
    assert names(library) == ["copy.jpg"]
    library.pick([album / "other.jpg"])
    assert names(library) == ["copy.jpg", "other.jpg"]
    assert library.picks().size_bytes == sum(
        (album / name).stat().st_size for name in ("copy.jpg", "other.jpg")
    )
    assert library.pick(album / "other.jpg").number is None  # it is picked already
    undo(library)
    assert names(library) == ["copy.jpg"]
    undo(library)
    assert names(library) == ["copy.jpg", "other.jpg"]
    library.pick(album / "copy.jpg", is_picked=False)
    assert names(library) == ["other.jpg"]
    assert sorted(path.name for path in album.iterdir()) == [
        "copy.jpg", "kept.jpg", "other.jpg", "twin.jpg",
    ]  # fmt: skip


def test_all_of_a_group_are_picked_only_where_that_is_said(library: Library, album: Path) -> None:
    twins = [album / "copy.jpg", album / "twin.jpg"]
    with pytest.raises(WholeGroupError, match="both files of a group: none would be left") as error:
        library.pick(twins)
    assert "pick them all the same" in error.value.hint
    assert names(library) == []
    library.pick(twins[0])
    with pytest.raises(WholeGroupError):
        library.pick(twins[1])
    library.pick(twins, whole_groups=True)
    assert names(library) == ["copy.jpg", "twin.jpg"]


def test_what_was_written_since_or_is_away_is_told_apart(library: Library, album: Path) -> None:
    library.pick([album / name for name in ("copy.jpg", "other.jpg", "kept.jpg")])
    write(album / "copy.jpg", 99, 32)
    (album / "other.jpg").rename(album / "elsewhere.jpg")
    found = library.picks()
    assert [Path(path).name for path in found.paths] == ["kept.jpg"]
    assert [Path(file.path_str).name for file in found.changed] == ["copy.jpg"]
    assert [Path(file.path_str).name for file in found.away] == ["other.jpg"]


def test_a_pick_waits_while_another_process_writes(library: Library, album: Path) -> None:
    lock = take_lock(library.path.with_name("library.db.vectors"), "the library")
    try:
        edited = library.pick(album / "copy.jpg", uuid="one")
        assert edited.is_waiting
        assert library.pick(album / "copy.jpg", uuid="one").is_waiting
        library.not_duplicates([[album / "copy.jpg", album / "twin.jpg"]])
        library.carry(album / "kept.jpg", album / "copy.jpg")
        assert names(library) == []
    finally:
        release_lock(lock)
    library.pick(album / "other.jpg")
    assert names(library) == ["copy.jpg", "other.jpg"]
    assert library.waiting_edits() == 0
    assert dates(library)["kept.jpg"] == DATE
    assert library.duplicate_page("exact").total == 0
    assert library.pick(album / "copy.jpg", uuid="one").said == "1 file picked for removal"


# No duplicates


def test_no_duplicates_are_no_group_until_that_is_undone(library: Library, album: Path) -> None:
    twins = [album / "copy.jpg", album / "twin.jpg"]
    assert library.duplicate_page("exact").total == 1
    edited = library.not_duplicates([twins, [album / "kept.jpg", album / "other.jpg"]])
    assert edited.said == "4 files said to be no duplicates in 2 groups"
    assert library.duplicate_page("exact").total == 0
    undo(library)
    assert library.duplicate_page("exact").total == 1
    for few in ([twins[0]], [twins[0], twins[0]]):
        with pytest.raises(UsageError, match="one photo is no group"):
            library.not_duplicates([few])
    with pytest.raises(UsageError, match="does not know"):
        library.not_duplicates([[twins[0], album / "nothing.jpg"]])


# Carrying


def test_tags_and_captions_of_people_are_carried_and_what_aimv2_gave_is_not(
    library: Library, album: Path
) -> None:
    kept, copy = album / "kept.jpg", album / "copy.jpg"
    library.edit_tags("add", "Luna", copy)
    library.edit_tags("add", "Cat", album / "other.jpg")
    library.edit_tags("reject", "Cat", copy)
    library.edit_tags("add", "Boat", copy)
    library.edit_tags("reject", "Boat", kept)
    library.edit_caption(copy, "Luna at the lake")
    with Store(library.path, can_write=True) as store:
        [id] = [file.id for file in store.files("path = ?", (os.fsencode(copy),))]
        store.add_tags("sidecar", [(id, "Places|Norway", None)])
        store.add_tags("vocabulary everyday", [(id, "Sea", 0.9)])
    edited = library.carry(kept, [copy, kept])
    assert edited.said == "3 tags, the caption and the date carried over from copies"
    with Store(library.path) as store:
        [file] = store.files("path = ?", (os.fsencode(kept),))
        assert file.hash is not None
        assert store.verdicts_of(file.hash) == {
            "luna": "added", "places|norway": "added", "cat": "rejected", "boat": "rejected",
        }  # fmt: skip
        assert store.captions_of_content(file.hash) == {"you": Caption("Luna at the lake", "you")}
    undo(library)
    with Store(library.path) as store:
        assert store.verdicts_of(file.hash) == {"boat": "rejected"}
        assert store.captions_of_content(file.hash) == {}


def test_a_caption_of_the_owner_on_the_kept_photo_stands(library: Library, album: Path) -> None:
    kept, copy = album / "kept.jpg", album / "copy.jpg"
    library.edit_caption(copy, "Luna at the lake")
    library.edit_caption(kept, "")
    library.carry(kept, copy)
    with Store(library.path) as store:
        [file] = store.files("path = ?", (os.fsencode(kept),))
        assert store.captions_of_content(file.hash or b"")["you"].text == ""


def test_the_most_stars_and_a_date_are_in_the_sidecar_and_set_back_byte_for_byte(
    library: Library, album: Path
) -> None:
    kept, copy = album / "kept.jpg", album / "copy.jpg"
    sidecar = album / "kept.xmp"
    sidecar.write_text(STARS.format(2), newline="")
    for name, stars in (("copy.jpg.xmp", 3), ("twin.xmp", 5)):
        (album / name).write_text(STARS.format(stars), newline="")
    before = {path: path.read_bytes() for path in album.iterdir()}
    edited = library.carry(kept, [copy, album / "twin.jpg"])
    assert edited.said == "5 stars and the date carried over from copies"
    assert [(Path(path).name, done) for path, done in edited.sidecars] == [("kept.xmp", None)]
    said = sidecar.read_bytes()
    assert (read_rating(said), read_taken_at(said)) == (5, DATE)
    assert dates(library)["kept.jpg"] == DATE
    changed = [path.name for path in album.iterdir() if before.get(path) != path.read_bytes()]
    assert changed == ["kept.xmp"]
    undo(library)
    assert {path: path.read_bytes() for path in album.iterdir()} == before
    assert dates(library)["kept.jpg"] is None
    undo(library)  # done again
    assert sidecar.read_bytes() == said
    assert dates(library)["kept.jpg"] == DATE


def test_a_new_sidecar_is_made_and_goes_again(library: Library, album: Path) -> None:
    (album / "copy.xmp").write_text(STARS.format(4), newline="")
    library.carry(album / "kept.jpg", album / "copy.jpg")
    assert read_rating((album / "kept.jpg.xmp").read_bytes()) == 4
    undo(library)
    assert not (album / "kept.jpg.xmp").exists()


def test_a_sidecar_that_somebody_removed_is_made_anew_where_stars_are_carried(
    library: Library, album: Path
) -> None:
    for name, stars in (("copy", 4), ("other", 5)):
        (album / f"{name}.xmp").write_text(STARS.format(stars), newline="")
        library.carry(album / "kept.jpg", album / f"{name}.jpg")
        assert read_rating((album / "kept.jpg.xmp").read_bytes()) == stars
        (album / "kept.jpg.xmp").unlink()


def test_fewer_stars_and_a_second_date_are_not_carried(library: Library, album: Path) -> None:
    (album / "copy.xmp").write_text(STARS.format(5), newline="")
    (album / "other.xmp").write_text(STARS.format(1), newline="")
    with pytest.raises(UsageError, match="nothing to carry"):
        library.carry(album / "copy.jpg", album / "other.jpg")
    assert not (album / "copy.jpg.xmp").exists()


def test_taking_back_all_tags_leaves_the_stars_that_were_carried(
    library: Library, album: Path
) -> None:
    (album / "copy.xmp").write_text(STARS.format(4), newline="")
    library.carry(album / "kept.jpg", album / "copy.jpg")
    library.undo_tags("all")
    assert read_rating((album / "kept.jpg.xmp").read_bytes()) == 4


def test_a_kept_photo_that_is_not_there_keeps_what_was_carried_in_the_library(
    library: Library, album: Path
) -> None:
    (album / "copy.xmp").write_text(STARS.format(4), newline="")
    (album / "kept.jpg").unlink()
    edited = library.carry(album / "kept.jpg", album / "copy.jpg")
    assert dates(library)["kept.jpg"] == DATE
    [(_, error)] = edited.sidecars
    assert "is not there" in str(error)
    assert not (album / "kept.jpg.xmp").exists()
