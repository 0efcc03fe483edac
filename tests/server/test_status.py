"""The status: what the page knows of the library, also where there is none or a newer one."""

import sqlite3
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.database.folders import Root
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.server.app import make_app
from mlx_aimv2.server.roots import place_of
from mlx_aimv2.server.service import Service
from tests.support.synthetic import add_photo, facts

EVERYTHING = {"library", "version", "photos", "errors", "missing", "waiting", "index", "roots",
              "model", "problem"}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A library of two folders, one of them away, with photos, errors and one that is gone."""
    near, away = tmp_path / "near/Pictures", tmp_path / "drive/Pictures"
    near.mkdir(parents=True)
    (near / "holds something").touch()
    with Store(tmp_path / "library.db", can_write=True) as store:
        for folder in (near, away):
            store.add_root(Root(bytes(folder)))
            for name in ("a.jpg", "sea/b.jpg"):
                add_photo(store, str(folder / name), facts=facts())
        store.set_missing([add_photo(store, f"{near}/gone.jpg", facts=facts())], "2026-01-01")
        for number in range(7):
            path = f"{near}/sea/broken {number}.jpg"
            store.add_file(
                path.encode(), Stamp(1, 1, 1), error=f"{path} is damaged", error_hint=f"rm {path}"
            )
    return tmp_path


def client_of(library: Path) -> TestClient:
    return TestClient(make_app(Service(library)))


def test_what_is_told(place: Path) -> None:
    told = client_of(place / "library.db").get("/api/status").json()
    assert set(told) == EVERYTHING
    assert (told["library"], told["photos"], told["errors"], told["missing"]) == (
        "library.db", 4, 7, 1
    )  # fmt: skip
    assert told["problem"] is None
    assert told["index"] == {
        "running": False, "here": False, "done": 0, "left": 0, "per_s": None, "message": None,
        "hint": "",
    }  # fmt: skip
    roots = {root["name"]: (root["online"], root["photos"]) for root in told["roots"]}
    assert roots == {"near/Pictures": (True, 2), "drive/Pictures": (False, 2)}
    assert len({root["id"] for root in told["roots"]}) == 2
    assert str(place) not in str(told)


def test_an_answer_that_is_known_is_not_sent_again(place: Path) -> None:
    client = client_of(place / "library.db")
    first = client.get("/api/status")
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get("/api/status", headers=known).status_code == 304
    Library(place / "library.db").edit_tags("add", "Sea", place / "near/Pictures/a.jpg")
    again = client.get("/api/status", headers=known)
    assert again.status_code == 200
    assert again.json()["version"] != first.json()["version"]


def test_photos_are_counted_once_for_each_version(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(place / "library.db")
    for _ in range(2):  # the first that opens a library makes a file beside it
        client.get("/api/status")
    monkeypatch.setattr(Store, "counts", lambda self: pytest.fail("counted again"))
    for _ in range(20):
        assert client.get("/api/status").json()["photos"] == 4


def test_errors_come_page_by_page(place: Path) -> None:
    client = client_of(place / "library.db")
    first = client.get("/api/errors?limit=5").json()
    rest = client.get(f"/api/errors?limit=5&after={first['next']}").json()
    assert (len(first["errors"]), len(rest["errors"]), rest["next"]) == (5, 2, None)
    found = [*first["errors"], *rest["errors"]]
    assert found[0] == {
        "id": found[0]["id"], "name": "broken 0.jpg", "folder": "sea",
        "message": "broken 0.jpg is damaged", "hint": "rm broken 0.jpg",
    }  # fmt: skip
    assert [each["name"] for each in found] == [f"broken {number}.jpg" for number in range(7)]
    assert client.get("/api/errors?limit=7").json()["next"] is None


@pytest.mark.parametrize("asked", ["after=x", "after=-1", "limit=1e3", "after=٣"])
def test_numbers_that_are_none(asked: str, place: Path) -> None:
    answer = client_of(place / "library.db").get(f"/api/errors?{asked}")
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")


def test_numbers_that_are_too_large(place: Path) -> None:
    client = client_of(place / "library.db")
    for number in ("9" * 19, "9" * 5000):
        assert client.get(f"/api/errors?after={number}").json() == {"errors": [], "next": None}
        assert len(client.get(f"/api/errors?limit={number}").json()["errors"]) == 7


def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    client = client_of(tmp_path / "none.db")
    told = client.get("/api/status").json()
    assert set(told) == EVERYTHING
    assert (told["photos"], told["roots"], told["model"]["state"]) == (0, [], "none")
    assert told["problem"]["hint"] == f"aimv2 index FOLDER --library {tmp_path}/none.db"
    assert str(tmp_path) not in told["problem"]["message"]
    refused = client.get("/api/errors")
    assert (refused.status_code, refused.json()["error"]) == (503, "library")
    assert str(tmp_path) not in refused.json()["message"]
    answer = client.post("/api/index", json={"do": "start"})
    assert answer.status_code == 422
    assert answer.json()["hint"] == told["problem"]["hint"]
    assert not list(tmp_path.iterdir())


def test_it_is_seen_as_soon_as_it_is_there(tmp_path: Path) -> None:
    client = client_of(tmp_path / "library.db")
    assert client.get("/api/status").json()["problem"]
    with Store(tmp_path / "library.db", can_write=True) as store:
        add_photo(store, "/photos/a.jpg", facts=facts())
    told = client.get("/api/status").json()
    assert (told["problem"], told["photos"]) == (None, 1)


def test_an_empty_library(tmp_path: Path) -> None:
    Store(tmp_path / "library.db", can_write=True).close()
    problem = client_of(tmp_path / "library.db").get("/api/status").json()["problem"]
    assert problem["message"] == "there are no photos in the library yet"
    assert problem["hint"].startswith("aimv2 index FOLDER --library")


@pytest.mark.parametrize("version", [1, 999])
def test_a_library_of_another_version(version: int, place: Path) -> None:
    with sqlite3.connect(place / "library.db") as database:
        database.execute(f"PRAGMA user_version = {version}")
    told = client_of(place / "library.db").get("/api/status").json()
    assert ("newer" if version > 1 else "older") in told["problem"]["message"]
    assert told["problem"]["hint"]


@pytest.mark.parametrize("data", [b"no database at all", bytes(10_000)])
def test_what_is_no_library(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "library.db").write_bytes(data)
    told = client_of(tmp_path / "library.db").get("/api/status").json()
    assert told["problem"]["message"]
    assert (tmp_path / "library.db").read_bytes() == data


def test_edits_that_wait_are_counted(place: Path) -> None:
    client = client_of(place / "library.db")
    assert client.get("/api/status").json()["waiting"] == 0
    with Store(place / "library.db", can_write=True):
        library = Library(place / "library.db")
        library.edit_tags("add", "Sea", place / "near/Pictures/a.jpg")
        assert client.get("/api/status").json()["waiting"] == 1


def test_names_of_folders_are_told_apart_and_hold_nothing_unprintable(tmp_path: Path) -> None:
    paths = [b"/a/x/Pictures", b"/b/x/Pictures", b"/b/y/Pictures", b"/", b"/c/\xff\n<img>"]
    with Store(tmp_path / "library.db", can_write=True) as store:
        for path in paths:
            store.add_root(Root(path))
    with Service(tmp_path / "library.db") as service:
        names = {root.path: root.name for root in service.roots()}
    assert [names[path] for path in paths] == [
        "a/x/Pictures", "b/x/Pictures", "y/Pictures", "/", "\\udcff\\n<img>"
    ]  # fmt: skip


def test_a_file_is_placed_in_the_innermost_folder(tmp_path: Path) -> None:
    with Store(tmp_path / "library.db", can_write=True) as store:
        for path in (b"/a", b"/a/b", b"/single.jpg"):
            store.add_root(Root(path))
    with Service(tmp_path / "library.db") as service:
        roots = service.roots()
        found = [
            (None if root is None else root.path, folder)
            for root, folder in (
                place_of(path, roots)
                for path in (b"/a/c/d.jpg", b"/a/b/d.jpg", b"/a/bd.jpg", b"/single.jpg", b"/x.jpg")
            )
        ]
    assert found == [(b"/a", "c"), (b"/a/b", ""), (b"/a", ""), (b"/single.jpg", ""), (None, "")]
