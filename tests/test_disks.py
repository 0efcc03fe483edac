"""Disks as they are: away for a moment, with odd dates, behind links, gone under one's feet."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from mlx_aimv2.errors import AwayError, UsageError
from mlx_aimv2.files import paths
from mlx_aimv2.files.stamp import in_64_bits
from mlx_aimv2.images import decode
from mlx_aimv2.images.metadata.exif import read_facts
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search.filters import Filters
from tests.support.albums import make_album, rows_of, save
from tests.support.commands import on, run
from tests.support.refusing_disk import refused

pytestmark = pytest.mark.usefixtures("at_home")


# What cannot be looked at just now

LOOKING = ("stat", "lstat", "scandir", "open")
CODES = ("EACCES", "EPERM", "EIO", "ETIMEDOUT", "ESTALE", "ENOTCONN", "EDEADLK", "ELOOP", "ENODEV",
         "EHOSTDOWN")  # fmt: skip
ROOT, SUB, FILE = "album", "album/sub", "album/001.jpg"
CASES: dict[str, tuple[tuple[str, ...], Callable[[str], bool], int]] = {
    "the root": (LOOKING, lambda path: path.endswith(ROOT) or f"{ROOT}/" in path, 0),
    "the root's listing": (("scandir",), lambda path: path.endswith(ROOT), 0),
    "all in the root": (LOOKING, lambda path: f"{ROOT}/" in path, 3),
    "a folder": (LOOKING, lambda path: SUB in path, 3),
    "a file": (LOOKING, lambda path: path.endswith(FILE), 5),
}


def everything() -> tuple[list[tuple[object, ...]], dict[str, str], int]:
    with Library("library.db") as library:
        tags = library.store.tags_of(2)
        groups = len(library.duplicates())
    return rows_of(Path("library.db")), tags, groups


@pytest.mark.parametrize(
    ("case", "code"),
    [*((case, "EACCES") for case in CASES), *(("all in the root", code) for code in CODES[1:])],
)
def test_what_cannot_be_looked_at_stays(case: str, code: str) -> None:
    album = make_album(Path("album"), 3) + make_album(Path("album/sub"), 2, first=3)
    (album[0].parent / "sub/copy.jpg").write_bytes(album[0].read_bytes())
    library = Library("library.db")
    library.index(["album"], model="demo")
    with Store(library.path, can_write=True) as store, store.transaction():
        store.add_tags("user", [(2, "kept", None)])
    before = everything()
    assert before[1:] == ({"kept": "user"}, 1)
    calls, where, found = CASES[case]
    with refused(getattr(errno, code), calls, where):
        for folders in ([], ["album"]):
            report = library.index(folders)
            assert (report.missing, report.failed, report.embedded) == (0, 0, 0)
            assert report.found >= found
            assert len(report.errors) == 1, report.errors
            assert "in the library as" in str(report.errors[0])
            assert report.errors[0].hint
        assert (library.prune().files, library.prune().folders) == (0, 0)
        assert len(library.search(filters=Filters(places=["album"])).hits) == 6
        assert len(library.search("boat", min_score=0).hits) == 6
        assert library.export("all.jsonl", overwrite=True) == 6
    assert everything() == before
    report = library.index()
    assert (report.found, report.unchanged, report.errors) == (6, 6, [])
    assert everything() == before


def test_what_cannot_be_looked_at_is_told_in_a_line() -> None:
    make_album(Path("album"), 5)
    assert on("index album -m demo").code == 0
    with refused(errno.ETIMEDOUT, LOOKING, lambda path: "album/" in path):
        outcome = on("index")
    assert outcome.code == 3
    line, hint, summary = outcome.err.splitlines()
    assert line.startswith(f"skipped: {Path.cwd()}/album/000.jpg cannot be read: ")
    assert line.endswith(", and 4 more like it; they stay in the library as they were")
    assert hint.startswith("hint: ")
    assert summary == "5 photos: 0 read, 5 out of reach"
    assert on("index").code == 0


def test_a_changed_photo_that_cannot_be_read_stays() -> None:
    album = make_album(Path("album"), 3)
    library = Library("library.db")
    library.index(["album"], model="demo")
    before = rows_of(library.path)
    data = album[1].read_bytes()
    save(album[1], 9)
    with refused(errno.EIO, ("open",), lambda path: path.endswith(FILE)):
        report = library.index()
    assert (report.away, report.failed, report.missing) == (1, 0, 0)
    assert rows_of(library.path) == before
    album[1].write_bytes(data)
    assert library.index().embedded == 0
    assert rows_of(library.path) == before


def test_a_new_photo_that_cannot_be_read_is_an_error() -> None:
    make_album(Path("album"), 3)
    library = Library("library.db")
    with refused(errno.EACCES, LOOKING, lambda path: path.endswith(FILE)):
        report = library.index(["album"], model="demo")
    assert (report.embedded, report.failed, report.away) == (2, 1, 0)
    assert library.index().embedded == 1


def test_a_listing_that_fails_midway_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_album(Path("album"), 5)
    library = Library("library.db")
    library.index(["album"], model="demo")
    scandir = os.scandir

    class Failing:
        def __init__(self, folder: bytes) -> None:
            self._inner, self._left = scandir(folder), 2

        def __enter__(self) -> "Failing":
            return self

        def __exit__(self, *_: object) -> None:
            self._inner.close()

        def __iter__(self) -> "Failing":
            return self

        def __next__(self) -> Any:
            self._left -= 1
            if self._left < 0:
                raise OSError(errno.EIO, "Input/output error")
            return next(self._inner)

    with monkeypatch.context() as patch:
        patch.setattr(
            os,
            "scandir",
            lambda path: (Failing if b"album" in os.fsencode(path) else scandir)(path),
        )
        report = library.index()
    assert (report.found, report.unchanged, report.missing, len(report.errors)) == (2, 2, 0, 1)
    assert library.index().unchanged == 5


def test_a_named_file_in_a_locked_folder_is_not_gone() -> None:
    album = make_album(Path("album"), 2)
    assert on("index album/000.jpg album/001.jpg -m demo").code == 0
    with refused(errno.EACCES, LOOKING, lambda path: "album/" in path):
        assert on("index").code == 1
        assert on("library prune --json").records[0]["files"] == 0
    with Library("library.db") as library:
        assert [path for path, _ in library.store.roots()] == [
            os.fsencode(path.absolute()) for path in album
        ]
    assert "2 unchanged" in on("index").err


def test_prune_keeps_what_came_back() -> None:
    album = make_album(Path("album"), 2)
    library = Library("library.db")
    library.index(["album"], model="demo")
    album[0].rename("aside.jpg")
    assert library.index().missing == 1
    Path("aside.jpg").rename(album[0])
    assert library.prune().files == 0
    assert library.index().unchanged == 2


# Dates

DATES_NS = {
    "1601": -11_644_473_600 * 10**9,
    "before 1970": -1,
    "zero": 0,
    "2300": 10_413_792_000 * 10**9,
    "the last of 64 bits": (1 << 63) - 1,
    "one more": 1 << 63,
}


@pytest.mark.parametrize("date", ["1601", "zero", "2300"])
def test_any_date_of_a_file(date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk here may not hold such a date, so the system is asked for it through a seam."""
    make_album(Path("album"), 3)
    stat = os.stat

    class Dated:
        def __init__(self, status: os.stat_result) -> None:
            self._status = status

        st_mtime_ns = st_ctime_ns = DATES_NS[date]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._status, name)

    def dated(path: Any, **options: Any) -> Any:
        status = stat(path, **options)
        return Dated(status) if os.fsdecode(path).endswith(FILE) else status

    monkeypatch.setattr(os, "stat", dated)
    assert "3 read" in on("index album -m demo").err
    assert on("index").err == "3 photos: 0 read, 3 unchanged\n"
    assert len(on("search", "a picture", "-t", "0", "--json").records) == 3
    assert on("search", "--since", "2000").code == 0
    assert on("search", "a picture", "-t", "0", "--html", "sheet.html").code == 0
    assert on("library export vectors.jsonl").code == 0
    assert on("duplicates").code == 0
    outcome = run("embed", "album", "--model", "demo", "--out", "vectors.npz")
    assert outcome.code == 0, outcome.err


def test_dates_that_the_disk_takes() -> None:
    album = make_album(Path("album"), len(DATES_NS))
    for path, date_ns in zip(album, DATES_NS.values(), strict=True):
        os.utime(path, ns=(date_ns, date_ns))
    assert on("index album -m demo").code == 0
    assert f"{len(album)} unchanged" in on("index").err


def test_different_dates_stay_different() -> None:
    kept = [in_64_bits(date_ns) for date_ns in DATES_NS.values()]
    assert len(set(kept)) == len(DATES_NS)
    assert all(-(1 << 63) <= each < 1 << 63 for each in kept)
    assert in_64_bits(1_700_000_000_000_000_001) == 1_700_000_000_000_000_001


# A library by a link, and renamed


def test_a_library_is_reached_by_a_link() -> None:
    make_album(Path("album"), 2)
    Path("disk").mkdir()
    Path("library.db").symlink_to("disk/photos.db")
    assert on("index album -m demo").code == 0
    made = {path.name for path in Path("disk").iterdir()}
    assert {"photos.db", "photos.db.vectors"} <= made
    Path("again.db").symlink_to("library.db")
    for name in ("library.db", "again.db", "disk/photos.db"):
        assert run("index", "--library", name).err == "2 photos: 0 read, 2 unchanged\n"
        outcome = run("search", "boat", "-t", "0", "--json", "--library", name)
        assert len(outcome.records) == 2, outcome.err
    assert not list(Path().glob("*.vectors"))


@pytest.mark.parametrize("command", ["index", "search boat -t 0", "library export v.npz"])
def test_a_renamed_library_asks_for_its_vectors(command: str) -> None:
    make_album(Path("album"), 2)
    assert on("index album -m demo").code == 0
    Path("library.db").rename("photos.db")
    outcome = run(*command.split(), "--library", "photos.db")
    assert outcome.code == 1
    assert "there is no folder" in outcome.err
    assert "photos.db.vectors" in outcome.err
    assert "renamed or moved" in outcome.err
    assert not Path("photos.db.vectors").exists()
    Path("library.db.vectors").rename("photos.db.vectors")
    assert run(*command.split(), "--library", "photos.db").code == 0


# Plain words for what fails while a file is read

REASONS = {
    "EDEADLK": ("in the cloud only", "download"),
    "ETIMEDOUT": ("does not answer", "connected"),
    "ESTALE": ("network drive", "connected"),
    "ENOTCONN": ("network drive", "connected"),
    "EHOSTDOWN": ("network drive", "connected"),
    "ENODEV": ("its drive", "connected"),
    "EIO": ("the disk or the network", "copy"),
    "ENOENT": ("its drive has lost it", "connected"),
    "EBUSY": ("busy", "another program"),
}


@pytest.mark.parametrize("code", REASONS)
def test_a_file_that_fails_while_it_is_read(code: str) -> None:
    album = make_album(Path("album"), 2)
    reason, hint = REASONS[code]
    with failing(getattr(errno, code), after_bytes=100):
        with pytest.raises(AwayError, match=reason) as caught:
            decode.open_rgb(album[0])
        assert hint in caught.value.hint
        outcome = run("embed", "album/000.jpg", "--model", "demo", "--out", "v.npz")
        assert reason in outcome.err
        outcome = on("index album -m demo")
        assert reason in outcome.err
        assert outcome.code == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 100}),
        ("a.png", {}),
        ("a.tif", {}),
        ("lzw.tif", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True}),
        ("a.gif", {}),
        ("a.bmp", {}),
        ("a.avif", {"quality": 100}),
        ("a.heic", {"quality": 100}),
    ],
)
def test_no_format_calls_a_failing_disk_damage(name: str, options: dict[str, Any]) -> None:
    pillow_heif.register_heif_opener()
    pixels = np.random.default_rng(7).integers(0, 256, (211, 199, 3), np.uint8)
    Image.fromarray(pixels).save(name, **options)
    size = Path(name).stat().st_size
    for after_bytes in (16, 1000, size // 2, size - 1):
        with failing(errno.ESTALE, after_bytes=after_bytes):
            for read in (decode.open_rgb, read_facts):
                try:
                    read(name)
                except AwayError as error:
                    assert "network drive" in str(error)
                else:
                    assert read is read_facts or after_bytes == size - 1


@contextmanager
def failing(code: int, *, after_bytes: int) -> Iterator[None]:
    """Inside it every file fails after so many bytes."""

    class Raw(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() >= after_bytes:
                raise OSError(code, os.strerror(code))
            return super().readinto(memoryview(buffer)[: after_bytes - self.tell()])

        def readall(self) -> bytes:
            raise OSError(code, os.strerror(code))

    def opened(path: Any, mode: str, *, opener: Any) -> Any:
        return io.BufferedReader(Raw(path, mode, opener=opener), 16)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "open", opened, raising=False)
        yield


# A current folder that was deleted

COMMANDS = [
    "index .",
    "index",
    "search boat",
    "search --in . boat",
    "search --in *.jpg boat",
    "search --like a.jpg",
    "tag",
    "duplicates",
    "library status",
    "library forget album",
    "embed a.jpg --model demo --out a.npz",
    "embed . --model demo --out a.npz",
    "classify a.jpg --model demo --labels dog",
    "convert demo --out b",
    "info .",
    "merge a.npz",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_current_folder_that_was_deleted(command: str, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    library = ["--library", "library.db"] * command.startswith(("index", "search", "tag"))
    outcome = run(*command.split(), *library)
    assert outcome.code in (1, 2), outcome.err
    assert "Traceback" not in outcome.err
    assert "FileNotFoundError" not in outcome.err
    assert outcome.err.count("error: ") <= 1


def test_python_says_so_too(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    with pytest.raises(UsageError, match="current folder was deleted"):
        Library(tmp_path / "library.db").index(["."], model="demo")
    with pytest.raises(UsageError, match="nothing to index"):
        Library(tmp_path / "library.db").index()
    assert not list(tmp_path.iterdir())
