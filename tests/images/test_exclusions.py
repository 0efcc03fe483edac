"""What walks pass over: folders of systems, and patterns of the user's, read as git reads them."""

import os
import subprocess
from pathlib import Path

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images.exclusions import SYSTEM_FOLDERS, Exclusions
from mlx_aimv2.images.walk import find_images
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search.filters import Filters
from tests.support.albums import make_album, save
from tests.support.commands import on, run

REPORTED = ("@eaDir", "#recycle", "$RECYCLE.BIN", ".thumbnails", ".Trashes", ".Trash-1000",
            "lost+found", "node_modules", "System Volume Information", "#snapshot", ".stversions",
            ".dtrash", "__MACOSX", ".@__thumb", "@EADIR", "$Recycle.Bin")  # fmt: skip


pytestmark = pytest.mark.usefixtures("at_home")


def grow(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def walked(folder: str, *exclude: str) -> list[str]:
    return [os.path.relpath(each.path, folder) for each in find_images([folder], exclude)]


@pytest.mark.parametrize("name", REPORTED)
def test_folders_of_systems_are_passed_over_and_named(name: str) -> None:
    grow("p/a.jpg", f"p/sub/{name}/deep/b.jpg")
    found = find_images(["p"])
    assert [each.path for each in found] == ["p/a.jpg"]
    assert found.skipped == {f"{name} folder": 1}
    assert walked(f"p/sub/{name}") == ["deep/b.jpg"]  # named, it is walked


def test_a_file_of_such_a_name_is_a_file() -> None:
    assert all(name == name.lower() for name in SYSTEM_FOLDERS)
    grow("p/node_modules.jpg", "p/my node_modules/a.jpg", "p/Lost and found/b.jpg")
    assert len(walked("p")) == 3


TREE = ("a.jpg", "b.PNG", "Exports/c.jpg", "2024/Exports/d.jpg", "2024/raw/e.jpg",
        "2024/x/raw/f.jpg", "2023/raw/g.jpg", "2024/IMG_1.jpg", "2024/IMG_22.jpg")  # fmt: skip
PATTERNS = ["Exports", "*.png", "exports/", "/Exports", "2024/raw", "*/raw", "**/raw", "2024/**",
            "IMG_?.jpg", "IMG_[0-9].jpg", "IMG_[!0-9].jpg", "2024/*.jpg", "raw", "2024/**/raw",
            "[ab].*", "d.jpg", "nothing"]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_mean_what_they_mean_to_git(pattern: str) -> None:
    """``git check-ignore`` is the judge; with core.ignorecase capitals do not count there too."""
    grow(*(f"p/{name}" for name in TREE))
    git = ["git", "-C", "p", "-c", "core.ignorecase=true"]
    try:
        subprocess.run([*git, "init", "-q"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no git to ask")
    Path("p/.git/info").mkdir(exist_ok=True)
    Path("p/.git/info/exclude").write_text(f"{pattern}\n")
    asked = subprocess.run(
        [*git, "check-ignore", *TREE], check=False, capture_output=True, text=True
    )
    kept = set(TREE) - set(asked.stdout.splitlines())
    assert set(walked("p", pattern)) == kept
    exclusions = Exclusions([pattern])
    passed = {name for name in TREE if exclusions.passes_over(b"/p", b"/p/" + name.encode())}
    assert passed == set(TREE) - kept


def test_an_absolute_path_is_a_pattern(tmp_path: Path) -> None:
    grow("p/a.jpg", "p/Exports/b.jpg")
    assert walked(str(tmp_path / "p"), f"{tmp_path}/p/Exports") == ["a.jpg"]


def test_spellings_do_not_count() -> None:
    grow("p/a.jpg", "p/Cafe\u0301/b.jpg")
    assert walked("p", "CAF\u00c9") == ["a.jpg"]


@pytest.mark.parametrize("pattern", ["", "/", "[z-a]", "./"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(UsageError, match="is no pattern"):
        Exclusions([pattern])


def test_what_was_indexed_there_keeps_its_tags() -> None:
    make_album(Path("p"), 2)
    make_album(Path("p/@eaDir/SYNO"), 2)
    library = Library("library.db")
    library.index(["p", "p/@eaDir"], model="demo")  # as named, it counts
    with Store(library.path, can_write=True) as store, store.transaction():
        store.add_tags("user", [(file.id, "kept", None) for file in store.files()])
    assert len(library.search(filters=Filters(tags="kept")).hits) == 4
    with Store(library.path, can_write=True) as store, store.transaction():
        store.remove_root(os.fsencode(Path("p/@eaDir").absolute()))
    report = library.index()
    assert (report.found, report.missing, report.excluded) == (2, 0, 2)
    assert library.index().excluded == 0
    assert len(library.search(filters=Filters(tags="kept")).hits) == 2
    assert library.duplicates() == []
    assert (library.counts().missing, library.counts().excluded) == (0, 2)
    assert library.prune().files == 0
    report = library.index(["p/@eaDir"])
    assert (report.found, report.unchanged, report.embedded) == (2, 2, 0)
    assert len(library.search(filters=Filters(tags="kept")).hits) == 4
    report = library.index(["p"])
    assert report.excluded == 0  # another folder that is indexed leads there


def test_a_photo_that_is_named_counts() -> None:
    (path, _) = make_album(Path("p/@eaDir"), 2)
    make_album(Path("p"), 1, first=5)
    library = Library("library.db")
    library.index(["p", path], model="demo")
    for _ in range(2):
        report = library.index()
        assert (report.found, report.unchanged, report.excluded, report.missing) == (2, 2, 0, 0)
    assert library.index(["p"]).excluded == 0


def test_what_is_excluded_and_then_deleted_is_forgotten() -> None:
    (path, _) = make_album(Path("p/Exports"), 2)
    make_album(Path("p"), 1, first=5)
    library = Library("library.db")
    library.index(["p"], model="demo")
    assert library.index(exclude="Exports").excluded == 2
    path.unlink()
    assert library.index().missing == 1
    assert library.prune().files == 1
    assert library.index(include="Exports").unchanged == 2


def test_the_library_remembers_what_is_excluded() -> None:
    make_album(Path("p/Exports"), 2)
    make_album(Path("p"), 2, first=2)
    save(Path("p/x.png"), 9)
    assert "2 photos: 2 read" in on("index p -m demo --exclude exports --exclude *.PNG").err
    outcome = on("index")
    assert outcome.err == (
        "1 excluded folder, 1 excluded file skipped\n2 photos: 0 read, 2 unchanged\n"
    )
    on("search boat -t 0 --in p")
    (record,) = on("library status --json").records
    assert (record["files"], record["exclude"]) == (2, ["*.PNG", "exports"])
    assert "exports" in on("library status").out
    outcome = on("index --no-exclude exports")
    assert "4 photos: 2 read" in outcome.err
    outcome = on("index --exclude exports --json")
    assert outcome.records[0]["excluded"] == 2
    assert "2 excluded from now on" in outcome.err
    outcome = on("index --no-exclude nothing")
    assert (outcome.code, "is not excluded" in outcome.err) == (2, True)
    outcome = on("index --exclude [z-a]")
    assert (outcome.code, "is no pattern" in outcome.err) == (2, True)
    assert len(on("library status --json").records[0]["exclude"]) == 2
    save(Path("p/Exports/new.jpg"), 7)
    assert "nothing to do" in on("index --estimate").out
    assert "1 photo to read" in on("index --estimate --no-exclude exports").out


def test_embed_and_classify_exclude_too() -> None:
    make_album(Path("p/Exports"), 1)
    make_album(Path("p/@eaDir"), 1)
    make_album(Path("p"), 2, first=2)
    outcome = run("embed", "p", "--exclude", "Exports", "--model", "demo", "--out", "v.npz")
    assert "embedded 2 images" in outcome.err
    assert "1 @eaDir folder, 1 excluded folder skipped" in outcome.err
    outcome = run(
        "classify", "p", "--exclude", "Exports", "--model", "demo", "--labels", "a,b", "--json"
    )
    assert len(outcome.records) == 2
