"""Duplicates and picks of the page: groups by pages, the edits on them, what is refused."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.images.metadata.xmp_values import read_rating
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.duplicates import pages
from mlx_aimv2.library.sidecars.xmp import replace_values
from tests.support.albums import noise
from tests.support.copied_pictures import NEAR, make_copied_library
from tests.support.routes import routes_over, said
from tests.support.synthetic import FACTS


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pages, "_SOON_S", 600.0)  # however slow the machine is
    make_copied_library(tmp_path / "library.db")
    return tmp_path / "library.db"


@pytest.fixture
def client(path: Path) -> Iterator[TestClient]:
    with routes_over(path) as opened:
        yield opened


@pytest.fixture
def ids(path: Path) -> dict[str, int]:
    with Store(path) as store:
        return {file.path_str[3:-4]: file.id for file in store.files()}


def edit(client: TestClient, do: str, *, status: int = 200, **body: Any) -> Any:
    return said(client, "/api/edits", {"do": do, "uuid": str(uuid4()), **body}, status=status)


def groups(client: TestClient, kind: str, more: str = "") -> list[list[str]]:
    found = said(client, f"/api/duplicates?kind={kind}{more}")["groups"]
    return [[photo["name"][:-4] for photo in group["photos"]] for group in found]


def test_groups_have_their_facts_and_the_best_first(client: TestClient) -> None:
    answer = said(client, "/api/duplicates?kind=near&limit=3")
    assert {key: answer[key] for key in ("total", "copies", "computing")} == {
        "total": 4, "copies": 5, "computing": False,
    }  # fmt: skip
    first = answer["groups"][0]
    assert first["ids"] == [photo["id"] for photo in first["photos"]]
    assert first["id"] == first["ids"][0]
    assert [photo["best"] for photo in first["photos"]] == [True, False]
    assert first["photos"][0]["alike"] == 1
    assert [photo["width"] for photo in first["photos"]] == [389, 194]
    assert groups(client, "near", f"&after={answer['next']}") == NEAR[3:]
    assert groups(client, "exact") == [["4-full", "4-twin"]]


def test_a_group_is_decided_and_undone(client: TestClient, ids: dict[str, int]) -> None:
    answer = edit(client, "pick", ids=[ids["0-half"]])
    assert (answer["said"], answer["changed"]) == ("1 file picked for removal", 1)
    assert groups(client, "near") == NEAR[1:]
    assert groups(client, "near", "&decided=1") == NEAR
    picked = said(client, "/api/picks")
    assert (picked["total"], picked["bytes"], picked["changed"]) == (1, 11, 0)
    assert [hit[0] for hit in picked["hits"]] == [ids["0-half"]]
    assert picked["hits"][0][5] & 2
    assert picked["command"].startswith("aimv2 duplicates --picked --library ")
    said(client, f"/api/edits/{answer['edit']}/undo", {"uuid": str(uuid4())})
    assert groups(client, "near") == NEAR
    edit(client, "pick", ids=[ids["0-half"]])
    edit(client, "unpick", ids=[ids["0-half"]])
    assert said(client, "/api/picks")["total"] == 0


def test_picks_come_in_parts_by_path(client: TestClient, ids: dict[str, int]) -> None:
    chosen = ["0-half", "1-half", "2-half", "5-full"]
    edit(client, "pick", ids=[ids[name] for name in reversed(chosen)])
    parts = [said(client, f"/api/picks?offset={at}&limit=3")["hits"] for at in (0, 3, 6)]
    assert [[hit[0] for hit in part] for part in parts] == [
        [ids[name] for name in chosen[:3]], [ids[chosen[3]]], [],
    ]  # fmt: skip


def test_a_pick_whose_file_was_written_since_counts_no_more(
    client: TestClient, ids: dict[str, int], path: Path
) -> None:
    edit(client, "pick", ids=[ids["0-half"], ids["1-half"]])
    with Store(path, can_write=True) as store:
        store.add_file(b"/p/0-half.jpg", Stamp(99, 9), hash=b"other", facts=FACTS)
    picked = said(client, "/api/picks")
    assert (picked["total"], picked["changed"], len(picked["hits"])) == (1, 1, 1)


def test_all_of_a_group_are_picked_only_where_that_is_said(
    client: TestClient, ids: dict[str, int]
) -> None:
    groups(client, "near")
    for pair in (["4-full", "4-twin"], ["0-full", "0-half"]):
        chosen = [ids[name] for name in pair]
        answer = edit(client, "pick", ids=chosen, status=409)
        assert answer["error"] == "whole_group"
        assert "none would be left" in answer["message"]
        assert said(client, "/api/picks")["total"] == 0
        edit(client, "pick", ids=chosen, whole_groups=True)
        edit(client, "unpick", ids=chosen)


def test_no_duplicates_are_remembered(client: TestClient, ids: dict[str, int]) -> None:
    named = [[ids[name] for name in group] for group in NEAR[:2]]
    answer = edit(client, "not_duplicates", groups=named)
    assert answer["said"] == "4 files said to be no duplicates in 2 groups"
    assert groups(client, "near") == NEAR[2:]
    said(client, f"/api/edits/{answer['edit']}/undo", {"uuid": str(uuid4())})
    assert groups(client, "near") == NEAR


def test_what_people_said_is_carried(client: TestClient, ids: dict[str, int], path: Path) -> None:
    edit(client, "add", ids=[ids["0-half"]], tag="<img src=x onerror=alert(1)>")
    answer = edit(client, "carry", keep=ids["0-full"], **{"from": [ids["0-half"]]})
    assert answer["said"] == "1 tag carried over from copies"
    with Store(path) as store:
        assert store.origins_of([ids["0-full"]])[ids["0-full"]].values()
    assert edit(client, "carry", keep=ids["1-full"], **{"from": [ids["1-half"]]}, status=422)


def test_stars_are_in_the_sidecar_before_that_is_answered(tmp_path: Path) -> None:
    album, path = tmp_path / "album", tmp_path / "library.db"
    album.mkdir()
    with Store(path, can_write=True) as store:
        for name in ("kept", "copy"):
            noise(album / f"{name}.png", 1)
            store.add_file(os.fsencode(album / f"{name}.png"), Stamp(1, 1), hash=name.encode())
    (album / "copy.png.xmp").write_bytes(replace_values(None, {"rating": "4"}) or b"")
    with routes_over(path) as client:
        answer = edit(client, "carry", keep=1, **{"from": [2]})
        assert answer["said"] == "4 stars carried over from copies"
        assert read_rating((album / "kept.png.xmp").read_bytes()) == 4
        (album / "kept.png.xmp").unlink()
        (album / "kept.png").unlink()
        answer = edit(client, "pick", ids=[2], carry_to=1)
        assert answer["said"] == "1 file picked for removal, 4 stars carried over"
        [error] = answer["errors"]
        assert error["message"] == "kept.png is not there"


def test_a_pick_carries_over_in_the_same_edit(
    client: TestClient, ids: dict[str, int], path: Path
) -> None:
    edit(client, "add", ids=[ids["0-half"]], tag="Luna")
    before = len(said(client, "/api/edits")["edits"])
    answer = edit(client, "pick", ids=[ids["0-half"]], carry_to=ids["0-full"])
    assert answer["said"] == "1 file picked for removal, 1 tag carried over"
    assert len(said(client, "/api/edits")["edits"]) == before + 1
    said(client, f"/api/edits/{answer['edit']}/undo", {"uuid": str(uuid4())})
    assert said(client, "/api/picks")["total"] == 0
    with Store(path) as store:
        assert store.origins_of([ids["0-full"]]) == {ids["0-full"]: {}}
    answer = edit(client, "pick", ids=[ids["1-half"]], carry_to=ids["1-full"])
    assert answer["said"] == "1 file picked for removal"


def test_the_same_uuid_changes_nothing_again(client: TestClient, ids: dict[str, int]) -> None:
    asked = {"do": "pick", "uuid": "once", "ids": [ids["0-half"]]}
    first = said(client, "/api/edits", asked)
    edit(client, "unpick", ids=[ids["0-half"]])
    again = said(client, "/api/edits", asked)
    assert (again["edit"], again["said"]) == (first["edit"], first["said"])
    assert said(client, "/api/picks")["total"] == 0


@pytest.mark.parametrize(
    "address",
    ["kind=all", "kind=near&after=x", "kind=exact&limit=-1", "kind=near&after=1.5"],
)
def test_what_is_asked_wrongly_is_told(client: TestClient, address: str) -> None:
    answer = said(client, f"/api/duplicates?{address}", status=422)
    assert answer["message"]
    assert answer["hint"]


def test_before_the_first_index_there_is_nothing(tmp_path: Path) -> None:
    with routes_over(tmp_path / "library.db") as client:
        for kind in ("exact", "near"):
            answer = said(client, f"/api/duplicates?kind={kind}")
            assert (answer["total"], answer["groups"], answer["computing"]) == (0, [], False)
        picked = said(client, "/api/picks")
        assert (picked["total"], picked["hits"]) == (0, [])


def test_a_cursor_that_is_not_known_is_gone(client: TestClient) -> None:
    for number in (999_999, (1 << 63) - 1, 10**30):
        answer = said(client, f"/api/duplicates?kind=near&after={number}", status=410)
        assert answer["error"] == "gone"
    assert said(client, "/api/duplicates?kind=near&limit=0")["groups"]
    assert said(client, f"/api/picks?offset={10**30}&limit={10**30}")["hits"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"do": "pick"},
        {"do": "pick", "ids": []},
        {"do": "pick", "ids": ["1"]},
        {"do": "pick", "ids": [10**30]},
        {"do": "pick", "ids": [12345]},
        {"do": "pick", "ids": [2], "carry_to": 99999},
        {"do": "pick", "ids": [2], "carry_to": "1"},
        {"do": "not_duplicates"},
        {"do": "not_duplicates", "groups": [[1]]},
        {"do": "not_duplicates", "groups": [[1, 1]]},
        {"do": "not_duplicates", "groups": [1, 2]},
        {"do": "not_duplicates", "groups": [[]]},
        {"do": "carry"},
        {"do": "carry", "keep": 1},
        {"do": "carry", "keep": None, "from": [2]},
        {"do": "carry", "keep": 1, "from": []},
        {"do": "carry", "keep": True, "from": [2]},
        {"do": "carry", "keep": 1, "from": [99999]},
    ],
    ids=json.dumps,
)
def test_wrong_edits_change_nothing(client: TestClient, body: dict[str, Any]) -> None:
    answer = said(client, "/api/edits", {"uuid": str(uuid4()), **body}, status=422)
    assert answer["message"]
    assert said(client, "/api/edits")["edits"] == []
