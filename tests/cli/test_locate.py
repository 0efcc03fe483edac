"""``aimv2 locate``: what it prints and writes, of one picture and of a search."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlx_aimv2.inference.locating.locator import Locator
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from tests.support import makers
from tests.support.commands import run
from tests.support.pages import Page

SEED = HELD_OUT + 3_000_011  # a boat, a truck and a camera
DEMO = ("--model", "demo")


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawing = draw(SEED, 224, kind="several")
    drawing.image.save("photo.png")
    return drawing


@pytest.fixture
def library(photo):
    """A library of three drawings, of which two have a truck."""
    Path("album").mkdir()
    for number in range(3):
        draw(SEED + number % 2, 112, kind="several").image.save(f"album/{number}.png")
    done = run("index", "album", "--library", "photos.db", *DEMO)
    assert done.code == 0, done.err
    return "--library", "photos.db"


@pytest.mark.usefixtures("photo")
def test_a_table_with_a_box_for_each_word():
    done = run("locate", "photo.png", "boat", "truck", " boat ", "guitar", *DEMO)
    assert done.code == 0
    heading, *rows = done.out.splitlines()
    assert heading.split() == ["word", "score", "left", "top", "right", "bottom", "path"]
    assert [row.split()[0] for row in rows] == ["boat", "truck", "guitar"]  # once each
    assert "below 0.5 a place fits its word no better than any word" in done.err
    sure = run("locate", "photo.png", "truck", *DEMO)
    assert sure.err == ""


@pytest.mark.usefixtures("photo")
def test_json_has_what_python_has():
    done = run("locate", "photo.png", "truck", "--json", "--tiles", "1", *DEMO)
    (record,) = map(json.loads, done.out.splitlines())
    assert record.keys() == {
        "schema", "path", "text", "score", "box", "point", "width_px", "height_px",
    }  # fmt: skip
    assert (record["path"], record["text"]) == ("photo.png", "truck")
    assert (record["width_px"], record["height_px"]) == (224, 224)
    left, top, right, bottom = record["box"]
    assert left <= record["point"][0] < right
    assert top <= record["point"][1] < bottom


def test_a_heatmap_for_each_word(photo):
    words = ("boat", "truck", "camera", "sun")
    done = run("locate", "photo.png", *words, "--out", "found.png", *DEMO)
    assert done.code == 0
    assert "4 heatmaps → found.png" in done.err
    with Image.open("found.png") as drawn:
        assert drawn.width > 3 * 224  # three in a row
        assert drawn.height > 2 * 224
        first = np.asarray(drawn.convert("RGB"))[12:236, 12:236]
    changed = (first != np.asarray(photo.image)).any(axis=2)
    assert 0.02 < changed.mean() < 0.9  # what is not hot is as it was
    again = run("locate", "photo.png", "boat", "--out", "found.png", *DEMO)
    assert again.code == 1
    assert "found.png exists already" in again.err
    assert run("locate", "photo.png", "boat", "--out", "found.png", "--force", *DEMO).code == 0


@pytest.mark.usefixtures("photo")
def test_the_picture_itself_is_never_replaced():
    before = Path("photo.png").read_bytes()
    Path("link.png").symlink_to("photo.png")
    for name in ("photo.png", "link.png"):
        done = run("locate", "photo.png", "boat", "--out", name, "--force", *DEMO)
        assert done.code == 2
        assert f"{name} is the picture itself" in done.err
    assert Path("photo.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("", "a picture and what to find in it are needed", "--from-search QUERY"),
        ("photo.png", "a picture and what to find in it are needed", "photo.jpg dog"),
        ("photo.png dog --out dog.jpg", "dog.jpg is no name of a PNG", "dog.jpg.png"),
        ("photo.png dog --html dog.html", "--html is for --from-search", "--out"),
        ("photo.png dog -n 3", "--count is for --from-search", "--out"),
        ("photo.png dog --force", "--force says to replace", "leave --force out"),
        ("--from-search dog --out dog.png", "--out is for one picture", "--html"),
        ("--from-search ./photo.png", "has no words to find a place for", "dog"),
        ("photo.png dog --model large", "reads no texts, only pictures", "--model lit"),
        ("photo.png photo.png dog", "photo.png is a file: one picture", "--from-search QUERY"),
        (f"photo.png{' dog' * 101} --out a.png", "of 100 words at most, not of 101", "fewer"),
        ("photo.png dog --tiles 4", "the most is 3", "locate --help"),
    ],
)
@pytest.mark.usefixtures("photo")
def test_what_does_not_go_together(arguments, message, hint):
    done = run("locate", *arguments.split())
    assert done.code == 2
    assert message in done.err
    assert hint in done.err.splitlines()[-1]


@pytest.mark.usefixtures("photo")
def test_what_cannot_be_looked_at(tmp_path):
    Path("broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    for name in ("broken.jpg", "missing.jpg"):
        done = run("locate", name, "dog", *DEMO)
        assert (done.code, done.out) == (1, "")
        assert name in done.err
    assert "a word is missing or empty" in run("locate", "photo.png", " ", *DEMO).err
    makers.write_kind("head", tmp_path / "vision")
    done = run("locate", "photo.png", "dog", "--model", "./vision")
    assert done.code == 2
    assert "reads no texts" in done.err


def test_photos_of_a_search(library):
    search = ("--from-search", "truck + boat", *library)
    done = run("locate", *search, "--json")
    assert done.code == 0
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [record["text"] for record in records[:2]] == ["truck", "boat"]  # the query's words
    assert {Path(record["path"]).name for record in records} >= {"0.png", "2.png"}
    sheet = run("locate", *search, "truck", "--html", "sheet.html")
    assert (sheet.code, sheet.out) == (0, "")
    page = Page(Path("sheet.html").read_text(encoding="utf-8"))
    assert "truck + boat" in page.text
    assert len(list(page.all("img"))) == len(records) // 2
    one = run("locate", *search, "-n", "1", "--json", "truck")
    assert len(one.out.splitlines()) == 1
    nothing = run("locate", "--from-search", "guitar", *library)
    assert (nothing.code, nothing.out) == (0, "")
    assert "no photo fits 'guitar': see aimv2 search guitar" in nothing.err


def test_a_photo_that_cannot_be_read_is_told_and_the_others_are_done(library, monkeypatch):
    find = Locator.find

    def find_after_loss(self, path):
        Path("album/0.png").unlink(missing_ok=True)
        return find(self, path)

    monkeypatch.setattr(Locator, "find", find_after_loss)
    done = run("locate", "--from-search", "truck + boat", *library, "truck")
    assert done.code == 3
    assert "0.png" in done.err
    assert "0.png" not in done.out
    assert "2.png" in done.out
