"""`aimv2 index --json --progress`: how far it is, in lines of JSON, for a program."""

from pathlib import Path

import pytest

from mlx_aimv2.cli import index
from tests.support.albums import noise
from tests.support.commands import run
from tests.support.stand_in_checkpoint import use_stand_ins

PHOTOS = 7


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_home: None) -> Path:
    use_stand_ins(monkeypatch)
    (tmp_path / "album").mkdir()
    for number in range(PHOTOS):
        noise(tmp_path / f"album/{number}.png", number)
    (tmp_path / "album/broken.jpg").write_bytes(b"no picture")
    return tmp_path / "album"


def test_every_step_is_told(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_RECORD_S", 0.0)
    outcome = run("index", str(album), "--json", "--progress")
    assert outcome.code == 3
    *steps, last = outcome.records
    assert (last["found"], last["failed"]) == (PHOTOS + 1, 1)
    found = [step["count"] for step in steps if step["progress"] == "found"]
    read = [(step["count"], step["of"]) for step in steps if step["progress"] == "read"]
    assert found == list(range(1, PHOTOS + 2))
    assert read == [(count, PHOTOS + 1) for count in range(PHOTOS + 2)]


def test_few_lines_at_a_time_and_the_last_one(album: Path) -> None:
    """However fast it is, the first and the last are told."""
    *steps, _ = run("index", str(album), "--json", "--progress").records
    read = [step["count"] for step in steps if step["progress"] == "read"]
    assert (read[0], read[-1]) == (0, PHOTOS + 1)
    assert run("index", "--json", "--progress").records[-1]["found"] == PHOTOS + 1


def test_without_it_there_is_the_one_line(album: Path) -> None:
    assert len(run("index", str(album), "--json").records) == 1


def test_it_is_told_in_json_only(album: Path) -> None:
    outcome = run("index", str(album), "--progress")
    assert outcome.code == 2
    assert "aimv2 index --json --progress" in outcome.err
