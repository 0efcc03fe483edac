"""Photos without a date of their own: the date is that of their sidecars, as these are now."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing import look
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search.filters import Filters
from mlx_aimv2.library.sidecars.xmp import merge
from tests.support.albums import save

XMP = """<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF
 xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about=''
 xmlns:exif='http://ns.adobe.com/exif/1.0/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'
 {}/></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Library(tmp_path / "library.db")


def write(sidecar: Path, date: str, more: str = "") -> None:
    sidecar.write_text(XMP.format(f"exif:DateTimeOriginal='{date}' {more}"))


def index(library: Library, folder: Path) -> dict[str, str | None]:
    """The date of each photo after a run."""
    library.index([folder], model="demo")
    return {
        os.fsdecode(file.path.rpartition(b"/")[2]): file.facts.taken_at if file.facts else None
        for file in library.store.files("missing_since IS NULL")
    }


def test_either_name_gives_the_date(library: Library, tmp_path: Path) -> None:
    album = tmp_path / "album"
    for number, name in enumerate(("full.jpg", "short.JPG", "raws.jpg", "none.jpg", "both.png")):
        save(album / name, number)
    write(album / "full.jpg.xmp", "2024-05-31T14:05:06+02:00")
    write(album / "short.xmp", "2023-05-31T14:05:06")
    write(album / "raws.xmp", "2022-05-31", "photoshop:SidecarForExtension='NEF'")
    (album / "none.jpg.xmp").write_bytes(merge(None, [("Dog",)]))
    write(album / "both.png.XMP", "2021-05-31T00:00:01")
    write(album / "both.xmp", "2020-05-31")
    assert index(library, album) == {
        "full.jpg": "2024-05-31T14:05:06",
        "short.JPG": "2023-05-31T14:05:06",
        "raws.jpg": None,
        "none.jpg": None,
        "both.png": "2021-05-31T00:00:01",
    }
    found = library.search(filters=Filters(since="2023"))
    names = [Path(os.fsdecode(hit.file.path)).name for hit in found.hits]
    assert names == ["full.jpg", "short.JPG"]


def test_the_photos_own_date_comes_first(library: Library, tmp_path: Path) -> None:
    photo = tmp_path / "album" / "a.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2020:01:02 03:04:05"
    save(photo, 1, exif=exif)
    write(tmp_path / "album" / "a.jpg.xmp", "2024-05-31")
    assert index(library, photo.parent) == {"a.jpg": "2020-01-02T03:04:05"}


@pytest.mark.filterwarnings("ignore:.*what it says was not read")
def test_a_sidecar_that_comes_changes_or_goes(library: Library, tmp_path: Path) -> None:
    photo = save(tmp_path / "album" / "a.jpg", 1)
    sidecar = Path(f"{photo}.xmp")
    assert index(library, photo.parent) == {"a.jpg": None}
    write(sidecar, "2024-05-31")
    assert index(library, photo.parent) == {"a.jpg": "2024-05-31T00:00:00"}
    write(sidecar, "2023-05-31")
    os.utime(sidecar, ns=(1, 1))
    assert index(library, photo.parent) == {"a.jpg": "2023-05-31T00:00:00"}
    sidecar.write_text("<broken")
    os.utime(sidecar, ns=(2, 2))
    assert index(library, photo.parent) == {"a.jpg": None}
    write(sidecar, "2024-05-31")
    assert index(library, photo.parent) == {"a.jpg": "2024-05-31T00:00:00"}
    sidecar.unlink()
    assert index(library, photo.parent) == {"a.jpg": None}


def test_only_what_has_changed_is_read(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    album = tmp_path / "album"
    for number in range(5):
        write(Path(f"{save(album / f'{number}.jpg', number)}.xmp"), "2024-05-31")
    index(library, album)
    read: list[str] = []
    read_sidecar = look.read_sidecar

    def note(path: Path) -> bytes | None:
        read.append(path.name)
        return read_sidecar(path)

    monkeypatch.setattr(look, "read_sidecar", note)
    write(album / "3.jpg.xmp", "2023-05-31")
    os.utime(album / "3.jpg.xmp", ns=(1, 1))
    assert index(library, album)["3.jpg"] == "2023-05-31T00:00:00"
    assert read == ["3.jpg.xmp"]


def test_what_cannot_be_looked_at_keeps_its_date(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = save(tmp_path / "album" / "a.jpg", 1)
    write(Path(f"{photo}.xmp"), "2024-05-31")
    dates = index(library, photo.parent)
    listed = os.scandir

    def refuse(path: bytes | str) -> object:
        if os.fsencode(path) == os.fsencode(photo.parent):
            raise TimeoutError("the disk does not answer")
        return listed(path)

    with monkeypatch.context() as patch:
        patch.setattr(look.os, "scandir", refuse)
        assert index(library, photo.parent) == dates
    Path(f"{photo}.xmp").unlink()
    Path(f"{photo}.xmp").mkdir()  # no sidecar can be read from it
    assert index(library, photo.parent) == dates


def test_a_copy_has_the_date_of_its_own_sidecar(library: Library, tmp_path: Path) -> None:
    album = tmp_path / "album"
    photo = save(album / "a.jpg", 1)
    write(Path(f"{photo}.xmp"), "2024-05-31")
    index(library, album)
    for name in ("b.jpg", "c.jpg"):
        shutil.copy(photo, album / name)
    write(album / "c.jpg.xmp", "2023-05-31")
    expected = {"a.jpg": "2024-05-31T00:00:00", "b.jpg": None, "c.jpg": "2023-05-31T00:00:00"}
    assert index(library, album) == expected


def test_a_moved_photo_takes_its_sidecar_along(library: Library, tmp_path: Path) -> None:
    photo = save(tmp_path / "album" / "a.jpg", 1)
    write(Path(f"{photo}.xmp"), "2024-05-31")
    index(library, tmp_path / "album")
    (tmp_path / "album").rename(tmp_path / "moved")
    (tmp_path / "album").mkdir()
    assert index(library, tmp_path / "moved") == {"a.jpg": "2024-05-31T00:00:00"}
    (tmp_path / "moved" / "a.jpg.xmp").unlink()
    assert index(library, tmp_path / "moved") == {"a.jpg": None}


def test_dates_that_were_not_read_before_come_by_reading_again(
    library: Library, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2024-05-31T14:05:06+02:00"
    photo = save(tmp_path / "album" / "a.jpg", 1, exif=exif)
    index(library, photo.parent)
    with Store(library.path, can_write=True) as store:  # as an older version left it
        store.run("UPDATE files SET taken_at = NULL, sidecar_stamp = NULL WHERE id = 1")
    assert index(library, photo.parent) == {"a.jpg": None}
    library.index(reread=True)
    file = library.store.file_at(os.fsencode(photo))
    assert file is not None
    assert file.facts is not None
    assert file.facts.taken_at == "2024-05-31T14:05:06"


def test_a_date_that_was_carried_stays_until_that_is_undone(
    library: Library, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    for number, name in enumerate(("kept.jpg", "copy.jpg")):
        save(album / name, number)
    write(album / "copy.jpg.xmp", "2019-05-06T07:08:09")
    index(library, album)
    carried = library.carry(album / "kept.jpg", album / "copy.jpg")
    (album / "copy.jpg").unlink()
    for _ in range(2):
        assert index(library, album) == {"kept.jpg": "2019-05-06T07:08:09"}
    assert (album / "kept.jpg.xmp").exists()
    (album / "kept.jpg.xmp").unlink()  # the library still knows it
    assert index(library, album) == {"kept.jpg": "2019-05-06T07:08:09"}
    write(album / "kept.jpg.xmp", "2001-05-06T07:08:09")  # another program knows better
    assert index(library, album) == {"kept.jpg": "2001-05-06T07:08:09"}
    (album / "kept.jpg.xmp").unlink()
    assert index(library, album) == {"kept.jpg": "2019-05-06T07:08:09"}
    assert carried.number is not None
    library.undo_edit(carried.number)
    assert index(library, album) == {"kept.jpg": None}
