"""``aimv2 search`` by tags, by date and with its line, as a user meets it."""

import re
from pathlib import Path

import pytest
from PIL import Image

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support.albums import make_album, save
from tests.support.commands import Outcome, run
from tests.support.keyword_packet import PACKET

pytestmark = pytest.mark.usefixtures("at_home")

TAGS = {
    "000.jpg": {"vocabulary everyday": ["Animals|Dog", "Beach"], "file": ["animals|dog"]},
    "001.jpg": {"vocabulary everyday": ["Animals|Dog"], "sidecar": ["Luna"]},
    "002.jpg": {"taught": ["Luna"]},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos of 2020 to 2023, a copy of the second, tags of many origins, two verdicts."""
    folder = tmp_path_factory.mktemp("made")
    for number, path in enumerate(make_album(folder / "album", 4)):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"202{number}:05:01 12:00:00"
        save(path, number, quality=90, exif=exif)
    (folder / "album" / "copy.jpg").write_bytes((folder / "album" / "001.jpg").read_bytes())
    Library(folder / "library.db").index([folder / "album"], model="demo")
    with Store(folder / "library.db", can_write=True) as store, store.transaction():
        files = {Path(file.path_str).name: file for file in store.files()}
        for name, origins in TAGS.items():
            for origin, tags in origins.items():
                store.add_tags(origin, [(files[name].id, tag, None) for tag in tags])
        store.say(files["000.jpg"].hash or b"", "Animals|Dog", "confirmed")
        store.say(files["002.jpg"].hash or b"", "Luna", "rejected")
        store.say(files["003.jpg"].hash or b"", "Beach", "added")
    return folder


def search(folder: Path, *arguments: str) -> Outcome:
    return run("search", *arguments, "--library", str(folder / "library.db"))


def found(folder: Path, *arguments: str) -> list[str]:
    outcome = search(folder, *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return [Path(record["path"]).name for record in outcome.records]


def test_by_tags_and_without_others(made: Path) -> None:
    assert found(made, "--tag", "dog") == ["001.jpg", "000.jpg"]
    assert found(made, "--tag", "DOG", "--tag", "beach") == ["000.jpg"]
    assert found(made, "--tag", "dog", "--not-tag", "Beach") == ["001.jpg"]
    assert found(made, "--not-tag", "dog", "--not-tag", "beach") == ["002.jpg", "copy.jpg"]
    assert found(made, "--tag", "luna") == ["001.jpg"]
    assert found(made, "a circle", "-t", "0", "--not-tag", "animals|dog", "--tag", "beach") == [
        "003.jpg"
    ]
    outcome = search(made, "--not-tag", "")
    assert outcome.code == 2
    assert "empty name" in outcome.err


def test_lines_tell_tags_with_their_origins_and_the_score_with_its_line(made: Path) -> None:
    records = search(made, "--tag", "beach", "--json").records
    assert [(record["score"], record["line"]) for record in records] == [(None, None)] * 2
    assert [record["origins"] for record in records] == [
        {"Beach": ["you"]},
        {"Animals|Dog": ["you", "file", "vocabulary everyday"], "Beach": ["vocabulary everyday"]},
    ]
    assert all(record["tags"] == list(record["origins"]) for record in records)
    records = search(made, "a circle", "-t", "0", "--json").records
    assert {record["line"] for record in records} == {0.5}


def test_by_date(made: Path) -> None:
    newest = ["003.jpg", "002.jpg", "001.jpg", "copy.jpg", "000.jpg"]
    assert found(made, "a circle", "-t", "0", "--sort", "date") == newest
    assert found(made, "--format", "jpg", "--sort", "date") == newest
    best = found(made, "a circle", "-t", "0", "--sort", "best")
    assert best == found(made, "a circle", "-t", "0")
    for wrong in (
        ["--format", "jpg", "--sort", "best"],
        ["--like", str(made / "album" / "000.jpg"), "--sort", "date"],
    ):
        outcome = search(made, *wrong)
        assert outcome.code == 2
        assert "score" in outcome.err
        assert "hint: " in outcome.err


def test_by_date_what_lies_below_the_line_is_in_brackets(made: Path) -> None:
    outcome = search(made, "a circle", "-t", "0", "--sort", "date")
    rows = outcome.out.splitlines()[1:]
    scores = [
        record["score"]
        for record in search(made, "a circle", "-t", "0", "--sort", "date", "--json").records
    ]
    assert [row.startswith("(") for row in rows] == [score < 0.5 for score in scores]
    assert any(score < 0.5 for score in scores)
    assert "in brackets: below the line, 0.5" in outcome.err


def test_above_the_line_is_said(made: Path) -> None:
    scores = [record["score"] for record in search(made, "a circle", "-t", "0", "--json").records]
    above = sum(score >= 0.5 for score in scores)
    outcome = search(made, "a circle")
    if above:
        assert re.match(rf"{above} photos? above the line, 0.5", outcome.err)
    else:
        assert "nothing fits" in outcome.err


def test_one_of_each_picture(made: Path) -> None:
    records = search(made, "a circle", "-t", "0", "--unique", "--json").records
    copies = {Path(record["path"]).name: record["copies"] for record in records}
    assert len(copies) == 4
    assert [Path(path).name for path in copies["001.jpg"]] == ["copy.jpg"]
    assert not any(copies[name] for name in copies if name != "001.jpg")
    lines = search(made, "--format", "jpg", "--unique").out.splitlines()
    assert [line.endswith("001.jpg  + 1 copy") for line in lines[1:]].count(True) == 1
    assert len(lines) == 5


def test_a_sheet_shows_tags_with_their_origins(made: Path) -> None:
    assert search(made, "--tag", "beach", "--html", "sheet.html").code == 0
    page = Path("sheet.html").read_text(encoding="utf-8")
    assert "<bdi>Animals|Dog</bdi> <span>you, file, vocabulary everyday</span>" in page
    assert "Luna" not in page


def test_keywords_of_photos_and_of_other_programs_sidecars_are_found(tmp_path: Path) -> None:
    own = save(tmp_path / "album" / "own.jpg", 7, xmp=PACKET)
    beside = save(tmp_path / "album" / "beside.jpg", 8)
    save(tmp_path / "album" / "plain.jpg", 9)
    sidecar = tmp_path / "album" / "beside.jpg.xmp"
    sidecar.write_bytes(PACKET)
    index = ("index", "album", "-m", "demo", "--library", str(tmp_path / "library.db"))
    assert run(*index).code == 0
    for tag in ("dog", "Animals|Dog", "ANIMALS", "cafe\u0301"):
        assert sorted(found(tmp_path, "--tag", tag)) == ["beside.jpg", "own.jpg"], tag
        assert found(tmp_path, "--not-tag", tag) == ["plain.jpg"], tag
    origins = {
        Path(record["path"]).name: record["origins"]
        for record in search(tmp_path, "--format", "jpg", "--json").records
    }
    assert origins == {
        "own.jpg": {"Animals|Dog": ["file"], "Café": ["file"]},
        "beside.jpg": {"Animals|Dog": ["sidecar"], "Café": ["sidecar"]},
        "plain.jpg": {},
    }
    outcome = run(
        "tag", "reject", "Animals|Dog", str(own), "--library", str(tmp_path / "library.db")
    )
    assert outcome.code == 0, outcome.err
    assert found(tmp_path, "--tag", "dog") == ["beside.jpg"]
    assert own.read_bytes().count(b"Animals|Dog") == 1
    sidecar.unlink()
    assert run(*index).code == 0
    assert found(tmp_path, "--tag", "dog") == []
    assert found(tmp_path, "--tag", "café") == ["own.jpg"]
    assert beside.exists()
