"""A run over 300 pictures that is killed again and again: no caption is lost or twice."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mlx_aimv2.library.caption_text import clean_caption
from mlx_aimv2.library.library import Library
from tests.support.albums import noise
from tests.support.commands import PATIENCE_S, run
from tests.support.exiftool_runs import exiftool
from tests.support.killed_describe import words_of
from tests.support.sidecar_samples import LIGHTROOM

ROOT = Path(__file__).parents[2]
COUNT, KILLS = 300, 6


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed") / "album"
    folder.mkdir()
    for number in range(COUNT):
        noise(folder / f"{number:03}.png", number)
    return folder


def describe(log: Path, moments: int, *arguments: str) -> int:
    command = [sys.executable, "-m", "tests.support.killed_describe", str(moments), str(log)]
    done = subprocess.run(
        [*command, "describe", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=log.parent,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def kill_often(log: Path, most: int, *arguments: str) -> None:
    """The command, killed at random moments and then run to its end."""
    rng = random.Random(1)
    killed = [describe(log, rng.randrange(1, most), *arguments) for _ in range(KILLS)]
    assert killed == [-signal.SIGKILL] * KILLS
    assert describe(log, 0, *arguments) == 0
    asked = Counter(log.read_text().split())
    assert len(asked) == COUNT
    assert sum(asked.values()) <= COUNT + KILLS  # of each kill the picture in progress


def test_into_the_library_and_sidecars(album: Path, tmp_path: Path) -> None:
    own = {album / f"{number:03}.png.xmp" for number in (0, 150, 299)}
    for path in own:
        path.write_bytes(LIGHTROOM)
    with Library(tmp_path / "library.db") as library:
        library.index(album, model="demo")
    kill_often(tmp_path / "log", COUNT, "--library=library.db", "--write=sidecar", str(album))
    wanted = [clean_caption(words_of(f"{number:03}")) for number in range(COUNT)]
    with Library(tmp_path / "library.db") as library:
        found = library.captions(sorted(album.glob("*.png")))
        assert [found[path].text for path in sorted(found)] == wanted
        edits = library.tag_history()
        assert sum(each.changes for each in edits) == COUNT
        assert {each.kind for each in edits} == {"describe"}
        assert not library.store.check()
        hits = library.search("picture 150", captions_only=True, min_score=1).hits
        assert [Path(hit.path).name for hit in hits] == ["150.png"]
    sidecars = sorted(album.glob("*.xmp"))
    fields = ("-XMP-dc:Description", "-XMP-iptcCore:AltTextAccessibility")
    read = json.loads(exiftool("-json", "-q", *fields, *sidecars))
    assert [each["Description"] for each in read] == wanted
    outcome = run("describe", "--undo=all", f"--library={tmp_path}/library.db")
    assert (outcome.code, outcome.out) == (0, "")
    assert set(album.glob("*.xmp")) == own
    assert {path.read_bytes() for path in own} == {LIGHTROOM}
    assert not list(album.glob(".*"))


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl"])
def test_into_a_file(album: Path, tmp_path: Path, name: str) -> None:
    kill_often(tmp_path / "log", COUNT // 2, f"--out={name}", str(album))
    wanted = {f"{number:03}": clean_caption(words_of(f"{number:03}")) for number in range(COUNT)}
    text = (tmp_path / name).read_text(encoding="utf-8")
    if name.endswith("csv"):
        rows = list(csv.DictReader(text.splitlines()))
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    assert [Path(row["path"]).stem for row in rows] == list(wanted)
    assert [row["caption"] for row in rows] == list(wanted.values())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
