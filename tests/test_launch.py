"""Several processes on one machine: by mlx.launch, by hand, killed in the middle, merged."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support import pictures
from tests.support.commands import AIMV2, PATIENCE_S, run, start
from tests.support.stopped_embed import KEPT

ROOT = Path(__file__).parents[1]
LAUNCH = AIMV2.with_name("mlx.launch")
COUNT = 40  # pictures
# Bits are those of equal threads: one each, as there are as many processes as cores.
THREADS = {"OPENBLAS_NUM_THREADS": "1"}
ENVIRONMENT = os.environ | THREADS | {"PYTHONPATH": str(ROOT)}
EMBED = ["embed", "photos", "-m", "demo", "--batch-size", "4", "--out"]
STOPPED = [sys.executable, "-m", "tests.support.stopped_embed", *EMBED]

needs_launcher = pytest.mark.skipif(
    not LAUNCH.exists() or shutil.which("bash") is None, reason="needs mlx.launch and bash"
)


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What one process writes of a folder ``photos`` in the folder one is in, one broken."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(COUNT):
        pictures.photo(61, 53, number).save(f"photos/{number:02}.png")
    Path("photos/26.png").write_bytes(b"not a picture")
    assert embed("one.npz")[0] == 3
    return Path("one.npz").read_bytes()


def embed(out: str, *options: str) -> tuple[int, str]:
    """A process from start to end: its exit code and what it said."""
    ended = start(*EMBED, out, *options, environment=THREADS)
    return ended.returncode, ended.stderr.decode()


@contextmanager
def launched(*command: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """Two ranks on this machine, on stdin that stays open as a terminal's does."""
    # Any port may be taken; the ring's is never opened, because no rank talks to another.
    arguments = [LAUNCH, "-n", "2", "--backend", "ring", "--", *command]
    with subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        yield process


def kept(journal: Path) -> int:
    """How many embeddings are committed; none where the tables are not there yet."""
    if not journal.exists():
        return 0
    with closing(sqlite3.connect(journal)) as database, suppress(sqlite3.OperationalError):
        return int(database.execute("SELECT count(*) FROM embeddings").fetchone()[0])
    return 0


def begun(shard: str) -> int:
    """Wait until a shard has something to keep; returns the process that makes it."""
    folder = Path(f".many.npz.{shard}.partial")
    deadline_s = time.monotonic() + PATIENCE_S
    while kept(folder / "journal.sqlite") < KEPT:
        assert time.monotonic() < deadline_s, f"{shard} has not begun"
        time.sleep(0.01)
    return int((folder / "lock").read_text())


@needs_launcher
def test_two_ranks_write_what_one_process_does(one: bytes) -> None:
    with launched(AIMV2, *EMBED, "many.npz") as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert f"shard 1 of 2: 20 of {COUNT} images" in said
    assert f"shard 2 of 2: 20 of {COUNT} images" in said
    assert not Path("many.npz").exists()
    assert run("merge", "many.npz").code == 3
    assert Path("many.npz").read_bytes() == one


@needs_launcher
def test_a_killed_rank_ends_the_other_and_each_goes_on_alone(one: bytes) -> None:
    with launched(*STOPPED, "many.npz") as process:
        begun("shard-1-of-2")
        os.kill(begun("shard-2-of-2"), signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
    outcome = run("merge", "many.npz")
    assert outcome.code == 1
    assert "there are no shards of many.npz" in outcome.err
    for shard in ("2/2", "1/2"):
        _, said = embed("many.npz", "--shard", shard, "--resume")
        assert " done before → many.npz.shard-" in said
    assert run("merge", "many.npz").code == 3
    assert Path("many.npz").read_bytes() == one


def test_one_of_two_by_hand_is_killed_and_rerun_alone(one: bytes) -> None:
    assert embed("many.npz", "--shard", "1/2")[0] == 3  # the broken one is its
    finished = Path("many.npz.shard-1-of-2").read_bytes()
    by_hand = [*STOPPED, "many.npz", "--shard", "2/2"]
    with subprocess.Popen(by_hand, stdout=subprocess.DEVNULL, env=ENVIRONMENT) as process:
        assert begun("shard-2-of-2") == process.pid
        process.kill()
    outcome = run("merge", "many.npz.shard-1-of-2", "--out", "many.npz")
    assert outcome.code == 1
    assert "many.npz.shard-2-of-2 was begun and is not finished" in outcome.err
    code, said = embed("many.npz", "--shard", "2/2")
    assert code == 1
    assert "a run for many.npz.shard-2-of-2 was stopped before its end" in said
    assert embed("many.npz", "--shard", "2/2", "--resume")[0] == 0
    assert Path("many.npz.shard-1-of-2").read_bytes() == finished
    assert run("merge", "many.npz").code == 3
    assert Path("many.npz").read_bytes() == one
