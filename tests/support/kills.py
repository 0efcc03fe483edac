"""An index that is killed and started again, and what is then left of the library."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.albums import noise, rows_of
from tests.support.commands import PATIENCE_S

ROOT = Path(__file__).parents[2]
PHOTOS = 26


@dataclass(frozen=True)
class Kill:
    """One run: where or after how many seconds it was killed, and how it ended."""

    moment: str
    code: int
    files: int
    problems: list[str]


def make_photos(folder: Path) -> Path:
    """Small pictures, among them copies and what is no picture."""
    folder.mkdir()
    for number in range(PHOTOS):
        noise(folder / f"{number:02}.png", number % (PHOTOS - 3))
    (folder / "05.png").write_bytes(b"not a picture")
    return folder


def index(
    photos: Path, library: Path, place: str = "never", kill_after_s: float | None = None
) -> int:
    """Index in a process of its own; returns its exit code."""
    arguments = [place, "index", photos, "--library", library, "-m", "demo", "--batch-size", "4"]
    command = [sys.executable, "-m", "tests.support.slow_index", *arguments, "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment) as process:
        if kill_after_s is not None:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(kill_after_s)
            process.kill()
        process.communicate(timeout=PATIENCE_S)
        return process.returncode


def look(library: Path) -> tuple[int, list[str]]:
    """How many files there are, and what is wrong with the database."""
    if not library.exists() or not library.stat().st_size:
        return 0, []
    with sqlite3.connect(library) as database:
        found = [text for (text,) in database.execute("PRAGMA integrity_check")]
        tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        files = database.execute("SELECT count(*) FROM files").fetchone()[0] if tables else 0
    database.close()
    return files, [text for text in found if text != "ok"]


def kill_often(photos: Path, library: Path, moments: list[str | float]) -> list[Kill]:
    """Index, killed at each moment in turn: a place of ``slow_index``, or seconds.

    A run that ends before it is killed starts over with an empty library.
    """
    done = []
    for moment in moments:
        if isinstance(moment, str):
            code = index(photos, library, moment)
        else:
            code = index(photos, library, "slow", kill_after_s=moment)
        done.append(Kill(str(moment), code, *look(library)))
        if code != -signal.SIGKILL:
            remove(library)
    return done


def remove(library: Path) -> None:
    """Start over."""
    for file in library.parent.glob(f"{library.name}*"):
        if file.is_file():
            file.unlink()
    folder = library.with_name(f"{library.name}.vectors")
    for file in folder.rglob("*.f16"):
        file.unlink()


def random_moments(seed: int, count: int, most_s: float) -> list[str | float]:
    """Seconds after the run has begun to embed."""
    rng = random.Random(seed)
    return [round(rng.uniform(0, most_s), 3) for _ in range(count)]


def compare(photos: Path, library: Path, folder: Path) -> bool:
    """Finish the library; is it, bit for bit, what a run without a kill makes?"""
    code = index(photos, library)
    calm = folder / "calm.db"
    assert (code, index(photos, calm)) == (3, 3)
    return rows_of(library) == rows_of(calm)
