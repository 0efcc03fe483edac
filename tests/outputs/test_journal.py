"""Runs that are stopped, killed or in each other's way, and what is left of them."""

import errno
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlx_aimv2.errors import Aimv2Error, OutputError, UsageError
from mlx_aimv2.files import lock
from mlx_aimv2.files.stamp import Stamp, stamp_of
from mlx_aimv2.inference.records import Sample
from mlx_aimv2.outputs.embeddings import Entry, Table
from mlx_aimv2.outputs.journal import Journal, open_journal
from tests.support.journal_run import COUNT, NAMES, SETTINGS, WIDTH, entry_of, run
from tests.support.names import takes_any_bytes
from tests.support.outputs import sample_of, write


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves that nothing happens to, here of two files: written at once."""
    target = tmp_path_factory.mktemp("undisturbed") / "photos.npy"
    entries = [
        Entry(os.fsdecode(name), error="is a folder") if name == NAMES[11] else entry_of(name)
        for name in NAMES
    ]
    write(Table(SETTINGS, lambda: iter(entries)), target)
    return target


def begin(target: Path, **options: bool) -> None:
    """A run that is begun and does nothing."""
    with open_journal(target, **options):
        pass


def assert_like(undisturbed: Path, folder: Path) -> None:
    """The same files with the same bytes, and nothing else."""
    expected = {file.name: file.read_bytes() for file in undisturbed.parent.iterdir()}
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == expected


def test_a_run_ends_as_if_all_was_written_at_once(undisturbed: Path, tmp_path: Path) -> None:
    with open_journal(tmp_path / undisturbed.name) as journal:
        run(journal)
        summary = journal.publish(SETTINGS)
    assert_like(undisturbed, tmp_path)
    failed = len([name for name in NAMES if entry_of(name).error])
    assert (summary.count, summary.width) == (COUNT - failed - 1, WIDTH)


def test_a_target_may_have_any_name(undisturbed: Path, tmp_path: Path) -> None:
    if not takes_any_bytes(tmp_path):
        pytest.skip("needs a file system that takes any bytes")
    target = tmp_path / os.fsdecode(b"caf\xe9 {}%s.npy")
    with open_journal(target) as journal:
        run(journal)
        journal.publish(SETTINGS)
    assert target.read_bytes() == undisturbed.read_bytes()


def test_a_stopped_run_goes_on_where_it_was(undisturbed: Path, tmp_path: Path) -> None:
    target = tmp_path / undisturbed.name
    with open_journal(target) as journal:
        run(journal, 100)
    assert not target.exists()
    with open_journal(target, resume=True) as journal:
        done = journal.done
        assert 90 < done < 100
        assert len(run(journal)) == COUNT - 1 - done
        journal.publish(SETTINGS)
    assert_like(undisturbed, tmp_path)


def test_what_was_left_is_used_or_thrown_away_only_when_asked(tmp_path: Path) -> None:
    target = tmp_path / "photos.npz"
    with open_journal(target) as journal:
        run(journal, 20)
    with pytest.raises(OutputError, match=r"stopped before its end, with 19 done") as caught:
        begin(target)
    assert "--resume" in caught.value.hint
    assert "--force" in caught.value.hint
    with open_journal(target, resume=True, force=True) as journal:
        assert journal.done == 19
    with open_journal(target, force=True) as journal:
        assert journal.done == 0
    assert not list(tmp_path.iterdir())


def test_a_run_that_has_done_nothing_leaves_nothing(tmp_path: Path) -> None:
    with open_journal(tmp_path / "photos.npz") as journal:
        journal.set_inputs([(b"a", None)])
        journal.match(SETTINGS)
        journal.add(b"a", None, sample_of(Entry("a", error="is empty")))
    assert not list(tmp_path.iterdir())


def test_changed_and_failed_inputs_are_done_again(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.jpg" for i in range(4)]
    names = [os.fsencode(file) for file in files]
    for file in files[:3]:
        file.write_bytes(b"pixels")

    def run(journal: Journal) -> list[bytes]:
        journal.set_inputs((name, None) for name in names)
        done = list(journal.pending(stamp_of))
        for name, now in done:
            if Path(os.fsdecode(name)).exists():
                sample = Sample(0, "", embedding=np.zeros(3, np.float32))
            else:
                sample = Sample(0, "", error=Aimv2Error("does not exist"))
            journal.add(name, now, sample)
        return [name for name, _ in done]

    with open_journal(tmp_path / "photos.npz") as journal:
        assert run(journal) == names
    os.utime(files[1], ns=(7, 7))
    files[2].write_bytes(b"more pixels")
    with open_journal(tmp_path / "photos.npz", resume=True) as journal:
        assert run(journal) == names[1:]
        files[0].unlink()  # or its disk does not answer: what is done stays done
        assert [name for name, _ in journal.pending(stamp_of)] == [names[3]]


def test_the_order_and_number_of_inputs_is_the_last_walks(tmp_path: Path) -> None:
    target = tmp_path / "photos.npz"
    with open_journal(target) as journal:
        run(journal, 50)
    with open_journal(target, resume=True) as journal:
        journal.set_inputs((name, None) for name in [NAMES[9], NAMES[60], NAMES[2], NAMES[9]])
        for name, now in journal.pending(lambda name: Stamp(len(name), 5)):
            journal.add(name, now, sample_of(entry_of(name)))
        journal.publish(SETTINGS)
    expected = [entry_of(NAMES[i]).read() for i in (9, 60, 2, 9)]
    with np.load(target) as arrays:
        np.testing.assert_array_equal(arrays["embeddings"], np.stack(expected))


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    target = tmp_path / "photos.npz"
    with open_journal(target) as journal:
        run(journal, 5)
    other = {"checkpoint": "lit", "preprocessing": {"preset": "ml-aim"}, "pooling": "mean"}
    with open_journal(target, resume=True) as journal:
        with pytest.raises(UsageError) as caught:
            journal.match(other)
        journal.match(SETTINGS)
    for change in (
        "dtype was float32, is None",
        "preprocessing.preset was hub, is ml-aim",
        "pooling was None, is mean",
    ):
        assert change in str(caught.value)
    assert "checkpoint" not in str(caught.value)


def test_a_file_system_without_locks_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    target = tmp_path / "photos.npz"
    with open_journal(target) as journal:
        run(journal)
        journal.publish(SETTINGS)
    assert list(tmp_path.iterdir()) == [target]


def test_a_second_writer_is_told_who_is_writing(tmp_path: Path) -> None:
    target = tmp_path / "photos.npz"
    with open_journal(target) as journal:
        run(journal, 5)
        for options in ({}, {"resume": True}, {"force": True}):
            with pytest.raises(OutputError, match=f"process {os.getpid()} is writing"):
                begin(target, **options)
        begin(tmp_path / "others.npz")
    begin(target, resume=True)


def test_a_target_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "photos.npz"
    with open_journal(target) as journal:
        run(journal)
        target.write_text("mine")
        with pytest.raises(OutputError, match="exists already") as caught:
            journal.publish(SETTINGS)
    assert caught.value.hint.endswith("--resume --force replaces it")
    assert target.read_text() == "mine"
    with pytest.raises(OutputError, match="exists already"):
        begin(target, resume=True)
    with open_journal(target, resume=True, force=True) as journal:
        assert not [name for name in run(journal) if entry_of(name).read]
        journal.publish(SETTINGS)
    assert np.load(target)["embeddings"].shape[1] == WIDTH


def test_a_run_that_may_replace_stays_allowed_to(tmp_path: Path) -> None:
    target = tmp_path / "photos.npz"
    target.write_text("old")
    with open_journal(target, force=True) as journal:
        run(journal, 9)
    assert target.read_text() == "old"
    with open_journal(target, resume=True) as journal:
        run(journal)
        journal.publish(SETTINGS)
    assert np.load(target)["embeddings"].shape[1] == WIDTH


# Damage


@pytest.mark.parametrize("damage", [b"no database" * 99, None])
def test_a_journal_that_cannot_be_read_is_said_to_be_so(
    damage: bytes | None, tmp_path: Path
) -> None:
    target = tmp_path / "photos.npz"
    with open_journal(target) as journal:
        run(journal, 60)
    database = tmp_path / ".photos.npz.partial" / "journal.sqlite"
    if damage:
        database.write_bytes(damage)
    else:
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    with pytest.raises(OutputError) as caught:
        begin(target, resume=True)
    assert "start again with --force" in caught.value.hint
    with open_journal(target, force=True) as journal:
        assert len(run(journal)) == COUNT - 1


def test_a_journal_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / ".photos.npz.partial").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written: a file is in the way"):
        begin(tmp_path / "photos.npz")


# Processes that end

Process = subprocess.Popen[str]


def start(target: Path, moment: str = "", **options: Any) -> Process:
    command = [sys.executable, "-m", "tests.support.journal_run", str(target), moment]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("moment", ["committing", "staged", "placing", "placed"])
def test_a_kill_at_any_moment_leaves_nothing_half_made(
    moment: str, undisturbed: Path, tmp_path: Path
) -> None:
    target = tmp_path / undisturbed.name
    with start(target, moment) as killed:
        _, errors = killed.communicate()
    assert killed.returncode == -9, errors
    assert target.exists() == (moment == "placed")
    with start(target) as resumed:
        _, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    assert_like(undisturbed, tmp_path)


def test_kills_again_and_again_change_nothing(undisturbed: Path, tmp_path: Path) -> None:
    target = tmp_path / undisturbed.name
    for added in (1, 37, 2, 101):  # of 211; each run goes on where the last was kept
        with start(target, f"added {added}") as process:
            _, errors = process.communicate()
        assert process.returncode == -9, errors
        assert not target.exists()
    with start(target) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert_like(undisturbed, tmp_path)


@pytest.mark.parametrize(("size_bytes", "least"), [(1_000, 0), (100_000, 0), (450_000, 100)])
def test_a_disk_that_fails_keeps_what_is_done(
    size_bytes: int, least: int, undisturbed: Path, tmp_path: Path
) -> None:
    target = tmp_path / undisturbed.name

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    with start(target, preexec_fn=limit) as stopped:
        _, errors = stopped.communicate()
    assert stopped.returncode == 1
    assert f"OutputError: {target} cannot be written" in errors
    with open_journal(target, resume=True) as journal:
        assert journal.done >= least
    with start(target) as resumed:
        _, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    assert_like(undisturbed, tmp_path)


def test_a_full_disk_is_said_to_be_full(undisturbed: Path, tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1000k", "tmpfs", str(tmp_path)]
    if not shutil.which("mount") or subprocess.call(mount, stderr=subprocess.DEVNULL):
        pytest.skip("needs root, who may mount a small disk")
    target = tmp_path / undisturbed.name
    try:
        filling = tmp_path / "other"
        for free_bytes in (8_000, 100_000, 300_000, 690_000):
            filling.write_bytes(bytes(1000 * 1024 - free_bytes))
            with start(target) as stopped:
                _, errors = stopped.communicate()
            assert stopped.returncode == 1
            assert f"OutputError: {target} cannot be written" in errors
            assert re.search("No space left on device|disk is full|unable to open", errors)
            left = [file.name for file in tmp_path.iterdir() if file != filling]
            assert left in ([], [f".{target.name}.partial"])
            filling.unlink()
        assert left, "something was done before the disk was full"
        subprocess.run(["mount", "-o", "remount,size=4m", str(tmp_path)], check=True)
        with start(target) as resumed:
            _, errors = resumed.communicate()
        assert resumed.returncode == 0, errors
        assert_like(undisturbed, tmp_path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
