"""A converted folder appears whole or not at all, whatever ends the run that writes it."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlx_aimv2.checkpoints import safetensors_file
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.checkpoints.weights import Weights
from mlx_aimv2.errors import OutputError
from mlx_aimv2.files import lock
from mlx_aimv2.files.atomic_folder import staged
from tests.support import makers
from tests.support.commands import PATIENCE_S
from tests.support.counted import Alive
from tests.support.users import as_ordinary_user

ROOT = Path(__file__).parents[2]
TARGET_FILES = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]


@pytest.fixture
def source(tmp_path):
    return makers.write_checkpoint(
        tmp_path / "source", makers.random_vision(), makers.vision_config()
    )


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(folder):
    (folder / "weights").write_bytes(b"whole")


def left_by(target, content=b"half"):
    """What a run for a target leaves when it is killed."""
    folder = target.with_name(f".{target.name}.partial-00c0ffee")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(content)
    return folder


def test_nothing_is_seen_before_the_end_and_everything_after_it(tmp_path):
    target = tmp_path / "made" / "on the way" / "target"
    with staged(target) as folder:
        fill(folder)
        assert folder.parent == target.parent
        assert folder.name.startswith(".target.partial-")
        assert not target.exists()
    assert names_in(target.parent) == ["target"]
    assert (target / "weights").read_bytes() == b"whole"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_block_that_fails_leaves_nothing(tmp_path, error):
    with pytest.raises(error), staged(tmp_path / "target") as folder:
        fill(folder)
        (folder / "sub").mkdir()
        raise error
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_what_exists_is_refused_before_anything_is_done(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("mine")
    elif kind == "dangling link":
        target.symlink_to("nowhere")
    else:
        target.mkdir()
        if kind == "folder":
            (target / "mine").write_text("mine")
    # The source is not even looked at.
    with pytest.raises(OutputError, match="target exists already") as caught:
        convert(tmp_path / "no source", target)
    assert "another folder" in caught.value.hint
    assert names_in(tmp_path) == ["target"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_target_that_appears_meanwhile_is_kept(tmp_path, kind):
    target = tmp_path / "target"
    with pytest.raises(OutputError, match="exists already"), staged(target) as folder:
        fill(folder)
        if kind == "file":
            target.write_text("mine")
        else:
            target.mkdir()
            (target / "mine").write_text("mine")
    assert names_in(tmp_path) == ["target"]
    assert (target if kind == "file" else target / "mine").read_text() == "mine"


def test_of_two_runs_for_one_target_one_wins_and_the_other_says_so(tmp_path, source):
    met = threading.Barrier(2)
    results = []

    def run():
        try:
            wait = lambda done, _: met.wait(PATIENCE_S) if done == 2 else None  # noqa: E731
            results.append(convert(source, tmp_path / "target", on_weight=wait))
        except OutputError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error,) = (result for result in results if isinstance(result, OutputError))
    assert "exists already" in str(error)
    assert names_in(tmp_path) == ["source", "target"]
    load_checkpoint(tmp_path / "target")


def test_what_a_killed_run_left_is_removed_but_not_what_is_alive_or_others(tmp_path):
    target = tmp_path / "tar[g]et*"
    abandoned = left_by(target)
    others = [left_by(tmp_path / "other"), left_by(tmp_path / "target")]
    outside = tmp_path / "outside"
    outside.mkdir()
    target.with_name(f".{target.name}.partial-link").symlink_to(outside)
    alive = target.with_name(f".{target.name}.partial-a11fe000")
    alive.mkdir()
    owner = os.open(alive, os.O_RDONLY)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX)
        with staged(target) as folder:
            fill(folder)
    finally:
        os.close(owner)
    assert not abandoned.exists()
    assert target.exists()
    assert all(folder.exists() for folder in (alive, outside, *others))


def test_a_folder_taken_for_abandoned_before_it_is_opened_is_made_again(tmp_path, monkeypatch):
    opened, removed = os.open, []

    def remove_first(path, *arguments, **options):
        if not removed:
            removed.append(path)
            path.rmdir()
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", remove_first)
    with staged(tmp_path / "target") as folder:
        fill(folder)
    assert folder != removed[0]
    assert names_in(tmp_path) == ["target"]


def test_a_folder_taken_for_abandoned_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    flock, taken = fcntl.flock, []

    def remove_first(descriptor, operation):
        if not taken:
            (folder,) = tmp_path.iterdir()
            folder.rmdir()
            taken.append(folder)
        flock(descriptor, operation)

    monkeypatch.setattr(lock.fcntl, "flock", remove_first)
    with staged(tmp_path / "target") as folder:
        fill(folder)
        assert folder != taken[0]
    assert names_in(tmp_path) == ["target"]


def test_a_file_system_without_locks_still_works_and_removes_nothing(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    left = left_by(tmp_path / "target")
    with staged(tmp_path / "target") as folder:
        fill(folder)
    assert names_in(tmp_path) == [left.name, "target"]


# Where nothing can be written


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENOSPC, "make room"), (errno.EIO, "choose another folder")]
)
def test_a_disk_that_refuses(tmp_path, source, number, hint):
    def refuse(done, total):
        if done == 3:
            raise OSError(number, os.strerror(number))

    with pytest.raises(OutputError, match=os.strerror(number)) as caught:
        convert(source, tmp_path / "target", on_weight=refuse)
    assert hint in caught.value.hint
    assert names_in(tmp_path) == ["source"]


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="a file is in the way"):
        staged(tmp_path / "file" / "target").__enter__()
    with pytest.raises(OutputError, match="a file is in the way"):
        staged(tmp_path / "file" / "below" / "target").__enter__()


@as_ordinary_user
def test_a_parent_that_may_not_be_written(tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="Permission denied") as caught:
        staged(parent / "target").__enter__()
    assert "folder of your own" in caught.value.hint


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(OutputError, match="too long"):
        staged(tmp_path / ("x" * 250)).__enter__()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs root, who may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk, source):
    with pytest.raises(OutputError, match="No space left on device") as caught:
        convert(source, small_disk / "target")
    assert "make room" in caught.value.hint
    assert names_in(small_disk) == []


# In processes of their own

LIMITED = """
import resource, sys
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    convert(sys.argv[1], sys.argv[2])
except OutputError as error:
    print(error)
"""


def test_a_file_that_may_not_grow(tmp_path, source):
    target = tmp_path / "target"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, source, target], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.strip() == f"{target} cannot be written: {os.strerror(errno.EFBIG)}"
    assert names_in(tmp_path) == ["source"]


# Stops for good at a moment, and says so.
STOPPED = """
import sys, time
from mlx_aimv2.checkpoints import convert as conversion
from mlx_aimv2.files import atomic_folder
source, target, moment = sys.argv[1:]

def stop(*_, **__):
    print("stopped", flush=True)
    while True:
        time.sleep(600)

def stop_after(function):
    return lambda *arguments: (function(*arguments), stop())

def on_weight(done, total):
    if moment in (f"weight {done}", f"weight {done - total}"):
        stop()

if moment == "made":
    conversion.write_weights = stop
elif moment == "written":
    atomic_folder._sync_all = stop
elif moment == "renamed":
    atomic_folder._publish = stop_after(atomic_folder._publish)
conversion.convert(source, target, on_weight=on_weight)
"""


@pytest.mark.parametrize("moment", ["made", "weight 1", "weight 13", "weight 0", "written"])
def test_killed_before_the_end(tmp_path, source, moment):
    target = tmp_path / "target"
    kill_at(moment, source, target)
    left = [name for name in names_in(tmp_path) if name != "source"]
    assert len(left) == 1
    assert re.fullmatch(r"\.target\.partial-[0-9a-f]{8}", left[0])
    convert(source, target)
    assert names_in(tmp_path) == ["source", "target"]
    assert names_in(target) == TARGET_FILES


def test_killed_after_the_end(tmp_path, source):
    kill_at("renamed", source, tmp_path / "target")
    assert names_in(tmp_path) == ["source", "target"]
    assert names_in(tmp_path / "target") == TARGET_FILES
    load_checkpoint(tmp_path / "target")


def kill_at(moment, source, target):
    command = [sys.executable, "-c", STOPPED, source, target, moment]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "stopped\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL


# Memory


@pytest.mark.parametrize("options", [{}, {"dtype": "float16"}, {"quantize_bits": 4}])
def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch, options):
    """One tensor is read, written and gone before the next."""
    sizes = {"width": 128, "mlp": 192, "blocks": 7, "heads": 1, "patch": 14, "side": 28}
    source = makers.write_checkpoint(tmp_path / "source", makers.random_vision(sizes=sizes), None)
    arrays, bits = Alive(), Alive()
    read, to_bits = Weights.read, safetensors_file.to_bits

    def noted(self, names):
        for name, array in read(self, names):
            arrays.note(array)
            yield name, array

    def written(array):
        made = to_bits(array)
        bits.note(made)
        return made

    monkeypatch.setattr(Weights, "read", noted)
    monkeypatch.setattr(safetensors_file, "to_bits", written)
    convert(source, tmp_path / "target", **options)
    assert min(arrays.noted, bits.noted) >= 7 * 7
    assert arrays.most <= 3
    assert bits.most <= 2
