"""The index beside the page: a process of its own that is told of, stopped, and never left over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mlx_aimv2.files.lock import holder_of, release_lock, take_lock
from mlx_aimv2.library.database.connection import vectors_folder
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.server.app import make_app
from mlx_aimv2.server.process import index_process
from mlx_aimv2.server.service import Service
from tests.support.albums import noise
from tests.support.commands import PATIENCE_S
from tests.support.synthetic import add_photo

ROOT = Path(__file__).parents[2]
PHOTOS = 24
# Stands for the command: it tells that it reads, and goes on until it is stopped.
HELD = """
import json, signal, sys
print(json.dumps({"progress": "found", "count": 9}))
print("no JSON at all")
print(json.dumps({"progress": "read", "count": 4, "of": 9}), flush=True)
try:
    signal.pause()
except KeyboardInterrupt:
    sys.exit(130)
"""
FAILED = """
import sys
sys.stderr.write("skipped: one\\nhint: look\\n" * 1000)
sys.stderr.write("error: the disk is full\\nhint: make room\\n")
sys.exit({code})
"""


def until(what: Callable[[], Any]) -> Any:
    """Wait for something to be so; it is not by chance that it is, only when."""
    end = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.03)
    return found


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with Store(tmp_path / "library.db", can_write=True) as store:
        add_photo(store, "/photos/a.jpg")
    return tmp_path / "library.db"


@pytest.fixture
def stands_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Another program in the place of the command."""

    def put(program: str) -> None:
        command = (sys.executable, "-c", program)
        monkeypatch.setattr(index_process, "_AIMV2", command)

    return put


@pytest.fixture
def service(library: Path) -> Iterator[Service]:
    with Service(library) as service:
        yield service


def index_of(service: Service) -> dict[str, Any]:
    told = TestClient(make_app(service)).get("/api/status").json()["index"]
    assert isinstance(told, dict)
    return told


def post(service: Service, do: object) -> Any:
    return TestClient(make_app(service)).post("/api/index", json={"do": do})


def test_an_index_that_is_started_and_stopped(
    service: Service, stands_for: Callable[[str], None]
) -> None:
    stands_for(HELD)
    assert post(service, "start").json()["index"]["running"]
    told = until(lambda: (found := index_of(service))["left"] and found)
    assert (told["running"], told["here"], told["done"], told["left"]) == (True, True, 4, 5)
    first = service.index_process._child
    post(service, "start")
    assert service.index_process._child is first
    assert post(service, "stop").status_code == 200
    until(lambda: not index_of(service)["running"])
    assert index_of(service)["message"] is None
    assert first is not None and first.returncode == 130
    post(service, "start")
    assert service.index_process._child is not first


def test_an_index_that_cannot_be_started_is_told_and_is_not_running(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(index_process, "_AIMV2", (str(tmp_path / "python"),))  # updated meanwhile
    refused = post(service, "start")
    assert refused.status_code == 422 and "cannot be started" in refused.json()["message"]
    assert not index_of(service)["running"]


@pytest.mark.parametrize("do", [None, "", "both", 1, ["start"]])
def test_what_is_neither(do: object, service: Service) -> None:
    assert post(service, do).status_code == 422
    assert service.index_process._child is None


def test_why_an_index_failed_is_told(service: Service, stands_for: Callable[[str], None]) -> None:
    stands_for(FAILED.format(code=1))
    post(service, "start")
    until(lambda: not index_of(service)["running"])
    told = index_of(service)
    assert (told["message"], told["hint"]) == ("the disk is full", "make room")
    stands_for(FAILED.format(code=3))  # some photos could not be read: they are listed as such
    post(service, "start")
    until(lambda: not index_of(service)["running"])
    assert index_of(service)["message"] is None


def test_an_index_that_dies_without_a_word(
    service: Service, stands_for: Callable[[str], None]
) -> None:
    stands_for("import os; os.abort()")
    post(service, "start")
    until(lambda: not index_of(service)["running"])
    assert index_of(service)["message"] == "the index ended without a word"


def test_it_ends_with_the_page(library: Path, stands_for: Callable[[str], None]) -> None:
    stands_for(HELD)
    with Service(library) as service:
        post(service, "start")
        child = service.index_process._child
        assert child is not None
        until(lambda: index_of(service)["left"])
    assert child.returncode == 130


def test_one_that_does_not_end_is_killed(
    library: Path, stands_for: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_process, "_ENDING_S", 0.05)
    stands_for(f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{HELD}")
    with Service(library) as service:
        post(service, "start")
        child = service.index_process._child
        assert child is not None
        until(lambda: index_of(service)["left"])
    assert child.returncode == -signal.SIGKILL


def test_another_process_that_writes_is_seen(service: Service, library: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from mlx_aimv2.library.database.store import Store\n"
        "with Store(Path(sys.argv[1]), can_write=True): print('holds', flush=True); input()"
    )
    assert not index_of(service)["running"]
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(library)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "holds\n"
        told = index_of(service)
        assert (told["running"], told["here"]) == (True, False)
        answer = post(service, "start")
        assert (answer.status_code, answer.json()["error"]) == (503, "busy")
        assert str(other.pid) in answer.json()["message"]
        other.communicate("\n")
    assert not index_of(service)["running"]


def test_this_process_writing_is_no_index(service: Service, library: Path) -> None:
    with Store(library, can_write=True):
        assert not index_of(service)["running"]


def test_looking_at_a_lock_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    lock = take_lock(tmp_path / "folder", "a test")
    assert holder_of(tmp_path / "folder") == os.getpid()
    assert holder_of(tmp_path / "folder", [os.getpid()]) is None
    release_lock(lock)
    for _ in range(3):
        assert holder_of(tmp_path / "folder") is None
        release_lock(take_lock(tmp_path / "folder", "a test"))
    assert holder_of(tmp_path / "nowhere") is None
    (tmp_path / "folder/lock").write_text("x\n")
    assert holder_of(tmp_path / "folder") is None


@pytest.fixture
def album(tmp_path: Path) -> Path:
    (tmp_path / "album").mkdir()
    for number in range(PHOTOS):
        noise(tmp_path / f"album/{number}.png", number)
    return tmp_path / "album"


def test_a_library_is_brought_up_to_date(album: Path) -> None:
    library = album.parent / "real.db"
    words = ["index", str(album), "--model", "demo", "--library", str(library), "--quiet"]
    subprocess.run([*index_process._AIMV2, *words], check=True, timeout=PATIENCE_S)
    for number in range(PHOTOS, PHOTOS + 7):
        noise(album / f"{number}.png", number)
    with Service(library) as service:
        before = service.version()
        post(service, "start")
        until(lambda: not service.index_process.state().is_running)
        assert index_of(service)["message"] is None
        assert service.counts().files == PHOTOS + 7
        assert service.version() != before


def test_an_index_to_which_nobody_listens_any_more_ends(album: Path) -> None:
    """As where the page was killed: what was done stays, and the next run goes on."""
    library = album.parent / "real.db"
    words = ["index", str(album), "--model", "demo", "--library", str(library)]
    steps = [sys.executable, "-m", "tests.support.slow_index", "step", *words]
    with subprocess.Popen(
        [*steps, "--json", "--progress"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, cwd=ROOT, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None and child.stdin is not None
        for more in ("\n", "\n", ""):  # before the first batch, and after two
            while child.stdout.readline() != "waits\n":
                pass
            child.stdin.write(more)
            child.stdin.flush()
        child.stdout.close()
        child.stdin.close()  # it goes on
        assert child.wait(PATIENCE_S) == 130  # as by Ctrl-C
    assert holder_of(vectors_folder(library)) is None
    with Store(library) as store:
        assert 8 <= store.counts().files < PHOTOS
        assert store.check() == []
    subprocess.run([*index_process._AIMV2, *words, "--quiet"], check=True, timeout=PATIENCE_S)
    with Store(library) as store:
        assert store.counts().files == PHOTOS
