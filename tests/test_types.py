"""What type checkers say of the Python in the documents, as of a user's own."""

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.commands import PATIENCE_S
from tests.support.documents import read
from tests.support.wheels import ROOT, build_wheel, run

pytest.importorskip("basedpyright", reason="needs basedpyright")

USER = """
import mlx.core as mx
import numpy as np
from pathlib import Path
from PIL import Image
from typing_extensions import assert_type

import mlx_aimv2 as aimv2
from mlx_aimv2 import EncoderOutput, Item, Library, Model

model = aimv2.load("lit", dtype="float16", tower="image")
assert_type(model, Model)
aria = aimv2.load("aria", dtype="bfloat16")
assert_type(aria, aimv2.Aria)
assert_type(aimv2.load("./folder"), Model)
assert_type(aimv2.Aria.load(Path("folder")), aimv2.Aria)
for piece in aria.ask(["a.jpg", Path("b.jpg")], "Who is this?", split="rhymes", history=[("", "")]):
    assert_type(piece, str)
assert_type(aria.describe("a.jpg"), str)
assert_type(aria.forward(mx.array([[1]])), mx.array)
picture = Image.new("RGB", (3, 3))
pictures: list[aimv2.ImageSource] = ["a.jpg", Path("a.jpg"), b"...", picture]
pictures += [np.zeros((3, 3, 3)), mx.zeros((3, 3, 3))]
assert_type(model.embed_images(pictures), mx.array)
assert_type(model.embed_images("a.jpg", pooling="mean", on_error="skip"), mx.array)
assert_type(model.embed_images(pictures, pooling="none", batch_size=3), list[mx.array])
assert_type(model.preprocess("a.jpg"), mx.array)
pixels = model.preprocess(picture)[None]
assert_type(model.vision(pixels), mx.array)
assert_type(model.vision(pixels, hidden_states=[-1]), EncoderOutput)
assert_type(model.vision(pixels, attentions=True, stop_after=2), EncoderOutput)
assert_type(model.vision(pixels, stop_after=2), EncoderOutput)
assert_type(model.text(mx.array([[1]])), mx.array)
assert_type(model.text(mx.array([[1]]), hidden_states=True), EncoderOutput)
with Path("a.jpg").open("rb") as file:
    model.embed_images(file, progress=lambda done, total: print(done, total))


def use(item: Item) -> str:
    if item.error is None:
        return str(item.embedding.shape)
    return item.error.hint


for item in model.stream(pictures, progress=True):
    print(use(item))
for found in aimv2.find_images(["album", Path("b")]):
    print(found.path)
for item in model.stream(aimv2.find_images("album")):
    print(item.path)
with Library() as library:
    for hit in library.search("boat", filters=aimv2.Filters(), min_score=0.2).hits:
        assert_type(hit.path, str)
    for group in library.duplicates():
        assert_type(group.paths, tuple[str, ...])
"""
WHERE = "import sysconfig; print(sysconfig.get_path('purelib'))"
WRONG = """
import mlx_aimv2 as aimv2

aimv2.load("demo").embed_images(["a.jpg"], pooling="most")
print(aimv2.__version__.upper(), aimv2.laod)
"""


def written(folder: Path) -> Path:
    """Every block of Python in the documents as a module of its own."""
    number = 0
    for page in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]):
        for code in read(str(page.relative_to(ROOT))).python:
            number += 1
            (folder / f"block_{number}.py").write_text(code)
    assert number >= 3
    (folder / "user.py").write_text(USER)
    (folder / "wrong.py").write_text(WRONG)
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "standard"}))
    return folder


@pytest.fixture(scope="module", params=["editable", "wheel"])
def python(request, tmp_path_factory):
    """A Python that has the package: of this tree, or of its wheel in an environment of its own."""
    if request.param == "editable":
        return Path(sys.executable)
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"), cwd=folder)
    python = folder / "venv" / "bin" / "python"
    site = run(str(python), "-c", WHERE, cwd=folder)
    site = Path(site.strip())
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "-t", str(site),
        str(build_wheel(folder)), cwd=folder)  # fmt: skip
    # What the package needs is where the tests have it; its links to this tree are not followed.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def check(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("mypy")


def mypy(python: Path, folder: Path, cache: Path) -> str:
    options = "--strict", "--cache-dir", str(cache), "--python-executable", str(python)
    return check("mypy", *options, ".", cwd=folder)


def pyright(python: Path, folder: Path, cache: Path) -> str:
    return check("basedpyright", "--pythonpath", str(python), cwd=folder)


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_the_documents_are_well_typed_and_what_is_wrong_is_seen(checker, python, cache, tmp_path):
    said = checker(python, written(tmp_path), cache)
    errors = re.findall(r"^\s*(\S+\.py:\d+).*\berror: ", said, re.MULTILINE)
    assert {Path(error).name for error in errors} == {"wrong.py:4", "wrong.py:5"}, said
    assert '"most"' in said or "pooling" in said
    assert "laod" in said
