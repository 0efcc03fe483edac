"""`aimv2 describe`: a table, files, the library and sidecars; and a person's own words."""

import csv
import json
from pathlib import Path

import pytest

from mlx_aimv2.cli import describe
from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.library.library import Library
from tests.support.albums import make_album, noise
from tests.support.commands import on, run
from tests.support.killed_describe import HOSTILE


class Model:
    """Says a text of each picture, and keeps what it was asked."""

    def __init__(self, text: str = "=HYPERLINK a dog named {}") -> None:
        self.text, self.asked = text, []

    def describe(self, image: str, prompt: str, **options: object) -> str:
        self.asked.append((Path(image).name, prompt, options))
        return self.text.format(Path(image).stem)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model()
    monkeypatch.setattr(describe, "load", lambda options: made)
    return made


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("album").mkdir()
    return [str(noise(Path("album") / name, seed)) for seed, name in enumerate(["a.png", "b.png"])]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("described")
    make_album(folder / "album", 5)
    with Library(folder / "library.db") as opened:
        opened.index(folder / "album", model="demo")
    return folder


@pytest.fixture
def album(made: Path, monkeypatch: pytest.MonkeyPatch):
    """Indexed drawings; captions and edits go again."""
    monkeypatch.chdir(made)
    yield made
    on("describe", "--undo=all")
    with Library("library.db") as opened:
        for edit in opened.tag_history():
            if edit.undone_at is None and edit.kind == "caption":
                opened.undo_tags(edit.number)


def test_without_more_captions_are_printed(pictures: list[str], model: Model) -> None:
    outcome = run("describe", "album")
    assert outcome.code == 0
    assert [line.split("  ") for line in outcome.out.splitlines()] == [
        [path, f"=HYPERLINK a dog named {Path(path).stem}"] for path in pictures
    ]
    assert outcome.err == "2 photos: 2 described\n"
    assert not list(Path.cwd().glob("*.db"))


def test_what_it_asks(pictures: list[str], model: Model) -> None:
    Path("mine.txt").write_text("Was ist zu sehen?")
    assert run("describe", "album/a.png", "--prompt=mine.txt", "--fast", "--seed=3").code == 0
    assert run("describe", "album/a.png", "--prompt=alt-text", "--language=German").code == 0
    (_, first, options), (_, second, _) = model.asked
    assert first == "Was ist zu sehen?"
    assert (options["fast"], options["seed"], options["max_tokens"]) == (True, 3, 500)
    assert "German" in second


def test_json_lines(pictures: list[str], model: Model) -> None:
    model.text = HOSTILE
    outcome = run("describe", "album", "--json", "--quiet")
    assert b"\x1b" not in outcome.stdout
    first, _ = outcome.records
    assert first["path"] == pictures[0]
    assert first["caption"].startswith("<script>")
    assert (first["origin"], first["model"], first["is_new"]) == ("program", "aria", True)


def test_a_hostile_caption_does_nothing_on_a_terminal(pictures: list[str], model: Model) -> None:
    model.text = HOSTILE
    outcome = run("describe", "album/a.png", terminal="stdout")
    assert b"\x1b[31m" not in outcome.stdout
    assert b"\x07" not in outcome.stdout
    assert len(outcome.out.splitlines()) == 1


def test_what_fails_is_told_and_the_rest_is_done(pictures: list[str], model: Model) -> None:
    outcome = run("describe", "album/a.png", "none.png")
    assert outcome.code == 3
    assert "none.png does not exist" in outcome.err
    model.text = ""
    outcome = run("describe", "album/a.png")
    assert outcome.code == 1
    assert "the model said nothing of album/a.png" in outcome.err


def test_a_model_that_is_not_there_ends_the_run(pictures, album, monkeypatch) -> None:
    def refuse(options: object) -> Model:
        raise CheckpointError("no such checkpoint", hint="choose another")

    monkeypatch.setattr(describe, "load", refuse)
    for more in ([], ["--write=library", "--library=library.db"], ["--out=a.csv"]):
        outcome = run("describe", "album", *more)
        assert (outcome.code, outcome.err.count("no such checkpoint")) == (1, 1)


@pytest.mark.parametrize("name", ["alt.csv", "alt.jsonl"])
def test_a_file_is_gone_on_with(pictures: list[str], model: Model, name: str) -> None:
    assert run("describe", "album/a.png", "--out", name).code == 0
    with Path(name).open("ab") as file:
        file.write(b'"cut off by a ki')
    outcome = run("describe", "album", "-o", name)
    assert outcome.err == f"2 photos: 1 described, 1 had a caption → {name}\n"
    assert [asked for asked, *_ in model.asked] == ["a.png", "b.png"]
    text = Path(name).read_text()
    if name.endswith("csv"):
        rows = list(csv.DictReader(text.splitlines()))
        assert rows[0]["caption"] == "'=HYPERLINK a dog named a"
    else:
        rows = [json.loads(line) for line in text.splitlines()]
        assert rows[0]["caption"] == "=HYPERLINK a dog named a"
    assert [row["path"] for row in rows] == pictures
    assert run("describe", "album", "-o", name, "--json").records[0]["caption"].startswith("=HYP")
    for option in ("--prompt=alt-text", "--model=other"):
        outcome = run("describe", "album", "-o", name, option)
        assert (outcome.code, "another prompt or model" in outcome.err) == (1, True)
    assert Path(name).read_text() == text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "name,price\n1,2"),
        ("b.csv", "x"),
        ("c.jsonl", '{"schema": 1, "x'),
        ("a.jsonl", "{}\n"),
        ("b.jsonl", "[1]\nx\n"),
    ],
)
def test_another_file_is_left_alone(pictures, model: Model, name: str, content: str) -> None:
    Path(name).write_text(content)
    outcome = run("describe", "album", "-o", name)
    assert outcome.code == 1
    assert Path(name).read_text() == content
    assert model.asked == []


def test_into_the_library_and_found(album: Path, model: Model) -> None:
    model.text = "a grandmother, {}"
    outcome = on("describe", "album", "--write=library")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "5 photos: 5 described\n"
    assert on("describe", "album", "--write=library").err == (
        "5 photos: 0 described, 5 had a caption\n"
    )
    found = on("search", "grandmother", "--captions-only", "--paths").out.splitlines()
    assert len(found) == 5
    first, *_ = on("search --captions-only", "grandmother 003", "--json").records
    assert (Path(first["path"]).name, first["score"]) == ("003.jpg", 1.0)
    assert "captions  5 (program 5)" in on("library status").out
    runs = [each for each in on("tag history", "--json").records if each["kind"] == "describe"]
    (edit,) = [each for each in runs if not each["undone_at"]]
    assert (edit["said"], edit["changes"]) == ("captions by aria", 5)
    assert on("describe", "--undo=last").err == "undone, on 5 photos\n"
    assert on("describe", "--undo=last").code == 2


def test_sidecars_and_own_words(album: Path, model: Model) -> None:
    model.text = "a dog, {}"
    outcome = on("describe", "album/000.jpg", "album/001.jpg", "--write=sidecar")
    assert outcome.err == "2 photos: 2 described, 2 sidecars written\n"
    outcome = on("describe", "album/000.jpg", "--caption", "Luna at the lake")
    assert outcome.err == "your caption of 1 photo stands\n1 sidecar brought up to date\n"
    assert b">Luna at the lake<" in Path("album/000.jpg.xmp").read_bytes()
    on("describe", "album", "--write=library", "--again", "--prompt=alt-text")
    assert on("search", "Luna", "--captions-only", "--json").records[0]["caption_origin"] == "you"
    assert on("describe", "album/000.jpg", "--caption", "").err.startswith("1 photo: no caption")
    assert not Path("album/000.jpg.xmp").exists()
    outcome = on("describe", "--undo=all")
    assert "your own words stay" in outcome.err
    assert not list(Path("album").glob("*.xmp"))


def test_from_a_search(album: Path, model: Model) -> None:
    outcome = on("describe", "--from-search", "boat", "-n1", "--json")
    assert len(outcome.records) == len(model.asked) == 1
    assert on("describe", "--from-search", "boat", "--caption", "mine").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name photos"),
        (["a", "--from-search=b"], "name photos"),
        (["a", "--write=library", "--out=b.csv"], "--write and --out cannot be combined"),
        (["a", "--undo=last"], "takes no photos"),
        (["--undo=x"], "last, all or a number"),
        (["a", "--again"], "--again is for captions that are kept"),
        (["a", "--sidecar-names=full"], "for sidecars only"),
        (["a", "-n3"], "--count is for --from-search"),
        (["a", "--prompt=none.txt"], "none.txt cannot be read"),
        (["album", "--out=a.txt"], "no known extension"),
    ],
)
def test_what_does_not_go_together(pictures, arguments: list[str], words: str) -> None:
    outcome = run("describe", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.err.count("error:") == 1


def test_sidecars_that_were_taken_back_are_not_written_by_a_run_for_the_library(
    album: Path, model: Model
) -> None:
    on("describe", "album", "--write=sidecar")
    assert len(list(Path("album").glob("*.xmp"))) == 5
    on("describe", "--undo=all")
    on("describe", "album", "--write=library")
    assert not list(Path("album").glob("*.xmp"))
