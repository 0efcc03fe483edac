"""Searches of the page: what is understood, what is found and kept, and what is never opened."""

import builtins
import io
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.folders import Root
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search_model import SearchModel
from mlx_aimv2.server import search as module
from mlx_aimv2.server.search import ids_above_line
from tests.support.albums import make_album
from tests.support.routes import routes_over, said
from tests.support.statements import counted_statements
from tests.support.synthetic import add_photo, add_set, facts, fill, make_library, unit

PHOTOS = 13


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of drawings, and the folder that it is in."""
    folder = tmp_path_factory.mktemp("album")
    make_album(folder / "in", PHOTOS)
    Library(folder / "library.db").index([folder / "in"], model="demo")
    return folder


@pytest.fixture
def client(album: Path, tmp_path: Path) -> Iterator[TestClient]:
    """The routes over a copy of that library, which a test may change."""
    shutil.copy(album / "library.db", tmp_path / "library.db")
    shutil.copytree(album / "library.db.vectors", tmp_path / "library.db.vectors")
    with routes_over(tmp_path / "library.db") as client:
        yield client


def ask(client: TestClient, q: str = "", **more: Any) -> Any:
    return said(client, "/api/search", {"q": q, **more})


def refused(client: TestClient, q: str = "", **more: Any) -> Any:
    error = said(client, "/api/search", {"q": q, **more}, status=422)
    assert error["message"]
    assert error["hint"]
    return error


def ids_of(answer: Any) -> list[int]:
    return [hit[0] for hit in answer["hits"]]


def test_an_answer_has_every_field_and_what_lies_below_the_line(
    client: TestClient, album: Path
) -> None:
    answer = ask(client, "a red circle", min=None)
    assert set(answer) == {"search", "total", "below", "best", "line", "has_scores", "notes",
                           "understood", "hits"}  # fmt: skip
    assert answer["total"] + answer["below"] == PHOTOS == len(answer["hits"])
    assert (answer["line"], answer["has_scores"]) == (0.5, True)
    with Library(album / "library.db") as library:
        hits = library.search("a red circle", min_score=0, count=100).hits
    assert ids_of(answer) == [hit.file.id for hit in hits]
    scores = [hit[2] for hit in answer["hits"]]
    assert scores == pytest.approx([hit.score for hit in hits], abs=2e-6)
    assert answer["best"] == scores[0]
    assert answer["total"] == sum(score >= 0.5 for score in scores)
    for id, version, _, date, ratio, flags in answer["hits"]:
        (photo,) = said(client, f"/api/photos?ids={id}")["photos"]
        assert (version, date, ratio, flags) == (photo["v"], None, 64, 0)


def test_where_nothing_fits_the_best_are_below(client: TestClient) -> None:
    answer = ask(client, "a red circle", min=0.999999)
    assert (answer["total"], answer["below"]) == (0, PHOTOS)
    assert 0 < answer["best"] < 0.999999
    assert ids_of(answer)


def test_pages_come_from_a_kept_search_each_photo_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    answer = ask(client, "a red circle")
    pages = [answer["hits"]]
    while pages[-1]:
        offset = sum(map(len, pages))
        pages.append(
            said(client, f"/api/search/{answer['search']}?offset={offset}&limit=5")["hits"]
        )
    ids = [hit[0] for page in pages for hit in page]
    assert len(ids) == len(set(ids)) == PHOTOS
    service = client.app.state.service
    assert ids_above_line(service, answer["search"]) == ids[: answer["total"]]


@pytest.mark.parametrize("name", ["s99", "p1", "x", "%00", "S1"])
def test_a_search_that_is_not_kept_is_gone(client: TestClient, name: str) -> None:
    error = said(client, f"/api/search/{name}", status=410)
    assert error["error"] == "gone"
    assert said(client, "/api/photos/1/why?search=s99", status=410)["hint"]


def test_photos_that_go_after_the_search_keep_their_places(client: TestClient) -> None:
    answer = ask(client, "a red circle")
    gone = answer["hits"][1]
    with Store(client.app.state.service.path, can_write=True) as store:
        store.remove_files([gone[0]])
    hits = said(client, f"/api/search/{answer['search']}?offset=0")["hits"]
    assert [hit[0] for hit in hits] == ids_of(answer)
    assert hits[1] == [gone[0], "00000000", gone[2], None, 64, 16]
    again = ask(client, "a red circle")
    assert gone[0] not in ids_of(again)


Q = 'red circle + "blue square" - 2:night --in in --since 1999 --tag "Big Boat" -t 0.25'


@pytest.mark.parametrize(
    "body",
    [
        {"q": Q},
        {"q": "boat - night + beach"},
        {"q": "- night", "like": [1]},
        {"q": "circle", "like": [1, 2, 3], "tags": ["Sea", "Sky"], "not_tags": ["Work"]},
        {"q": "--orientation portrait --format jpeg --photos --unique --sort date"},
        {"q": "circle --captions-only", "since": "2023", "until": "2024-05", "min": 0.25},
        {"q": "dog's \"bed", "until": "2024"},
        {"like": [1], "q": "- night - fog"},
    ],
)
def test_each_chip_takes_itself_away_and_nothing_else(
    client: TestClient, body: dict[str, Any]
) -> None:
    """Without a chip the same others are understood, but what has nothing left to be taken from."""

    def understood(answer: Any) -> list[tuple[str, str]]:
        return sorted((chip["kind"], chip["text"]) for chip in answer["understood"])

    answer = ask(client, **body)
    assert answer["understood"]
    for chip in answer["understood"]:
        assert client.post("/api/search", json=chip["without"]).json() is not None
        left = understood(answer)
        left.remove((chip["kind"], chip["text"]))
        if not any(kind in ("plus", "like", "picture") for kind, _ in left):
            left = [each for each in left if each[0] != "minus"]
        if not left:
            refused(client, **chip["without"])
            continue
        rest = client.post("/api/search", json=chip["without"])
        if rest.status_code == 422:  # an order or a lowest score alone, or captions of a picture
            assert {kind for kind, _ in left}.isdisjoint({"plus"})
            continue
        assert understood(rest.json()) == left


def test_what_was_typed_and_what_was_chosen_hold_together(client: TestClient) -> None:
    with Store(client.app.state.service.path, can_write=True) as store:
        files = sorted(store.files(), key=lambda file: file.id)
        store.add_tags("vocabulary v", [(file.id, "Sea", 0.9) for file in files[:5]])
        store.add_tags("vocabulary v", [(file.id, "Work", 0.9) for file in files[3:9]])
    sea = ask(client, "--tag Sea", not_tags=["Work"])
    assert sorted(ids_of(sea)) == [file.id for file in files[:3]]
    assert (sea["has_scores"], sea["line"], sea["best"], sea["below"]) == (False, None, None, 0)
    assert {hit[2] for hit in sea["hits"]} == {None}
    both = ask(client, "circle --not-tag Work", tags=["Sea"], min=0)
    assert sorted(ids_of(both)) == [file.id for file in files[:3]]


def test_dates_and_their_order(tmp_path: Path) -> None:
    with Store(tmp_path / "l.db", can_write=True) as store:
        for number, taken_at in enumerate(["2023-01-01T00:00:00", None, "2024-05-03T10:00:00"]):
            add_photo(store, f"/p/{number}.jpg", facts=facts(taken_at=taken_at))
    with routes_over(tmp_path / "l.db") as client:
        assert ids_of(ask(client, since="2023")) == [3, 1]
        assert ids_of(ask(client, since="2023", until="2023-12")) == [1]
        assert ids_of(ask(client, "--since 2024", since="2023")) == [3]  # what was typed
        (hit,) = ask(client, since="2024")["hits"]
        assert hit[3] == "2024-05-03"
        assert "2024" in refused(client, since="yesterday")["hint"]


def test_words_of_captions_alone(client: TestClient) -> None:
    with Store(client.app.state.service.path, can_write=True) as store:
        for id, text in ((3, "a small red boat"), (5, "a boat")):
            store.caption(store.last_hash(id), Caption(text, "you"))
    answer = ask(client, "red boat", captions_only=True)
    assert (ids_of(answer)[0], answer["best"]) == (3, 1.0)
    assert answer["total"] + answer["below"] == 2
    assert answer["hits"][0][5] & 8
    why = said(client, f"/api/photos/5/why?search={answer['search']}")
    assert 0 < why["score"] < 1
    assert "words alone" in refused(client, "red boat", captions_only=True, like=[1])["message"]


def test_photos_like_one_and_like_several(client: TestClient) -> None:
    one = ask(client, like=[3])
    assert 3 not in ids_of(one)
    assert (len(one["hits"]), one["line"], one["below"]) == (PHOTOS - 1, None, 0)
    several = ask(client, like=[3, 4, 5], min=0.1)
    assert not {3, 4, 5} & set(ids_of(several))
    assert several["total"] == sum(hit[2] >= 0.1 for hit in several["hits"])
    assert "photo 99" in refused(client, like=[99])["message"]
    assert "--min-score" in refused(client, like=[3], sort="date")["hint"]
    why = said(client, f"/api/photos/4/why?search={one['search']}")
    assert [(term["kind"], term["text"], term["line"]) for term in why["terms"]] == [
        ("like", "photo 3", None)
    ]
    assert why["score"] == pytest.approx({hit[0]: hit[2] for hit in one["hits"]}[4], abs=1e-6)


def test_a_picture_that_was_sent(client: TestClient, album: Path) -> None:
    content = (album / "in" / "006.jpg").read_bytes()
    folder = client.app.state.service.path.parent

    def files() -> list[str]:
        names = (path.name for path in folder.rglob("*"))
        return sorted(name for name in names if not name.endswith(("-wal", "-shm")))

    before = files()
    name = client.post("/api/picture", content=content).json()["picture"]
    answer = ask(client, pictures=[name])
    assert files() == before
    with Store(client.app.state.service.path) as store:
        same = next(file.id for file in store.files() if file.path.endswith(b"006.jpg"))
    assert ids_of(answer)[0] == same
    assert answer["best"] == pytest.approx(1, abs=2e-3)
    assert answer["understood"][0]["kind"] == "picture"
    assert refused(client, pictures=["p99"])["hint"] == "choose it again"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff" + b"0" * 99])
def test_what_is_no_picture_is_refused(client: TestClient, content: bytes) -> None:
    answer = client.post("/api/picture", content=content)
    assert answer.status_code == 422
    assert answer.json()["hint"]


def test_a_picture_of_too_many_pixels_is_refused(client: TestClient) -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    answer = client.post("/api/picture", content=file.getvalue())
    assert answer.status_code == 422


def test_nothing_that_is_typed_is_looked_for_on_the_disk(
    client: TestClient, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = album / "in" / "004.jpg"
    touched: list[str] = []
    for place, name in ((os, "stat"), (os, "lstat"), (os, "open"), (builtins, "open"),
                        (io, "open"), (os, "scandir"), (os, "readlink")):  # fmt: skip
        real = getattr(place, name)

        def spy(path: Any = ".", *given: Any, real: Any = real, **more: Any) -> Any:
            if isinstance(path, str | bytes | os.PathLike):
                touched.append(os.fsdecode(path))
            return real(path, *given, **more)

        monkeypatch.setattr(place, name, spy)
    answer = ask(client, f'{picture} + ./zzqx.jpg + ~/zzqx "zzqx folder/a.jpg"')
    assert [chip["kind"] for chip in answer["understood"]] == ["plus"] * 3
    for place in ("/zzqx", "../zzqx", "~/zzqx", str(album)):
        refused(client, f'circle --in "{place}"')
    refused(client, "circle --in '/zzqx/*'")
    refused(client, "--like zzqx.jpg")
    assert not [path for path in touched if "zzqx" in path or path == str(picture)]


def test_folders_are_found_by_their_names(tmp_path: Path) -> None:
    names = ["Sea/a.jpg", "2024/Sea/b.jpg", "2024/sea side/c.heic", "x.jpg"]
    with Store(tmp_path / "l.db", can_write=True) as store:
        store.add_root(Root(b"/p/Pictures"))
        for name in names:
            add_photo(store, f"/p/Pictures/{name}")

    with routes_over(tmp_path / "l.db") as client:

        def found(place: str) -> list[int]:
            return sorted(ids_of(ask(client, f'--in "{place}"')))

        assert found("sea") == [1, 2]
        assert found("2024/Sea") == [2]
        assert found("2024") == [2, 3]
        assert found("Pictures") == found("Pictures/") == [1, 2, 3, 4]
        assert found("Pictures/Sea") == [1]
        assert found("*.heic") == [3]
        for place in ("p", "/p/Pictures", "ea", "x.jpg", ".", "..", "/"):
            refused(client, f'--in "{place}"')


def test_a_taught_tag_is_a_term(client: TestClient, album: Path) -> None:
    with Library(client.app.state.service.path) as library:
        paths = [file.path_str for file in sorted(library.store.files(), key=lambda each: each.id)]
        library.teach("Luna", yes=paths[:3], no=paths[3:6], words="a red circle")
    answer = ask(client, "tag:Luna - circle")
    assert answer["total"] + answer["below"] == PHOTOS
    why = said(client, f"/api/photos/1/why?search={answer['search']}")
    assert [(term["kind"], term["weight"]) for term in why["terms"]] == [
        ("tag", 1.0),
        ("minus", -1.0),
    ]
    assert all(0 <= term["score"] <= 1 for term in why["terms"])
    assert "Nobody" in refused(client, "tag:Nobody")["message"]


def test_why_is_each_terms_own_score(client: TestClient) -> None:
    answer = ask(client, "a red circle + 2:square - night", min=0)
    alone = {hit[0]: hit[2] for hit in ask(client, "a red circle", min=0)["hits"]}
    together = {hit[0]: hit[2] for hit in answer["hits"]}
    for id in ids_of(answer)[:4]:
        why = said(client, f"/api/photos/{id}/why?search={answer['search']}")
        assert why["score"] == pytest.approx(together[id], abs=2e-6)
        assert [(each["text"], each["weight"]) for each in why["terms"]] == [
            ("a red circle", 1.0), ("2:square", 2.0), ("night", -1.0),
        ]  # fmt: skip
        assert why["terms"][0]["score"] == pytest.approx(alone[id], abs=2e-6)
        assert (why["line"], why["caption"]) == (0.5, None)
    assert said(client, f"/api/photos/99/why?search={answer['search']}", status=404)
    huge = "9" * 40
    assert said(client, f"/api/photos/{huge}/why?search={answer['search']}", status=404)
    listed = ask(client, "--format jpeg")
    why = said(client, f"/api/photos/1/why?search={listed['search']}")
    assert (why["score"], why["terms"]) == (None, [])


def test_a_caption_says_what_it_adds(client: TestClient) -> None:
    with Store(client.app.state.service.path, can_write=True) as store:
        store.caption(store.last_hash(7), Caption("a violet elephant", "you"))
    answer = ask(client, "violet elephant", min=0)
    scores = {hit[0]: hit[2] for hit in answer["hits"]}
    why = said(client, f"/api/photos/7/why?search={answer['search']}")
    assert 0 < why["caption"] <= why["score"] == pytest.approx(scores[7], abs=2e-6)
    assert why["score"] - why["caption"] == pytest.approx(why["terms"][0]["score"], abs=1e-6)


def test_a_checkpoint_without_texts_finds_by_pictures_alone(tmp_path: Path) -> None:
    with Store(tmp_path / "l.db", can_write=True) as store, store.transaction():
        vectors = add_set(store, 5, has_text=False)
        files = [add_photo(store, f"/p/{number}.jpg") for number in range(5)]
        fill(store, vectors, unit(np.eye(5) + 0.1), files[:4])
    with routes_over(tmp_path / "l.db") as client:
        assert "pictures only" in refused(client, "red boat")["message"]
        assert ids_of(ask(client, like=[1])) == [2, 3, 4]
        assert "photo 5" in refused(client, like=[5])["message"]
        assert len(ask(client, "--format jpeg")["hits"]) == 5


def test_an_empty_library_finds_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "l.db", can_write=True):
        pass
    with routes_over(tmp_path / "l.db") as client:
        for body in (
            {"q": "red"},
            {"q": "--since 2023"},
            {"like": [1]},
            {"q": "red", "unique": True},
        ):
            answer = ask(client, **body)
            assert (answer["total"], answer["below"], answer["hits"]) == (0, 0, [])
        assert client.post("/api/picture", content=b"x").status_code == 422


def test_photos_of_one_shot_and_unreadable_ones(tmp_path: Path) -> None:
    names = ["/p/IMG_1.CR2", "/p/IMG_1.JPG", "/p/other.jpg"]
    at = facts(taken_at="2024-05-03T10:00:00")
    make_library(tmp_path / "l.db", names, unit(np.eye(3) + 0.5), facts=at)
    with Store(tmp_path / "l.db", can_write=True) as store:
        add_photo(store, "/p/bad.jpg", facts=None, hash=None, error="is damaged")
    with routes_over(tmp_path / "l.db") as client:
        assert ids_of(ask(client, since="2024")) == [2, 3]
        assert ids_of(ask(client, like=[3])) == [2]
        assert ids_of(ask(client, like=[1])) == [3]  # the liked one's shot is left out
        assert "photo 4" in refused(client, like=[4])["message"]


def test_threads_search_at_once_and_load_the_checkpoint_once(
    client: TestClient, loads: list[str]
) -> None:
    words = ["a red circle", "a blue square", "a green triangle", "something violet"] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda q: ask(client, q, min=0), words))
    for q, answer in zip(words, answers, strict=True):
        assert ids_of(answer) == ids_of(answers[words.index(q)])
    assert len({answer["search"] for answer in answers}) == len(words)
    ask(client, "other words that nobody has searched for")
    assert len(loads) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"q": 5}, {"q": ["red"]}, {"q": "x" * 20_000}, {"q": "\0" , "like": "1"}, {"like": [True]},
        {"like": ["1"]}, {"like": [0]}, {"like": [2**70]}, {"like": [1] * 2000}, {"pictures": [1]},
        {"tags": "Sea"}, {"tags": [None]}, {"tags": [""]}, {"since": 2023}, {"since": "x"},
        {"sort": "worst", "q": "red"}, {"sort": ["best"], "q": "red"}, {"min": "0.5"},
        {"min": True}, {"min": 1e300}, {"unique": 1}, {}, {"q": "   "}, {"q": "\ud800"},
        {"q": "red -"}, {"q": "- red"}, {"q": "red + + boat"}, {"q": "0:red"}, {"q": "tag:"},
        {"q": "red", "tags": ["\ud800"]}, {"q": "--format x"}, {"min": 0.5, "since": "2023"},
        {"q": "red", "since": "\ud800"},
    ],
)  # fmt: skip
def test_what_is_no_search_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    if not body.keys() - {"unique", "min"}:
        body = body | {"q": "red"} if body.get("unique") == 1 or "min" in body else body
    refused(client, **body)


@pytest.mark.parametrize(
    "q",
    ["<img src=x onerror=alert(1)>", "a\0b", "' OR 1=1 --x=", "\u202e", "é" * 500, "🙂", "%s %n"],
)
def test_hostile_words_are_words(client: TestClient, q: str) -> None:
    answer = client.post("/api/search", json={"q": q})
    assert answer.status_code in (200, 422), answer.text


@pytest.mark.parametrize("body", [{"q": "sea"}, {"since": "1999"}, {"like": [1], "min": -1}])
def test_of_many_photos_only_those_of_the_page_are_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    """The number of statements is the same for many photos; facts are asked of a page of them."""
    monkeypatch.setattr(SearchModel, "texts", lambda self, texts: unit(np.ones((len(texts), 3))))
    counts = []
    for size in (40, 400):
        names = [f"/p/{number}.jpg" for number in range(size)]
        rows = unit(np.random.default_rng(size).standard_normal((size, 3)))
        path = tmp_path / f"{size}.db"
        make_library(path, names, rows, facts=facts(taken_at="2024-05-03T10:00:00"))
        with routes_over(path) as client:
            ask(client, **body)  # what is kept of all photos is made
            looked_up: list[int] = []
            cells = client.app.state.service.cells
            monkeypatch.setattr(
                client.app.state.service,
                "cells",
                lambda store, ids, cells=cells, seen=looked_up: (
                    seen.append(len(ids)) or cells(store, ids)
                ),
            )
            with counted_statements() as statements:
                answer = ask(client, **body)
            counts.append(len(statements))
            assert answer["total"] + answer["below"] > min(size, 300) - 2
            assert looked_up == [min(size - ("like" in body), 200)]
    assert counts[0] == counts[1]
