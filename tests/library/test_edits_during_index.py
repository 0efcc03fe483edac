"""Edits beside an index: they count within a photo, and a kill at any moment loses none."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.waiting import keep_waiting, waiting_path
from mlx_aimv2.library.indexing.indexer import Indexer
from mlx_aimv2.library.library import Library
from tests.support.albums import noise
from tests.support.commands import PATIENCE_S
from tests.support.folding_index import AT, edits
from tests.support.stand_in_checkpoint import use_stand_ins

ROOT = Path(__file__).parents[2]
NEW = 7
MADE = ["Old added to 1 photo", "Luna added", "undone: Old added to 1 photo", "no Sea"]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """A library of one photo with an edit, and photos beside it that are to be indexed."""
    use_stand_ins(monkeypatch)
    (tmp_path / "photos").mkdir()
    noise(tmp_path / "photos" / "0.png", 0)
    with Library(tmp_path / "library.db") as opened:
        opened.index(tmp_path / "photos", model="first")
        opened.edit_tags("add", "Old", [1])
        for number in range(1, NEW + 1):
            noise(tmp_path / "photos" / f"{number}.png", number)
        yield opened


def said(library: Library) -> list[str]:
    return [each.said for each in reversed(library.tag_history())]


def tags(library: Library) -> dict[str, list[str]]:
    with Store(library.path) as store:
        return store.origins_of([1])[1]


def test_edits_that_wait_are_made_between_two_photos(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, place = edits(library), Indexer._place_sample
    seen: list[tuple[int, dict[str, list[str]], bool]] = []

    def place_then(self: Indexer, *arguments: Any) -> None:
        with Store(library.path) as store:
            files = store.counts().files
        seen.append((files, tags(library), waiting_path(library.path).exists()))
        place(self, *arguments)
        if len(seen) == AT:
            for each in kept:
                keep_waiting(library.path, each)

    monkeypatch.setattr(Indexer, "_place_sample", place_then)
    assert library.index().embedded == NEW
    assert seen[AT - 1] == (1, {"Old": ["you"]}, False)
    assert seen[AT + 1] == (2 + AT, {"Luna": ["you"]}, False)  # with what was read until then
    assert seen[-1][0] == 2 + AT  # nothing else waits: photos are kept by many again
    assert said(library) == MADE


def test_an_edit_that_cannot_be_made_holds_up_no_index(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, place, commits = Indexer._commit, Indexer._place_sample, 0

    def place_then(self: Indexer, *arguments: Any) -> None:
        place(self, *arguments)
        waiting_path(library.path).write_bytes(b'{"kind": "paint", "colour": "red"}\n')

    def counted(self: Indexer) -> None:
        nonlocal commits
        commits += 1
        commit(self)

    with monkeypatch.context() as patch:
        patch.setattr(Indexer, "_place_sample", place_then)
        patch.setattr(Indexer, "_commit", counted)
        patch.setattr("mlx_aimv2.library.editing.editable.waiting_stamp", lambda path: (1, 1)
                      if waiting_path(path).exists() else None)  # fmt: skip
        assert library.index().embedded == NEW
    assert commits == 2
    assert library.path.with_name("library.db.edits").exists()


@pytest.mark.parametrize(
    "moment", ["said 1", "said 2", "made 1", "made 2", "made 3", "forgetting 1", "forgotten 1"]
)
def test_a_kill_while_an_index_makes_them_loses_none_and_makes_none_twice(
    library: Library, moment: str
) -> None:
    command = [sys.executable, "-m", "tests.support.folding_index", str(library.path)]
    killed = subprocess.run([*command, *moment.split()], cwd=ROOT, check=False, timeout=PATIENCE_S)
    assert killed.returncode == -signal.SIGKILL
    with Store(library.path) as store:
        assert store.check() == []
    assert library.index().found == 1 + NEW
    assert said(library) == MADE
    assert tags(library) == {"Luna": ["you"]}
    assert not waiting_path(library.path).exists()
