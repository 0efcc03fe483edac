"""`aimv2 duplicates`: groups of a library, in every form."""

import json
import shutil
import webbrowser
from pathlib import Path

import pytest
from PIL import Image

from tests.support.albums import make_album
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


@pytest.mark.parametrize("options", [["--threshold=2"], ["--exact", "--threshold=0.5"], ["more"]])
def test_wrong_use(library: Path, options: list[str]) -> None:
    outcome = run("duplicates", *options, f"--library={library}/library.db")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_without_a_library(tmp_path: Path) -> None:
    outcome = run("duplicates", f"--library={tmp_path}/missing.db")
    assert outcome.code == 1
    assert "aimv2 index" in outcome.err
