"""``aimv2 train``: what it says, how it ends, and that what it writes is taken by the others."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlx_aimv2.training.drawings.scene import draw
from tests.support.commands import AIMV2, PATIENCE_S, run, start

pytest.importorskip("mlx.data", reason="needs mlx-data")

WORDS = (
    "steps=4", "warm_up_steps=1", "batch_size=3", "checkpoint_every=2", "side_px=28", "width=16",
    "mlp_width=16", "blocks=1", "heads=2", "decoder_width=16", "decoder_mlp_width=16",
    "decoder_blocks=1", "decoder_heads=2", "caption_tokens=5",
)  # fmt: skip
SETTINGS = [part for word in WORDS for part in ("--set", word)]
BEGIN = ("train", "pretraining", "--data", "drawings:5:32", *SETTINGS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "made"
    ended = run(*BEGIN, "--out", str(folder))
    assert ended.code == 0, ended.err
    assert "step 4/4, loss" in ended.err
    assert ended.err.endswith(f"next: aimv2 embed photos --model {folder} --out photos.npz\n")
    return folder


def test_the_result_is_a_checkpoint_for_the_other_commands(trained: Path, tmp_path: Path) -> None:
    assert "vision, 28 px" in run("info", str(trained)).out
    converted = run("convert", "--hf-path", str(trained), "--mlx-path", str(tmp_path / "half"))
    assert converted.code == 0, converted.err
    assert run("verify", "--model", str(trained), "--quiet").code == 0


def test_losses_are_drawn(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "losses.png"
    assert run("train", "plot", str(trained), "--out", str(file)).code == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    other = run("train", "plot", str(tmp_path))
    assert (other.code, "there is no run in" in other.err) == (2, True)
    assert run("train", "plot", str(trained), "--out", "losses.jpg").code == 2
    file.write_bytes(b"mine")
    kept = run("train", "plot", str(trained), "--out", str(file))
    assert (kept.code, "exists already" in kept.err, file.read_bytes()) == (1, True, b"mine")
    for _ in range(2):  # its own is drawn again
        assert run("train", "plot", str(trained)).code == 0


def test_settings_are_printed_as_a_file(tmp_path: Path) -> None:
    printed = run("train", "settings", "lit", "--set", "steps=700")
    assert "steps = 700  # Number of optimiser steps." in printed.out
    (tmp_path / "mine.toml").write_text(printed.out)
    again = run("train", "settings", "lit", "--config", str(tmp_path / "mine.toml"))
    assert again.out == printed.out


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("--set", "stepz=1"), 2, "hint: did you mean steps?"),
        (("--data", "drawings:5:32", "--resume"), 2, "there is no run in"),
        ((), 2, "hint: name it: --data SOURCE"),
        (("--data", "nowhere"), 1, "nowhere"),
        (("--data", "drawings:5:32", "--from", "nowhere"), 1, "is no checkpoint name"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...], code: int, expected: str, tmp_path: Path
) -> None:
    ended = run("train", "pretraining", "--out", str(tmp_path / "out"), *words)
    assert ended.code == code
    assert expected in ended.err
    assert not (tmp_path / "out").exists()


def test_samples_that_are_left_out_are_counted(tmp_path: Path) -> None:
    draw(0, 32).image.save(tmp_path / "0.png")
    rows = '{"file_name": "0.png", "text": "a dog"}\n{"file_name": "1.png", "text": "a cat"}\n'
    (tmp_path / "metadata.jsonl").write_text(rows)
    ended = run("train", "pretraining", "--data", str(tmp_path), "--out", str(tmp_path / "out"),
                *SETTINGS)  # fmt: skip
    assert ended.code == 3, ended.err
    assert ended.err.count("1.png does not exist") == 1
    assert "1 sample left out, as said above and in" in ended.err


def test_what_is_named_next_is_no_name_of_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(*BEGIN, "--out", "lit")
    assert ended.err.endswith("next: aimv2 embed photos --model ./lit --out photos.npz\n")


def test_a_folder_that_holds_something_is_left_alone(trained: Path, tmp_path: Path) -> None:
    again = run(*BEGIN, "--out", str(trained))
    assert (again.code, "has a run already" in again.err) == (1, True)
    (tmp_path / "thesis.txt").write_text("mine")
    other = run(*BEGIN, "--out", str(tmp_path))
    assert (other.code, "is not empty" in other.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_ctrl_c_keeps_all_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [AIMV2, *BEGIN, "--set", "steps=100000", "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=PATIENCE_S)[1]
    assert first == f"step 2/100000, loss {first.split()[-2].rstrip(':')}: kept\n"
    assert process.returncode == 130
    assert f"steps done and kept: aimv2 train pretraining --out {out} --resume" in rest
    steps = int(rest.split("stopped; ")[1].split()[0])
    assert (out / f"training/step-{steps:07}").is_dir()
    on = start("train", "pretraining", "--out", str(out), "--resume", "--set", f"steps={steps + 2}")
    assert on.returncode == 0, on.stderr


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    limited = [sys.executable, "-m", "tests.support.limited_disk", "20000"]
    done = subprocess.run(
        [*limited, *BEGIN, "--out", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be written: File too large" in done.stderr
    assert "hint: make room" in done.stderr
    assert not [*(tmp_path / "out/training").glob("*step*")]
