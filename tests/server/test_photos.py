"""Facts of photos: every field, hostile names, and nothing of where a file is."""

from pathlib import Path

import pytest

from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.folders import Root
from mlx_aimv2.library.database.store import Store
from tests.support.routes import routes_over, said
from tests.support.synthetic import add_photo, facts

FIELDS = {"id", "v", "name", "folder", "root", "online", "date", "width", "height", "size",
          "format", "gps", "tags", "rejected", "caption", "picked", "error", "shot",
          "missing"}  # fmt: skip


def test_every_field_of_a_photo(tmp_path: Path) -> None:
    root = tmp_path / "Pictures"
    (root / "sea").mkdir(parents=True)
    (root / "sea/x").touch()
    known = facts(taken_at="2024-05-03T10:00:00", latitude=0.0, longitude=-3.5)
    with Store(tmp_path / "l.db", can_write=True) as store:
        store.add_root(Root(bytes(root)))
        id = add_photo(store, f"{root}/sea/a.jpg", facts=known)
        raw = add_photo(store, f"{root}/sea/a.cr2", facts=known)
        hash = store.last_hash(id)
        store.add_tags("vocabulary v", [(id, "Boat", 0.75), (id, "Sea", 0.5), (id, "Sky", 0.25)])
        store.add_tags("file", [(id, "Boat", None)])
        store.say(hash, "Boat", "confirmed")
        store.say(hash, "Sky", "rejected")
        store.caption(hash, Caption("a <b>boat</b>", "program"))
        store.run("INSERT INTO picks VALUES (?, ?, 'now')", id, hash.hex().upper())
    with routes_over(tmp_path / "l.db") as client:
        (photo,) = said(client, f"/api/photos?ids={id}")["photos"]
    assert photo == {
        "id": id,
        "v": hash[:4].hex(),
        "name": "a.jpg",
        "folder": "sea",
        "root": "Pictures",
        "online": True,
        "date": "2024-05-03T10:00:00",
        "width": 40,
        "height": 30,
        "size": 1,
        "format": "JPEG",
        "gps": [0.0, -3.5],
        "tags": [
            {
                "tag": "Boat",
                "origins": ["you", "file", "vocabulary v"],
                "score": 0.75,
                "verdict": "confirmed",
            },
            {"tag": "Sea", "origins": ["vocabulary v"], "score": 0.5, "verdict": None},
        ],
        "rejected": ["Sky"],
        "caption": {"text": "a <b>boat</b>", "origin": "program"},
        "picked": True,
        "error": None,
        "shot": [id, raw],
        "missing": False,
    }


def test_photos_that_cannot_be_read_or_are_missing_have_all_fields(tmp_path: Path) -> None:
    with Store(tmp_path / "l.db", can_write=True) as store:
        store.add_root(Root(b"/nowhere/Archive"))
        bad = add_photo(
            store, "/nowhere/Archive/bad.jpg", facts=None, hash=None,
            error="/nowhere/Archive/bad.jpg is damaged", error_hint="copy it again",
        )  # fmt: skip
        gone = add_photo(store, "/elsewhere/gone.jpg")
        store.set_missing([gone], "2024-01-01T00:00:00+00:00")
    with routes_over(tmp_path / "l.db") as client:
        text = client.get(f"/api/photos?ids={gone},{bad},{gone},77").text
        first, second = said(client, f"/api/photos?ids={gone},{bad},{gone},77")["photos"]
    assert set(first) == set(second) == FIELDS
    assert (first["id"], first["missing"], first["root"], first["online"]) == (
        gone, True, None, True,
    )  # fmt: skip
    assert (second["root"], second["online"], second["missing"]) == ("Archive", False, False)
    assert second["error"] == {"message": "bad.jpg is damaged", "hint": "copy it again"}
    assert (second["date"], second["width"], second["gps"], second["v"]) == (
        None, None, None, "00000000",
    )  # fmt: skip
    assert "/nowhere" not in text
    assert "/elsewhere" not in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"<img src=x onerror=alert(1)>.jpg", "<img src=x onerror=alert(1)>.jpg"),
        (b"caf\xe9.jpg", "caf\\udce9.jpg"),
        (b"a\nb.jpg", "a\\nb.jpg"),
        ("gpj\u202e.jpg".encode(), "gpj\\u202e.jpg"),
        (b"known.jpg\x0012", "known.jpg"),
    ],
)
def test_names_are_printable(tmp_path: Path, name: bytes, shown: str) -> None:
    with Store(tmp_path / "l.db", can_write=True) as store:
        store.add_root(Root(b"/p"))
        id = add_photo(store, b"/p/" + name + b"/" + name)
    with routes_over(tmp_path / "l.db") as client:
        (photo,) = said(client, f"/api/photos?ids={id}")["photos"]
    assert photo["name"] == shown
    assert "\0" not in photo["folder"]


@pytest.mark.parametrize("ids", ["", "x", "1,,2", "-1", "1.5", "²", "9" * 19, "1;2", "1,2,"])
def test_what_is_no_list_of_numbers_is_refused(tmp_path: Path, ids: str) -> None:
    with Store(tmp_path / "l.db", can_write=True):
        pass
    with routes_over(tmp_path / "l.db") as client:
        assert client.get("/api/photos", params={"ids": ids}).status_code == 422
        assert client.get("/api/photos").status_code == 422
        many = ",".join(map(str, range(201)))
        assert "200" in said(client, f"/api/photos?ids={many}", status=422)["hint"]
