"""`aimv2 duplicates`: groups of a library, in every form."""

import json
import os
import shutil
import webbrowser
from pathlib import Path

import pytest
from PIL import Image

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support.albums import make_album, noise
from tests.support.commands import run


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("duplicates")
    paths = make_album(folder / "album", 8, side_px=224)
    copies = folder / "album" / "copies"
    copies.mkdir()
    shutil.copy(paths[0], copies / "same.jpg")
    with Image.open(paths[1]) as image:
        image.resize((112, 112)).save(copies / "<script>small.jpg", quality=70)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        outcome = run("index", f"{folder}/album", "--model=demo", f"--library={folder}/library.db")
    assert outcome.code == 0
    return folder


def test_groups_the_best_first(library: Path) -> None:
    outcome = run("duplicates", f"--library={library}/library.db")
    assert outcome.code == 0
    assert "2 groups, 2 of the files are copies" in outcome.err
    lines = [line.split() for line in outcome.out.splitlines() if line]
    assert [line[-1].rpartition("/")[2] for line in lines if line[0] == "keep"] == [
        "000.jpg",
        "001.jpg",
    ]


def test_json(library: Path) -> None:
    outcome = run("duplicates", "--json", f"--library={library}/library.db")
    first, second = outcome.records
    assert (first["kind"], second["kind"]) == ("exact", "near")
    assert first["schema"] == 1
    assert first["best"].endswith("000.jpg")
    assert first["copies"][0]["path"].endswith("same.jpg")
    assert 0.5 <= second["copies"][0]["similarity"] <= 1


def test_exact_ones_only(library: Path) -> None:
    outcome = run("duplicates", "--exact", "--json", f"--library={library}/library.db")
    assert [json.loads(line)["kind"] for line in outcome.out.splitlines()] == ["exact"]


def test_a_sheet(library: Path, tmp_path: Path) -> None:
    target = tmp_path / "sheet.html"
    outcome = run("duplicates", f"--html={target}", f"--library={library}/library.db")
    assert outcome.code == 0
    page = target.read_text()
    assert page.count("<img") == 4
    assert "<script>small" not in page
    assert "&lt;script&gt;small" in page


def test_without_duplicates_there_is_no_sheet(library: Path, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    shutil.copy(library / "album" / "000.jpg", tmp_path / "album")
    shutil.copy(library / "album" / "003.jpg", tmp_path / "album")
    own = f"--library={tmp_path}/library.db"
    assert run("index", f"{tmp_path}/album", "--model=demo", own).code == 0
    outcome = run("duplicates", f"--html={tmp_path}/sheet.html", "--open", own)
    assert (outcome.code, outcome.err) == (0, "no duplicates: no sheet was written\n")
    assert not (tmp_path / "sheet.html").exists()
    shutil.copy(library / "album" / "000.jpg", tmp_path / "album" / "same.jpg")
    assert run("index", "--model=demo", own).code == 0
    assert "1 group, 1 of the files is a copy (" in run("duplicates", own).err


def test_open_makes_a_sheet_by_itself(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    outcome = run("duplicates", "--open", f"--library={library}/library.db")
    (sheet,) = tmp_path.rglob("duplicates.html")
    assert opened == [sheet.as_uri()]
    assert f"→ {sheet}" in outcome.err
    assert "<img" in sheet.read_text()


def test_nothing_is_ever_deleted(library: Path) -> None:
    before = sorted((library / "album").rglob("*"))
    run("duplicates", f"--library={library}/library.db")
    assert sorted((library / "album").rglob("*")) == before


def test_what_is_picked_for_removal(library: Path, tmp_path: Path) -> None:
    own, album = f"--library={library}/library.db", library / "album"
    outcome = run("duplicates", "--picked", own)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "nothing is picked for removal: aimv2 browse\n"
    chosen = [album / "copies" / "<script>small.jpg", album / "copies" / "same.jpg"]
    with Library(library / "library.db") as opened:
        opened.pick(chosen)
    size = sum(path.stat().st_size for path in chosen)
    outcome = run("duplicates", "--picked", own)
    assert outcome.out.splitlines() == [str(path) for path in chosen]
    assert f"2 files picked for removal ({size / 1000:.3g} kB); nothing was removed" in outcome.err
    outcome = run("duplicates", "--picked", "-0", own)
    assert outcome.stdout == b"".join(os.fsencode(path) + b"\0" for path in chosen)
    outcome = run("duplicates", "--picked", "--json", own)
    assert [(each["path"], each["size_bytes"], each["uuid"]) for each in outcome.records] == [
        (str(path), path.stat().st_size, None) for path in chosen
    ]
    sheet = tmp_path / "picked.html"
    outcome = run("duplicates", "--picked", f"--html={sheet}", own)
    assert outcome.out == ""
    assert sheet.read_text().count("<img") == 2
    assert all(path.exists() for path in chosen)


def test_a_pick_that_was_changed_or_is_gone_is_told_and_not_listed(tmp_path: Path) -> None:
    paths = [noise(tmp_path / f"{name}.png", number) for number, name in enumerate("abc")]
    own = f"--library={tmp_path}/library.db"
    assert run("index", str(tmp_path), "--model=demo", own).code == 0
    with Library(tmp_path / "library.db") as opened:
        opened.pick(paths)
    noise(paths[0], 99)
    paths[1].unlink()
    outcome = run("duplicates", "--picked", own)
    assert outcome.out.splitlines() == [str(paths[2])]
    assert "1 picked file changed since: not listed" in outcome.err
    assert "1 picked file not there: removed, or on a drive" in outcome.err


def test_photos_of_apples_photos_are_no_paths_to_remove(tmp_path: Path) -> None:
    noise(tmp_path / "a.png", 1)
    own = f"--library={tmp_path}/library.db"
    assert run("index", str(tmp_path), "--model=demo", own).code == 0
    with Store(tmp_path / "library.db", can_write=True) as store:
        store.run("UPDATE files SET uuid = 'ABC'")
    with Library(tmp_path / "library.db") as opened:
        opened.pick(tmp_path / "a.png")
    outcome = run("duplicates", "--picked", "-0", own)
    assert outcome.stdout == b""
    assert "1 picked file in Apple's Photos: delete it there" in outcome.err
    assert [each["uuid"] for each in run("duplicates", "--picked", "--json", own).records] == [
        "ABC"
    ]


@pytest.mark.parametrize(
    "options",
    [
        ["--threshold=2"],
        ["--exact", "--threshold=0.5"],
        ["more"],
        ["-0"],
        ["--picked", "--exact"],
        ["--picked", "--threshold=0.5"],
        ["--picked", "--shots"],
        ["--picked", "-0", "--json"],
    ],
)
def test_wrong_use(library: Path, options: list[str]) -> None:
    outcome = run("duplicates", *options, f"--library={library}/library.db")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_without_a_library(tmp_path: Path) -> None:
    outcome = run("duplicates", f"--library={tmp_path}/missing.db")
    assert outcome.code == 1
    assert "aimv2 index" in outcome.err
