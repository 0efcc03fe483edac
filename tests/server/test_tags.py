"""Tags of the page: what there are, what a selection has, and photos to say yes or no to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from starlette.testclient import TestClient

from mlx_aimv2.library.database.store import Store
from tests.support.routes import routes_over, said
from tests.support.statements import counted_statements
from tests.support.synthetic import add_photo, add_set, fill

COUNT = 7
SCHOOL, ALIKE, WIDTH = 397, 13, 31
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
    assert told == {"count": 4, "tags": [{"tag": "Boat", "have": 3}]}
    told = said(client, "/api/tags/of", {"ids": [4, 5]})
    assert told["tags"] == [
        {"tag": "<img onerror>", "have": 1},
        {"tag": "Boat", "have": 1},
        {"tag": "Sea", "have": 1},
    ]
    assert said(client, "/api/tags/of", {"ids": [99]}) == {"count": 0, "tags": []}
    assert said(client, "/api/tags/of", {}, status=422)["error"] == "invalid"


def review(client: TestClient, tag: str, kind: str, **asked: int) -> Any:
    return said(client, f"/api/tags/{quote(tag, safe='')}/review?kind={kind}{query(asked)}")


def query(asked: dict[str, int]) -> str:
    return "".join(f"&{name}={value}" for name, value in asked.items())


def ids(told: Any) -> list[int]:
    return [hit[0] for hit in told["hits"]]


def test_photos_of_a_tag_come_least_sure_first_and_those_said_no_to_apart(
    client: TestClient,
) -> None:
    sure = review(client, "Boat", "sure")
    assert [hit[::2][:2] for hit in sure["hits"]] == [[1, None], [2, None], [4, None], [6, None]]
    assert sure["counts"] == {"sure": 4, "ask": 0, "no": 1} and sure["verdicts"] == 3
    assert (sure["taught"], sure["tag"], sure["total"]) == (None, "Boat", 4)
    assert ids(review(client, "boat", "no")) == [3]
    asked = {"do": "remove", "uuid": "1", "ids": [6], "tag": "Boat"}
    said(client, "/api/edits", asked)
    assert ids(review(client, "Boat", "sure")) == [1, 2, 4]
    assert ids(review(client, "Boat", "sure", offset=1, limit=1)) == [2]
    said(client, "/api/edits", {"do": "add", "uuid": "2", "tag": "Sea|Boat", "ids": [5]})
    assert ids(review(client, "<img onerror>", "sure")) == [5]
    said(client, "/api/edits", {"do": "add", "uuid": "3", "tag": "a/b|100%", "ids": [5]})
    assert ids(review(client, "a/b|100%", "sure")) == [5]


def test_a_plain_tag_asks_of_what_was_given_with_little_confidence(path: Path) -> None:
    with Store(path, can_write=True) as store:
        store.add_tags(RUN, [(id, "Dog", 0.6 + id / 10) for id in range(1, 5)])
        store.say(hash_of(store, 2), "Dog", "confirmed")
        store.add_tags("file", [(3, "Dog", None)])
    with routes_over(path) as client:
        asked = review(client, "Dog", "ask")
        assert ids(asked) == [1]  # the owner has answered 2, another program 3; 4 is certain
        chosen = {"do": "reject", "uuid": "1", "tag": "Dog", "tag_kind": ["Dog", "ask"]}
        assert said(client, "/api/edits", chosen)["changed"] == 1
        assert ids(review(client, "Dog", "no")) == [1]


def test_what_is_no_tag_or_no_list_is_said(client: TestClient) -> None:
    for tag in ("Nothing of that name", "", "of", "x" * 5000, "%00"):
        answer = client.get(f"/api/tags/{quote(tag, safe='')}/review")
        assert answer.status_code in (404, 422), tag
    assert client.get("/api/tags/Boat/review?kind=all").status_code == 422
    assert client.get("/api/tags/Boat/review?offset=-1").status_code == 422
    assert review(client, "Boat", "sure", offset=10**20)["hits"] == []
    assert review(client, "Boat", "sure", offset=99)["hits"] == []


@pytest.fixture
def school(tmp_path: Path) -> Iterator[TestClient]:
    """Photos of which the first are alike by their vectors."""
    path = tmp_path / "school.db"
    with Store(path, can_write=True) as store:
        ids = [add_photo(store, f"/p/{number}.jpg") for number in range(SCHOOL)]
        rng = np.random.default_rng(5)
        rows = rng.standard_normal((SCHOOL, WIDTH))
        rows[:ALIKE, 0] += 6
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        vectors = fill(store, add_set(store, WIDTH, has_text=False), rows, ids)
        store.serve(vectors.id)
    with routes_over(path) as opened:
        yield opened


def test_a_tag_is_taught_and_asks_its_next_questions(school: TestClient) -> None:
    lesson = {"do": "teach", "tag": "Luna", "words": False, "uuid": "first"}
    taught = said(school, "/api/edits", {**lesson, "yes": [1, 2, 3, 4], "no": [60, 61, 62, 999]})
    assert taught["said"] == "Luna: 4 yes, 3 no" and taught["edit"] == 1
    assert [each["message"] for each in taught["errors"]] == ["there is no photo 999"]
    again = said(school, "/api/edits", {**lesson, "yes": [1, 2, 3, 4], "no": [60, 61, 62, 999]})
    assert again == taught
    sure = review(school, "Luna", "sure")
    assert sure["taught"]["yes"] == 4 and sure["taught"]["no"] == 3
    assert sure["taught"]["line"] == 0.5 and sure["verdicts"] == 7
    given = set(ids(sure)) - {1, 2, 3, 4}
    assert given and max(given) <= ALIKE
    asked = review(school, "Luna", "ask")
    assert not set(ids(asked)) & {1, 2, 3, 4, 60, 61, 62}
    first = asked["hits"][0]
    answer = {"do": "teach", "tag": "Luna", "uuid": "second", "no": [first[0]]}
    said(school, "/api/edits", answer)
    assert first[0] not in ids(review(school, "Luna", "ask"))
    assert set(ids(review(school, "Luna", "no"))) == {60, 61, 62, first[0]}
    said(school, f"/api/edits/{taught['edit']}/undo", {"uuid": "undone"})
    assert review(school, "Luna", "sure")["verdicts"] == 1


def test_lessons_read_the_photos_once_until_these_change(school: TestClient) -> None:
    service = school.app.state.service  # type: ignore[attr-defined]
    lesson = {"do": "teach", "tag": "Luna", "words": False}
    with counted_statements() as statements:
        for number in range(3):
            said(school, "/api/edits", {**lesson, "yes": [number + 1], "uuid": f"lesson-{number}"})
            review(school, "Luna", "ask")
    assert sum("vectors.row, file_id FROM vectors" in each for each in statements) <= 1, statements
    album = service._album
    with Store(service.path, can_write=True) as store:
        store.set_missing([5], "2026")
    review(school, "Luna", "ask")
    assert service._album is not album and 5 not in service._album.photos[:, 1]


@pytest.mark.parametrize(
    "body",
    [{"yes": ["1"]}, {"yes": 1}, {"no": [0]}, {"words": 5}, {"words": True}, {"words": " "},
     {"yes": [1], "no": [1]}, {"yes": [999]}, {"tag": "|", "yes": [1]}, {"words": "x" * 1001},
     {"words": "\ud800", "yes": [1]}],
    ids=str,
)  # fmt: skip
def test_a_lesson_that_is_none_is_refused(school: TestClient, body: dict[str, Any]) -> None:
    asked = {"do": "teach", "tag": "Luna", "uuid": "a", **body}
    refused = said(school, "/api/edits", asked, status=422)
    assert refused["error"] == "invalid" and "/p/" not in str(refused)
    assert said(school, "/api/edits")["edits"] == []
