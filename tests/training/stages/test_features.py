"""Kept features: a row is there whole or not at all, whatever a kill left of it."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.training.drawings.scene import draw
from mlx_aimv2.training.runs.run_folder import RunFolder
from mlx_aimv2.training.stages.features import FeatureFile
from mlx_aimv2.training.stages.run import Order, train
from tests.support.stages import DRAWINGS, ENCODER, FEW, TEXT, Heard, losses, run
from tests.support.tars import write_tar

SHAPE = (3, 5)
MARK = 2**32 - 5


def test_a_row_is_whole_or_not_there(tmp_path: Path) -> None:
    file = FeatureFile(tmp_path / "features.f16", SHAPE)
    rows = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float16)
    file.put(4, MARK, rows[0])
    file.put(1, MARK, rows[1])
    np.testing.assert_array_equal(file.get(4, MARK), rows[0])
    np.testing.assert_array_equal(file.get(1, MARK), rows[1])
    assert [file.get(each, MARK) for each in (0, 2, 3, 5, 900)] == [None] * 5
    assert file.get(4, MARK - 1) is None  # another picture
    file.put(7, MARK, rows[0, :2])  # of a picture with fewer patches
    np.testing.assert_array_equal(file.get(7, MARK), rows[0, :2])
    os.truncate(tmp_path / "features.f16", (tmp_path / "features.f16").stat().st_size // 8 * 5)
    content = bytearray((tmp_path / "features.f16").read_bytes())
    content[len(content) // 5 * 4 + 3] ^= 1
    (tmp_path / "features.f16").write_bytes(content)
    assert file.get(4, MARK) is None
    np.testing.assert_array_equal(file.get(1, MARK), rows[1])
    (tmp_path / "features.f16").write_bytes(content[: len(content) // 5 + 7])
    assert file.get(1, MARK) is None
    file.close()


def test_a_run_whose_features_were_torn_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    run("pretraining", tmp_path / "encoder", *FEW, *ENCODER, "side_px=56")
    words, source = (*FEW[1:], *TEXT), str(tmp_path / "encoder")
    run("lit", tmp_path / "calm", *words, "steps=5", source=source)
    run("lit", tmp_path / "torn", *words, "steps=5", source=source)
    kept = RunFolder(tmp_path / "torn")
    for place in kept.places():
        if place.name != "step-0000004":
            for file in place.iterdir():
                file.unlink()
            place.rmdir()
    features = kept.path / "features-0.f16"
    features.write_bytes(features.read_bytes()[: features.stat().st_size // 2])
    train(Order("lit", tmp_path / "torn", DRAWINGS, resume=True), Heard())
    assert losses(tmp_path / "torn") == losses(tmp_path / "calm")
    ours, theirs = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("torn", "calm")
    )
    assert ours == theirs


@pytest.mark.parametrize("kind", ["folder", "shard"])
def test_features_of_pictures_that_were_changed_are_made_anew(kind: str, tmp_path: Path) -> None:
    """The pictures of a table are edited, and its rows change places, between two halves."""
    run("pretraining", tmp_path / "encoder", *FEW, *ENCODER, "side_px=56")
    source = str(tmp_path / "encoder")
    data = tmp_path / ("data" if kind == "folder" else "data.tar")

    def write(first: int) -> None:
        drawn = [draw(first + number, 64).image for number in range(5)]
        if kind == "folder":
            data.mkdir(exist_ok=True)
            for number, image in enumerate(drawn):
                image.save(data / f"{number}.png")
            rows = [{"file_name": f"{number}.png", "text": f"{number}"} for number in range(5)]
            (data / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
            return
        members = []
        for number, image in enumerate(drawn):
            held = io.BytesIO()
            image.save(held, "png")
            members += [(f"{number}.png", held.getvalue()), (f"{number}.txt", b"%d" % number)]
        write_tar(data, members)

    write(0)
    words = (*FEW[1:], *TEXT, "batch_size=5")
    run("lit", tmp_path / "out", *words, "steps=2", data=str(data), source=source)
    write(50)
    train(Order("lit", tmp_path / "out", words=("steps=3",), resume=True), Heard())
    kept = RunFolder(tmp_path / "out").path / "features-0.f16"
    fresh = tmp_path / "fresh"
    run("lit", fresh, *words, "steps=2", data=str(data), source=source)
    assert kept.read_bytes() == (RunFolder(fresh).path / "features-0.f16").read_bytes()
