"""Two tabs that edit, a search beside them, and an index in a process of its own."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support.albums import noise
from tests.support.commands import PATIENCE_S
from tests.support.routes import routes_over, said
from tests.support.stand_in_checkpoint import use_stand_ins

ROOT = Path(__file__).parents[2]
KNOWN, NEW, EDITS = 5, 31, 23


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_stand_ins(monkeypatch)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(KNOWN):
        noise(photos / f"{number}.png", number)
    with Library(tmp_path / "library.db") as library:
        library.index(photos, model="first")
        library.edit_tags("add", "Sea", [1])
    for number in range(KNOWN, KNOWN + NEW):
        noise(photos / f"{number}.png", number)
    return tmp_path / "library.db"


def tab(client: TestClient, name: str) -> list[Any]:
    """The edits of one tab: each tag is given, and every third taken back."""
    told = []
    for number in range(EDITS):
        ids = [1 + (number + each) % KNOWN for each in range(2)]
        asked = {"do": "add", "tag": f"{name} {number}", "ids": ids, "uuid": f"{name}-{number}"}
        told.append(said(client, "/api/edits", asked))
        if number % 3 == 0:
            undone = {"uuid": f"{name}-{number}-undone"}
            told.append(said(client, f"/api/edits/{name}-{number}/undo", undone))
    return told


def search(client: TestClient) -> list[int]:
    asked = {"q": "", "tags": ["Sea"]}
    return [said(client, "/api/search", asked)["total"] for _ in range(EDITS)]


def check_all(path: Path) -> None:
    with Store(path) as store:
        assert store.check() == []
        uuids = [uuid for (uuid,) in store.rows("SELECT uuid FROM edits ORDER BY id")]
        for name in ("one", "two"):
            mine = [each for each in uuids if each.startswith(f"{name}-")]
            assert len(mine) == len(set(mine)) == EDITS + -(-EDITS // 3)
            for number in range(EDITS):
                ids = {1 + (number + each) % KNOWN for each in range(2)}
                query = "SELECT file_id FROM shown_tags WHERE tag = ?"
                found = {id for (id,) in store.rows(query, (f"{name} {number}",))}
                assert found == (set() if number % 3 == 0 else ids), (name, number)


def test_two_tabs_and_a_search_beside_an_index(path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.beside_index", str(path), str(NEW)]
    pipe = subprocess.PIPE
    with (
        routes_over(path) as client,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as index,
    ):
        assert index.stdin is not None and index.stdout is not None
        assert index.stdout.readline() == "begun\n"
        with ThreadPoolExecutor(3) as pool:
            tabs = [pool.submit(tab, client, name) for name in ("one", "two")]
            totals = pool.submit(search, client).result(PATIENCE_S)
            told = [each for one in tabs for each in one.result(PATIENCE_S)]
        assert index.poll() is None
        assert set(totals) == {1}
        assert any(each["waiting"] for each in told)
        assert all(each["waiting"] or each["edit"] is not None for each in told)
        index.stdin.write("\n")
        index.stdin.close()
        assert index.stdout.readline() == f"{NEW}\n"
        assert index.wait(PATIENCE_S) == 0
        # The index has ended with the edits that came at its last moment, or the next one has.
        said(client, "/api/edits", {"do": "add", "tag": "Last", "ids": [1], "uuid": "last"})
        assert said(client, "/api/status")["waiting"] == 0
    check_all(path)


def test_two_tabs_that_send_the_same_edit_at_once_make_it_once(path: Path) -> None:
    asked = {"do": "add", "tag": "Twice", "ids": [1, 2], "uuid": "twice"}
    with routes_over(path) as client, ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: said(client, "/api/edits", asked), range(16)))
        assert {each["edit"] for each in told} == {2}
        assert {each["changed"] for each in told} == {2}
        codes = pool.map(lambda number: undone(client, f"u{number}"), range(16))
        assert sorted(codes) == [200] + [409] * 15


def undone(client: TestClient, uuid: str) -> int:
    return client.post("/api/edits/twice/undo", json={"uuid": uuid}).status_code
