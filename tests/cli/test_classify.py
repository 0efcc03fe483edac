"""`aimv2 classify`: the scores of the library, printed; labels, bad images, exit codes."""

import os

import numpy as np
import pytest

import mlx_aimv2 as aimv2
from mlx_aimv2.cli import classify, output
from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model
from tests.support.commands import run
from tests.support.makers import (
    TEXT,
    lit_config,
    random_lit,
    random_vision,
    vision_config,
    write_checkpoint,
)
from tests.support.pictures import photo
from tests.support.vocabulary import clip_vocabulary

LABELS = ["cat", "two red boats", "beach"]
ROUNDED = 2e-6  # printed with six digits, and computed in batches of another shape


@pytest.fixture(scope="module")
def lit(tmp_path_factory):
    words = TEXT | {"vocab": len(clip_vocabulary().ids)}
    folder = tmp_path_factory.mktemp("lit")
    write_checkpoint(folder, random_lit(text=words), lit_config(text=words))
    return str(clip_vocabulary().write_parts(folder))


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    for number, size in enumerate([(50, 40), (40, 71), (97, 35)]):
        photo(*size, seed=number).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def no_load(monkeypatch):
    """Fails the test where a checkpoint is loaded."""

    def load(*_, **__):
        raise AssertionError("a checkpoint was loaded")

    monkeypatch.setattr("mlx_aimv2.inference.model.load", load)


def scores_of(outcome):
    return [record["scores"] for record in outcome.records]


@pytest.mark.filterwarnings("ignore:.* too long")  # for this text tower of a few tokens
@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("templates", ["photo", "ensemble"])
def test_scores_are_those_of_the_library(lit, album, templates, independent):
    arguments = ["--labels", ",".join(LABELS), "--templates", templates, "--json"]
    outcome = run(
        "classify", str(album), "--model", lit, *arguments, *["--independent"] * independent
    )
    assert outcome.code == 0
    paths = sorted(album.iterdir())
    expected = np.array(
        aimv2.load(lit).classify(paths, LABELS, templates=templates, independent=independent)
    )
    assert [record["path"] for record in outcome.records] == [str(path) for path in paths]
    for scores, row in zip(scores_of(outcome), expected, strict=True):
        assert [*scores.values()] == sorted(scores.values(), reverse=True)
        np.testing.assert_allclose([scores[label] for label in LABELS], row, atol=ROUNDED)


def test_own_templates(lit, album):
    arguments = ["--labels", "cat,beach", "--json", "--model", lit]
    own = ["--template", "a photo of a {}.", "--template", "{}"]
    outcome = run("classify", str(album), *arguments, *own)
    expected = aimv2.load(lit).classify(
        [album / "0.png"], ["cat", "beach"], templates=["a photo of a {}.", "{}"]
    )
    first = outcome.records[0]["scores"]
    np.testing.assert_allclose([first["cat"], first["beach"]], np.array(expected)[0], atol=ROUNDED)


def test_the_table(lit, album):
    outcome = run("classify", str(album), "--model", lit, "--labels", "cat,beach,boats")
    rows = [line.split(maxsplit=2) for line in outcome.out.splitlines()]
    assert [row[2] for row in rows] == [
        str(album / f"{n}.png") for n in (0, 0, 0, 1, 1, 1, 2, 2, 2)
    ]
    for start in (0, 3, 6):
        numbers = [float(row[0]) for row in rows[start : start + 3]]
        assert numbers == sorted(numbers, reverse=True)
        assert sum(numbers) == pytest.approx(1, abs=2e-3)
        assert {row[1] for row in rows[start : start + 3]} == {"cat", "beach", "boats"}
    assert outcome.err.splitlines() == ["3 images classified"]
    assert run("--quiet", "classify", str(album), "-m", lit, "-l", "a,b").err == ""


LABELS_OF_ALL_WIDTHS = [
    "a",
    "船と家",
    "👩\u200d👩\u200d👧 family",
    "Ba\u0308r",
    "x" * 90,
    *map(str, range(40)),
]


@pytest.mark.parametrize("terminal", ["", "stdout"])
@pytest.mark.parametrize("columns", [40, 200])
@pytest.mark.parametrize("top", [1, 3, 50])
def test_columns_are_kept(lit, album, terminal, columns, top, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    paths = [album / "0.png", album / "a much longer name than the first.png", album / "1.png"]
    paths[1].write_bytes(paths[0].read_bytes())
    outcome = run(
        "classify", *map(str, paths), "-m", lit, "--top", str(top), "--template", "{}",
        "-l", ",".join(LABELS_OF_ALL_WIDTHS), terminal=terminal,
    )  # fmt: skip
    lines = outcome.out.splitlines()
    assert len(lines) == 3 * min(top, len(LABELS_OF_ALL_WIDTHS))
    starts = [output.width(line[: line.index(str(album))]) for line in lines]
    assert set(starts) == {starts[0]}
    if terminal:
        assert starts[0] <= max(12, columns // 3) + 9
    else:
        assert any("x" * 90 in line for line in lines) or top < 50


def test_top(lit, album):
    outcome = run("classify", str(album), "-m", lit, "-l", "a,b,c", "--top", "1", "--json")
    assert [len(scores) for scores in scores_of(outcome)] == [1, 1, 1]


def test_one_label_by_itself(lit, album):
    outcome = run("classify", str(album), "-m", lit, "-l", "cat", "--independent", "--json")
    assert outcome.code == 0
    assert all(0 <= scores["cat"] <= 1 for scores in scores_of(outcome))


def test_bad_images_are_named_and_the_rest_is_done(lit, album):
    (album / "empty.jpg").write_bytes(b"")
    (album / "words.png").write_text("not a picture")
    (album / "notes.txt").write_text("skipped")
    name = os.fsencode(album) + b"/\xff.png"
    with open(name, "wb") as file:  # noqa: PTH123  (pathlib takes no bytes)
        file.write((album / "0.png").read_bytes())
    paths = [str(album), str(album / "gone.jpg"), str(album / "1.png")]
    outcome = run("classify", *paths, "-m", lit, "-l", "cat,beach", "--json")
    assert outcome.code == 3
    records = {record["path"]: record for record in outcome.records}
    good = [path for path in records if "scores" in records[path]]
    assert [path.removeprefix(f"{album}/") for path in good] == [
        "0.png", "1.png", "2.png", "\\udcff.png",
    ]  # fmt: skip
    assert "is empty" in records[str(album / "empty.jpg")]["error"]
    for bad in ("empty.jpg", "words.png", "gone.jpg"):
        assert f"skipped: {album / bad}" in outcome.err
    assert "1 other file skipped" in outcome.err
    assert "5 images classified, 3 skipped" in outcome.err
    assert rb"\udcff.png" in run("classify", *paths, "-m", lit, "-l", "a,b").stdout


def test_nothing_but_bad_images(lit, tmp_path):
    outcome = run("classify", str(tmp_path / "gone.jpg"), "-m", lit, "-l", "cat,beach")
    assert outcome.code == 1
    assert outcome.out == ""


def test_a_list_of_paths_on_stdin(lit, album):
    listed = f"{album / '2.png'}\n{album / '0.png'}\n".encode()
    outcome = run("classify", "-", "-m", lit, "-l", "a,b", "--json", stdin=listed)
    assert [record["path"][-5:] for record in outcome.records] == ["2.png", "0.png"]


# Labels


def test_labels_are_cleaned_and_taken_once():
    assert classify.read_labels([" cat , beach ", "cat,,red\t boat,"], None) == [
        "cat", "beach", "red boat",
    ]  # fmt: skip


def test_labels_are_utf8_whatever_the_locale_is():
    typed = ["\udcc3\udca7a va, b"]  # as Python has it where the locale is not UTF-8
    assert classify.read_labels(typed, None) == ["ça va", "b"]
    with pytest.raises(UsageError, match="not UTF-8"):
        classify.read_labels(["\udce7a va"], None)


def test_repeated_labels_are_noted(lit, album):
    outcome = run("classify", str(album), "-m", lit, "-l", "cat,beach,cat", "--json")
    assert [len(scores) for scores in scores_of(outcome)] == [2, 2, 2]
    assert "note: labels that are there twice count once: cat" in outcome.err


def test_labels_from_a_file_with_windows_line_ends(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffcat\r\n\r\nç et, là\r\n".encode())
    assert classify.read_labels(["dog"], str(file)) == ["dog", "cat", "ç et, là"]


def test_labels_from_stdin(lit, album):
    arguments = ["-m", lit, "--labels-from", "-", "--json"]
    outcome = run("classify", str(album / "0.png"), *arguments, stdin=b"cat\nbeach\n")
    assert set(scores_of(outcome)[0]) == {"cat", "beach"}


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ([], "there are no labels", "--labels"),
        (["--labels", ""], "there are no labels", "--labels"),
        (["--labels", " , "], "there are no labels", "--labels"),
        (["--labels", "cat"], "'cat' alone would fit everything", "--independent"),
        (["--labels", "cat,cat"], "'cat' alone", "--independent"),
        (["--labels-from", "gone.txt"], "gone.txt cannot be read: No such file", "--labels-from"),
        (["--labels", "a,b", "--template", "a photo"], "needs one {}", "a photo of a {}"),
        (["--labels", "a,b", "--model", "huge"], "reads no texts, only pictures", "--model lit"),
        (["-", "--labels-from", "-"], "cannot both come from stdin", "--labels"),
    ],
)
def test_usage_errors_before_anything_is_loaded(album, no_load, arguments, message, hint):
    outcome = run("classify", str(album), *arguments)
    assert outcome.code == 2
    error, told = outcome.err.splitlines()[-2:]
    assert error.startswith("error: ")
    assert message in error
    assert told.startswith("hint: ")
    assert hint in told


def test_labels_that_are_not_text(tmp_path, album, no_load):
    (tmp_path / "labels").write_bytes(b"\xff\xfe\x00")
    outcome = run("classify", str(album), "--labels-from", str(tmp_path / "labels"))
    assert outcome.code == 2
    assert "labels, line 1: not UTF-16" in outcome.err


def test_no_pictures(tmp_path, no_load):
    (tmp_path / "notes.txt").touch()
    outcome = run("classify", str(tmp_path), "--labels", "cat,beach")
    assert outcome.code == 1
    assert "1 other file skipped" in outcome.err
    assert "error: there are no pictures" in outcome.err


def test_a_folder_without_a_text_tower(tmp_path, album):
    folder = write_checkpoint(tmp_path / "vision", random_vision(), vision_config())
    outcome = run("classify", str(album), "-m", str(folder), "--labels", "cat,beach")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-2:] == [
        "error: vision reads no texts, only pictures",
        "hint: labels need a checkpoint that reads texts: --model lit",
    ]


def test_options_reach_the_stream(lit, album, monkeypatch):
    seen = []

    def samples(self, plan, images):
        seen.append(plan.options)
        return iter(())

    monkeypatch.setattr(Model, "samples", samples)
    options = ["--preset", "ml-aim", "--max-pixels", "77", "--batch-size", "3", "--threads", "2"]
    run("classify", str(album), "-m", lit, "-l", "a,b", *options)
    assert seen == [ImageOptions(preset="ml-aim", max_pixels=77, batch_size=3, threads=2)]


def test_prompts_of_ones_own_and_a_set_do_not_go_together(no_load, album):
    outcome = run(
        *("classify", str(album), "--labels", "cat,dog"),
        *("--template", "a {}", "--templates", "plain"),
    )
    assert outcome.code == 2
    assert "--templates" in outcome.err
