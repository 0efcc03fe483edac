"""What is found by one walk lies in a table while an index works."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from mlx_aimv2.errors import OutputError
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing import scan, scan_results
from mlx_aimv2.library.indexing.report import Progress
from mlx_aimv2.library.library import Library
from tests.support.albums import make_album, rows_of, save


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The roots that are walked, as often as they are."""
    seen: list[str] = []
    find_images = scan.find_images

    def note(paths: Iterable[bytes], exclude: Iterable[str]) -> object:
        seen.extend(Path(path.decode()).name for path in paths)
        return find_images(paths, exclude)

    monkeypatch.setattr(scan, "find_images", note)
    return seen


def test_a_tree_is_walked_once(walked: list[str]) -> None:
    make_album(Path("one"), 3)
    make_album(Path("two"), 2, first=5)
    library = Library("library.db")
    assert library.estimate(["one", "two"], model="demo").count == 5
    assert walked == ["one", "two"]
    assert library.index(["one", "two"], model="demo").embedded == 5
    assert walked == ["one", "two"] * 2
    save(Path("one/000.jpg"), 9)
    assert library.index(reread=True).embedded == 1
    assert walked == ["one", "two"] * 3


@pytest.mark.parametrize("page", [1, 2, 3, 7, 8])
def test_pages_make_no_difference(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    album = make_album(Path("album"), 7)
    calm, library = Library("calm.db"), Library("library.db")
    calm.index(["album"], model="demo")
    monkeypatch.setattr(scan_results, "_PAGE", page)
    library.index(["album"], model="demo")
    assert rows_of(library.path) == rows_of(calm.path)
    album[3].rename("album/new.jpg")
    save(album[5], 9)
    report = library.index()
    assert (report.found, report.unchanged, report.recognised, report.embedded) == (7, 5, 1, 1)
    assert report.missing == 0


def test_what_two_folders_hold_is_found_once() -> None:
    make_album(Path("album/sub"), 3)
    report = Library("library.db").index(["album", "album/sub"], model="demo")
    assert (report.found, report.embedded) == (3, 3)


def test_what_is_deleted_meanwhile_is_no_error() -> None:
    album = make_album(Path("album"), 4)
    library = Library("library.db")
    library.index(album[:1], model="demo")
    save(album[0], 9)

    def delete(_total: int) -> None:
        album[0].unlink()
        album[2].unlink()

    report = library.index(["album"], progress=Progress(started=delete))
    assert (report.found, report.embedded, report.failed, report.missing) == (2, 2, 0, 1)
    assert report.errors == []
    assert library.counts().files == 3


def test_a_drive_that_goes_meanwhile_is_told() -> None:
    make_album(Path("drive"), 3)
    library = Library("library.db")
    library.index(["drive"], model="demo")
    for path in Path("drive").iterdir():
        save(path, 9)

    def unplug(_total: int) -> None:
        Path("drive").rename("unplugged")
        Path("drive").mkdir()

    report = library.index(["drive"], progress=Progress(started=unplug))
    assert (report.found, report.embedded, report.away, report.missing) == (3, 0, 3, 0)
    assert len(report.errors) == 1


def test_an_estimate_leaves_who_reads_as_it_was() -> None:
    make_album(Path("album"), 2)
    library = Library("library.db")
    library.index(["album"], model="demo")
    before = rows_of(library.path)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.estimate(progress=Progress(counted=interrupt))
    with Store(library.path, can_write=True):  # another program indexes
        for _ in range(2):
            assert library.estimate(reread=True).count == 2
    with library._reading() as store:
        assert store.rows("SELECT name FROM temp.sqlite_schema") == []
        with pytest.raises(OutputError):
            store.set_missing([1], "2026")
    assert rows_of(library.path) == before
