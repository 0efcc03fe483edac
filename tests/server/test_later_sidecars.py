"""Sidecars that are written after an edit was answered: none is forgotten when that ends."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.database.captions import Origin
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.later import Later
from mlx_aimv2.library.editing.request import Request
from mlx_aimv2.library.editing.waiting import keep_waiting
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.tagging.tag_sidecars import write_sidecar
from mlx_aimv2.server.service import Service
from tests.support.albums import noise
from tests.support.stand_in_checkpoint import use_stand_ins

COUNT = 5


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of photos that each have a tag, and a sidecar that says so; but for the last."""
    use_stand_ins(monkeypatch)
    (tmp_path / "photos").mkdir()
    for number in range(COUNT + 1):
        noise(tmp_path / "photos" / f"{number}.png", number)
    with Library(tmp_path / "library.db") as library:
        library.index(tmp_path / "photos", model="first")
        library.edit_tags("add", "Old", range(1, COUNT + 2))
        with library._writing() as store:
            for file in list(store.files("id <= ?", (COUNT,))):
                assert write_sidecar(store, file, file.path + b".xmp", ["Old"]) is not None
    return tmp_path / "library.db"


@pytest.fixture
def service(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A page's library whose sidecars are written only when the test says so."""
    monkeypatch.setattr(Later, "wake", lambda self: None)
    with Service(path) as opened:
        yield opened


def saying(path: Path, tag: str) -> int:
    """How many sidecars have a tag."""
    sidecars = list((path.parent / "photos").glob("*.xmp"))
    assert len(sidecars) == COUNT
    return sum(tag in each.read_text(encoding="utf-8") for each in sidecars)


def behind(path: Path) -> list[int]:
    with Store(path) as store:
        return store.sidecars_behind()


def test_an_edit_is_answered_before_its_sidecars_are_written(service: Service) -> None:
    path = service.path
    edited = service.edit_tags("add", "Luna", range(1, COUNT + 2), uuid="luna")
    assert edited.changed == COUNT + 1 and edited.sidecars == ()
    assert saying(path, "Luna") == 0 and len(behind(path)) == COUNT + 1
    assert service.write_sidecars_behind(2)
    assert saying(path, "Luna") == 2 and len(behind(path)) == COUNT - 1
    while service.write_sidecars_behind(2):
        pass
    assert saying(path, "Luna") == COUNT and behind(path) == []
    assert edited.number is not None
    service.undo_tags(edited.number)
    assert saying(path, "Luna") == COUNT and len(behind(path)) == COUNT + 1
    service.write_sidecars_behind(99)
    assert saying(path, "Luna") == 0 and saying(path, "Old") == COUNT


def test_whoever_writes_next_writes_what_a_process_left_behind(service: Service) -> None:
    path = service.path
    service.edit_tags("add", "Luna", range(1, COUNT + 1))
    service.write_sidecars_behind(1)
    with Library(path) as library:  # the page was killed
        edited = library.edit_tags("add", "Sea", [1])
        assert len(edited.sidecars) == 1
    assert saying(path, "Luna") == COUNT and saying(path, "Sea") == 1 and behind(path) == []


def test_a_caption_that_waited_is_written_too(service: Service) -> None:
    path = service.path
    with service._writing() as store:
        hash = store.last_hash(1)
        [sidecar] = store.one("SELECT path FROM sidecars WHERE file_id = 1")
        store.run("UPDATE sidecars SET has_caption = 1 WHERE file_id = 1")
    assert hash is not None
    row: tuple[bytes, Origin, str, None, None] = (hash, "program", "a red boat", None, None)
    keep_waiting(path, Request("describe", "captions", captions=(row,), is_part=True))
    with service._writing():
        pass
    assert behind(path) == [1]
    assert service.write_sidecars_behind(99)
    assert b"a red boat" in Path(os.fsdecode(sidecar)).read_bytes()


def test_a_sidecar_that_cannot_be_written_is_not_tried_for_ever(service: Service) -> None:
    broken = service.path.parent / "photos" / "0.png.xmp"
    broken.write_text("<no", encoding="utf-8")
    service.edit_tags("add", "Luna", range(1, COUNT + 1))
    assert service.write_sidecars_behind(99)
    assert not service.write_sidecars_behind(99)
    assert saying(service.path, "Luna") == COUNT - 1


def test_a_library_without_sidecars_has_none_to_write(path: Path) -> None:
    with Library(path) as library:
        with library._writing() as store:
            store.run("DELETE FROM sidecars")
        with Service(path) as service:
            service.edit_tags("add", "Luna", range(1, COUNT + 2))
    assert behind(path) == []


def test_the_background_ends_by_itself_and_begins_again() -> None:
    turns: list[int] = []
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def turn() -> bool:
        turns.append(len(turns))
        begun.set()
        assert go_on.wait(60)
        if len(turns) == 2:
            raise UsageError("this turn fails")
        if len(turns) == 4:
            ended.set()
        return len(turns) == 3

    later = Later(turn)
    later.wake()
    assert begun.wait(60)
    later.wake()  # while it runs: once more
    go_on.set()
    while later._is_running:
        pass
    assert turns == [0, 1]  # the second turn failed, and waits to be woken again
    later.wake()
    assert ended.wait(60)
    assert turns == [0, 1, 2, 3]
