"""``aimv2 index``, ``search`` and ``library`` as a user meets them."""

import json
import os
import re
import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.path_text import unescape
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.models.aimv2 import cost
from mlx_aimv2.models.aimv2.published import ARCHITECTURES, Architecture, find
from tests.support.albums import make_album, rows_of, save
from tests.support.commands import Outcome, run
from tests.support.loopback_hub import loopback_hub
from tests.support.names import takes_any_bytes

HOSTILE = [
    b'it\'s "quoted".jpg',
    b"new\nline.jpg",
    b"<script>alert(1)<script>.jpg",
    b"'; DROP TABLE files; --.jpg",
    b"-rf.jpg",
    b"%s {x} \\n.jpg",
    b"\xe2\x80\xaegpj.exe.jpg",
]


pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos with dates, a copy, and what is no picture; indexed."""
    folder = tmp_path_factory.mktemp("made")
    for number, path in enumerate(make_album(folder / "album", 5)):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"202{number}:05:01 12:00:00"
        save(path, number, quality=90, exif=exif)
    (folder / "album" / "copy.jpg").write_bytes((folder / "album" / "001.jpg").read_bytes())
    (folder / "album" / "broken.jpg").write_bytes(b"no picture")
    Library(folder / "library.db").index([folder / "album"], model="demo")
    return folder


def said(outcome: Outcome) -> str:
    return f"exit {outcome.code}: {outcome.out}{outcome.err}"


def on(folder: Path, command: str, *arguments: str) -> Outcome:
    return run(command, *arguments, "--library", str(folder / "library.db"))


def search(folder: Path, *arguments: str) -> Outcome:
    return on(folder, "search", "a circle", "-t", "0", *arguments)


def paths(records: list[dict[str, object]]) -> list[str]:
    return [Path(str(record["path"])).name for record in records]


# index


def test_index_from_nothing_to_unchanged(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 3)
    (tmp_path / "album" / "broken.jpg").write_bytes(b"no picture")
    outcome = on(tmp_path, "index", "album", "-m", "demo")
    assert outcome.code == 3, said(outcome)
    assert not outcome.out
    assert "skipped: " in outcome.err
    assert "4 photos: 3 read" in outcome.err
    assert "1 not readable" in outcome.err
    (tmp_path / "album" / "broken.jpg").unlink()
    outcome = on(tmp_path, "index")
    assert outcome.code == 0, said(outcome)
    assert "3 photos: 0 read, 3 unchanged, 1 gone" in outcome.err
    record = on(tmp_path, "index", "--json").records[0]
    assert record["schema"] == 1
    wanted = {"found": 3, "unchanged": 3, "embedded": 0, "missing": 0, "failed": 0}
    assert wanted.items() <= record.items()
    assert record["is_serving"] is True


def test_index_where_it_is_by_default(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 1)
    assert run("index", "album", "-m", "demo").code == 0
    outcome = run("library", "status", "--json")
    assert outcome.records[0]["files"] == 1
    assert (tmp_path / "home") in Path(outcome.records[0]["library"]).parents


@pytest.mark.parametrize("source", ["lit@main", "native", "apple/aimv2-large-patch14-336"])
def test_an_estimate_needs_no_checkpoint(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = find(source.partition("@")[0])
    assert checkpoint is not None
    published = cost.published_bytes(checkpoint)
    monkeypatch.setitem(ARCHITECTURES, "L", Architecture("L", 32, 64, 4))  # small: it is computed
    make_album(tmp_path / "album", 3)
    with loopback_hub(tmp_path / "cache", monkeypatch) as hub:
        before = sorted(tmp_path.rglob("*"))
        outcome = on(tmp_path, "index", "album", "-m", source, "--estimate", "--json")
        assert outcome.code == 0, said(outcome)
        (record,) = outcome.records
        assert (record["count"], record["sampled"]) == (3, 3)
        assert record["seconds"] >= 0
        assert record["download"] == checkpoint.repo_id
        assert 0 < record["download_bytes"] < published
        outcome = on(tmp_path, "index", "album", "-m", source, "--estimate")
        assert f"to download first: {checkpoint.repo_id}, " in outcome.out
        assert sorted(tmp_path.rglob("*")) == before
        assert hub.requests == []


def test_an_estimate_writes_nothing(tmp_path: Path, made: Path) -> None:
    make_album(tmp_path / "album", 2)
    before = sorted(tmp_path.rglob("*"))
    outcome = on(tmp_path, "index", "album", "-m", "demo", "--estimate", "--json")
    assert outcome.code == 0, said(outcome)
    (record,) = outcome.records
    assert (record["schema"], record["count"], record["sampled"]) == (1, 2, 2)
    assert "2 photos to read" in on(tmp_path, "index", "album", "-m", "demo", "--estimate").out
    assert sorted(tmp_path.rglob("*")) == before
    rows = rows_of(made / "library.db")
    moved = made / "album" / "000.jpg"
    with Store(made / "library.db", can_write=True) as store, store.transaction():
        store.set_missing([1], "2026")  # it is there again
    on(made, "index", "--estimate")
    assert Library(made / "library.db").counts().missing == 1
    assert on(made, "index").code == 3
    assert moved.exists()
    assert rows_of(made / "library.db") == rows


def test_the_librarys_preset_is_gone_on_with(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 2)
    assert on(tmp_path, "index", "album", "-m", "demo", "--preset", "ml-aim").code == 0
    save(tmp_path / "album" / "new.jpg", 9)
    assert on(tmp_path, "index").code == 0
    save(tmp_path / "album" / "newer.jpg", 10)
    assert search(tmp_path, "--in", "album").code == 0
    (vectors,) = on(tmp_path, "library", "status", "--json").records[0]["sets"]
    assert vectors["rows"] == 4


def test_folders_within_folders_are_met_once(tmp_path: Path) -> None:
    make_album(tmp_path / "album" / "inside", 2)
    make_album(tmp_path / "album", 1, first=5)
    make_album(tmp_path / "album" / ".hidden", 1, first=7)
    for folder in ("album/inside", "album", "album/inside", "album/005.jpg", "album/.hidden"):
        on(tmp_path, "index", folder, "-m", "demo")
    (record,) = on(tmp_path, "library", "status", "--json").records
    roots = [f"{tmp_path}/album{rest}" for rest in ("", "/.hidden", "/inside")]
    assert record["folders"] == roots
    (record,) = on(tmp_path, "index", "--json").records
    assert (record["found"], record["unchanged"]) == (4, 4)


# search


def test_search_prints_a_table(made: Path) -> None:
    outcome = search(made)
    assert outcome.code == 0, said(outcome)
    heading, *lines = outcome.out.splitlines()
    assert heading.split() == ["score", "date", "path"]
    drawn = [line for line in lines if re.match(r"0\.500 +---- the line", line)]
    scores = [float(line[:5]) for line in lines if line not in drawn]
    assert len(drawn) == 1
    assert lines.index(drawn[0]) == sum(score >= 0.5 for score in scores)
    lines.remove(drawn[0])
    assert len(lines) == 6
    assert all(re.match(r"0\.\d{3}  202\d-05-01  /", line) for line in lines)
    assert lines == sorted(lines, key=lambda line: -float(line[:5]))
    assert not outcome.err


def test_search_prints_lines(made: Path) -> None:
    records = search(made, "--json").records
    assert len(records) == 6
    assert {record["schema"] for record in records} == {1}
    first = records[0]
    assert (first["width_px"], first["height_px"], first["format"]) == (64, 64, "JPEG")
    assert first["uuid"] is None
    assert first["tags"] == []
    scores = [record["score"] for record in records]
    assert scores == sorted(scores, reverse=True)
    copies = [record for record in records if Path(record["path"]).name in ("001.jpg", "copy.jpg")]
    assert paths(copies) == ["001.jpg", "copy.jpg"]
    assert len({record["score"] for record in copies}) == 1


def test_search_prints_paths(made: Path) -> None:
    expected = [os.fsencode(record["path"]) for record in search(made, "--json").records]
    assert search(made, "-f").stdout == b"".join(path + b"\n" for path in expected)
    assert search(made, "-0").stdout == b"".join(path + b"\0" for path in expected)
    assert search(made, "-f", "-n", "2").stdout.splitlines() == expected[:2]


def test_filters_reach_the_search(made: Path) -> None:
    def names(*options: str) -> set[str]:
        return set(paths(search(made, "--json", *options).records))

    assert names("--since", "2021", "--until", "2022-05") == {"001.jpg", "copy.jpg", "002.jpg"}
    assert names("--in", "*py.jp*") == {"copy.jpg"}
    assert names("--in", str(made / "album" / "003.jpg")) == {"003.jpg"}
    assert len(names("--orientation", "square", "--format", "jpg")) == 6
    assert names("--orientation", "portrait") == set()
    assert names("--photos") == set()
    assert names("--tag", "dog") == set()


def test_uuids_are_lines(made: Path) -> None:
    uuid = "8F1E-1"
    with Store(made / "library.db", can_write=True) as store, store.transaction():
        path = os.fsencode(made / "album" / "002.jpg")
        store.run("UPDATE files SET uuid = ? WHERE path = ?", uuid, path)
    try:
        assert search(made, "--uuid").out == f"{uuid}\n"
        assert paths(search(made, "--photos", "--json").records) == ["002.jpg"]
    finally:
        with Store(made / "library.db", can_write=True) as store, store.transaction():
            store.run("UPDATE files SET uuid = NULL")


def test_where_nothing_fits_it_says_so(made: Path) -> None:
    outcome = on(made, "search", "a circle", "-t", "1")
    assert (outcome.code, outcome.out) == (0, "")
    assert "nothing fits; the best score of 6 photos is 0." in outcome.err
    outcome = search(made, "--since", "2040")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "no photo fits the filters\n"
    for words in (["a circle"], []):
        outcome = on(made, "search", *words, "--tag", "Nonsense")
        assert (outcome.code, outcome.err) == (0, "no photo has a tag yet: aimv2 tag\n")
    assert on(made, "search", "a circle", "-t", "1", "--quiet").err == ""
    outcome = on(made, "search", "a circle", "-t", "1", "--html", "sheet.html", "--open")
    assert outcome.code == 0, said(outcome)
    assert outcome.err.endswith("no sheet was written\n")
    assert not Path("sheet.html").exists()


def test_open_makes_a_sheet_by_itself(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    for count in (2, 3):
        outcome = search(made, "-n", str(count), "--open")
        assert (outcome.code, outcome.out) == (0, ""), said(outcome)
        (sheet,) = tmp_path.rglob("*.html")
        assert f"{count} photos → {sheet}" in outcome.err
        assert sheet.read_text().count("<img ") == count
    assert opened == [sheet.as_uri()] * 2
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert f"no browser was found to open {sheet}" in search(made, "--open").err


def test_what_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 2)
    (tmp_path / "album" / "broken.jpg").write_bytes(b"no picture")
    assert "skipped: " in on(tmp_path, "index", "album", "-m", "demo").err
    arguments = ("search", "a circle", "-t", "0", "--in", "album")
    assert "skipped: " not in on(tmp_path, *arguments).err
    (tmp_path / "album" / "new.jpg").write_bytes(b"no picture either")
    told = on(tmp_path, *arguments).err
    assert told.count("skipped: ") == 1
    assert "new.jpg" in told
    assert "skipped: " not in on(tmp_path, *arguments).err
    assert on(tmp_path, "index").err.count("skipped: ") == 2


def test_filters_alone_list_photos_by_date(made: Path, tmp_path: Path) -> None:
    outcome = on(made, "search", "--format", "jpg")
    assert outcome.code == 0, said(outcome)
    heading, *lines = outcome.out.splitlines()
    assert heading.split() == ["date", "path"]
    assert [line.split()[0] for line in lines] == [
        f"202{year}-05-01" for year in (4, 3, 2, 1, 1, 0)
    ]
    assert [line.rpartition("/")[2] for line in lines[3:5]] == ["001.jpg", "copy.jpg"]
    assert not outcome.err
    outcome = on(made, "search", "--until", "2022", "-n", "2", "--json")
    assert paths(outcome.records) == ["002.jpg", "001.jpg"]
    assert [record["score"] for record in outcome.records] == [None, None]
    assert outcome.err == "2 of 4 photos: -n shows more\n"
    assert paths(on(made, "search", "--in", "COPY*", "--json").records) == ["copy.jpg"]
    assert on(made, "search", "--format", "jpg", "--html", "sheet.html").code == 0
    assert (tmp_path / "sheet.html").read_text().count("<img ") == 6


def test_the_score_that_shows_the_best_does(made: Path) -> None:
    first, second = (str(made / "album" / f"00{number}.jpg") for number in (0, 1))
    query = ("search", "--like", first, "-", second, "-", "3:./album/002.jpg", "--in", "*3.jpg")
    os.chdir(made)
    outcome = on(made, *query, "-t", "1")
    found = re.search(r"is (-?[\d.]+) \(see it with: -t (-?[\d.]+)\)", outcome.err)
    assert found, said(outcome)
    assert float(found[1]) < 0
    assert "003.jpg" in on(made, *query, "-t", found[2]).out


def test_there_is_nothing_else(tmp_path: Path) -> None:
    (only,) = make_album(tmp_path / "album", 1)
    on(tmp_path, "index", "album", "-m", "demo")
    outcome = on(tmp_path, "search", "--like", str(only))
    assert (outcome.code, outcome.err) == (0, "no other photo is in the library\n")
    outcome = on(tmp_path, "search", "--like", str(only), "--format", "jpg")
    assert (outcome.code, outcome.err) == (0, "no other photo fits the filters\n")


def test_no_name_turns_the_direction_of_a_table(tmp_path: Path) -> None:
    save(tmp_path / "album" / "\u202egpj.exe.jpg", 1)
    on(tmp_path, "index", "album", "-m", "demo")
    outcome = search(tmp_path)
    assert "\\u202egpj.exe.jpg" in outcome.out
    assert "\u202e" not in outcome.out


def test_a_name_without_a_file_is_searched_as_words(made: Path) -> None:
    outcome = on(made, "search", "a", "circle", "+", "no", "cat.JPG", "-t", "0")
    assert outcome.code == 0, said(outcome)
    assert outcome.err == "note: cat.JPG is no file here: searched as words\n"
    assert len(outcome.out.splitlines()) == 8  # the line too


def test_a_place_that_is_gone_can_be_searched(tmp_path: Path) -> None:
    make_album(tmp_path / "drive", 1)
    on(tmp_path, "index", "drive", "-m", "demo")
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    assert paths(search(tmp_path, "--in", "drive", "--json").records) == ["000.jpg"]
    assert search(tmp_path, "--in", "*.heic", "--in", "*.jpg").code == 0


def test_like_words_and_both(made: Path) -> None:
    first = str(made / "album" / "000.jpg")
    like = on(made, "search", "--like", first, "--json").records
    assert len(like) == 5
    assert "000.jpg" not in paths(like)
    both = on(made, "search", "a circle", "--like", first, "-t", "0", "--json")
    assert both.code == 0, said(both)
    words = on(made, "search", "a", "circle", "-", "2:red", "-t", "0", "--json")
    assert words.code == 0, said(words)


def test_in_indexes_what_is_new(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 1)
    on(tmp_path, "index", "album", "-m", "demo")
    save(tmp_path / "more" / "new.jpg", 9)
    outcome = search(tmp_path, "--in", "more", "--json")
    assert outcome.code == 0, said(outcome)
    assert paths(outcome.records) == ["new.jpg"]
    assert "indexed 1 new photo" in outcome.err
    assert "indexed" not in search(tmp_path, "--in", "more").err
    save(tmp_path / "more" / "newer.jpg", 10)
    before = rows_of(tmp_path / "library.db")
    for wrong in (["--since", "soon"], ["-"], ["--html", "photo.jpg"], ["-t", "nan"]):
        assert search(tmp_path, "--in", "more", *wrong).code == 2
    assert rows_of(tmp_path / "library.db") == before


def test_a_sheet_is_written_over_sheets_only(made: Path, tmp_path: Path) -> None:
    for _ in range(2):
        outcome = search(made, "--html", "sheet.html")
        assert outcome.code == 0, said(outcome)
        assert not outcome.out
        assert "6 photos → sheet.html" in outcome.err
    assert (tmp_path / "sheet.html").read_text().count("<img ") == 6
    photo = save(tmp_path / "photo.jpg", 1)
    before = photo.read_bytes()
    assert search(made, "--html", "photo.jpg").code == 2
    assert photo.read_bytes() == before


# library


def test_status(made: Path) -> None:
    outcome = on(made, "library", "status")
    assert outcome.code == 0, said(outcome)
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["library", str(made / "library.db")]
    assert lines[1].split() == ["photos", "6"]
    assert lines[2].startswith("not readable  1")
    assert "5 by demo, 192 wide, preset hub" in outcome.out
    (record,) = on(made, "library", "status", "--json").records
    wanted = {"schema": 1, "files": 7, "errors": 1, "missing": 0, "problems": []}
    assert wanted.items() <= record.items()
    assert record["folders"] == [str(made / "album")]
    assert (record["sets"][0]["rows"], record["sets"][0]["left"]) == (5, 0)


def test_errors(made: Path) -> None:
    outcome = on(made, "library", "errors")
    assert outcome.code == 0
    assert "broken.jpg" in outcome.out
    assert "1 photo could not be read" in outcome.err
    (record,) = on(made, "library", "errors", "--json").records
    assert (record["schema"], paths([record])) == (1, ["broken.jpg"])
    assert "broken.jpg" in record["error"]
    assert record["hint"]


def test_prune(tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 3)
    on(tmp_path, "index", "album", "-m", "demo")
    album[1].unlink()
    on(tmp_path, "index")
    before = (tmp_path / "library.db").read_bytes()
    outcome = on(tmp_path, "library", "prune", "--dry-run")
    assert outcome.err == "to forget: 1 missing photo\n"
    assert (tmp_path / "library.db").read_bytes() == before
    (record,) = on(tmp_path, "library", "prune", "--json").records
    assert (record["files"], record["sets"], record["size_bytes"]) == (1, 0, 384)
    assert len(search(tmp_path, "--json").records) == 2


def test_a_set_that_does_not_serve_is_pruned(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 1)
    for options in (["album", "-m", "demo"], ["--preset", "ml-aim"], ["--preset", "hub"]):
        assert on(tmp_path, "index", *options).code == 0
    status = on(tmp_path, "library", "status").out
    assert "preset hub, 384 B (searched)" in status
    assert "preset ml-aim, 384 B (complete, not searched)" in status
    assert "forgotten: 1 unused vector set," in on(tmp_path, "library", "prune").err
    assert "ml-aim" not in on(tmp_path, "library", "status").out


def test_a_renamed_folder_is_forgotten(tmp_path: Path) -> None:
    make_album(tmp_path / "Pictures", 2)
    assert on(tmp_path, "index", "Pictures", "-m", "demo").code == 0
    (tmp_path / "Pictures" / "broken.jpg").write_bytes(b"no picture")
    assert on(tmp_path, "index").code == 3
    (tmp_path / "Pictures" / "broken.jpg").unlink()
    (tmp_path / "Pictures").rename(tmp_path / "Bilder")
    assert on(tmp_path, "library", "prune", "--json").records[0]["folders"] == 0
    assert on(tmp_path, "index", "Bilder").code == 0
    outcome = on(tmp_path, "library", "prune")
    assert "1 missing photo, 1 missing folder" in outcome.err
    assert on(tmp_path, "index").code == 0


def test_what_is_gone_is_not_unreadable_too(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 2)
    broken = tmp_path / "album" / "broken.jpg"
    broken.write_bytes(b"no picture")
    on(tmp_path, "index", "album", "-m", "demo")
    broken.unlink()
    on(tmp_path, "index")
    lines = on(tmp_path, "library", "status").out.splitlines()
    assert lines[1].split() == ["photos", "2"]
    assert lines[2].startswith("gone")


EXPORTS = ["x.npz", "x.npy", "x.safetensors", "x.jsonl", "x.parquet", "folder"]


@pytest.mark.parametrize("target", EXPORTS)
def test_exports_hold_the_librarys_vectors(made: Path, tmp_path: Path, target: str) -> None:
    if target in ("x.parquet", "folder"):
        pytest.importorskip("pyarrow", reason="needs pyarrow")
    outcome = on(made, "library", "export", target, "--json")
    assert outcome.code == 0, said(outcome)
    assert outcome.records[0] == {"schema": 1, "count": 6, "target": target}
    assert f"6 vectors → {target}" in outcome.err
    found = read_export(tmp_path / target)
    expected = {
        Path(os.fsdecode(hit.file.path)).name: hit.file for hit in everything(made / "library.db")
    }
    assert {Path(path).name for path in found} == set(expected)
    with Store(made / "library.db") as store:
        vectors = store.serving()
        assert vectors is not None
        for path, vector in found.items():
            row = store.row_of(vectors.id, expected[Path(path).name].id)
            assert row is not None
            own = store.segments(vectors).take(np.array([row]))[0]
            np.testing.assert_array_equal(np.asarray(vector, np.float16), own)
    again = on(made, "library", "export", target)
    assert again.code == 1
    assert "exists already" in again.err
    assert on(made, "library", "export", target, "--force").code == 0
    assert set(read_export(tmp_path / target)) == set(found)
    if target == "folder":
        (tmp_path / target / "mine.txt").write_text("mine")
        again = on(made, "library", "export", target, "--force")
        assert (again.code, (tmp_path / target / "mine.txt").exists()) == (1, True)
        assert "other files than an export" in again.err


def test_filters_are_public_and_light() -> None:
    code = (
        "import sys, mlx_aimv2; heavy = 'mlx.core' in sys.modules; mlx_aimv2.Filters(tags=['Dog'])"
    )
    code += "; assert not heavy and 'mlx.core' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def everything(library: Path) -> tuple[object, ...]:
    with Library(library) as opened:
        return opened.search("a", min_score=0, count=99).hits


def read_export(target: Path) -> dict[str, object]:
    """Paths and vectors of any format."""
    match target.suffix:
        case ".npz":
            with np.load(target) as arrays:
                facts = json.loads(arrays["metadata"].item())["photos"]
                assert facts[0]["taken_at"].endswith("-05-01T12:00:00")
                return dict(zip(arrays["paths"].tolist(), arrays["embeddings"], strict=True))
        case ".npy":
            (names,) = (
                file for file in target.parent.glob("x*") if file.suffix in (".json", ".txt")
            )
            known = json.loads(names.read_text())
            return dict(zip(known["paths"], np.load(target), strict=True))
        case ".safetensors":
            from safetensors import safe_open  # noqa: PLC0415

            with safe_open(target, "numpy") as file:
                known = json.loads(file.metadata()["paths"])
                return dict(zip(known, file.get_tensor("embeddings"), strict=True))
        case ".jsonl":
            _, *lines = [json.loads(line) for line in target.read_text().splitlines()]
            return {line["path"]: line["embedding"] for line in lines}
    import pyarrow.parquet  # noqa: PLC0415

    if target.is_dir():
        table = pyarrow.parquet.read_table(target / "metadata" / "metadata_0.parquet")
        matrix = np.load(target / "img_emb" / "img_emb_0.npy")
        return dict(zip(table["image_path"].to_pylist(), matrix, strict=True))
    table = pyarrow.parquet.read_table(target)
    return dict(zip(table["path"].to_pylist(), table["embedding"].to_pylist(), strict=True))


# Hostile names


def test_no_name_breaks_an_output(tmp_path: Path) -> None:
    names = HOSTILE + [b"caf\xe9 \xff.jpg"] * takes_any_bytes(tmp_path)
    folder = os.fsencode(tmp_path / "album")
    data = save(tmp_path / "one.jpg", 1).read_bytes()
    Path(os.fsdecode(folder)).mkdir()
    expected = {folder + b"/" + name for name in names}
    for number, path in enumerate(sorted(expected)):
        Path(os.fsdecode(path)).write_bytes(data + bytes(number))
    Path(os.fsdecode(folder + b"/bad <b>\n.jpg")).write_bytes(b"x")
    outcome = on(tmp_path, "index", "album", "-m", "demo")
    assert outcome.code == 3, said(outcome)
    assert search(tmp_path, "-0").stdout.split(b"\0")[:-1] == sorted(expected)
    assert search(tmp_path, "-f").stdout == b"".join(path + b"\n" for path in sorted(expected))
    found = {os.fsencode(unescape(each["path"])) for each in search(tmp_path, "--json").records}
    assert found == expected
    assert len(search(tmp_path, "--sort", "date").out.splitlines()) == 1 + len(expected)
    assert search(tmp_path, "--html", "sheet.html").code == 0
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page
    assert len(on(tmp_path, "library", "errors").out.splitlines()) == 1
    (record,) = on(tmp_path, "library", "errors", "--json").records
    assert unescape(record["path"]).endswith("/bad <b>\n.jpg")
    for target in ("x.npz", "x.jsonl", "x.safetensors"):
        outcome = on(tmp_path, "library", "export", target)
        assert outcome.code == 0, said(outcome)
        exported = {os.fsencode(unescape(path)) for path in read_names(tmp_path / target)}
        assert exported == expected
    ascii_only = run(
        "search", "a", "-t", "0", "--json", "--library", "library.db", encoding="ascii"
    )
    assert {os.fsencode(unescape(each["path"])) for each in ascii_only.records} == expected


def read_names(target: Path) -> list[str]:
    if target.suffix == ".npz":
        with np.load(target) as arrays:
            return arrays["paths"].tolist()
    if target.suffix == ".jsonl":
        return [json.loads(line)["path"] for line in target.read_text().splitlines()[1:]]
    from safetensors import safe_open  # noqa: PLC0415

    with safe_open(target, "numpy") as file:
        return json.loads(file.metadata()["paths"])


# What is not there any more


def test_a_deleted_file_that_was_named_is_gone(tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 3)
    assert on(tmp_path, "index", *map(str, album), "-m", "demo").code == 0
    album[1].unlink()
    outcome = on(tmp_path, "index")
    assert outcome.code == 0, said(outcome)
    assert "2 photos: 0 read, 2 unchanged, 1 gone" in outcome.err
    assert len(on(tmp_path, "library", "status", "--json").records[0]["folders"]) == 2


def test_a_deleted_folder_inside_another_is_gone(tmp_path: Path) -> None:
    make_album(tmp_path / "photos" / "inside", 2)
    make_album(tmp_path / "photos", 1, first=5)
    for folder in ("photos/inside", "photos"):
        assert on(tmp_path, "index", folder, "-m", "demo").code == 0
    shutil.rmtree(tmp_path / "photos" / "inside")
    outcome = on(tmp_path, "index")
    assert outcome.code == 0, said(outcome)
    assert "1 photo: 0 read, 1 unchanged, 2 gone" in outcome.err
    (record,) = on(tmp_path, "library", "status", "--json").records
    assert record["folders"] == [str(tmp_path / "photos")]


def test_a_folder_that_is_not_there_can_be_forgotten(tmp_path: Path) -> None:
    make_album(tmp_path / "kept", 1, first=5)
    make_album(tmp_path / "drive", 2)
    assert on(tmp_path, "index", "drive", "kept", "-m", "demo").code == 0
    shutil.rmtree(tmp_path / "drive")
    outcome = on(tmp_path, "index")
    assert outcome.code == 3
    assert f"skipped: {tmp_path}/drive is not there" in outcome.err
    assert f"aimv2 library forget {tmp_path}/drive" in outcome.err
    assert on(tmp_path, "library", "prune", "--json").records[0]["files"] == 0
    outcome = on(tmp_path, "library", "forget", "drive")
    assert (outcome.code, outcome.err) == (0, "forgotten: 2 photos, 768 B of disk given back\n")
    assert on(tmp_path, "index").code == 0
    assert paths(search(tmp_path, "--json").records) == ["005.jpg"]


def test_an_empty_mount_point_loses_nothing(tmp_path: Path) -> None:
    album = make_album(tmp_path / "photos" / "drive", 2)
    make_album(tmp_path / "photos", 1, first=5)
    assert on(tmp_path, "index", "photos/drive", "-m", "demo").code == 0
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in album:
        path.rename(kept / path.name)
    for _ in range(2):
        outcome = on(tmp_path, "index")
        assert outcome.code == 0, said(outcome)
        assert "drive is empty now, and its photos stay in the library" in outcome.err
        assert "aimv2 library forget" in outcome.err
    assert on(tmp_path, "index", "photos").code == 0
    assert on(tmp_path, "index", "--json").records[0]["empty"] == [str(album[0].parent)]
    assert on(tmp_path, "library", "prune", "--json").records[0]["files"] == 0
    assert len(search(tmp_path, "--json").records) == 3
    for path in album:
        (kept / path.name).rename(path)
    assert "3 photos: 0 read, 3 unchanged" in on(tmp_path, "index").err


def test_prune_forgets_nothing_of_a_folder_that_is_empty_now(tmp_path: Path) -> None:
    drive = tmp_path / "photos" / "drive"
    album = make_album(drive / "2019", 2)
    (gone,) = make_album(tmp_path / "photos" / "other", 1, first=5)
    make_album(tmp_path / "photos" / "other", 1, first=6)
    assert on(tmp_path, "index", "photos", "-m", "demo").code == 0
    gone.unlink()
    (drive / "2019").rename(tmp_path / "kept")
    assert ", 3 gone" in on(tmp_path, "index").err
    outcome = on(tmp_path, "library", "prune", "--dry-run")
    assert outcome.err.endswith("to forget: 1 missing photo\n")
    assert f"{drive} is empty now, and its photos stay in the library" in outcome.err
    (record,) = on(tmp_path, "library", "prune", "--json").records
    assert (record["files"], record["empty"]) == (1, [str(drive)])
    drive.rmdir()
    drive.symlink_to(tmp_path / "away")
    outcome = on(tmp_path, "library", "prune")
    assert outcome.err.startswith(f"note: {drive} leads nowhere now, and its photos stay")
    drive.unlink()
    drive.mkdir()
    (tmp_path / "kept").rename(drive / "2019")
    assert "3 photos: 0 read, 3 unchanged" in on(tmp_path, "index").err
    assert len(search(tmp_path, "--json").records) == 3
    for path in album:
        path.unlink()
    (drive / "2019").rmdir()
    on(tmp_path, "index")
    assert "forgotten: 2 photos" in on(tmp_path, "library", "forget", str(drive)).err
    assert on(tmp_path, "library", "prune", "--json").records[0]["empty"] == []


def test_an_export_where_one_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_album(tmp_path / "album", 1)
    assert on(tmp_path, "index", "album", "-m", "demo").code == 0

    def refuse(path: object, *arguments: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.mkdir", refuse)
    for target in ("vectors.npz", "folder"):
        outcome = on(tmp_path, "library", "export", target)
        assert outcome.code == 1
        assert f"error: {target} cannot be written: Permission denied\n" in outcome.err
    with pytest.raises(OutputError, match="cannot be written"):
        Library(tmp_path / "library.db").export(tmp_path / "vectors.npz")


def test_a_folder_without_its_photos_is_no_error(tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 2)
    assert on(tmp_path, "index", "album", "-m", "demo").code == 0
    (tmp_path / "album" / ".DS_Store").write_bytes(b"x")
    for path in album:
        path.unlink()
    assert on(tmp_path, "index").err.endswith("0 photos: 0 read, 2 gone\n")
    outcome = on(tmp_path, "index")
    assert outcome.code == 0, said(outcome)


# What is no folder of photos


def test_a_text_file_is_not_remembered(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 1)
    on(tmp_path, "index", "album", "-m", "demo")
    (tmp_path / "note.txt").write_text("milk")
    outcome = on(tmp_path, "index", "note.txt", "album")
    assert outcome.code == 3, said(outcome)
    assert "skipped: " in outcome.err
    assert "note.txt" in outcome.err
    assert on(tmp_path, "index", "note.txt").code == 1
    (record,) = on(tmp_path, "library", "status", "--json").records
    assert (record["files"], record["folders"]) == (1, [str(tmp_path / "album")])


def test_a_link_to_an_indexed_folder_adds_nothing(tmp_path: Path) -> None:
    make_album(tmp_path / "album" / "inside", 2)
    on(tmp_path, "index", "album", "-m", "demo")
    (tmp_path / "link").symlink_to(tmp_path / "album")
    (tmp_path / "deep").symlink_to(tmp_path / "album" / "inside")
    for link in ("link", "link/inside", "deep"):
        record = on(tmp_path, "index", link, "--json").records[0]
        assert (record["found"], record["unchanged"]) == (2, 2)
        assert len(search(tmp_path, "--in", link, "--json").records) == 2
        assert len(on(tmp_path, "search", "--in", link, "--json").records) == 2
        outcome = on(tmp_path, "tag", "--in", link, "--dry-run")
        assert "2 photos" in outcome.err, said(outcome)
    (record,) = on(tmp_path, "library", "status", "--json").records
    assert (record["files"], record["folders"]) == (2, [str(tmp_path / "album")])


def test_an_empty_name_is_not_this_folder(tmp_path: Path) -> None:
    outcome = on(tmp_path, "index", "", "-m", "demo")
    assert outcome.code == 2
    assert "an empty name is no folder" in outcome.err
    assert not list(tmp_path.glob("library*"))


@pytest.mark.parametrize("name", ["", ".", "folder"])
def test_a_library_is_a_file(tmp_path: Path, name: str) -> None:
    make_album(tmp_path / "folder", 1)
    for command in (["index", "folder", "-m", "demo"], ["search", "x"], ["library", "status"]):
        outcome = run(*command, "--library", name)
        assert outcome.code == 1, said(outcome)
        assert "is a folder" in outcome.err
        assert "hint: name a file: --library " in outcome.err
    assert len(list((tmp_path / "folder").iterdir())) == 1


def test_status_sees_lost_vectors(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 2)
    on(tmp_path, "index", "album", "-m", "demo")
    (segment,) = (tmp_path / "library.db.vectors").rglob("*.f16")
    with segment.open("r+b") as file:
        file.truncate(400)
    (problem,) = on(tmp_path, "library", "status", "--json").records[0]["problems"]
    assert "000001.f16: bring the folder back from a backup" in problem
    shutil.rmtree(tmp_path / "library.db.vectors")
    outcome = on(tmp_path, "library", "status")
    assert outcome.code == 0, said(outcome)
    assert "problem" in outcome.out


# What is refused

WRONG = [
    ("search", 2, "there is nothing to search for"),
    ("search dog --in nofolder", 2, "nofolder does not exist"),
    ("search --in nofolder", 2, "nofolder does not exist"),
    ("search dog --in empty --in nofolder", 2, "nofolder does not exist"),
    ("search dog --in *.heic", 2, "no photo in the library fits *.heic"),
    ("search --tag Dog -t 0.3", 2, "there are no scores"),
    ("search - dog", 2, "begins with what to take away"),
    ("search dog +", 2, "nothing after the last +"),
    ("search dog -f -0", 2, "cannot be combined"),
    ("search dog --json --uuid", 2, "cannot be combined"),
    ("search dog --html sheet.pdf", 2, "no name of a sheet"),
    ("search dog --html nowhere/sheet.html", 1, "there is no folder nowhere"),
    ("search dog --since 2024-13", 2, "is no date"),
    ("search dog --until soon", 2, "is no date"),
    ("search dog -t nan", 2, "is no score"),
    ("search dog -t high", 2, "--min-score"),
    ("search dog -n 0", 2, "--count"),
    ("search dog --orientation round", 2, "--orientation"),
    ("search dog --tag \udcff", 2, "is not UTF-8"),
    ("search \udcff", 2, "is not UTF-8"),
    ("search --like nowhere.jpg", 2, "nowhere.jpg does not exist"),
    ("search --like album", 2, "is a folder"),
    ("search ./nowhere.jpg", 2, "nowhere.jpg does not exist"),
    ("search dog -m large", 2, "was not indexed with large"),
    ("index nowhere", 1, "nothing could be indexed"),
    ("index empty", 2, "there are no pictures"),
    ("index album --preset odd", 2, "--preset"),
    ("index album --batch-size 0", 2, "--batch-size"),
    ("index album -m nonsense", 1, "nonsense"),
    ("search owl -boat", 2, 'a space after "-"'),
    ("search owl -night", 2, 'a space after "-"'),
    ("search owl --lke x", 2, "hint: aimv2 search --help"),
    ("library vanish", 2, "No such command 'vanish'"),
    ("library status x", 2, "unexpected extra argument"),
    ("library errors --dry-run", 2, "No such option: --dry-run"),
    ("library prune --force", 2, "No such option: --force"),
    ("library status -m demo", 2, "No such option: -m"),
    ("library export", 2, "Missing argument 'TARGET'"),
    ("library forget", 2, "Missing argument 'FOLDER'"),
    ("library forget elsewhere", 2, "the library has no photo in /"),
    ("library forget album --force", 2, "No such option: --force"),
    ("library export x.csv", 2, "no known extension"),
    ("library export x.npz -m large", 2, "was not indexed with large"),
    ("library export nowhere/x.npz", 1, "there is no folder nowhere"),
    ("library export nowhere/folder", 1, "there is no folder nowhere"),
    ("library export nowhere/folder", 1, "hint: make it first: mkdir -p nowhere"),
    ("search dog --html nowhere/sheet.html", 1, "hint: make it first: mkdir -p nowhere"),
]


@pytest.mark.parametrize(
    ("command", "method", "said"),
    [
        (["index", "album", "-m", "demo"], "index_with", "stopped; nothing was done yet"),
        (
            ["tag"],
            "tag",
            "stopped; what is done is kept: the same command goes on, aimv2 tag undo takes it back",
        ),
    ],
)
def test_a_stop_is_no_error(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    method: str,
    said: str,
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Library, method, stop)
    outcome = on(made, *command)
    assert (outcome.code, outcome.err) == (130, f"{said}\n")


def test_options_may_stand_before_an_action(made: Path, tmp_path: Path) -> None:
    library = ["--library", str(made / "library.db")]
    after = run("library", "errors", *library, "--json")
    assert after.records
    for arguments in (["--json", *library, "errors"], [*library, "errors", "--json"]):
        assert run("library", *arguments).out == after.out
    Path("errors").symlink_to(made / "library.db")
    Path("errors.vectors").symlink_to(made / "library.db.vectors")
    assert run("library", "--library", "errors", "errors", "--json").out == after.out


def test_the_command_alone_shows_its_help() -> None:
    alone = run("library")
    assert (alone.code, alone.out, alone.err) == (2, run("library", "--help").out, "")


@pytest.mark.parametrize("words", ["library prune", "library status", "library errors", "tag undo"])
def test_a_command_that_is_below_another_is_named(words: str) -> None:
    outcome = run(words.split()[1])
    assert outcome.code == 2
    assert outcome.err.endswith(f"hint: aimv2 {words}\n")


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG, ids=[each[0] for each in WRONG])
def test_what_is_wrong_is_said(
    made: Path, tmp_path: Path, arguments: str, code: int, message: str
) -> None:
    if "folder" in arguments:
        pytest.importorskip("pyarrow", reason="needs pyarrow")
    (tmp_path / "empty").mkdir()
    (tmp_path / "album").mkdir()
    own = tmp_path / "home" / "made"
    own.mkdir(parents=True)
    shutil.copy(made / "library.db", own)
    shutil.copytree(made / "library.db.vectors", own / "library.db.vectors")
    before = rows_of(own / "library.db")
    outcome = on(own, *arguments.split())
    assert outcome.code == code, said(outcome)
    assert message in outcome.err
    assert "hint: " in outcome.err
    assert "Traceback" not in outcome.err
    assert not outcome.out
    assert rows_of(own / "library.db") == before
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != "home") == [
        "album",
        "empty",
    ]


@pytest.mark.parametrize(
    "arguments", ["search dog", "library status", "library errors", "library prune",
                  "library prune --dry-run", "library export x.npz"]
)  # fmt: skip
def test_without_a_library_none_is_made(tmp_path: Path, arguments: str) -> None:
    outcome = on(tmp_path, *arguments.split())
    assert outcome.code == 1
    assert "there is no library" in outcome.err
    assert f"hint: aimv2 index FOLDER --library {tmp_path}" in outcome.err
    assert not list(tmp_path.glob("library*"))


def test_without_the_usual_library_its_place_need_not_be_typed() -> None:
    outcome = run("search", "dog")
    assert outcome.code == 1
    assert "hint: aimv2 index FOLDER\n" in outcome.err


def test_a_library_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "library.db").write_text("mine " * 100)
    for arguments in ("search dog", "index .", "library status", "library prune"):
        outcome = on(tmp_path, *arguments.split())
        assert outcome.code == 1
        assert "library.db" in outcome.err
        assert "Traceback" not in outcome.err
    assert (tmp_path / "library.db").read_text() == "mine " * 100


def test_only_broken_pictures(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "a.jpg").write_bytes(b"x")
    outcome = on(tmp_path, "index", "album", "-m", "demo")
    assert outcome.code == 1
    assert "the only photo could not be read" in outcome.err
    outcome = search(tmp_path)
    assert outcome.code == 0, said(outcome)
    assert "there are no photos to search" in outcome.err
    assert on(tmp_path, "library", "export", "x.npz").code == 1
