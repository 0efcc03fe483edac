"""Edits of the page: made once, undone, done again; what was sent wrongly changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support.routes import routes_over, said
from tests.support.statements import counted_statements
from tests.support.synthetic import add_photo

COUNT = 7
HOSTILE = ["<img src=x onerror=alert(1)>", "a/b", "100%", "%2e%2e%2f", "Animals|Dog", "'; --",
           "\u061cturned", "名前", "tag of"]  # fmt: skip
NO_TAGS = ["", " ", "|", "a||b", "x" * 1001, "a" * 10_000_000, "nul\0", "\x1b[31m", "\ud800", None,
           5, ["a"], {"tag": "a"}]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Store(tmp_path / "library.db", can_write=True) as store:
        for number in range(COUNT):
            add_photo(store, f"/p/{number}.jpg")
    return tmp_path / "library.db"


@pytest.fixture
def client(path: Path) -> Iterator[TestClient]:
    with routes_over(path) as opened:
        yield opened


def edit(client: TestClient, do: str, status: int = 200, **body: Any) -> Any:
    asked = json.dumps({"do": do, "uuid": str(uuid4()), **body})  # half a surrogate pair too
    answer = client.post("/api/edits", content=asked)
    assert answer.status_code == status, answer.text
    return answer.json()


def undo(client: TestClient, number: int | str, status: int = 200, uuid: str | None = None) -> Any:
    asked = {"uuid": uuid or str(uuid4())}
    return said(client, f"/api/edits/{number}/undo", asked, status=status)


def tags(path: Path, id: int) -> dict[str, list[str]]:
    with Store(path) as store:
        return store.origins_of([id])[id]


def history(client: TestClient) -> list[tuple[str, bool]]:
    return [(each["said"], each["undone"]) for each in said(client, "/api/edits")["edits"]]


def test_a_selection_is_tagged_and_that_is_undone_and_done_again(
    client: TestClient, path: Path
) -> None:
    done = edit(client, "add", ids=[1, 2, 3], tag="Boat")
    assert (done["changed"], done["skipped"], done["waiting"]) == (3, 0, False)
    assert (done["said"], done["errors"]) == ("Boat added to 3 photos", [])
    assert tags(path, 2) == {"Boat": ["you"]}
    undone = undo(client, done["edit"])
    assert (undone["changed"], undone["said"]) == (3, "undone: Boat added to 3 photos")
    assert tags(path, 2) == {}
    again = undo(client, undone["edit"])
    assert (again["changed"], again["said"]) == (3, "Boat added to 3 photos")
    assert tags(path, 2) == {"Boat": ["you"]}
    assert undo(client, again["edit"])["changed"] == 3
    assert tags(path, 2) == {}
    sentence = "Boat added to 3 photos"
    assert history(client) == [
        (f"undone: {sentence}", False), (sentence, True), (f"undone: {sentence}", True),
        (sentence, True),
    ]  # fmt: skip


def test_an_edit_counts_what_it_changed_and_what_was_so_before(client: TestClient) -> None:
    edit(client, "add", ids=[1, 2], tag="Boat")
    done = edit(client, "add", ids=[2, 3, 3, 2], tag="boat")
    assert (done["changed"], done["skipped"], done["said"]) == (1, 1, "Boat added to 2 photos")
    done = edit(client, "remove", ids=[1, 5], tag="Boat")
    assert (done["changed"], done["skipped"]) == (1, 1)
    done = edit(client, "remove", ids=[1], tag="Boat")
    assert (done["changed"], done["skipped"], done["edit"]) == (0, 1, None)


@pytest.mark.parametrize("do", ["add", "confirm", "reject", "remove", "caption"])
def test_the_same_uuid_changes_nothing_and_answers_the_same(
    client: TestClient, path: Path, do: str
) -> None:
    edit(client, "add", ids=[1, 6], tag="Boat")
    asked = {"ids": [1, 2, 99], "tag": "Boat", "text": "a boat", "uuid": "once"}
    first = edit(client, do, **asked)
    assert len(first["errors"]) == 1
    undo(client, edit(client, "add", ids=[3], tag="Sea")["edit"])
    for _ in range(2):
        assert edit(client, do, **asked) | {"version": ""} == first | {"version": ""}
    before = history(client)
    with routes_over(path) as another:  # the program was started again
        assert edit(another, do, **asked) | {"version": ""} == first | {"version": ""}
        assert history(another) == before


def test_an_undoing_that_is_sent_twice_is_done_once(client: TestClient, path: Path) -> None:
    number = edit(client, "add", ids=[1, 2], tag="Boat")["edit"]
    first = undo(client, number, uuid="again")
    assert first == undo(client, number, uuid="again")
    assert undo(client, number, 409) == {
        "error": "changed", "message": f"edit {number} was undone",
        "hint": "the history shows the edits",
    }  # fmt: skip
    undo(client, first["edit"])
    assert tags(path, 1) == {"Boat": ["you"]}
    assert undo(client, number, uuid="again") == first | {"version": undo(
        client, number, uuid="again")["version"]}  # fmt: skip
    assert tags(path, 1) == {"Boat": ["you"]}


def test_what_cannot_be_undone_or_done_again_is_409_with_the_way_out(client: TestClient) -> None:
    added = edit(client, "add", ids=[1], tag="Boat")["edit"]
    renamed = edit(client, "rename", tag="Boat", to="Ship")["edit"]
    refused = undo(client, added, 409)
    assert (refused["error"], refused["hint"]) == (
        "changed",
        f"undo that one first: edit {renamed}",
    )
    shown = {each["edit"]: each["can_undo"] for each in said(client, "/api/edits")["edits"]}
    assert shown == {added: False, renamed: True}
    undo(client, renamed)
    undone = undo(client, added)["edit"]
    edit(client, "add", ids=[2], tag="Boat")
    edit(client, "reject", ids=[1], tag="Boat")
    assert "changed since" in undo(client, undone, 409)["message"]
    assert undo(client, 999, 409)["message"] == "there is no edit 999"
    assert undo(client, "never-heard-of", 409)["error"] == "changed"
    assert undo(client, "9" * 30, 409)["error"] == "changed"
    assert undo(client, "a b", 404)["error"] == "not_found"


def test_tags_are_renamed_and_merged(client: TestClient, path: Path) -> None:
    edit(client, "add", ids=[1], tag="Boat")
    edit(client, "add", ids=[2], tag="Ship")
    assert edit(client, "rename", tag="Boat", to="Vessel")["said"] == "Boat to Vessel"
    assert "already" in edit(client, "rename", 422, tag="Vessel", to="Ship")["message"]
    merged = edit(client, "merge", tags=["Vessel", "Ship"], to="Boats")
    assert (tags(path, 1), tags(path, 2)) == ({"Boats": ["you"]}, {"Boats": ["you"]})
    undo(client, merged["edit"])
    assert (tags(path, 1), tags(path, 2)) == ({"Vessel": ["you"]}, {"Ship": ["you"]})


def test_a_caption_of_the_persons_is_given_and_taken_back(client: TestClient, path: Path) -> None:
    done = edit(client, "caption", ids=[1], text="Luna <b>at</b> the sea")
    with Library(path) as library:
        assert library.captions([1])["/p/0.jpg"].text == "Luna <b>at</b> the sea"
        edit(client, "caption", ids=[1], text=None)
        assert library.captions([1]) == {}
    assert undo(client, done["edit"])["changed"] in (0, 1)


@pytest.mark.parametrize("tag", HOSTILE)
def test_names_of_tags_may_be_anything_that_can_be_written(
    client: TestClient, path: Path, tag: str
) -> None:
    edit(client, "add", ids=[1], tag=tag)
    assert tags(path, 1) == {tag: ["you"]}
    assert edit(client, "remove", ids=[1], tag=tag)["changed"] == 1
    assert tags(path, 1) == {}


@pytest.mark.parametrize("tag", NO_TAGS, ids=range(len(NO_TAGS)))
@pytest.mark.parametrize("do", ["add", "reject", "rename", "merge"])
def test_what_is_no_name_of_a_tag_is_refused_in_a_line(
    client: TestClient, do: str, tag: object
) -> None:
    body = {"ids": [1], "tag": tag, "to": tag, "tags": [tag]}
    refused = edit(client, do, 422, **body)
    assert refused["error"] == "invalid" and refused["message"] and len(refused["message"]) <= 300
    assert history(client) == []


@pytest.mark.parametrize(
    "body",
    [
        {"ids": []}, {"ids": None}, {}, {"ids": [0]}, {"ids": [-1]}, {"ids": ["1"]}, {"ids": [1.5]},
        {"ids": [True]}, {"ids": [1 << 63]}, {"ids": {"1": 1}}, {"ids": [[1]]}, {"ids": "1"},
        {"ids": [99]}, {"ids": [1], "search": "s1"}, {"ids": [1] * 1_000_001},
        {"ids": [1], "uuid": ""}, {"ids": [1], "uuid": 5}, {"ids": [1], "uuid": "x" * 65},
        {"ids": [1], "uuid": "a b"}, {"ids": [1], "do": "delete"}, {"ids": [1], "do": None},
        {"ids": [1], "do": ["add"]}, {"search": 5}, {"tag_kind": ["Boat"]}, {"tag_kind": "Boat"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_asked_wrongly_is_refused_and_changes_nothing(
    client: TestClient, body: dict[str, Any]
) -> None:
    refused = edit(client, **{"do": "add", "tag": "Boat", "status": 422, **body})
    assert refused["error"] == "invalid" and refused["message"]
    assert history(client) == []


def test_photos_that_are_gone_or_unreadable_are_told_and_the_others_edited(
    client: TestClient, path: Path
) -> None:
    with Store(path, can_write=True) as store:
        store.run("UPDATE files SET hash = NULL, last_hash = NULL, error = 'broken' WHERE id = 3")
        store.run("UPDATE files SET missing_since = '2026' WHERE id = 4")
        [hash] = store.one("SELECT last_hash FROM files WHERE id = 1")
        store.run("UPDATE files SET hash = ?, last_hash = ? WHERE id = 2", hash, hash)
    done = edit(client, "add", ids=[1, 3, 4, 98, 99], tag="Boat")
    messages = [each["message"] for each in done["errors"]]
    assert messages == [
        "photo 3 could not be read, so nothing can be said of it",
        "there is no photo 98", "there is no photo 99",
    ]  # fmt: skip
    assert "/p/" not in str(done)
    assert tags(path, 2) == tags(path, 4) == {"Boat": ["you"]}  # of one content; and once missing
    many = edit(client, "add", ids=[5, *range(1000, 2000)], tag="Boat")
    assert len(many["errors"]) == 20


def test_the_history_comes_page_by_page(client: TestClient) -> None:
    for number in range(5):
        edit(client, "add", ids=[1], tag=f"Tag {number}")
    first = said(client, "/api/edits?limit=2")
    rest = said(client, f"/api/edits?limit=9&before={first['next']}")
    assert [each["said"][:5] for each in (*first["edits"], *rest["edits"])] == [
        "Tag 4", "Tag 3", "Tag 2", "Tag 1", "Tag 0"
    ]  # fmt: skip
    assert rest["next"] is None
    assert first["edits"][0] == {
        "edit": 5, "at": first["edits"][0]["at"], "kind": "add", "said": "Tag 4 added to 1 photo",
        "changes": 1, "undone": False, "can_undo": True,
    }  # fmt: skip


def test_as_many_statements_for_many_photos_as_for_few(tmp_path: Path) -> None:
    counts = []
    for photos in (3, 300):
        path = tmp_path / f"{photos}.db"
        with Store(path, can_write=True) as store:
            ids = [add_photo(store, f"/p/{number}.jpg") for number in range(photos)]
        with Library(path) as library, counted_statements() as statements:
            edited = library.edit_tags("add", "Boat", ids)
            assert edited.changed == photos and edited.number is not None
            library.edit_tags("reject", "Boat", ids[1:])
            library.edit_tags("remove", "Boat", ids)
            library.undo_tags(edited.number)
        counts.append(len(statements))
    assert counts[0] == counts[1]
