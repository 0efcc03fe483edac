"""Thumbnails are made by the index of what it decodes, once, and change nothing of it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlx_aimv2.errors import Aimv2Warning
from mlx_aimv2.images.decode import open_picture
from mlx_aimv2.library.indexing import photo_reader
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.thumbnails.store import Thumbnails, thumbnails_path
from mlx_aimv2.library.thumbnails.thumbnail import SMALL, to_jpeg
from tests.support.albums import make_album, rows_of
from tests.support.pictures import encoded, photo
from tests.support.profiles import wide_copy

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    make_album(tmp_path / "album", 5)
    return Library(tmp_path / "library.db")


def kept(library: Library) -> dict[str, bytes | None]:
    thumbnails = Thumbnails(library.path)
    with Library(library.path) as opened:
        found = {
            Path(file.path_str).name: thumbnails.get(file.hash)
            for file in opened.store.files("hash IS NOT NULL")
        }
    thumbnails.close()
    return found


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    made = []

    def note(*arguments: object) -> bytes:
        made.append(to_jpeg(*arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(photo_reader, "to_jpeg", note)
    return made


def test_the_index_makes_each_once(library: Library, tmp_path: Path, made: list[bytes]) -> None:
    album = tmp_path / "album"
    (album / "copy.jpg").write_bytes((album / "000.jpg").read_bytes())
    library.index([album], model="demo")
    assert None not in kept(library).values()
    count = len(made)
    assert count in (5, 6)  # a copy may be read while its twin is
    library.index([album])
    library.index([album], reread=True)
    library.index([album], decode="fast")  # another set of vectors: all are embedded again
    assert len(made) == count
    thumbnails_path(library.path).unlink()
    make_album(album, 2, first=5)
    library.index([album])
    assert len(made) == count + 2


@pytest.mark.parametrize("decode", ["exact", "fast"])
def test_they_look_as_those_made_on_demand(library: Library, tmp_path: Path, decode: str) -> None:
    album = tmp_path / "album"
    exif = Image.Exif()
    exif[0x0112] = 6
    large = photo(90, 40).resize((3000, 1333), Image.Resampling.BICUBIC)
    (album / "large.jpg").write_bytes(encoded(large, "JPEG", quality=95, exif=exif))
    wide_copy(album / "wide.png", 1005, "prophoto")
    library.index([album], model="demo", decode=decode)
    for name, data in kept(library).items():
        assert data is not None
        demanded = to_jpeg(open_picture(str(album / name), shrink=SMALL.shrink))
        one, other = (Image.open(io.BytesIO(each)) for each in (data, demanded))
        assert one.size == other.size
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).mean() < 3


def test_an_estimate_counts_them(library: Library, tmp_path: Path) -> None:
    guess = library.estimate([tmp_path / "album"], model="demo").size_bytes
    assert not thumbnails_path(library.path).exists()
    library.index([tmp_path / "album"], model="demo")
    with_them = library.estimate([tmp_path / "album"], model="demo", decode="fast").size_bytes
    thumbnails = Thumbnails(library.path)
    assert guess - with_them == thumbnails.size_bytes > 0
    thumbnails.close()


def test_vectors_and_rows_are_as_without_them(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vectors(of: Library) -> np.ndarray:
        with Library(of.path) as opened:
            serving = opened.store.serving()
            return opened.store.segments(serving).take(np.arange(serving.row_count))

    library.index([tmp_path / "album"], model="demo")
    monkeypatch.setattr(Thumbnails, "has", lambda self, hash: True)
    without = Library(tmp_path / "without.db")
    without.index([tmp_path / "album"], model="demo")
    assert not thumbnails_path(without.path).exists()
    np.testing.assert_array_equal(vectors(library), vectors(without))
    assert rows_of(library.path) == rows_of(without.path)


def test_an_index_goes_on_without_a_file_for_them(library: Library, tmp_path: Path) -> None:
    thumbnails_path(library.path).mkdir()
    with pytest.warns(Aimv2Warning, match="cannot be used") as said:
        report = library.index([tmp_path / "album"], model="demo")
    assert report.embedded == 5
    assert len(said) == 1


def test_a_picture_of_which_too_little_was_decoded_gets_none(
    library: Library, tmp_path: Path
) -> None:
    square = photo(90, 90).resize((1800, 1800), Image.Resampling.BICUBIC)
    (tmp_path / "album" / "square.jpg").write_bytes(encoded(square, "JPEG"))
    library.index([tmp_path / "album"], model="demo", decode="fast")  # at an eighth of its size
    found = kept(library)
    assert [name for name, data in found.items() if data is None] == ["square.jpg"]


def test_forgotten_photos_leave_no_thumbnail(library: Library, tmp_path: Path) -> None:
    album, other = tmp_path / "album", tmp_path / "other"
    make_album(other, 2, first=5)
    (other / "copy.jpg").write_bytes((album / "000.jpg").read_bytes())
    library.index([album, other], model="demo")
    before = kept(library)
    library.forget(album)
    assert kept(library) == {name: data for name, data in before.items() if name in
                             {path.name for path in other.iterdir()}}  # fmt: skip
    thumbnails = Thumbnails(library.path)
    sizes = {data for data in kept(library).values() if data}
    assert thumbnails.size_bytes == sum(map(len, sizes))
    (other / "copy.jpg").unlink()
    library.index([other])
    assert thumbnails.size_bytes == sum(map(len, sizes))
    library.prune()
    assert thumbnails.size_bytes < sum(map(len, sizes))
    thumbnails.close()
