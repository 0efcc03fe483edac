"""Apple Photos libraries: every picture once, and nothing in the bundle touched."""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_aimv2.errors import ImageError, UsageError
from mlx_aimv2.files.paths import DISK_ACCESS_HINT
from mlx_aimv2.images.formats import raw
from mlx_aimv2.images.walk import Found
from mlx_aimv2.library import apple_photos
from mlx_aimv2.library.apple_photos import find_photos


def uuid(start: str) -> str:
    return f"{start:0<8}-1D2C-4B3A-8F00-0123456789AB".upper()


A, B, C, D, E, F = (uuid(digit) for digit in "ABCDEF")


def grow(bundle: Path, *names: str, size_bytes: int = 1) -> None:
    for name in names:
        file = bundle / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size_bytes))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A library with one of everything; what is no picture of its own says so."""
    bundle = tmp_path / "Photos Library.photoslibrary"
    grow(
        bundle,
        *(f"originals/A/{A}.heic", f"originals/A/{A}_3.mov"),  # a Live Photo
        *(f"originals/B/{B}.JPEG", f"originals/B/{B}_2.jpeg", f"originals/B/{B}_4.dng"),
        *(f"originals/B/{B}.aae", f"originals/B/._{B}.JPEG", f"originals/B/.{B}.jpeg"),
        *("originals/B/IMG_1.jpg", f"originals/.hidden/{A}.txt", "originals/.DS_Store"),
        f"originals/C/{C}.mov",  # a video, and a frame of it
        *(f"resources/derivatives/C/{C}_1_105_c.jpeg", f"resources/renders/D/{D}_1_201_a.jpeg"),
        f"resources/derivatives/masters/E/{E}_4_5005_c.jpeg",
        *("database/Photos.sqlite", "database/Photos.sqlite-wal", "private/x.jpg"),
    )
    grow(bundle, f"resources/derivatives/D/{D}_1_105_c.jpeg", size_bytes=200)
    grow(bundle, f"resources/derivatives/D/{D}_1_102_o.jpeg", size_bytes=300)
    grow(bundle, f"resources/derivatives/masters/D/{D}_4_5005_c.jpeg", size_bytes=100)
    grow(bundle, f"resources/derivatives/masters/A/{A}_4_5005_c.jpeg", size_bytes=900)
    return bundle


def found_in(bundle: Path) -> list[tuple[str, str | None]]:
    items = list(find_photos(bundle))
    assert not [item for item in items if item.error]
    return [(os.path.relpath(item.path, bundle), item.uuid) for item in items]


def error_of(item: Found) -> ImageError:
    assert item.uuid is None
    assert item.error is not None
    assert item.error.hint
    return item.error


def test_every_picture_once(bundle: Path) -> None:
    assert found_in(bundle) == [
        (f"originals/A/{A}.heic", A),
        (f"originals/B/{B}.JPEG", B),
        (f"resources/derivatives/D/{D}_1_102_o.jpeg", D),
        (f"resources/derivatives/masters/E/{E}_4_5005_c.jpeg", E),
    ]


def test_kinds_of_names(bundle: Path) -> None:
    items = list(find_photos(bundle))
    assert list(find_photos(os.fsencode(bundle))) == items
    assert list(find_photos(f"{bundle}/")) == items


def test_any_case(tmp_path: Path) -> None:
    original = f"Originals/a/{A.lower()}.HEIC"
    copy = f"Resources/Derivatives/b/{B.lower()}_1_102_o.JPEG"
    grow(tmp_path, original, copy)
    assert found_in(tmp_path) == [(original, A), (copy, B)]


def test_many_in_order(tmp_path: Path) -> None:
    uuids = [uuid(f"{number:02X}") for number in range(256)]
    grow(tmp_path, *(f"originals/{name[0]}/{name}.jpg" for name in reversed(uuids[::2])))
    copies = [f"resources/derivatives/{name[0]}/{name}_1_105_c.jpeg" for name in uuids[1::2]]
    grow(tmp_path, *copies)
    found = found_in(tmp_path)
    assert [name for _, name in found] == uuids
    assert ["derivatives" in path for path, _ in found] == [False, True] * 128


def test_one_folder_is_listed_at_a_time(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    scandir = os.scandir

    def record(folder: str) -> object:
        listed.append(os.path.relpath(folder, bundle))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", record)
    found = find_photos(bundle)
    assert next(found).uuid == A
    assert "originals/A" in listed
    assert not {name for name in listed if name.endswith(("/B", "/C", "/D", "/E"))}
    assert not {name for name in listed if name.startswith(("database", "private"))}


@pytest.mark.parametrize("is_available", [True, False])
def test_raw(is_available: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "is_available", lambda: is_available)
    grow(tmp_path, f"originals/A/{A}.dng", f"originals/B/{B}.cr3", f"originals/C/{C}.dng")
    grow(tmp_path, f"resources/derivatives/A/{A}_1_102_o.jpeg", f"originals/C/{C}.heic")
    copy = (f"resources/derivatives/A/{A}_1_102_o.jpeg", A)
    assert found_in(tmp_path) == [
        (f"originals/A/{A}.dng", A) if is_available else copy,
        (f"originals/B/{B}.cr3", B),  # nothing else is here, and reading it says why
        (f"originals/C/{C}.heic", C),
    ]


class TestErrors:
    def test_old_versions(self, tmp_path: Path) -> None:
        grow(tmp_path, "Masters/2016/01/02/IMG_1.JPG", "database/photos.db")
        (item,) = find_photos(tmp_path)
        assert str(error_of(item)) == f"{tmp_path} is of an old version of Photos"
        assert "open it once in Photos" in error_of(item).hint
        (tmp_path / "originals").mkdir()
        assert found_in(tmp_path) == []

    def test_other_folders(self, tmp_path: Path) -> None:
        grow(tmp_path, "a.jpg")
        for path, reason in (
            (tmp_path, "holds no originals"),
            (tmp_path / "gone", "does not exist"),
            (tmp_path / "a.jpg", "is a file"),
        ):
            (item,) = find_photos(path)
            assert item.path == str(path)
            assert reason in str(error_of(item))

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
    @pytest.mark.parametrize("refused", ["", "/originals", "/resources/derivatives"])
    def test_refused(
        self, refused: str, number: int, bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse(monkeypatch, f"{bundle}{refused}", number)
        (item,) = find_photos(bundle)
        assert item.path == f"{bundle}{refused}"
        assert "may not be read" in str(error_of(item))
        assert error_of(item).hint == DISK_ACCESS_HINT

    def test_one_folder_refused(self, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        refuse(monkeypatch, f"{bundle}/originals/A", errno.EPERM)
        refuse(monkeypatch, f"{bundle}/resources/derivatives/D", errno.EPERM)
        bad, b, also_bad, d, e = find_photos(bundle)
        assert (b.uuid, d.uuid, e.uuid) == (B, D, E)
        assert d.path.endswith("_4_5005_c.jpeg")
        assert {error_of(item).hint for item in (bad, also_bad)} == {DISK_ACCESS_HINT}

    def test_a_derivative_that_vanishes(
        self, bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stat = Path.stat

        def vanish(self: Path, **options: bool) -> os.stat_result:
            if self.name.endswith("_1_102_o.jpeg"):
                raise FileNotFoundError(errno.ENOENT, "gone", str(self))
            return stat(self, **options)

        monkeypatch.setattr(Path, "stat", vanish)
        assert (f"resources/derivatives/D/{D}_1_105_c.jpeg", D) in found_in(bundle)


def refuse(monkeypatch: pytest.MonkeyPatch, refused: str, number: int) -> None:
    scandir = os.scandir

    def scan(folder: str) -> object:
        if folder == refused:
            raise OSError(number, os.strerror(number), folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)


class TestReadOnly:
    opened: list[str] | None = None

    @pytest.fixture(autouse=True)
    def _watch(self) -> Iterator[None]:
        yield
        type(self).opened = None

    def test_nothing_is_changed_or_opened(self, bundle: Path) -> None:
        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event == "open" and TestReadOnly.opened is not None:
                TestReadOnly.opened.append(os.fsdecode(arguments[0]))  # type: ignore[arg-type]

        sys.addaudithook(hook)
        before = state(bundle)
        type(self).opened = []
        found = list(find_photos(bundle))
        (bundle / "originals/A" / f"{A}.heic").open("rb").close()
        assert len(found) == 4
        assert self.opened == [str(bundle / "originals/A" / f"{A}.heic")]  # by this test alone
        assert state(bundle) == before


def state(bundle: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(bundle.rglob("*"))
    }


class TestBundles:
    def test_is_bundle(self, tmp_path: Path) -> None:
        (tmp_path / "My.PhotosLibrary").mkdir()
        (tmp_path / "file.photoslibrary").touch()
        (tmp_path / "folder").mkdir()
        named = tmp_path / "My.PhotosLibrary"
        assert all(
            apple_photos.is_bundle(path) for path in (named, f"{named}/", os.fsencode(named))
        )
        for name in ("file.photoslibrary", "folder", "gone.photoslibrary"):
            assert not apple_photos.is_bundle(tmp_path / name)

    def test_where_one_may_not_look(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.photoslibrary").mkdir()
        assert apple_photos.is_bundle(tmp_path / "a.photoslibrary")

        def refuse_all(self: Path, **options: bool) -> os.stat_result:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))

        monkeypatch.setattr(Path, "stat", refuse_all)
        assert not apple_photos.is_bundle(tmp_path / "a.photoslibrary")

    def test_default(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert "no Photos library" in self.refusal()
        pictures = tmp_path / "Pictures"
        (pictures / "Holidays").mkdir(parents=True)
        assert "no Photos library" in self.refusal()
        (pictures / "Fotos.photoslibrary").mkdir()
        assert apple_photos.default_bundle() == pictures / "Fotos.photoslibrary"
        (pictures / "Old.photoslibrary").mkdir()
        assert "Fotos.photoslibrary, Old.photoslibrary" in self.refusal()
        (pictures / "Photos Library.photoslibrary").mkdir()
        assert apple_photos.default_bundle() == pictures / "Photos Library.photoslibrary"

    def refusal(self) -> str:
        with pytest.raises(UsageError) as caught:
            apple_photos.default_bundle()
        assert "name" in caught.value.hint
        return str(caught.value)

    def test_default_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "Pictures").mkdir()
        monkeypatch.setenv("HOME", str(tmp_path))

        def refuse_all(self: Path) -> Iterator[Path]:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

        monkeypatch.setattr(Path, "iterdir", refuse_all)
        with pytest.raises(ImageError) as caught:
            apple_photos.default_bundle()
        assert caught.value.hint == DISK_ACCESS_HINT
