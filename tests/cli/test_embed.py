"""``aimv2 embed``: from files and lines to files and lines, whatever is among them."""

import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import mlx_aimv2 as aimv2
from mlx_aimv2.checkpoints import snapshot
from mlx_aimv2.cli import embed, embed_run
from mlx_aimv2.files.path_text import unescape
from mlx_aimv2.images import presets
from mlx_aimv2.inference import image_options as plan
from mlx_aimv2.inference import model
from mlx_aimv2.options import options_of
from tests.support import pictures
from tests.support.commands import AIMV2, PATIENCE_S, Outcome, run
from tests.support.makers import (
    PROJECTION,
    TEXT,
    VISION,
    lit_config,
    random_lit,
    random_vision,
    vision_config,
    write_checkpoint,
)
from tests.support.names import takes_any_bytes
from tests.support.tolerances import BATCH_MATES
from tests.support.vocabulary import clip_vocabulary

ROOT = Path(__file__).parents[2]
WIDTH, SIDE, PATCH = VISION["width"], VISION["side"], VISION["patch"]
GOOD = ["a.jpg", "b.jpg", "c/d.jpg", "e.jpg"]  # as walked


def write_lit(folder: Path) -> Path:
    vocabulary = clip_vocabulary()
    sizes = TEXT | {"vocab": len(vocabulary.ids)}
    write_checkpoint(folder, random_lit(text=sizes), lit_config(text=sizes))
    return vocabulary.write_whole(folder)


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_lit(tmp_path_factory.mktemp("checkpoints") / "lit"))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("checkpoints") / "native"
    config = vision_config(native=True)
    return str(write_checkpoint(folder, random_vision(native=True), config))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``photos`` in the folder one is in: good files, a bad one, other kinds."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "c").mkdir(parents=True)
    for seed, name in enumerate(GOOD):
        pictures.photo(61 + seed, 53).save(folder / name)
    (folder / "bad.jpg").write_bytes((folder / "a.jpg").read_bytes()[:400])
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.jpg").write_text("x")
    return folder


def read(file: str) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    with np.load(file, allow_pickle=False) as arrays:
        names = arrays["texts" if "texts" in arrays else "paths"]
        return arrays["embeddings"], names.tolist(), json.loads(arrays["metadata"].item())


def said(outcome: Outcome) -> str:
    return f"exit {outcome.code}: {outcome.err}"


def listed(folder: Path | None = None) -> list[str]:
    """What is in a folder, or in the one one is in, hidden or not."""
    return sorted(path.name for path in (folder or Path.cwd()).iterdir())


# Images


def test_a_folder_to_a_file(lit: str, photos: Path) -> None:
    outcome = run("embed", "photos", "-m", lit, "-o", "photos.npz")
    assert outcome.code == 3, said(outcome)
    embeddings, paths, metadata = read("photos.npz")
    assert paths == [f"photos/{name}" for name in GOOD]
    loaded = aimv2.load(lit)
    expected = np.array(loaded.embed_images(paths))
    assert expected.shape == (4, PROJECTION)
    np.testing.assert_allclose(embeddings, expected, atol=BATCH_MATES, rtol=0)
    (failed,) = metadata.pop("failed")
    assert failed["path"] == "photos/bad.jpg"
    assert "truncated" in failed["reason"]
    assert metadata.pop("notes") == []
    assert metadata == json.loads(json.dumps(loaded.metadata(plan.ImageOptions())))
    assert not outcome.out
    left_out, skipped, *_, summary = outcome.err.splitlines()
    assert left_out == "1 hidden file, 1 other file skipped"
    assert skipped.startswith("skipped: photos/bad.jpg is truncated")
    assert summary.startswith(f"embedded 4 images ({PROJECTION} numbers each) in ")
    assert summary.endswith(" → photos.npz")
    assert listed() == ["photos", "photos.npz"]


@pytest.mark.parametrize("extension", [".npy", ".safetensors", ".jsonl", ".parquet"])
def test_every_format(extension: str, lit: str, photos: Path) -> None:
    if extension == ".parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow")
    outcome = run("embed", "photos/a.jpg", "-m", lit, "-o", f"x{extension}")
    assert outcome.code == 0, said(outcome)
    assert Path(f"x{extension}").stat().st_size > 4 * PROJECTION


def test_lines_on_stdout(lit: str, photos: Path) -> None:
    outcome = run("embed", "photos", "nowhere", "-m", lit, "--out", "-")
    assert outcome.code == 3, said(outcome)
    first, *lines = outcome.records
    assert first["schema"] == 1
    assert first["metadata"]["pooling"] == "head"
    expected = ["a", "b", "bad", "c/d", "e"]
    assert [line["path"] for line in lines] == [*(f"photos/{n}.jpg" for n in expected), "nowhere"]
    assert [index for index, line in enumerate(lines) if "error" in line] == [2, 5]
    assert all(len(line["embedding"]) == PROJECTION for line in lines if "error" not in line)
    run("embed", "photos", "nowhere", "-m", lit, "--out", "x.jsonl")
    assert Path("x.jsonl").read_bytes() == outcome.stdout


def test_lines_are_utf8_on_any_terminal(lit: str, photos: Path) -> None:
    if not takes_any_bytes(photos):
        pytest.skip("needs a file system that takes any bytes")
    Path("photos/a.jpg").rename(os.fsdecode(b"photos/\xe9.jpg"))
    Path("photos/b.jpg").rename("photos/日.jpg")
    outcome = run("embed", "photos", "-m", lit, "-o", "-", encoding="ascii")
    paths = [record["path"] for record in outcome.records[1:]]
    assert {"photos/日.jpg", r"photos/\udce9.jpg"} < set(paths)
    assert b"photos/\xe9.jpg" in [os.fsencode(unescape(path)) for path in paths]


def test_a_list_on_stdin(lit: str, photos: Path) -> None:
    names = [b"photos/e.jpg", b"", b"photos/a.jpg"]
    outcome = run("embed", "-", "-m", lit, "-o", "x.npz", stdin=b"\n".join(names))
    assert outcome.code == 0, said(outcome)
    assert read("x.npz")[1] == ["photos/e.jpg", "photos/a.jpg"]
    Path("photos/e.jpg").rename("photos/e\n.jpg")
    named = b"photos/e\n.jpg\0photos/c\0"
    outcome = run("embed", "photos/a.jpg", "-", "-0", "-m", lit, "-o", "y.npz", stdin=named)
    assert outcome.code == 0, said(outcome)
    assert read("y.npz")[1] == ["photos/a.jpg", "photos/e\n.jpg", "photos/c/d.jpg"]


@pytest.mark.parametrize("encoding", pictures.ENCODINGS)
def test_a_picture_in_place_of_a_list_is_told(encoding: str, lit: str, tmp_path: Path) -> None:
    stdin = pictures.write(tmp_path, encoding, 29, 23).read_bytes()
    for command in (["embed", "-o", "x.npz"], ["classify", "-l", "a,b"]):
        outcome = run(*command, "-", "-m", lit, stdin=stdin)
        assert outcome.code == 2
        assert "- reads a list of paths" in outcome.err
        assert "ls *.jpg | aimv2 embed -" in outcome.err


def test_a_name_like_the_start_of_a_picture_is_a_name(lit: str) -> None:
    outcome = run("classify", "-", "-l", "a,b", "-m", lit, stdin=b"BMW.jpg\nGIF89a.gif\n")
    assert "BMW.jpg does not exist" in outcome.err


OPTIONS: dict[str, tuple[list[str], dict[str, object]]] = {
    "dtype": (["--dtype", "float16"], {"dtype": "float16"}),
    "mean": (["--pooling", "mean"], {"pooling": "mean", "width": WIDTH}),
    "head": (["--pooling", "head"], {"pooling": "head", "width": PROJECTION}),
    "preset": (["--preset", "ml-aim"], {"preprocessing.preset": "ml-aim"}),
    "tiles": (["--pooling", "mean", "--tiles", "2"], {"preprocessing.tiles": 2}),
    "side": (["--side", str(SIDE + PATCH)], {"preprocessing.side_px": SIDE + PATCH}),
    "normalize": (["--no-normalize"], {"normalize": False}),
    "batch": (["--batch-size", "1"], {}),
    "threads": (["--threads", "1"], {}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_reach_the_embedder(name: str, lit: str, photos: Path) -> None:
    arguments, expected = OPTIONS[name]
    images = ["photos/a.jpg", "photos/b.jpg"]
    outcome = run("embed", *images, "-m", lit, "-o", "x.npz", *arguments)
    assert outcome.code == 0, said(outcome)
    embeddings, _, metadata = read("x.npz")
    flat = metadata | {f"preprocessing.{k}": v for k, v in metadata["preprocessing"].items()}
    assert {key: flat[key] for key in expected} == expected
    assert embeddings.shape == (2, metadata["width"])
    lengths = np.linalg.norm(embeddings, axis=1)
    assert np.allclose(lengths, 1, atol=1e-5) == (name != "normalize")


def test_options_of_one_run_are_all_passed_on(
    lit: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[plan.ImageOptions] = []
    samples = model.Model.samples

    def spy(self: model.Model, settled: Any, images: Any) -> Any:
        seen.append(settled.options)
        return samples(self, settled, images)

    monkeypatch.setattr(model.Model, "samples", spy)
    arguments = "--batch-size 3 --threads 2 --max-pixels 9999 --no-normalize --pooling mean"
    run("embed", "photos/a.jpg", "-m", lit, "-o", "-", *arguments.split())
    assert seen == [
        plan.ImageOptions(normalize=False, pooling="mean", max_pixels=9999, batch_size=3, threads=2)
    ]


def test_images_over_the_limit_are_refused(lit: str, photos: Path) -> None:
    outcome = run("embed", "photos/a.jpg", "photos/e.jpg", "--max-pixels", "3300", "-m", lit, "-o-")
    assert [("error" in record) for record in outcome.records[1:]] == [False, True]


def test_native_images_and_their_limit(native: str, photos: Path) -> None:
    outcome = run("embed", "photos", "-m", native, "--max-patches", "120", "-o", "x.npz")
    assert outcome.code == 3, said(outcome)
    embeddings, paths, metadata = read("x.npz")
    assert metadata["preprocessing"]["max_patches"] == 120
    expected = aimv2.load(native).embed_images(paths, max_patches=120)
    np.testing.assert_allclose(embeddings, np.array(expected), atol=BATCH_MATES, rtol=0)


def test_patch_grids(native: str, lit: str, photos: Path) -> None:
    from safetensors.numpy import load_file  # noqa: PLC0415

    for source, count in ((native, None), (lit, SIDE // PATCH)):
        target = "grids.safetensors"
        outcome = run("embed", "photos", "--pooling", "none", "-m", source, "-o", target, "--force")
        assert outcome.code == 3, said(outcome)
        grids = load_file(target)
        assert sorted(grids) == [f"photos/{name}" for name in GOOD]
        assert {grid.shape[2] for grid in grids.values()} == {WIDTH}
        for grid in grids.values():
            assert count in (None, grid.shape[0], grid.shape[1])
    widths = {grid.shape[:2] for grid in load_file(target).values()}
    assert widths == {(SIDE // PATCH, SIDE // PATCH)}


def test_what_is_cut_off_a_strip_is_noted(lit: str, photos: Path) -> None:
    pictures.photo(4000, 3).save("photos/strip.png")
    outcome = run("embed", "photos/strip.png", "photos/a.jpg", "-m", lit, "-o", "x.npz")
    assert outcome.code == 0, said(outcome)
    (note,) = read("x.npz")[2]["notes"]
    assert note["path"] == "photos/strip.png"
    assert "strip" in note["note"]


# Texts


def test_texts_from_options_and_files(lit: str, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_bytes(
        b"\xef\xbb\xbfa cat\r\n\n  \ntwo boats  on\xc2\xa0the beach\n\xff\nno\0end\nlast"
    )
    target = str(tmp_path / "words.npz")
    options = ["-t", "a dog", "--text", "日本語", "--texts-from", str(lines)]
    outcome = run("embed", *options, "-m", lit, "-o", target)
    assert outcome.code == 3, said(outcome)
    embeddings, texts, metadata = read(target)
    assert texts == ["a dog", "日本語", "a cat", "two boats  on\u00a0the beach", "last"]
    loaded = aimv2.load(lit)
    expected = np.array(loaded.embed_texts(texts))
    np.testing.assert_allclose(embeddings, expected, atol=BATCH_MATES, rtol=0)
    failed = {entry["text"]: entry["reason"] for entry in metadata.pop("failed")}
    assert list(failed) == [r"\udcff", "no\0end"]
    assert "not UTF-8" in failed[r"\udcff"]
    assert "NUL" in failed["no\0end"]
    assert metadata == loaded.metadata() | {"notes": []}
    assert "2 blank lines skipped" in outcome.err
    assert f"embedded 5 texts ({PROJECTION} numbers each)" in outcome.err


def test_texts_from_stdin_as_lines(lit: str, tmp_path: Path) -> None:
    words = [f"{number} boats" for number in range(300)]  # more than are embedded at once
    outcome = run(
        "embed", "--texts-from", "-", "-m", lit, "-o", "-", stdin="\n".join(words).encode()
    )
    first, *lines = outcome.records
    assert first["metadata"]["kind"] == "text"
    assert [line["text"] for line in lines] == words
    outcome = run("embed", "-t", words[0], "--no-normalize", "-m", lit, "-o", "-")
    assert not np.isclose(np.linalg.norm(outcome.records[1]["embedding"]), 1, atol=1e-3)


def test_one_text_that_cannot_be_embedded_harms_no_other(
    lit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_and_cut = model.Model.embed_and_cut

    def failing(self: model.Model, texts: list[str], **options: Any) -> Any:
        if "bad" in texts:
            raise aimv2.errors.TextError("one of them is bad")
        return embed_and_cut(self, texts, **options)

    monkeypatch.setattr(model.Model, "embed_and_cut", failing)
    outcome = run("embed", "-t", "a", "-t", "bad", "-t", "b", "-m", lit, "-o", "-")
    assert outcome.code == 3
    assert [("error" in record) for record in outcome.records[1:]] == [False, True, False]


@pytest.mark.parametrize(("arguments", "tower"), [(["-t", "a dog"], "text"), (["photos"], "image")])
def test_only_the_tower_that_is_needed_is_read(
    arguments: list[str], tower: str, lit: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, seen = model.load, []

    def spy(source: str, **options: Any) -> Any:
        seen.append(options)
        return load(source, **options)

    monkeypatch.setattr(model, "load", spy)
    run("embed", *arguments, "-m", lit, "-o", "-", "--yes")
    assert [options["tower"] for options in seen] == [tower]
    assert seen[0]["confirm"](snapshot.Download("a/b", "c" * 40, 7, ""))


def test_texts_need_a_checkpoint_that_has_them(native: str, tmp_path: Path) -> None:
    target = tmp_path / "x.npz"
    outcome = run("embed", "-t", "a dog", "-m", native, "-o", str(target))
    assert outcome.code == 2
    assert "reads no texts, only pictures" in outcome.err
    assert not list(tmp_path.iterdir())


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "there is nothing to embed"),
        ("photos", "have nowhere to go"),
        ("photos -t dog -o x.npz", "cannot share a file"),
        ("-t dog --tiles 2 --preset ml-aim -o x.npz", "texts take no --preset, --tiles"),
        ("-t dog --pooling none -o x.safetensors", "texts take no --pooling"),
        ("-t dog -0 -o x.npz", "texts take no --null"),
        ("photos -0 -o x.npz", "--null is for a list on stdin"),
        ("photos -o x.csv", "has no known extension"),
        ("photos -o x.npz --pooling none", "not patch grids"),
        ("photos -o - --pooling none", "do not go to stdout"),
        ("photos -o - --resume", "cannot be resumed"),
        ("photos -o x.npz --tiles 4", "--tiles"),
        ("photos -o x.npz --tiles 2", "trained on one tile"),
        ("photos -o x.npz --max-patches 200", "native checkpoints"),
        ("photos -o x.npz --batch-size 0", "--batch-size"),
        ("photos -o x.npz --pooling max", "--pooling"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: str, message: str, lit: str, photos: Path
) -> None:
    outcome = run("embed", *arguments.split(), "-m", lit)
    assert outcome.code == 2, said(outcome)
    assert message in outcome.err
    assert "hint: " in outcome.err
    assert not outcome.out
    assert listed() == ["photos"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere -o x.npz", "nowhere does not exist"),
        ("photos/bad.jpg nowhere -o x.npz", "none of 2 images could be embedded"),
        ("photos/bad.jpg -o -", "the only image could not be embedded"),
        ("empty -o x.npz", "there are no pictures"),
        ("empty -o -", "there are no pictures"),
        ("--texts-from empty/blank.txt -o x.npz", "there are no texts"),
        ("--texts-from nowhere.txt -o x.npz", "No such file"),
        ("photos -o there.npz", "there.npz exists already"),
        ("photos -o no/folder/x.npz", "there is no folder no/folder"),
        ("photos -o there.npz/x.npz", "there.npz is a file, not a folder"),
        (f"photos -o {'x' * 245}.npz", "choose a shorter name"),
        ("photos -o photos", "has no known extension"),
    ],
)
def test_nothing_to_do_or_nowhere_to_put_it(
    arguments: str, message: str, lit: str, photos: Path
) -> None:
    Path("empty").mkdir()
    Path("empty/blank.txt").write_text("\n \n")
    Path("there.npz").write_text("mine")
    before = listed()
    outcome = run("embed", *arguments.split(), "-m", lit)
    assert outcome.code in (1, 2), said(outcome)
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert listed() == before
    assert Path("there.npz").read_text() == "mine"


def test_a_home_after_an_equals_sign_is_found(
    lit: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    assert run("embed", "photos/a.jpg", "-m", lit, "--out=~/home.npz").code == 0
    assert listed() == ["home.npz", "photos"]


def test_damaged_exif_is_nothing_to_speak_of(lit: str, photos: Path) -> None:
    ifd = (1).to_bytes(2, "little") + struct.pack("<HHII", 0x010F, 2, 400, 5000)  # beyond the end
    exif = b"Exif\0\0II*\0" + (8).to_bytes(4, "little") + ifd
    pictures.photo(61, 53).save("photos/a.jpg", exif=exif)
    outcome = run("embed", "photos/a.jpg", "-m", lit, "-o", "x.npz", "--debug")
    assert outcome.code == 0
    assert "Warning" not in outcome.err


def test_an_existing_file_is_replaced_with_force(lit: str, photos: Path) -> None:
    Path("x.npz").write_text("mine")
    assert run("embed", "photos", "-m", lit, "-o", "x.npz", "--force").code == 3
    assert len(read("x.npz")[1]) == 4


def test_quiet_says_only_what_failed(lit: str, photos: Path) -> None:
    outcome = run("embed", "photos", "-m", lit, "-o", "x.npz", "--quiet")
    assert "skipped: photos/bad.jpg" in outcome.err
    assert "embedded" not in outcome.err
    assert "file skipped" not in outcome.err
    assert not run("embed", "photos/a.jpg", "-m", lit, "-o", "y.npz", "--quiet").err


@pytest.mark.parametrize("terminal", ["stderr", ""])
@pytest.mark.parametrize("target", ["x.npz", "-"])
def test_each_failure_shows_once(target: str, terminal: str, lit: str, photos: Path) -> None:
    outcome = run("embed", "photos", "nowhere", "-m", lit, "-o", target, terminal=terminal)
    assert outcome.err.count("photos/bad.jpg is truncated") == 1
    assert outcome.err.count("nowhere does not exist") == 1
    lines = outcome.err.splitlines()
    skipped, left_out = (
        next(number for number, line in enumerate(lines) if words in line)
        for words in ("bad.jpg is truncated", "other file skipped")
    )
    assert (skipped < left_out) == bool(terminal)  # at once, or with the report


def test_one_is_told_as_one(lit: str, photos: Path) -> None:
    outcome = run("embed", "photos/a.jpg", "-m", lit, "-o", "x.npz")
    assert outcome.err.startswith(f"embedded 1 image ({PROJECTION} numbers each)")
    outcome = run("embed", "-t", "a dog", "-m", lit, "-o", "y.npz")
    assert outcome.err.startswith(f"embedded 1 text ({PROJECTION} numbers each)")


def test_the_presets_offered_are_those_there_are() -> None:
    (preset,) = (each for each in options_of(embed.Options) if each.name == "preset")
    assert set(get_args(preset.metadata["type"])) == set(presets.PRESETS)


# Stopping and going on


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        pictures.photo(40 + number, 37, number).save(folder / f"{number:02}.png")
    (folder / "07.png").write_bytes(b"")
    return folder


def stopped(*arguments: str) -> "subprocess.Popen[str]":
    """A run that has stopped in the middle, once it says so."""
    command = [sys.executable, "-m", "tests.support.stopped_embed", "embed", *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_goes_on_with_resume(sign: signal.Signals, lit: str, many: Path) -> None:
    arguments = ["many", "-m", lit, "--batch-size", "4", "-o"]
    with stopped(*arguments, "x.npz") as process:
        assert process.stdout.readline() == "stopped\n"
        second = run("embed", *arguments, "x.npz")
        assert second.code == 1
        assert f"process {process.pid} is writing x.npz" in second.err
        process.send_signal(sign)
        _, errors = process.communicate()
    assert not Path("x.npz").exists()
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert " done and kept: the same command with --resume goes on" in errors
        assert "Traceback" not in errors
    else:
        assert process.returncode == -signal.SIGKILL
    without = run("embed", *arguments, "x.npz")
    assert without.code == 1
    assert "a run for x.npz was stopped before its end" in without.err
    other = run("embed", *arguments, "x.npz", "--resume", "--pooling", "mean")
    assert other.code == 2
    assert "pooling was head, is mean" in other.err
    resumed = run("embed", *arguments, "x.npz", "--resume")
    assert resumed.code == 3, said(resumed)
    assert " were done before → x.npz" in resumed.err
    assert listed() == ["many", "x.npz"]

    assert run("embed", *arguments, "y.npz").code == 3
    (x, paths, made_by), (y, *others) = read("x.npz"), read("y.npz")
    assert [paths, made_by] == others
    assert len(paths) == 59
    np.testing.assert_allclose(x, y, atol=BATCH_MATES, rtol=0)


def test_nothing_is_said_to_be_kept_where_nothing_is(
    lit: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embed_run, "_embed_all", stop)
    outcome = run("embed", "photos", "-m", lit, "-o", "x.npz")
    assert outcome.code == 130
    assert outcome.err.splitlines() == ["stopped; nothing was done yet"]
    assert listed() == ["photos"]


def test_resume_without_anything_to_resume_starts(lit: str, photos: Path) -> None:
    assert run("embed", "photos", "-m", lit, "-o", "x.npz", "--resume").code == 3
    assert len(read("x.npz")[1]) == 4


@pytest.mark.parametrize("target", ["x.npz", "x.npy", "x.safetensors", "x.jsonl", "x.parquet"])
def test_a_finished_run_is_not_begun_again(lit: str, photos: Path, target: str) -> None:
    if target == "x.parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow")
    twice = ["photos", "photos/a.jpg", "photos/bad.jpg", "-m", lit, "-o", target]
    assert run("embed", *twice).code == 3
    written = Path(target).read_bytes()
    again = run("embed", *twice, "--resume")
    assert (again.code, again.err) == (0, f"the run is done already → {target}\n")
    other = run("embed", *twice, "--resume", "--pooling", "mean")
    assert other.code == 2
    assert "pooling was head and is mean" in other.err
    for others in (
        ["photos"],
        ["photos", "photos/b.jpg", *twice[2:3]],
        ["photos", *twice[:2], "photos/a.jpg"],
    ):
        refused = run("embed", *others, *twice[3:], "--resume")
        assert refused.code == 2, others
        assert "made of other inputs" in refused.err
        assert "--force" in refused.err
    assert Path(target).read_bytes() == written


def test_what_was_made_before_colour_profiles_were_read_is_not_mixed_with(
    lit: str, photos: Path
) -> None:
    whole = ["embed", "photos/a.jpg", "-m", lit, "-o", "x.jsonl"]
    run(*whole)
    text = Path("x.jsonl").read_text()
    assert text.count('"colours": "srgb", ') == 1
    Path("x.jsonl").write_text(text.replace('"colours": "srgb", ', ""))
    for shard in ("1/2", "2/2"):
        run("embed", "photos/a.jpg", "photos/a.jpg", "-m", lit, "-o", "y.jsonl", "--shard", shard)
    shards = ["y.jsonl.shard-1-of-2", "y.jsonl.shard-2-of-2"]
    with closing(sqlite3.connect(shards[0])) as database, database:
        forget = "json_remove(value, '$.made_by.preprocessing.colours')"
        database.execute(f"UPDATE facts SET value = {forget} WHERE name = 'record'")
    for outcome in (run(*whole, "--resume"), run("merge", *shards, "-o", "z.jsonl")):
        assert outcome.code == 2
        assert "preprocessing.colours" in outcome.err
        assert "--force" in outcome.err
    assert not Path("z.jsonl").exists()


def test_a_finished_run_of_grids_or_texts_is_not_begun_again(lit: str, photos: Path) -> None:
    grids = ["photos/a.jpg", "photos", "photos/a.jpg", "-m", lit, "--pooling", "none"]
    texts = ["-t", "a dog", "-t", "", "-t", "a cat", "-m", lit]
    for arguments, target in ((grids, "x.safetensors"), (texts, "y.npy")):
        first = run("embed", *arguments, "-o", target)
        assert first.code in {0, 3}, said(first)
        again = run("embed", *arguments, "-o", target, "--resume")
        assert (again.code, again.err) == (0, f"the run is done already → {target}\n")


def test_a_closed_pipe_ends_quietly(lit: str, photos: Path) -> None:
    command = [AIMV2, "embed", *["photos"] * 300, "-m", lit, "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


# A hostile folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="aimv2-test-"))
    folder.chmod(0o755)
    yield folder
    for closed in folder.rglob("closed"):
        closed.chmod(0o755)
    shutil.rmtree(folder)


BAD = {
    b"truncated.jpg": "is truncated",
    b"empty.jpg": "is empty",
    b"text.png": "is not a picture",
    b"bomb.png": "over the limit",
    b"secret.jpg": "permission denied",
    b"dangling.jpg": "is a link to nowhere, which does not exist",
    b"loop.jpg": "is a link that leads back to itself",
    b"closed": "permission denied",
}
FINE = [b"good.jpg", b"photo.heic", b"strip.png", b"new\nline.jpg"]
STRANGE = b"name \xff.jpg"


def write_hostile(folder: Path) -> set[bytes]:
    """Returns the names of what is good."""
    folder.mkdir()
    fine = FINE + [STRANGE] * takes_any_bytes(folder)
    good = pictures.encoded(pictures.photo(97, 61), "JPEG")
    for name in {*fine, b"secret.jpg"}:
        (folder / os.fsdecode(name)).write_bytes(good)
    (folder / "secret.jpg").chmod(0)
    (folder / "photo.heic").write_bytes(pictures.encoded(pictures.photo(96, 64), "HEIF"))
    pictures.photo(1, 10000).save(folder / "strip.png")
    (folder / "truncated.jpg").write_bytes(good[:-700])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("This is not a picture.\n" * 9)
    (folder / "bomb.png").write_bytes(pictures.png_header(60000, 60000))
    (folder / "dangling.jpg").symlink_to("nowhere")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "round").symlink_to(".")
    (folder / "closed").mkdir(mode=0)
    return {b"../photos/" + name for name in fine}


@pytest.mark.parametrize("out", ["all.npz", "-"])
def test_a_hostile_folder_as_an_ordinary_user(out: str, open_folder: Path) -> None:
    for file in write_lit(open_folder / "lit").iterdir():
        file.chmod(0o644)
    fine = write_hostile(open_folder / "photos")
    (open_folder / "out").mkdir()
    (open_folder / "out").chmod(0o777)
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.ordinary_user",
            *f"embed ../photos -m ../lit -o {out}".split(),
        ],
        cwd=open_folder / "out",
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(open_folder)},
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    errors = ended.stderr.decode()
    assert ended.returncode == 3, errors
    if out == "-":
        lines = [json.loads(line) for line in ended.stdout.decode().splitlines()[1:]]
        good = {line["path"]: line["embedding"] for line in lines if "embedding" in line}
        bad = {line["path"]: line["error"] for line in lines if "error" in line}
        notes = [line["path"] for line in lines if "note" in line]
        assert listed(open_folder / "out") == []
    else:
        embeddings, paths, metadata = read(str(open_folder / "out" / out))
        good = dict(zip(paths, embeddings, strict=True))
        bad = {entry["path"]: entry["reason"] for entry in metadata["failed"]}
        notes = [entry["path"] for entry in metadata["notes"]]
        assert listed(open_folder / "out") == ["all.npz"]
    assert {os.fsencode(unescape(path)) for path in good} == fine
    assert np.isfinite(np.array(list(good.values()))).all()
    assert notes == ["../photos/strip.png"]
    assert {os.fsencode(unescape(path)) for path in bad} == {b"../photos/" + n for n in BAD}
    skipped = [line for line in errors.splitlines() if line.startswith("skipped: ")]
    for name, reason in BAD.items():
        path = f"../photos/{name.decode()}"
        assert reason in bad[path]
        assert len([line for line in skipped if path in line and reason in line]) == 1, errors
    assert len(skipped) == len(BAD)
    assert "1 repeated folder" in errors
    assert "nan" not in ended.stdout.decode().lower()


def test_a_list_of_texts_that_is_not_there(tmp_path):
    for missing in (tmp_path / "missing.txt", tmp_path):
        outcome = run("embed", "--texts-from", str(missing), "--out", str(tmp_path / "o.npz"))
        assert outcome.code == 2
        assert "cannot be read" in outcome.err
