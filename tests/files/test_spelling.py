"""One folder is one folder, one photo one, whether or not a disk tells spellings apart."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_aimv2.files.spelling import fold, is_same_file, spelled
from mlx_aimv2.images.walk import find_images
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search.filters import Filters
from mlx_aimv2.library.sidecars.sidecar import existing_or_new
from tests.support import folding_disk
from tests.support.albums import make_album, rows_of, save
from tests.support.commands import run

NFC = unicodedata.normalize("NFC", "Café")
NFD = unicodedata.normalize("NFD", "Café")


pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """What is on the disks below, as they keep it."""
    root = tmp_path / "disk"
    make_album(root / "Pictures", 2)
    make_album(root / f"Pictures/{NFC}", 2, first=2)
    return root


@pytest.fixture(params=["mounted", "pretended"])
def mount(request: pytest.FixtureRequest, disk: Path, tmp_path: Path) -> Iterator[Path]:
    with getattr(folding_disk, request.param)(disk, tmp_path / "m") as place:
        yield place


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library.db")


def keep(library: Library, name: str) -> None:
    with Store(library.path, can_write=True) as store, store.transaction():
        store.add_tags("user", [(file.id, name, None) for file in store.files()])


def known(library: Library, place: Path) -> list[str]:
    """Paths in the library, as their disk keeps them."""
    with Library(library.path) as opened:
        paths = [os.fsdecode(path) for _, path in opened.store.paths()]
    return sorted(os.path.relpath(path, place) for path in paths)


ON_DISK = sorted([*(f"Pictures/00{n}.jpg" for n in (0, 1)),
                  *(f"Pictures/{NFC}/00{n}.jpg" for n in (2, 3))])  # fmt: skip


@pytest.mark.parametrize("then", ["pictures", "pictures/", f"piCtures/../Pictures/{NFD}/.."])
def test_a_folder_is_one_by_any_spelling(mount: Path, library: Library, then: str) -> None:
    report = library.index([mount / "PICTURES"], model="demo")
    assert report.embedded == 4
    assert known(library, mount) == ON_DISK
    for folders in ([f"{mount}/{then}"], [f"{mount}/{then}", f"{mount}/Pictures"], []):
        report = library.index(folders)
        assert (report.embedded, report.recognised, report.missing) == (0, 0, 0)
    assert known(library, mount) == ON_DISK
    assert len(library.store.roots()) == 1


def test_a_folder_that_was_taken_twice_is_one_again(
    mount: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index([mount / "Pictures"], model="demo")
    keep(library, "mine")
    with monkeypatch.context() as before:  # as an earlier version did
        before.setattr("mlx_aimv2.library.indexing.roots.KnownPaths.of", lambda _, path: path)
        before.setattr("mlx_aimv2.library.indexing.moves.has_other_spellings", lambda _: False)
        library.index([mount / "pictures"])
    assert len(known(library, mount)) == 8
    report = library.index()
    assert (report.found, report.unchanged, report.missing) == (4, 4, 0)
    assert known(library, mount) == ON_DISK
    assert len(library.store.roots()) == 1
    assert [(each.tag, each.photos) for each in library.tags()] == [("mine", 4)]


@pytest.mark.parametrize("folder", ["Pictures", "pictures", f"PICTURES/{NFD}", f"Pictures/{NFC}"])
def test_a_search_in_a_folder_by_any_spelling(mount: Path, library: Library, folder: str) -> None:
    library.index([mount / "Pictures"], model="demo")
    count = 4 if "/" not in folder else 2
    assert len(library.search(filters=Filters(places=[f"{mount}/{folder}"])).hits) == count
    outcome = run(
        "search", "boat", "-t", "0", "--in", f"{mount}/{folder}", "--json",
        "--library", str(library.path),
    )  # fmt: skip
    assert len(outcome.records) == count, outcome.err
    assert known(library, mount) == ON_DISK
    assert library.forget(f"{mount}/{folder}").files == count


def test_likeness_to_a_photo_by_another_spelling(mount: Path, library: Library) -> None:
    library.index([mount / "Pictures"], model="demo")
    answer = library.search(like=[mount / "pictures/000.JPG"])
    assert (len(answer.hits), answer.excluded) == (3, 1)


@pytest.mark.parametrize(
    ("before", "after", "is_edited"),
    [
        ("Pictures/000.jpg", "Pictures/000.JPG", False),
        ("Pictures/000.jpg", "Pictures/000.JPG", True),
        (f"Pictures/{NFC}", f"Pictures/{NFC.upper()}", False),
        (f"Pictures/{NFC}", f"Pictures/{NFD}", False),
        (f"Pictures/{NFC}", f"Pictures/{NFD}", True),
    ],
)
def test_a_change_of_spelling_is_a_rename(
    mount: Path, disk: Path, library: Library, before: str, after: str, is_edited: bool
) -> None:
    library.index([mount / "Pictures"], model="demo")
    keep(library, "kept")
    rows = rows_of(library.path)
    (disk / before).rename(disk / after)
    if is_edited:
        save(next((disk / after).parent.rglob("*.[jJ][pP][gG]")), 9)
    report = library.index()
    assert (report.found, report.missing, report.failed) == (4, 0, 0)
    assert report.embedded == is_edited
    there = [path for path in disk.rglob("*") if path.is_file()]
    assert known(library, mount) == sorted(str(path.relative_to(disk)) for path in there)
    with Library(library.path) as opened:
        assert all(
            opened.store.tags_of(file.id) == {"kept": "user"} for file in opened.store.files()
        )
    assert len(rows_of(library.path)) == len(rows)
    if not is_edited:  # the order of the files may be another, but not what is known of them
        assert {(row[0], row[2:]) for row in rows_of(library.path)} == {
            (row[0], row[2:]) for row in rows
        }
    assert library.index().unchanged == 4


def test_a_photo_that_cannot_be_decoded_is_renamed_too(
    mount: Path, disk: Path, library: Library
) -> None:
    (disk / "Pictures/bad.jpg").write_bytes(b"no picture")
    library.index([mount / "Pictures"], model="demo")
    (disk / "Pictures/bad.jpg").rename(disk / "Pictures/BAD.jpg")
    library.index()
    assert [each.path.rpartition(b"/")[2] for each in library.errors()] == [b"BAD.jpg"]
    assert library.counts().files == 5


def test_a_walk_meets_a_folder_once_by_any_spelling(mount: Path) -> None:
    found = list(find_images([mount / "Pictures", mount / "pictures", mount / f"PICTURES/{NFD}"]))
    assert len(found) == 4
    assert all(each.error is None for each in found)


def test_embed_takes_a_folder_once(mount: Path, tmp_path: Path) -> None:
    target = tmp_path / "all.jsonl"
    folders = [str(mount / "Pictures"), str(mount / "pictures")]
    outcome = run("embed", *folders, "--model", "demo", "--out", str(target))
    assert "embedded 4 images" in outcome.err


# Disks that tell spellings apart


def test_two_spellings_are_two_photos(tmp_path: Path, library: Library) -> None:
    album = tmp_path / "album"
    save(album / "a.jpg", 1)
    save(album / "A.jpg", 2)
    save(album / "Sub/b.jpg", 3)
    save(album / "sub/b.jpg", 4)
    if len(list(album.iterdir())) < 4:
        pytest.skip("needs a disk that tells spellings apart")
    for _ in range(2):
        report = library.index([album], model="demo")
        assert (report.found, report.missing) == (4, 0)
    assert len(library.search(filters=Filters(places=[album / "sub"])).hits) == 1
    assert library.counts().files == 4


def test_hard_links_are_found_by_each_name(tmp_path: Path, library: Library) -> None:
    album = tmp_path / "album"
    save(album / "a.jpg", 1)
    try:
        os.link(album / "a.jpg", album / "A.JPG")
    except FileExistsError:
        pytest.skip("needs a disk that tells spellings apart")
    for _ in range(2):
        assert library.index([album], model="demo").found == 2
    assert known(library, album) == ["A.JPG", "a.jpg"]
    assert library.duplicates() == []  # one file of the disk
    os.link(album / "a.jpg", album / "b.jpg")
    (album / "a.jpg").rename(album / "c.jpg")
    library.index()
    assert library.counts().missing == 0
    assert known(library, album) == ["A.JPG", "b.jpg", "c.jpg"]


# Disks that give every file one inode


@pytest.fixture(params=["mounted", "pretended"])
def blind(request: pytest.FixtureRequest, disk: Path, tmp_path: Path) -> Iterator[Path]:
    with getattr(folding_disk, request.param)(disk, tmp_path / "m", one_inode=True) as place:
        yield place


def test_one_inode_for_all(blind: Path, disk: Path, library: Library, tmp_path: Path) -> None:
    (disk / "Pictures/copy.jpg").write_bytes((disk / "Pictures/000.jpg").read_bytes())
    (disk / "Pictures/loop").symlink_to(".")
    make_album(disk / "Other", 1, first=7)
    report = library.index([blind / "Pictures", blind / "Other"], model="demo")
    assert report.found == 6
    assert library.index([blind / "pictures"]).unchanged == 5
    (group,) = library.duplicates()
    assert len(group.files) == 2
    (disk / "Pictures/001.jpg").rename(disk / "Pictures/001.JPG")
    report = library.index()
    assert (report.found, report.embedded, report.missing) == (6, 0, 0)
    assert library.counts().files == 6
    assert not is_same_file(blind / "Pictures/000.jpg", blind / "Pictures/copy.jpg")
    save(disk / "Pictures/000.png", 3)
    assert existing_or_new(blind / "Pictures/000.jpg", "short").name == "000.jpg.xmp"
    whole = tmp_path / "all.jsonl"
    assert run("embed", str(blind), "--model", "demo", "--out", str(whole)).code == 0
    assert len(whole.read_text().splitlines()) == 8  # 7 pictures and the line of facts


# Spellings themselves


def test_spellings_of_a_path(mount: Path) -> None:
    own = os.fsencode(mount / "Pictures" / NFC / "002.jpg")
    for other in (f"pictures/{NFC}/002.jpg", f"PICTURES/{NFD.upper()}/002.JPG"):
        path = os.fsencode(mount / other)
        assert fold(path) == fold(own)
        assert spelled(path) == own
        assert is_same_file(path, own)
    assert spelled(own) == own
    missing = os.fsencode(mount / "pictures/none/x.jpg")
    assert spelled(missing) == os.fsencode(mount / "Pictures/none/x.jpg")


def test_spellings_of_names_that_are_not_utf8() -> None:
    assert fold(b"/A\xff/B") == b"/a\xff/b"
    assert spelled(b"/") == b"/"
