"""What the README says can be typed, in its order, and what it says of Python runs."""

import re

import numpy as np
from PIL import Image

from mlx_aimv2.models.aimv2.published import CHECKPOINTS, find
from tests.support.albums import make_album
from tests.support.documents import ROOT, Home, has_worked, read

PAGE = read("README.md")
README = PAGE.path.read_text(encoding="utf-8")
# Minutes, of which one section is enough here.
SHORTER = {"aimv2 bench --quick": "aimv2 bench --quick --model demo --only start"}


def test_its_commands_work_in_their_order(tmp_path):
    home = Home(tmp_path)
    for line in PAGE.lines:
        command = line.split("#")[0].strip()
        done = home.type(SHORTER.get(command, command))
        assert has_worked(done), (line, done.stdout, done.stderr)
    with np.load(tmp_path / "pictures.npz") as one, np.load(tmp_path / "whole.npz") as merged:
        assert one["paths"].tolist() == merged["paths"].tolist()
        np.testing.assert_array_equal(one["embeddings"], merged["embeddings"])


def test_its_make_targets_are_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = re.findall(r"make ([a-z-]+)", README)
    assert asked
    assert set(asked) <= set(targets)


def test_its_python_runs(tmp_path):
    home = Home(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    Image.fromarray(pixels).save(tmp_path / "b.png")
    album = make_album(tmp_path / "album", 3)
    of_model, of_library = map(home.run_python, PAGE.python)
    for done in (of_model, of_library):
        assert done.returncode == 0, done.stderr
    first, second, third, shapes = of_model.stdout.splitlines()
    assert first.startswith("a.jpg (")
    assert "missing.jpg does not exist" in second
    assert third.startswith("b.png (")
    assert shapes.startswith("(1, 64, ")
    assert (tmp_path / "my-checkpoint" / "model.safetensors").exists()
    assert {line.split()[0] for line in of_library.stdout.splitlines()} <= set(map(str, album))


def test_its_table_names_every_checkpoint():
    table = README.split("## Which checkpoint")[1].split("##")[0]
    named = re.findall(r"`([\w-]+)`", table)
    found = {find(alias) for alias in named} - {None}
    assert found == set(CHECKPOINTS)


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
