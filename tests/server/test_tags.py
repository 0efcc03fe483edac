"""Tags of the page: what there are, what a selection has, and photos to say yes or no to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlx_aimv2.library.database.store import Store
from tests.support.routes import routes_over, said
from tests.support.synthetic import add_photo

COUNT = 7
RUN = "vocabulary everyday"


def hash_of(store: Store, id: int) -> bytes:
    hash = store.last_hash(id)
    assert hash is not None
    return hash


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Store(tmp_path / "library.db", can_write=True) as store:
        for number in range(COUNT):
            add_photo(store, f"/p/{number}.jpg")
        store.add_tags(RUN, [(1, "Boat", 0.9), (2, "boat", 0.6), (3, "Boat", 0.7), (4, "Sea", 0.8)])
        store.add_tags("file", [(2, "Boat", None), (4, "Boat", None), (5, "<img onerror>", None)])
        store.say(hash_of(store, 3), "Boat", "rejected")
        store.say(hash_of(store, 6), "Boat", "added")
        store.say(hash_of(store, 1), "Boat", "confirmed")
        store.teach("Luna", None)
        store.run("INSERT INTO vocabularies VALUES ('mine', 'Owl\nBoat\nLuna', NULL, NULL, 'then')")
    return tmp_path / "library.db"


@pytest.fixture
def client(path: Path) -> Iterator[TestClient]:
    with routes_over(path) as opened:
        yield opened


def test_all_tags_are_counted_and_those_to_come_are_known(client: TestClient) -> None:
    told = said(client, "/api/tags")
    assert told["tags"] == [
        {
            "tag": "Boat",
            "photos": 4,
            "origins": {"you": 2, "file": 2, RUN: 2},
            "rejected": 1,
            "taught": False,
        },
        {
            "tag": "<img onerror>",
            "photos": 1,
            "origins": {"file": 1},
            "rejected": 0,
            "taught": False,
        },
        {"tag": "Sea", "photos": 1, "origins": {RUN: 1}, "rejected": 0, "taught": False},
        {"tag": "Luna", "photos": 0, "origins": {}, "rejected": 0, "taught": True},
    ]
    assert told["known"] == ["Owl"]
    again = client.get("/api/tags", headers={"If-None-Match": f'"{told["version"]}"'})
    assert (again.status_code, again.content) == (304, b"")
    said(client, "/api/edits", {"do": "add", "uuid": "1", "ids": [1], "tag": "Owl"})
    answer = client.get("/api/tags", headers={"If-None-Match": f'"{told["version"]}"'})
    assert answer.status_code == 200 and answer.json()["known"] == []


def test_a_selection_has_tags_by_some_or_all_of_its_photos(client: TestClient) -> None:
    told = said(client, "/api/tags/of", {"ids": [1, 2, 3, 6, 99, 1]})
    assert told == {"count": 4, "tags": [{"tag": "boat", "have": 3}]}
    told = said(client, "/api/tags/of", {"ids": [4, 5]})
    assert told["tags"] == [
        {"tag": "<img onerror>", "have": 1},
        {"tag": "Boat", "have": 1},
        {"tag": "Sea", "have": 1},
    ]
    assert said(client, "/api/tags/of", {"ids": [99]}) == {"count": 0, "tags": []}
    assert said(client, "/api/tags/of", {}, status=422)["error"] == "invalid"
