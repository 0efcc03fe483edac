"""An epoch of 10,000 pairs, one in a hundred broken: what drops out, and that memory stays flat."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import PATIENCE_S
from tests.support.tars import Members, small_picture, write_tar

pytest.importorskip("mlx.data", reason="needs mlx-data")

SHARDS, PAIRS, BATCH = 5, 10_000, 40
EACH = PAIRS // SHARDS
# An epoch's pictures are 94 MB as arrays and 12 MB as files: none of either may be kept.
MOST_GROWN_KIB = 6 << 10


def members(first: int) -> Members:
    """Pairs of a shard, of which each hundredth is broken, in four ways."""
    for number in range(first, first + EACH):
        picture, caption = small_picture(number, 41, 37), f"picture number {number}".encode()
        is_broken = number % 100 == 50
        kind = (number // 100) % 4 if is_broken else None
        yield f"{number:06}.png", picture[: len(picture) // 2] if kind == 0 else picture
        if kind != 1:
            yield f"{number:06}.txt", {2: b" \n", 3: b"caf\xe9"}.get(kind or 0, caption)


def test_an_epoch_with_broken_pairs(tmp_path: Path) -> None:
    for shard in range(SHARDS):
        write_tar(tmp_path / f"{shard:03}.tar", members(shard * EACH))
    last = tmp_path / f"{SHARDS - 1:03}.tar"
    data = last.read_bytes()
    last.write_bytes(data[: data.rindex(b"009999.txt") + 400])  # in the header of the last caption
    source = f"{tmp_path}/{{000..{SHARDS - 1:03}}}.tar"
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.epoch_run", source, str(BATCH)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["notes"] == [f"{last} is cut off, or was not closed: it ends after "
                                f"{last.stat().st_size:,} bytes"]  # fmt: skip
    assert outcome["kept"] == outcome["different"] == outcome["pictures"] == 9899
    assert outcome["skipped"] == len(outcome["told"]) == 101
    for reason, count in (
        ("is truncated (PNG", 25),
        ("has no caption", 51),  # no text, or an empty one, or that of the cut shard
        ("its caption is not UTF-8", 25),
    ):
        assert sum(reason in told for told in outcome["told"]) == count, reason
    assert all(told[:4] in {f"{n:03}." for n in range(SHARDS)} for told in outcome["told"])
    assert outcome["grown_kib"] < MOST_GROWN_KIB
