"""What the README says can be typed."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlx_aimv2.checkpoints import CHECKPOINTS, find
from tests.commands import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("#")[0].split("|")[0].strip()
    for kind, block in BLOCKS
    if kind == "sh"
    for line in block.splitlines()
    if line.startswith("aimv2 ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_have_the_options_it_uses(command):
    name, *rest = command.removeprefix("aimv2 ").split()
    known = run(name, "--help").out
    for option in (word for word in rest if re.fullmatch(r"--?[a-z][a-z-]*", word)):
        assert re.search(rf"(^|[ ,]){option}\b", known, re.MULTILINE), f"{name} has no {option}"


def test_its_make_targets_are_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = re.findall(r"make ([a-z-]+)", README)
    assert asked
    assert set(asked) <= set(targets)


def test_its_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("a.jpg")
    Image.fromarray(pixels).save("b.png")
    (code,) = (block for kind, block in BLOCKS if kind == "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    first, second, third = printed.getvalue().splitlines()
    assert first.startswith("a.jpg (")
    assert "missing.jpg does not exist" in second
    assert third.startswith("b.png (")


def test_its_table_names_every_checkpoint():
    table = README.split("## Which checkpoint")[1].split("##")[0]
    named = re.findall(r"`([\w-]+)`", table)
    found = {find(alias) for alias in named} - {None}
    assert found == set(CHECKPOINTS)


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
