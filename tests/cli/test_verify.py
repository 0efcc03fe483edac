"""``aimv2 verify`` as a person types it."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.models.aimv2.published import find
from mlx_aimv2.verification import run as verification
from mlx_aimv2.verification.preprocessing import examine_inputs
from mlx_aimv2.verification.report import Opened
from tests.support import makers
from tests.support.commands import Outcome, run

DEMO = hub.resolve("demo").folder


@pytest.fixture
def without_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checks are tests of their own, and take a second."""
    monkeypatch.setattr(verification, "examine_port", lambda: iter(()))


def verify(*arguments: object) -> Outcome:
    return run("verify", *map(str, arguments))


def flipped_demo(folder: Path, name: str, index: int) -> Path:
    """A copy of the demo checkpoint, one weight with another sign."""
    shutil.copytree(DEMO, folder)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[name].reshape(-1)[index] *= -1
    save_file(tensors, file, {"format": "mlx"})
    return folder


def vision_in(folder: Path, tensors: makers.Tensors | None = None) -> Path:
    return makers.write_checkpoint(
        folder, makers.random_vision() if tensors is None else tensors, makers.vision_config()
    )


# What it says


def test_it_passes_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLX_ENABLE_TF32", raising=False)
    outcome = verify("--out", tmp_path / "report.json")
    assert outcome.code == 0, outcome.out
    lines = outcome.out.splitlines()
    assert lines[0] == "this port:"
    assert "demo:" in lines
    assert all(line.split()[0] in ("ok", "skipped") for line in lines if line.startswith("  "))
    for name in ("pixels", "tokens", "golden lit", "tensors", "blocks", "float16", "reference"):
        assert sum(line.startswith(f"  ok       {name} ") for line in lines) == 1
    assert "all is right: " in outcome.err
    assert os.environ["MLX_ENABLE_TF32"] == "0"  # for an M5, whose default it is not

    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["schema"], report["kind"], report["passed"]) == (1, "aimv2 verify", True)
    assert report["conditions"]["packages"]["mlx"]
    assert [checkpoint["name"] for checkpoint in report["checkpoints"]] == ["demo"]
    monkeypatch.setattr(verification, "examine_port", lambda: iter(()))
    assert verify("--model", "demo", "--against", tmp_path / "report.json").code == 0


@pytest.mark.usefixtures("without_port")
def test_json_lines() -> None:
    outcome = verify("--json")
    assert outcome.code == 0
    assert {record["schema"] for record in outcome.records} == {1}
    assert {record["checkpoint"] for record in outcome.records} == {"demo"}
    fields = {"name", "status", "detail", "hint", "findings", "values"}
    assert all(fields <= record.keys() for record in outcome.records)


@pytest.mark.usefixtures("without_port")
def test_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    outcome = run("verify", terminal="stdout")
    assert "  \x1b[32mok      \x1b[0m tensors " in outcome.out


# A wrong weight


@pytest.mark.usefixtures("without_port")
def test_a_flipped_weight_in_a_copy_of_demo(tmp_path: Path) -> None:
    name = "image_encoder.trunk.blocks.3.attn.proj.weight"
    outcome = verify("--model", flipped_demo(tmp_path / "copy", name, 593))
    assert outcome.code == 1
    assert "image block 3: attn.proj.weight is not what the report has" in outcome.out
    assert "next: " in outcome.out
    assert "1 check FAILED" in outcome.err


@pytest.mark.usefixtures("without_port")
def test_a_flipped_weight_in_a_copy_against_demo(tmp_path: Path) -> None:
    name = "text_encoder.trunk.blocks.1.norm_2.weight"
    copy = flipped_demo(tmp_path / "copy", name, 5)
    outcome = verify("--model", copy, "--against", "demo")
    assert outcome.code == 1
    assert "text block 1: norm_2.weight differs in 1 of 128 values (first at [5]; " in outcome.out
    assert "features part at text block 1" in outcome.out


@pytest.mark.usefixtures("without_port")
def test_a_flipped_bit_in_a_copy_or_against_a_report(tmp_path: Path) -> None:
    right = vision_in(tmp_path / "right")
    tensors = makers.random_vision()
    bits = tensors["trunk.blocks.1.mlp.fc2.weight"].view(np.uint32)
    bits[5, 3] ^= 1  # the last one
    wrong = vision_in(tmp_path / "wrong", makers.to_transformers(tensors))
    report = tmp_path / "report.json"
    assert verify("--model", right, "--out", report).code == 0
    place = "block 1: mlp.fc2.weight "
    outcome = verify("--model", wrong, "--against", right)
    assert (outcome.code, place in outcome.out) == (1, True)
    assert "(first at [5, 3]; " in outcome.out
    outcome = verify("--model", wrong, "--against", report)
    assert (outcome.code, place in outcome.out) == (1, True)
    assert verify("--model", right, "--against", report).code == 0


@pytest.mark.usefixtures("without_port")
def test_not_a_number_needs_no_other_copy(tmp_path: Path) -> None:
    tensors = makers.random_vision()
    tensors["trunk.blocks.2.mlp.fc1.weight"][9, 8] = np.nan
    outcome = verify("--model", vision_in(tmp_path / "torn", tensors), "--out", tmp_path / "r.json")
    assert outcome.code == 1
    assert "block 2: mlp.fc1.weight: 1 of 7,676 values are NaN or infinite" in outcome.out
    report = json.loads((tmp_path / "r.json").read_text())
    assert not report["passed"]
    outcome = verify("--model", vision_in(tmp_path / "right"), "--against", tmp_path / "r.json")
    assert outcome.code == 1
    assert "block 2: mlp.fc1.weight is not what the report has" in outcome.out


# What comes before the network


def damaged_demo(folder: Path, damage: str) -> Path:
    shutil.copytree(DEMO, folder)
    file = folder / "tokenizer.json"
    if damage == "exchanged":
        content = json.loads(file.read_text())
        words = content["model"]["vocab"]
        one, other = list(words)[300:302]
        words[one], words[other] = words[other], words[one]
        file.write_text(json.dumps(content))
    elif damage == "torn":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "deleted":
        file.unlink()
    else:
        file = folder / "preprocessor_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"image_mean": [0, 0, 0]}))
    return folder


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("exchanged", "tokenizer"),
        ("torn", "tokenizer"),
        ("deleted", "tokenizer"),
        ("mean", "preprocessing"),
    ],
)
def test_damaged_inputs(tmp_path: Path, damage: str, named: str) -> None:
    def failed(folder: Path) -> list[str]:
        ours, theirs = (Opened.of(hub.resolve(source)) for source in (folder, "demo"))
        return [check.name for check in examine_inputs(ours, theirs) if check.status == "FAILED"]

    assert failed(DEMO) == []
    assert failed(damaged_demo(tmp_path / "copy", damage)) == [named]


# What is verified


@pytest.mark.usefixtures("without_port")
def test_published_checkpoints_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.json").write_text("{}")
    (tmp_path / "torn" / "model.safetensors").write_bytes(b"torn")
    folders = {"native": vision_in(tmp_path / "whole"), "huge": tmp_path / "torn"}
    monkeypatch.setattr(hub, "cached", lambda checkpoint: folders.get(checkpoint.alias))
    outcome = verify("--json")
    assert outcome.code == 1
    named = {record["checkpoint"] for record in outcome.records}
    assert named == {"demo", find("native").name, find("huge").name}
    (failed,) = (record for record in outcome.records if record["status"] == "FAILED")
    assert failed["name"] == "opening"
    assert "model.safetensors is a text file" in failed["detail"]
    assert "fetch the file again" in failed["hint"]


@pytest.mark.usefixtures("without_port")
@pytest.mark.parametrize("kind", ["lit", "native", "quantised"])
def test_every_kind_of_checkpoint(tmp_path: Path, kind: str) -> None:
    if kind == "lit":
        makers.write_checkpoint(tmp_path / "x", makers.random_lit(), makers.lit_config())
        vocabulary = {f"w{number}": number for number in range(95)}
        vocabulary |= {"<start_of_text>": 95, "<end_of_text>": 96}
        (tmp_path / "x" / "vocab.json").write_text(json.dumps(vocabulary))
        (tmp_path / "x" / "merges.txt").write_text("#version: 0.2\n")
    elif kind == "native":
        tensors, config = makers.random_vision(native=True), makers.vision_config(native=True)
        makers.write_checkpoint(tmp_path / "x", tensors, config)
    else:
        assert run("convert", "--model", "demo", "--mlx-path", str(tmp_path / "x"), "-q").code == 0
    outcome = verify("--model", tmp_path / "x", "--json")
    assert outcome.code == 0, outcome.out
    records = {record["name"]: record for record in outcome.records}
    assert records["blocks"]["status"] == records["tensors"]["status"] == "ok"
    if kind == "quantised":
        assert "4 bits and float16" in records["tensors"]["detail"]
        assert "stored in another precision" in records["reference"]["detail"]
        assert records["reference"]["status"] == "skipped"
    assert "all is right" not in outcome.err
    assert "nothing wrong found; the weights of x were compared with no copy " in outcome.err


# Errors


def refused(*arguments: object) -> tuple[int, str]:
    """Exit code and message of what is refused before any work."""
    outcome = verify(*arguments)
    assert outcome.out == ""
    message, *_ = outcome.err.splitlines()
    return outcome.code, message


def test_what_does_not_load_is_told_as_elsewhere(tmp_path: Path) -> None:
    assert refused("--model", tmp_path / "missing")[0] == 1
    (tmp_path / "empty").mkdir()
    code, message = refused("--model", tmp_path / "empty")
    assert (code, "has no model.safetensors" in message) == (1, True)
    tensors = makers.random_vision()
    del tensors["trunk.blocks.1.norm_2.weight"]
    code, message = refused("--model", vision_in(tmp_path / "part", tensors))
    assert (code, "missing: trunk.blocks.1.norm_2.weight" in message) == (1, True)
    code, message = refused("--model", vision_in(tmp_path / "x"), "--against", tmp_path / "empty")
    assert (code, "has no model.safetensors" in message) == (1, True)


def test_nothing_is_downloaded_unasked() -> None:
    code, message = refused("--model", "3B")
    assert (code, "is not in the cache" in message) == (1, True)


def test_against_what(tmp_path: Path) -> None:
    code, message = refused("--against", vision_in(tmp_path / "x"))
    assert (code, "needs to know what is held against it" in message) == (2, True)
    code, message = refused("--model", "demo", "--against", tmp_path / "x")
    assert (code, "no tensor in common" in message) == (2, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"kind": "aimv2 verify"}',
        b'{"kind": "aimv2 verify", "schema": 2, "checkpoints": []}',
        b'{"kind": "something", "schema": 1, "checkpoints": []}',
        b'{"kind": "aimv2 verify", "schema": 1, "checkpoints": [1]}',
        b'{"kind": "aimv2 verify", "schema": 1, "checkpoints": [{"name": "x"}]}',
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_a_file_that_is_no_report(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    code, message = refused("--model", "demo", "--against", tmp_path / "r.json")
    assert (code, "is no report of aimv2 verify" in message) == (2, True)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("tensors", "log_logit_scale", "shape"), "many"),
        (("tensors",), 3),
        (("steps", 0, "sums"), [1.0]),
        (("steps", 0, "length"), "long"),
        (("steps", 0, "sums"), [float("nan")] * 8),
        (("steps",), []),
        (("quantization",), {"bits": 3, "group_size": 64}),
        (("config",), None),
    ],
)
def test_a_report_with_odd_values(tmp_path: Path, place: tuple, value: object) -> None:
    folder = Path(verification.__file__).parent / "references"
    content = json.loads((folder / "demo.json").read_text())
    part = content["checkpoints"][0]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    (tmp_path / "r.json").write_text(json.dumps(content))
    code, message = refused("--model", "demo", "--against", tmp_path / "r.json")
    assert (code, "is no report of aimv2 verify" in message) == (2, True)


def test_a_report_of_other_checkpoints(tmp_path: Path) -> None:
    report = Path(verification.__file__).parent / "references" / "golden.json"
    code, message = refused("--model", "demo", "--against", report)
    assert (code, "has no checkpoint of these sizes (it has: vision-fixed" in message) == (2, True)
    code, message = refused("--against", report)
    assert (code, "has no checkpoint of these sizes" in message) == (2, True)


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("mine")
    code, message = refused("--out", tmp_path / "there.json")
    assert (code, "exists already" in message) == (1, True)
    assert (tmp_path / "there.json").read_text() == "mine"
    code, message = refused("--out", tmp_path / "no" / "report.json")
    assert (code, "there is no folder" in message) == (1, True)


def test_a_folder_that_takes_no_report_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    code, message = refused("--out", tmp_path / "report.json")
    assert (code, "report.json cannot be written: Permission denied" in message) == (1, True)


def test_out_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r.json").write_text("mine")
    code, message = refused("--out=~/r.json")
    assert (code, f"{tmp_path}/r.json exists already" in message) == (1, True)
