"""A page that is killed during edits: what was answered is there, and nothing is there twice."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.files.lock import release_lock, take_lock
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support.killed_edits import Asked, answers
from tests.support.synthetic import add_photo

COUNT, KILLS = 11, 30


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many steps a round of edits takes."""
    path = make(tmp_path_factory.mktemp("calm"))
    return int(answers(path, round_of(0))[-1][2])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path)


def make(folder: Path) -> Path:
    with Store(folder / "library.db", can_write=True) as store:
        for number in range(COUNT):
            add_photo(store, f"/p/{number}.jpg")
    return folder / "library.db"


def round_of(number: int) -> list[Asked]:
    """Edits of two tabs, one of which is taken back, and a search beside them."""
    ids = [1 + (number + each) % COUNT for each in range(3)]

    def edit(name: str, **body: Any) -> Asked:
        return "/api/edits", {"uuid": f"{name}-{number}", **body}

    return [
        edit("add", do="add", tag=f"Tag {number}", ids=ids),
        edit("other", do="add", tag=f"Other {number}", ids=ids),
        ("/api/tags/of", {"ids": ids}),
        (f"/api/edits/other-{number}/undo", {"uuid": f"undo-{number}"}),
        edit("caption", do="caption", text=f"Photo {number}", ids=ids[:1]),
    ]


def uuids(requests: Sequence[Asked]) -> list[str]:
    return [body["uuid"] for _, body in requests if "uuid" in body]


def made(store: Store) -> list[str]:
    return [uuid for (uuid,) in store.rows("SELECT uuid FROM edits ORDER BY id")]


def check_round(store: Store, number: int) -> None:
    """The round of this number was made, wholly and once."""
    ids = {1 + (number + each) % COUNT for each in range(3)}
    query = "SELECT file_id FROM shown_tags WHERE tag = ?"
    assert {id for (id,) in store.rows(query, (f"Tag {number}",))} == ids
    assert store.rows(query, (f"Other {number}",)) == []
    query = "SELECT count(*) FROM changes JOIN edits ON edits.id = edit_id WHERE uuid = ?"
    for name, changes in (("add", 3), ("other", 3), ("undo", 3), ("caption", 1)):
        assert store.one(query, f"{name}-{number}")[0] == changes


def test_30_kills_during_edits_lose_no_answer_and_make_nothing_twice(
    path: Path, steps: int
) -> None:
    answered_before = 0
    for number in range(KILLS):
        requests = round_of(number)
        heard = answers(path, requests, 1 + number * (steps - 1) // KILLS)
        assert [code for code, _, _ in heard] == [200] * len(heard)
        answered_before += len(heard)
        with Store(path) as store:
            assert store.check() == []
            there = made(store)
            assert set(uuids(requests[: len(heard)])) <= set(there), "answered, and lost"
        again = answers(path, requests)  # the page asks again for what got no answer, and more
        assert [code for code, _, _ in again] == [200] * len(requests)
        for (route, _), before, now in zip(requests, heard, again, strict=False):
            if "edits" in route:
                assert before[1] | {"version": ""} == now[1] | {"version": ""}
        with Store(path) as store:
            check_round(store, number)
    assert 0 < answered_before < KILLS * len(round_of(0))
    with Store(path) as store:
        assert sorted(made(store)) == sorted(
            each for number in range(KILLS) for each in uuids(round_of(number))
        )


@pytest.fixture
def index(path: Path) -> Iterator[None]:
    """Another process writes the library, as long as it goes on."""
    lock = take_lock(path.with_name("library.db.vectors"), "the library")
    yield
    release_lock(lock)


def test_kills_while_edits_wait_lose_no_answer_and_keep_nothing_twice(path: Path) -> None:
    def at_work(kill_at: int | None, requests: Sequence[Asked]) -> list[Any]:
        lock = take_lock(path.with_name("library.db.vectors"), "the library")
        try:
            return answers(path, requests, kill_at)
        finally:
            release_lock(lock)

    calm = at_work(None, waiting_round(999))
    steps = int(calm[-1][2])
    assert all(each["waiting"] for _, each, _ in calm)
    for number in range(KILLS):
        requests = waiting_round(number)
        heard = at_work(1 + number * (steps - 1) // KILLS, requests)
        assert [code for code, _, _ in heard] == [200] * len(heard)
        again = at_work(None, requests)
        assert [code for code, _, _ in again] == [200] * len(requests)
    with Library(path) as library:
        library.edit_tags("add", "Last", [1])  # whoever writes next makes them
        assert library.waiting_edits() == 0
    with Store(path) as store:
        assert store.check() == []
        asked = [each for number in (999, *range(KILLS)) for each in uuids(waiting_round(number))]
        assert sorted(made(store)[:-1]) == sorted(asked)
        for number in range(KILLS):
            check_round(store, number)


def waiting_round(number: int) -> list[Asked]:
    return [each for each in round_of(number) if "uuid" in each[1]]
