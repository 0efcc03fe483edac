"""Files of a checkpoint that are something else: what they are is said, and what to do."""

import gzip
import json
import pickle
import re
import shutil
import struct
import zipfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import mlx_aimv2
from mlx_aimv2.errors import CheckpointError, ImageError, OutputError
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.inference.model import load
from mlx_aimv2.outputs.finished import check_finished
from mlx_aimv2.outputs.shard_file import open_shard
from tests.support.commands import run

DEMO = Path(mlx_aimv2.__file__).parent / "demo"
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 1234567\n"
)
PAGE = b"\n<!DOCTYPE html><html><body>404: Not Found</body></html>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the demo checkpoint."""
    return Path(shutil.copytree(DEMO, tmp_path / "model"))


def refusal(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load(str(folder)).embed_texts(["a boat"])
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    outcome = run("embed", "-t", "a boat", "-m", str(folder), "-o", "-")
    assert outcome.code == 1
    assert f"error: {caught.value}\nhint: {caught.value.hint}" in outcome.err
    return caught.value


def torch_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))


def archive_of_arrays(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), a=np.zeros(3))
    path.with_suffix(".npz").replace(path)


def of(content: bytes):
    return lambda path: path.write_bytes(content)


OTHERS = {
    "pointer": (of(POINTER), "a Git LFS pointer", "git lfs pull"),
    "page": (of(PAGE), "a web page", "fetch the file again"),
    "XML": (of(b'<?xml version="1.0"?><Error/>'), "an answer in XML", "fetch the file again"),
    "JSON": (of(b'{"error": "Repository not found"}'), "a text file", "fetch the file again"),
    "words": (of(b"Entry not found"), "a text file", "fetch the file again"),
    "empty": (of(b""), "empty", "fetch the checkpoint again"),
    "NULs": (of(bytes(5000)), "nothing but NULs", "fetch the checkpoint again"),
    "pickle": (of(pickle.dumps({"a": 1})), "pickled weights", "unpickling can run code"),
    "torch": (torch_archive, "pickled weights", "unpickling can run code"),
    "npz": (archive_of_arrays, "an archive of NumPy arrays", "only safetensors"),
    "GGUF": (of(b"GGUF" + struct.pack("<IQQ", 3, 0, 0)), "a GGUF file", "only safetensors"),
    "HDF5": (of(b"\x89HDF\r\n\x1a\n" + bytes(99)), "an HDF5 file", "only safetensors"),
    "gzip": (of(gzip.compress(b"x" * 99)), "a compressed file", "unpack"),
}


@pytest.mark.parametrize(("make", "kind", "hint"), OTHERS.values(), ids=OTHERS)
def test_weights_that_are_something_else(folder: Path, make, kind: str, hint: str) -> None:
    make(folder / "model.safetensors")
    error = refusal(folder)
    assert str(error).startswith(f"{folder / 'model.safetensors'} is {kind}")
    assert hint in error.hint


@pytest.mark.parametrize("share", [0.00001, 0.001, 0.3, 0.999])
def test_weights_that_are_cut_off(folder: Path, share: float) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    kept = max(9, int(len(data) * share))
    file.write_bytes(data[:kept])
    error = refusal(folder)
    assert f"{file} is cut off" in str(error)
    assert f"{kept:,}" in str(error)
    (header_bytes,) = struct.unpack("<Q", data[:8])
    if kept >= 8 + header_bytes:
        assert f"{len(data):,} bytes are there" in str(error)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [(POINTER, "a Git LFS pointer"), (PAGE, "a web page"), (b"", "empty")],
    ids=["pointer", "page", "empty"],
)
def test_small_files_that_are_something_else(
    folder: Path, tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        model = load(str(folder))
        model.embed_texts(["a boat"])
        model.embed_images([np.zeros((9, 9, 3), np.uint8)])
    assert str(caught.value).startswith(f"{folder / name} is {kind}")
    assert caught.value.hint


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "model.safetensors.index.json"])
def test_pointers_in_other_places(folder: Path, name: str) -> None:
    whole = json.loads((folder / "tokenizer.json").read_bytes())
    (folder / "vocab.json").write_text(json.dumps(whole["model"]["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    if name.endswith("index.json"):
        (folder / "model.safetensors").unlink()
    else:
        (folder / "tokenizer.json").unlink()
    (folder / name).write_bytes(POINTER)
    assert str(refusal(folder)).startswith(f"{folder / name} is a Git LFS pointer")


@pytest.mark.parametrize("name", ["weights.npz", "model.gguf", "tf_model.h5", "x.incomplete"])
def test_a_folder_of_other_weights(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    assert f"{name} is not read" in refusal(folder).hint


@pytest.mark.parametrize(
    ("content", "kind"), [(POINTER, "a Git LFS pointer"), (PAGE, "a web page")], ids=["LFS", "page"]
)
@pytest.mark.parametrize(
    "name", ["a.jpg", "photos.npz", "photos.jsonl", "photos.safetensors", "x.npz.shard-1-of-2"]
)
def test_pictures_and_embeddings_that_are_something_else(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    error = ImageError if name == "a.jpg" else OutputError
    with pytest.raises(error, match=f"{re.escape(str(path))} is {kind}"), ExitStack() as opened:
        if name == "a.jpg":
            open_rgb(path)
        elif "shard" in name:
            opened.enter_context(open_shard(path))
        else:
            check_finished(path, [], {})
