"""A disk that is full: said in plain words, nothing lost, and gone on with when there is room."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import OutputError
from mlx_aimv2.library.database.segments import Segments
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support.albums import noise, rows_of
from tests.support.commands import PATIENCE_S, run
from tests.support.kills import ROOT
from tests.support.synthetic import make_library, segments_of, unit

FILES = 40


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    can_mount = shutil.which("mount") is not None
    if not can_mount or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root, who may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # an error may hold a map of it


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(FILES):
        noise(folder / f"{number:02}.png", number)
    return folder


def fill_up(folder: Path, leave: int) -> Path:
    """Take the disk's room, all but so many bytes."""
    ballast = folder / "ballast"
    status = os.statvfs(folder)
    ballast.write_bytes(b"\1" * max(0, status.f_bavail * status.f_frsize - leave))
    return ballast


def problems(library: Path) -> list[str]:
    with closing(sqlite3.connect(library)) as database:
        found = [text for (text,) in database.execute("PRAGMA integrity_check")]
    return [text for text in found if text != "ok"]


def expect_full(code: int, errors: str) -> None:
    assert code == 1, errors
    assert "Traceback" not in errors
    assert "error: library " in errors or "error: vectors cannot be written" in errors
    assert "hint: make room on the disk" in errors


def index(folder: Path, library: Path) -> tuple[int, str]:
    outcome = run("index", str(folder), "--library", str(library), "-m", "demo", "--quiet")
    return outcome.code, outcome.err


@pytest.mark.parametrize("left_bytes", [0, 4096, 20_000])
def test_a_full_disk(tiny_disk: Path, photos: Path, left_bytes: int) -> None:
    library = tiny_disk / "library.db"
    first = photos / "00.png"
    assert index(first, library) == (0, "")
    before = rows_of(library)
    ballast = fill_up(tiny_disk, left_bytes)
    expect_full(*index(photos, library))
    ballast.unlink()  # SQLite reads a library only where there is room for its index of the log
    assert problems(library) == []
    assert rows_of(library)[:1] == before
    assert index(photos, library) == (0, "")
    assert problems(library) == []
    calm = photos.parent / "calm.db"
    assert index(first, calm) == index(photos, calm) == (0, "")
    assert rows_of(library) == rows_of(calm)


def test_no_room_for_a_new_library(tiny_disk: Path, photos: Path) -> None:
    ballast = fill_up(tiny_disk, 0)
    code, errors = index(photos, tiny_disk / "library.db")
    assert code == 1
    assert "hint: make room on the disk" in errors
    ballast.unlink()
    assert index(photos, tiny_disk / "library.db") == (0, "")


def limited(limit_bytes: int, folder: Path, library: Path) -> tuple[int, str]:
    """Index in a process whose files may grow to so many bytes only."""
    arguments = ["index", str(folder), "--library", str(library), "-m", "demo", "--quiet"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.limited_disk", str(limit_bytes), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return ended.returncode, ended.stderr.decode()


# The vectors are 15 kB, the database's log is longer: each fails in its turn.
@pytest.mark.parametrize("limit_bytes", [8000, 16_000])
def test_files_that_may_not_grow(tmp_path: Path, photos: Path, limit_bytes: int) -> None:
    library = tmp_path / "library.db"
    assert index(photos / "00.png", library) == (0, "")
    before = rows_of(library)
    expect_full(*limited(limit_bytes, photos, library))
    assert problems(library) == []
    assert rows_of(library)[:1] == before
    assert index(photos, library) == (0, "")
    assert Library(library).counts().files == FILES


def test_what_was_written_of_vectors_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = unit(np.random.default_rng(2).standard_normal((9, 5)))
    kept = segments_of(tmp_path / "set", rows[:4])
    write = Segments._write

    def half(self: Segments, file: Path, start: int, part: "np.ndarray") -> None:
        write(self, file, start, part[: len(part) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "_write", half)
        with pytest.raises(OutputError, match="No space left on device") as raised:
            kept.append(rows[4:].astype(np.float16))
    assert raised.value.hint.startswith("make room")
    assert kept.row_count == 4
    assert (kept.folder / "000001.f16").stat().st_size == kept.size_bytes
    kept.append(rows[4:].astype(np.float16))
    np.testing.assert_array_equal(kept.take(np.arange(9)), rows.astype(np.float16))


def test_a_full_disk_while_pruning(tiny_disk: Path) -> None:
    library = tiny_disk / "library.db"
    rows = unit(np.random.default_rng(2).standard_normal((300, 500)))
    make_library(library, [f"/p/{number:03}.jpg" for number in range(300)], rows)
    with Store(library, can_write=True) as store, store.transaction():
        store.set_missing([1, 2], "2026")
    before = rows_of(library)
    ballast = fill_up(tiny_disk, 100_000)
    with pytest.raises(OutputError) as raised:
        Library(library).prune()
    assert raised.value.hint.startswith("make room")
    ballast.unlink()
    assert problems(library) == []
    assert rows_of(library) == [row for row in before if row[0] not in (1, 2)]
    Library(library).prune()
    assert len(rows_of(library)) == 298
