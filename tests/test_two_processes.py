"""Two processes and one library: one writes, any number searches meanwhile."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_aimv2.library.library import Library
from tests.support.commands import run
from tests.support.kills import ROOT, make_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = make_photos(tmp_path / "photos")
    library = Library(tmp_path / "library.db")
    library.index([folder / f"{number:02}.png" for number in range(4)], model="demo")
    return folder


@pytest.fixture
def writer(tmp_path: Path, photos: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that has begun to index the rest."""
    arguments = ["index", str(photos), "--library", str(tmp_path / "library.db"), "-m", "demo"]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.slow_index", "step", *arguments, "--quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert process.stdout.readline() == b"waits\n"
        yield process
        process.kill()


def test_searches_go_on_while_another_process_indexes(
    tmp_path: Path, photos: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    def searched() -> int:
        with Library(tmp_path / "library.db") as opened:
            answer = opened.search(like=[photos / "00.png"], count=99)
            assert len(answer.hits) == answer.searched  # the picture itself is left out
            return answer.searched

    assert writer.stdin is not None
    assert writer.stdout is not None
    seen, said = [], b"waits\n"
    while said == b"waits\n":
        seen.append(searched())
        writer.stdin.write(b"on\n")
        writer.stdin.flush()
        said = writer.stdout.readline()
    assert writer.wait() == 3
    assert seen == [3, 6, 10, 14, 18, 22]  # the sixth picture is none
    assert searched() == 24


def test_a_second_index_is_refused_by_the_first_ones_number(
    tmp_path: Path, photos: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    library = str(tmp_path / "library.db")
    for arguments in (["index", str(photos), "-m", "demo"], ["library", "prune"]):
        outcome = run(*arguments, "--library", library)
        assert outcome.code == 1
        assert f"process {writer.pid} is writing the library" in outcome.err
        assert "hint: wait until it ends" in outcome.err
    assert writer.poll() is None
    found = run(
        "search", "--like", str(photos / "00.png"), "--in", str(photos), "--library", library, "-f"
    )
    assert found.code == 0
    assert "searched as it is" in found.err
    assert found.out


def test_edits_while_another_process_indexes_count_once_it_has_ended(
    tmp_path: Path, photos: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    library, first, second = Library(tmp_path / "library.db"), photos / "00.png", photos / "01.png"
    assert library.edit_tags("add", "Luna", [first, second]).is_waiting
    assert library.edit_tags("reject", "Luna", second).is_waiting
    assert library.tags() == []
    assert writer.stdin is not None
    writer.stdin.close()  # nothing more to wait for
    assert writer.wait() == 3
    # The index has found a copy of each, of which the word is too.
    assert [(each.tag, each.photos, each.rejected) for each in library.tags()] == [("Luna", 2, 2)]
    assert library.waiting_edits() == 0


def test_edits_outlive_an_index_that_is_killed(
    tmp_path: Path, photos: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    library, photo = Library(tmp_path / "library.db"), photos / "00.png"
    assert library.edit_tags("add", "Luna", photo).is_waiting
    writer.kill()
    writer.wait()
    assert library.waiting_edits() == 1
    assert not library.edit_tags("add", "Dog", photo).is_waiting
    assert [each.tag for each in library.tags()] == ["Dog", "Luna"]
