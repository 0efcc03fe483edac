"""The timeline: months counted right, and the octets of each say what the library knows."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from starlette.testclient import TestClient

from mlx_aimv2.library.browsing import timeline as module
from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.folders import Root
from mlx_aimv2.library.database.store import Store
from tests.support.routes import routes_over, said
from tests.support.synthetic import add_photo, facts


class Part(NamedTuple):
    ids: list[int]
    versions: list[int]
    ratios: list[int]
    flags: list[int]
    days: list[int]


def part_of(client: TestClient, month: str, **asked: int) -> Part:
    """A part of a month, read from its octets."""
    data = client.get(f"/api/timeline/{month}", params=asked).content
    count = int(np.frombuffer(data, "<u4", 1)[0])
    columns, at = [], 4
    for kind, size in (("<u4", 4), ("<u4", 4), ("u1", 1), ("u1", 1), ("u1", 1)):
        columns.append(np.frombuffer(data, kind, count, at).tolist())
        at += size * count
    assert at == len(data)
    return Part(*columns)


def make(path: Path, dates: list[str | None]) -> list[int]:
    with Store(path, can_write=True) as store:
        return [
            add_photo(store, f"/p/{number}.jpg", facts=facts(taken_at=taken_at))
            for number, taken_at in enumerate(dates)
        ]


def test_months_are_counted_and_their_photos_come_newest_first(tmp_path: Path) -> None:
    dates = ["2024-05-03T10:00:00", None, "2023-12-31T23:59:59", "2024-05-31T00:00:00",
             "2024-05-03T10:00:00", "2024-06-01T00:00:00", None]  # fmt: skip
    ids = make(tmp_path / "l.db", dates)
    with routes_over(tmp_path / "l.db") as client:
        told = said(client, "/api/timeline")
        assert told["months"] == [["2024-06", 1], ["2024-05", 3], ["2023-12", 1]]
        assert (told["undated"], told["total"]) == (2, 7)
        may = part_of(client, "2024-05")
        assert may.ids == [ids[3], ids[0], ids[4]]
        assert may.days == [31, 3, 3]
        undated = part_of(client, "undated")
        assert (undated.ids, undated.days) == ([ids[1], ids[6]], [0, 0])
        assert part_of(client, "2024-05", offset=1, limit=1).ids == [ids[0]]
        assert part_of(client, "2024-05", offset=3).ids == []
        assert part_of(client, "1999-01").ids == []


def test_an_empty_library_has_an_empty_timeline(tmp_path: Path) -> None:
    make(tmp_path / "l.db", [])
    with routes_over(tmp_path / "l.db") as client:
        told = said(client, "/api/timeline")
        assert (told["months"], told["undated"], told["total"]) == ([], 0, 0)
        assert part_of(client, "undated").ids == []


def test_before_the_first_index_the_timeline_is_empty(tmp_path: Path) -> None:
    with routes_over(tmp_path / "none.db") as client:
        told = said(client, "/api/timeline")
        assert told == {"version": "", "months": [], "undated": 0, "total": 0}
    assert not list(tmp_path.iterdir())


def test_flags_ratios_and_versions_are_those_of_the_photos(tmp_path: Path) -> None:
    away, here = tmp_path / "away", tmp_path / "here"
    here.mkdir()
    (here / "x").touch()
    shapes = [(40, 30), (30, 40), (9000, 10), (10, 9000)]
    with Store(tmp_path / "l.db", can_write=True) as store:
        store.add_root(Root(str(away).encode()))
        store.add_root(Root(str(here).encode()))
        ids = [
            add_photo(store, f"{here}/{number}.jpg", facts=facts(width_px=width, height_px=height))
            for number, (width, height) in enumerate(shapes)
        ]
        ids.append(add_photo(store, f"{away}/5.jpg"))
        ids.append(add_photo(store, f"{here}/bad.jpg", facts=None, hash=None, error="is damaged"))
        hashes = {file.id: file.hash for file in store.files()}
        store.add_tags("vocabulary v", [(ids[0], "Sea", 0.9), (ids[1], "Sea", 0.9)])
        store.say(hashes[ids[1]], "Sea", "rejected")  # that was its only tag
        store.say(hashes[ids[2]], "Sea", "added")
        store.caption(hashes[ids[0]], Caption("a boat", "you"))
        store.caption(hashes[ids[1]], Caption("", "you"))
        store.run("INSERT INTO picks VALUES (?, ?, 'now')", ids[3], hashes[ids[3]].hex().upper())
        missing = add_photo(store, f"{here}/gone.jpg")
        store.set_missing([missing], "2024-01-01T00:00:00+00:00")
    with routes_over(tmp_path / "l.db") as client:
        part = part_of(client, "undated")
        assert part.ids == ids
        assert part.ratios == [85, 48, 255, 1, 85, 64]
        assert part.flags == [4 | 8, 0, 4, 2, 1, 16]
        firsts = [int.from_bytes((hashes[id] or b"")[:4], "big") for id in ids]
        assert part.versions == firsts


def test_of_a_shot_the_picture_is_shown_and_its_raw_is_not_counted(tmp_path: Path) -> None:
    with Store(tmp_path / "l.db", can_write=True) as store:
        at = facts(taken_at="2024-05-03T10:00:00")
        raw = add_photo(store, "/p/IMG_1.CR2", facts=at)
        jpeg = add_photo(store, "/p/IMG_1.JPG", facts=at)
        alone = add_photo(store, "/p/IMG_2.CR2", facts=at)
    with routes_over(tmp_path / "l.db") as client:
        told = said(client, "/api/timeline")
        assert told["months"] == [["2024-05", 2]]
        assert part_of(client, "2024-05").ids == [jpeg, alone]
        assert raw not in part_of(client, "2024-05").ids


def test_months_are_counted_again_only_when_photos_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = make(tmp_path / "l.db", ["2024-05-03T10:00:00"])
    counted = []
    count = module._count
    monkeypatch.setattr(module, "_count", lambda *given: counted.append(1) or count(*given))
    with routes_over(tmp_path / "l.db") as client:
        part_of(client, "2024-05")
        first = client.get("/api/timeline")
        tag = first.headers["etag"]
        again = client.get("/api/timeline", headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        with Store(tmp_path / "l.db", can_write=True) as store:
            store.say(store.last_hash(ids[0]), "Sea", "added")
        edited = client.get("/api/timeline", headers={"If-None-Match": tag})
        assert edited.json()["version"] != first.json()["version"]
        assert part_of(client, "2024-05").flags == [4]
        assert len(counted) == 1
        make(tmp_path / "l.db", [None, None])  # known paths, whose dates are gone
        changed = client.get("/api/timeline", headers={"If-None-Match": edited.headers["etag"]})
        assert changed.json()["undated"] == 2
        assert part_of(client, "undated").ids == [1, 2]
        assert len(counted) == 2


@pytest.mark.parametrize("month", ["2024", "2024-5", "..", "2024-05-03", "%00", "２０２４-05"])
def test_what_is_no_month_is_not_found(tmp_path: Path, month: str) -> None:
    make(tmp_path / "l.db", [])
    with routes_over(tmp_path / "l.db") as client:
        assert said(client, f"/api/timeline/{month}", status=404)["hint"]


@pytest.mark.parametrize("offset", ["x", "-1", "1.5", "²", ""])
def test_what_is_no_number_is_refused(tmp_path: Path, offset: str) -> None:
    make(tmp_path / "l.db", [])
    with routes_over(tmp_path / "l.db") as client:
        answer = client.get("/api/timeline/2024-05", params={"offset": offset})
        assert answer.status_code == 422
        huge = client.get("/api/timeline/2024-05", params={"offset": "9" * 30, "limit": "9" * 30})
        assert huge.status_code == 200


def test_few_ids_of_months_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 2)
    ids = make(tmp_path / "l.db", [f"2024-{month:02}-01T00:00:00" for month in range(1, 6)])
    with routes_over(tmp_path / "l.db") as client:
        for _ in range(2):
            for number in range(5):
                assert part_of(client, f"2024-{number + 1:02}").ids == [ids[number]]
        assert len(client.app.state.service.timeline._ids) == 2
