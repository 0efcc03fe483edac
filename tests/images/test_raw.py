"""RAW files by the preview in them: DNGs written here, and stand-ins for what those cannot show."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import ImageError
from mlx_aimv2.images import walk
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.images.formats import raw
from mlx_aimv2.images.metadata.exif import PhotoFacts, read_facts
from tests.support import tiffs
from tests.support.pictures import encoded

CORNERS = {"red": (0, 0), "blue": (1, 0), "lime": (0, 1), "white": (1, 1)}


def quarters() -> Image.Image:
    picture = Image.new("RGB", (48, 32))
    for colour, (x, y) in CORNERS.items():
        picture.paste(colour, (24 * x, 16 * y, 24 * x + 24, 16 * y + 16))
    return picture


JPEG = encoded(quarters(), "JPEG", quality=95)

# Where the stored corners are to be seen, by EXIF orientation. Source: EXIF 2.3, tag 0x0112.
SHOWN = {
    1: ("red", "blue", "lime", "white"),
    2: ("blue", "red", "white", "lime"),
    3: ("white", "lime", "blue", "red"),
    4: ("lime", "white", "red", "blue"),
    5: ("red", "lime", "blue", "white"),
    6: ("lime", "red", "white", "blue"),
    7: ("white", "blue", "lime", "red"),
    8: ("blue", "white", "red", "lime"),
}


def shown(picture: Image.Image) -> tuple[str, ...]:
    width, height = picture.size
    names = {(255, 0, 0): "red", (0, 0, 255): "blue", (0, 255, 0): "lime"}
    pixels = [
        picture.getpixel((width // 4 + x * width // 2, height // 4 + y * height // 2))
        for x, y in CORNERS.values()
    ]
    rounded = [tuple(255 * (value > 127) for value in pixel) for pixel in pixels]
    return tuple(names.get(pixel, "white") for pixel in rounded)


def fails(path: Path | bytes, read: Any = open_rgb) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read(path)
    assert caught.value.hint
    return caught.value


@pytest.fixture
def without_rawpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)


class StandIn:
    """rawpy's RawPy, as far as it is used; ``thumb`` is what is extracted, or raised."""

    def __init__(self, thumb: Any, flip: int = 0) -> None:
        self.sizes = SimpleNamespace(width=640, height=480, flip=flip)
        self._thumb = thumb

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def extract_thumb(self) -> Any:
        if isinstance(self._thumb, Exception):
            raise self._thumb
        return SimpleNamespace(data=self._thumb)


def stand_in(monkeypatch: pytest.MonkeyPatch, thumb: Any, flip: int = 0) -> None:
    module = SimpleNamespace(imread=lambda source: StandIn(thumb, flip))
    monkeypatch.setitem(sys.modules, "rawpy", module)


class TestNames:
    @pytest.mark.parametrize("extension", sorted(raw.EXTENSIONS))
    def test_by_extension(self, extension: str) -> None:
        for name in (f"a{extension}", f"x/A{extension.upper()}"):
            assert raw.is_raw(name)
            assert raw.is_raw(os.fsencode(name))
            assert raw.is_raw(Path(name))
        assert not raw.is_raw(f"a{extension}.jpg")

    @pytest.mark.parametrize("name", ["", "nef", "a.nefx", "a.jpg", "a.nef/b", b"\xff", "\ud800"])
    def test_others(self, name: str | bytes) -> None:
        assert not raw.is_raw(name)


class TestWalk:
    def grow(self, root: Path) -> None:
        for name in ("a.NEF", "b.jpg", "c/b.DNG", "c/d.txt"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).touch()

    def test_found_where_they_can_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.grow(tmp_path)
        monkeypatch.setattr(raw, "is_available", lambda: True)
        found = walk.find_images([tmp_path])
        assert [Path(item.path).name for item in found] == ["a.NEF", "b.jpg", "b.DNG"]
        assert found.skipped == {walk.OTHER_KIND: 1}

    @pytest.mark.usefixtures("without_rawpy")
    def test_counted_where_not(self, tmp_path: Path) -> None:
        self.grow(tmp_path)
        found = walk.find_images([tmp_path])
        assert [Path(item.path).name for item in found] == ["b.jpg"]
        assert found.skipped == {walk.OTHER_KIND: 1, walk.RAW_FILE: 2}
        assert len(list(walk.find_images([tmp_path / "a.NEF"]))) == 1  # what is named is found


@pytest.mark.usefixtures("without_rawpy")
def test_without_rawpy(tmp_path: Path) -> None:
    assert not raw.is_available()
    file = tmp_path / "a.dng"
    file.write_bytes(tiffs.dng(JPEG))
    for read in (open_rgb, read_facts):
        error = fails(file, read)
        assert str(error) == f"{file} is RAW, and rawpy is not installed"
        assert error.hint == install_hints.extra("raw")


def test_rawpy_is_imported_when_it_is_needed() -> None:
    script = (
        "import sys; from mlx_aimv2.images.formats import raw; raw.is_available(); "
        "sys.exit('rawpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


class TestFiles:
    """DNGs as a camera would write them, read by rawpy itself."""

    @pytest.fixture(autouse=True)
    def _rawpy(self) -> None:
        pytest.importorskip("rawpy", reason="needs rawpy")

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_upright(self, orientation: int, tmp_path: Path) -> None:
        file = tmp_path / "a.dng"
        file.write_bytes(tiffs.dng(JPEG, orientation))
        picture = open_rgb(file)
        assert picture.mode == "RGB"
        assert picture.size == ((48, 32) if orientation < 5 else (32, 48))
        assert shown(picture) == SHOWN[orientation]
        facts = read_facts(file)
        assert facts.orientation == orientation
        assert (facts.width_px, facts.height_px) == ((64, 48) if orientation < 5 else (48, 64))

    def test_the_previews_own_orientation_comes_first(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[274] = 1
        file = tmp_path / "a.dng"
        jpeg = encoded(quarters(), "JPEG", exif=exif)
        file.write_bytes(tiffs.dng(jpeg[:2] + jpeg[20:], 6))  # without JFIF, as cameras write it
        assert shown(open_rgb(file)) == SHOWN[1]  # it is turned already

    def test_facts(self, tmp_path: Path) -> None:
        degrees = tiffs.rationals((46, 1), (30, 1), (0, 1))
        gps = {1: tiffs.text("S"), 2: degrees, 3: tiffs.text("W"), 4: degrees}
        file = tmp_path / "a.DNG"
        file.write_bytes(tiffs.dng(JPEG, 1, {36867: tiffs.text("2024:05:01 12:00:00")}, gps))
        expected = PhotoFacts("DNG", 64, 48, 1, "2024-05-01T12:00:00", -46.5, -46.5)
        assert read_facts(file) == expected

    @pytest.mark.parametrize("name", [b"caf\xe9.dng", b"nfd-e\xcc\x81.dng", b"a\nb.dng"])
    def test_any_name(self, name: bytes, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/" + name
        try:
            Path(os.fsdecode(path)).write_bytes(tiffs.dng(JPEG))
        except OSError:
            pytest.skip("needs a file system that takes any bytes")
        assert open_rgb(os.fsdecode(path)).size == (48, 32)
        assert read_facts(path).width_px == 64

    def test_without_a_preview(self, tmp_path: Path) -> None:
        file = tmp_path / "a.dng"
        file.write_bytes(tiffs.dng())
        assert str(fails(file)).startswith(f"{file} has no preview")
        assert read_facts(file).width_px == 64

    def test_a_preview_of_too_many_pixels_is_not_decoded(self, tmp_path: Path) -> None:
        file = tmp_path / "a.dng"
        file.write_bytes(tiffs.dng(JPEG))
        with pytest.raises(ImageError, match="48×32 pixels, over the limit"):
            open_rgb(file, max_pixels=1000)

    def test_what_is_no_raw_file(self, tmp_path: Path) -> None:
        (tmp_path / "text.nef").write_text("not a picture\n" * 99)
        (tmp_path / "empty.nef").touch()
        os.mkfifo(tmp_path / "pipe.nef")
        for read in (open_rgb, read_facts):
            assert "no RAW file that LibRaw knows" in str(fails(tmp_path / "text.nef", read))
            assert "is empty" in str(fails(tmp_path / "empty.nef", read))
            assert "a named pipe" in str(fails(tmp_path / "pipe.nef", read))
            assert "does not exist" in str(fails(tmp_path / "gone.nef", read))

    def test_truncated_anywhere(self, tmp_path: Path) -> None:
        data = tiffs.dng(JPEG)
        file = tmp_path / "cut.dng"
        failures = 0
        for length in range(1, len(data), len(data) // 61):
            file.write_bytes(data[:length])
            try:
                assert read_facts(file).width_px == 64
                assert open_rgb(file).size == (48, 32)
            except ImageError as error:
                assert str(file) in str(error)
                failures += 1
        assert failures > 50  # the main directory is near the end

    def test_the_file_is_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "a.dng"
        file.write_bytes(tiffs.dng(JPEG))
        before = file.read_bytes(), file.stat().st_mtime_ns, sorted(tmp_path.iterdir())
        open_rgb(file), read_facts(file)
        assert (file.read_bytes(), file.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before


class TestStandIns:
    """What rawpy documents and no DNG of ours shows."""

    @pytest.mark.parametrize(("flip", "orientation"), [(0, 1), (3, 3), (5, 8), (6, 6)])
    @pytest.mark.parametrize("thumb", [JPEG, np.asarray(quarters())], ids=["jpeg", "bitmap"])
    def test_turned_as_the_sensor_was(
        self,
        thumb: Any,
        flip: int,
        orientation: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        stand_in(monkeypatch, thumb, flip)
        file = tmp_path / "a.cr3"
        file.write_bytes(b"a camera's own format")
        assert shown(open_rgb(file)) == SHOWN[orientation]
        size = (640, 480) if orientation < 5 else (480, 640)
        assert read_facts(file) == PhotoFacts("CR3", *size, orientation, None, None, None)

    def test_the_previews_date_where_the_file_is_no_tiff(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exif = tiffs.exif({}, {36867: tiffs.text("2024:05:01 12:00:00")}, {})
        stand_in(monkeypatch, encoded(quarters(), "JPEG", exif=exif))
        file = tmp_path / "a.raf"
        file.write_bytes(b"a camera's own format")
        assert read_facts(file).taken_at == "2024-05-01T12:00:00"

    @pytest.mark.parametrize(
        "thumb", [Exception(b"Unsupported thumbnail"), b"no JPEG", np.zeros((2, 2, 7))]
    )
    def test_a_preview_that_cannot_be_read(
        self, thumb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stand_in(monkeypatch, thumb)
        file = tmp_path / "a.x3f"
        file.write_bytes(b"a camera's own format")
        assert f"{file} has no preview that can be read (" in str(fails(file))
        assert read_facts(file).height_px == 480

    def test_a_damaged_preview(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stand_in(monkeypatch, JPEG[:-40])
        file = tmp_path / "a.nef"
        file.write_bytes(b"a camera's own format")
        assert f"{file} is truncated" in str(fails(file))
