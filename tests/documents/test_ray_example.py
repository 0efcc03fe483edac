"""The example for Ray Data: run as its reader does, on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mlx_aimv2 as aimv2
from mlx_aimv2.files.path_text import escape
from tests.support import pictures
from tests.support.commands import PATIENCE_S
from tests.support.names import takes_any_bytes
from tests.support.tolerances import BATCH_MATES

pytest.importorskip("ray", reason="needs Ray")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")

EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_embed.py"


def start(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(EXAMPLE), "--model", "demo", *arguments]
    # Ray's store of objects: enough for a few small pictures' vectors.
    environment = os.environ | {"RAY_DEFAULT_OBJECT_STORE_MEMORY_PROPORTION": "0.01"}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=PATIENCE_S, check=False
    )


def test_it_writes_a_row_for_every_picture_and_ends(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    strange = os.fsdecode(b"\xff.png") if takes_any_bytes(photos) else "strange.png"
    names = [*(f"{number}.png" for number in range(6)), strange]
    for number, name in enumerate(names):
        pictures.photo(61 + number, 53, number).save(photos / name)
    (photos / "broken.jpg").write_bytes(b"not a picture")
    out = tmp_path / "embeddings"
    ended = start(str(photos), "--out", str(out), "--batch-size", "3", "--actors", "2")
    assert ended.returncode == 3, ended.stderr
    assert ended.stdout == f"embedded 7 of 8 pictures → {out}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embeddings", "photos"]

    rows = {row["path"]: row for row in parquet.read_table(out).to_pylist()}
    paths = [str(photos / name) for name in names]
    broken = rows.pop(str(photos / "broken.jpg"))
    assert broken["embedding"] is None
    assert "broken.jpg is not a picture" in broken["error"]
    assert set(rows) == set(map(escape, paths))
    assert {row["error"] for row in rows.values()} == {None}
    expected = np.array(aimv2.load("demo").embed_images(paths))
    found = np.array([rows[escape(path)]["embedding"] for path in paths])
    np.testing.assert_allclose(found, expected, atol=BATCH_MATES, rtol=0)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--model", "nosuch", "nosuch"),
        ("--actors", "0", "invalid positive value: '0'"),
        ("--batch-size", "x", "invalid positive value: 'x'"),
    ],
)
def test_what_cannot_be_is_told_before_ray_begins(tmp_path: Path, option, value, said) -> None:
    pictures.photo(61, 53, 1).save(tmp_path / "a.png")
    ended = start(str(tmp_path), "--out", str(tmp_path / "out"), option, value)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    ended = start(str(tmp_path), "--out", str(tmp_path))
    assert ended.returncode == 2
    assert f"{tmp_path} exists already" in ended.stderr
