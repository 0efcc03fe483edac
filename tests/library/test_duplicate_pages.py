"""Groups to decide on, page by page: what is found once, and what the owner says of them."""

import threading
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.duplicates import pages
from mlx_aimv2.library.duplicates.apart import Apart, Row, say_apart
from mlx_aimv2.library.duplicates.pages import GroupPages
from mlx_aimv2.library.duplicates.picks import set_picks, without_any_left
from mlx_aimv2.library.library import Library
from tests.support.commands import PATIENCE_S
from tests.support.copied_pictures import NEAR, make_copied_library
from tests.support.synthetic import FACTS

AT = "2026-11-30T12:00:00+00:00"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.setattr(pages, "_SOON_S", 600.0)  # however slow the machine is
    make_copied_library(tmp_path / "library.db")
    with Library(tmp_path / "library.db") as opened:
        yield opened


@pytest.fixture
def groups(library: Library) -> GroupPages:
    return GroupPages(library._of_one_moment)


def names(page: pages.Page) -> list[list[str]]:
    return [[path.removeprefix("/p/")[:-4] for path in group.paths] for group in page.groups]


def id_of(library: Library, name: str) -> int:
    with Store(library.path) as store:
        file = store.file_at(f"/p/{name}.jpg".encode())
        assert file is not None
        return file.id


def pick(library: Library, *chosen: str, is_picked: bool = True) -> None:
    ids = [id_of(library, name) for name in chosen]
    with Store(library.path, can_write=True) as store:
        set_picks(store, [(store.last_hash(id) or b"", id, is_picked) for id in ids], AT)


def say(library: Library, *chosen: str, name: str = "s") -> None:
    with Store(library.path, can_write=True) as store:
        hashes = [store.last_hash(id_of(library, each)) or b"" for each in chosen]
        each_once = list(dict.fromkeys(hashes))
        rows = [(hash, 0, each_once.index(hash), hashes.count(hash) > 1) for hash in each_once]
        say_apart(store, rows, name, AT)


def test_exact_and_near_copies_are_pages_of_their_own(groups: GroupPages) -> None:
    exact, near = groups.page("exact"), groups.page("near")
    assert names(exact) == [["4-full", "4-twin"]]
    assert (exact.total, exact.copies, exact.next) == (1, 1, None)
    assert names(near) == NEAR
    assert (near.total, near.copies, near.is_computing) == (4, 5, False)


def test_pages_by_a_cursor(groups: GroupPages) -> None:
    found, after = [], None
    for _ in range(9):
        page = groups.page("near", after=after, count=3)
        found.append(names(page))
        after = page.next
        if after is None:
            break
    assert found == [NEAR[:3], NEAR[3:]]
    with pytest.raises(UsageError, match="has changed"):
        groups.page("near", after=99_999)


def test_what_is_decided_leaves_the_list_and_the_cursor_stays(
    library: Library, groups: GroupPages
) -> None:
    first = groups.page("near", count=2)
    pick(library, "0-half", "1-half", "3-half")
    page = groups.page("near", after=first.next, count=2)
    assert names(page) == NEAR[2:]
    assert (page.total, page.copies) == (2, 2)
    assert page.size_bytes == sum(10 + number for number in (5, 8))
    assert names(groups.page("near", decided=True)) == NEAR
    pick(library, "0-half", is_picked=False)
    assert names(groups.page("near")) == [NEAR[0], *NEAR[2:]]


def test_near_copies_are_looked_for_once_while_the_photos_are_the_same(
    library: Library, groups: GroupPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    find = pages._find
    monkeypatch.setattr(pages, "_find", lambda store, kind: found.append(kind) or find(store, kind))
    groups.page("near")
    pick(library, "0-half")
    say(library, "1-full", "1-half")
    with Store(library.path, can_write=True) as store:
        store.say(b"0full", "Boat", "added")
    assert names(groups.page("near")) == NEAR[2:]
    assert found == ["near"]
    with Store(library.path, can_write=True) as store:
        store.set_missing([id_of(library, "2-full")], AT)
    assert names(groups.page("near")) == NEAR[3:]
    assert found == ["near", "near"]


def test_what_is_said_to_be_no_duplicate_leaves_its_group_for_good(
    library: Library, groups: GroupPages
) -> None:
    groups.page("near")
    say(library, "0-full", "0-half", name="all of it")
    say(library, "3-full", "3-half", name="the best and one")
    left = [*NEAR[1:3], ["3-full", "3-small"]]
    assert names(groups.page("near")) == left
    assert names(GroupPages(library._of_one_moment).page("near")) == left
    assert [[path[3:-4] for path in each.paths] for each in library.duplicates()][:2] == NEAR[1:3]
    say(library, "4-full", "4-twin", name="the same content")
    assert names(groups.page("exact")) == []
    with Store(library.path, can_write=True) as store:
        store.run("DELETE FROM not_duplicates")
    assert names(groups.page("near")) == NEAR
    assert names(groups.page("exact")) == [["4-full", "4-twin"]]


def test_of_a_group_torn_in_two_both_parts_are_groups(library: Library, groups: GroupPages) -> None:
    say(library, "3-full", "3-half", name="a")
    say(library, "3-full", "3-small", name="b")
    assert names(groups.page("near")) == [*NEAR[:3], ["3-half", "3-small"]]


@pytest.mark.parametrize(
    ("rows", "hashes", "parts"),
    [
        ([], b"ab", "none"),
        ([(b"a", "s", 0, 0)], b"ab", "none"),
        ([(b"a", "s", 0, 0), (b"b", "s", 1, 0)], b"ab", "all"),
        ([(b"a", "s", 0, 0), (b"b", "t", 1, 0)], b"ab", "none"),
        ([(b"a", "s", 0, 0), (b"b", "s", 1, 0)], b"abc", "some"),
        ([(b"a", "s", 0, 0), (b"b", "s", 1, 0)], b"aab", "some"),
        ([(b"a", "s", 0, 1), (b"b", "s", 1, 0)], b"aab", "all"),
        ([(b"a", "s", 0, 1), (b"c", "s", 0, 1)], b"ac", "all"),
        ([(b"a", "s", 0, 0), (b"c", "s", 0, 0)], b"ac", "none"),
        ([(b"a", "s", 0, 1)], b"aa", "all"),
        ([(b"a", "s", 0, 0)], b"aa", "none"),
        ([(b"a", "s", 0, 1)], b"aac", "some"),
        ([(b"a", "s", 0, 1), (b"b", "s", 1, 1)], b"aabb", "all"),
    ],
)
def test_what_sayings_make_of_a_group(rows: list[Row], hashes: bytes, parts: str) -> None:
    given = [bytes([each]) for each in hashes]
    said = Apart(rows)
    assert said.parts(given) == parts
    pairs = [said.are_apart(*pair) for pair in combinations(given, 2)]
    assert any(pairs) == (parts != "none")
    assert all(pairs) or parts != "all"


def test_groups_that_take_long_are_told_to_be_looked_for(
    library: Library, groups: GroupPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    find = pages._find

    def find_later(*given: object) -> object:
        assert go_on.wait(PATIENCE_S)
        return find(*given)

    monkeypatch.setattr(pages, "_find", find_later)
    with monkeypatch.context() as patch:
        patch.setattr(pages, "_SOON_S", 0.0)
        assert groups.page("near") == pages.Page(is_computing=True)
    go_on.set()
    assert names(groups.page("near")) == NEAR
    go_on.clear()
    with Store(library.path, can_write=True) as store:
        store.set_missing([id_of(library, "2-full")], AT)
    with monkeypatch.context() as patch:
        patch.setattr(pages, "_SOON_S", 0.0)
        page = groups.page("near")  # what was known, without what has gone
    assert (names(page), page.is_computing) == ([*NEAR[:2], NEAR[3]], True)
    go_on.set()
    assert not groups.page("near").is_computing


def test_an_error_is_told_once_and_looking_begins_anew(
    groups: GroupPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> object:
        raise OutputError("the vectors are gone", hint="aimv2 index")

    with monkeypatch.context() as patch:
        patch.setattr(pages, "_find", fail)
        with pytest.raises(OutputError, match="vectors are gone"):
            groups.page("near")
    assert names(groups.page("near")) == NEAR


def test_a_library_without_photos_has_no_groups(tmp_path: Path) -> None:
    with Store(tmp_path / "library.db", can_write=True):
        pass
    with Library(tmp_path / "library.db") as opened:
        groups = GroupPages(opened._of_one_moment)
        assert groups.page("near") == groups.page("exact") == pages.Page()


def test_which_groups_would_be_picked_as_a_whole(library: Library, groups: GroupPages) -> None:
    near = partial(id_of, library)
    twins = tuple(sorted((near("4-full"), near("4-twin"))))
    groups.page("near")
    known = [group.files for group in groups.known("near")]
    with Store(library.path) as store:
        assert without_any_left(store, [near("5-full")], known) == []
        assert without_any_left(store, [near("4-full")], known) == []
        assert without_any_left(store, list(twins), known) == [twins]
        assert len(without_any_left(store, [near("0-full"), near("0-half")], known)) == 1
        assert without_any_left(store, [near("0-full"), near("0-half")]) == []
    pick(library, "4-full")
    with Store(library.path) as store:
        assert without_any_left(store, [near("4-twin")]) == [twins]
    say(library, "4-full", "4-twin")
    with Store(library.path) as store:
        assert without_any_left(store, [near("4-twin")]) == []


def test_a_pick_is_of_the_content_that_was_looked_at_and_moves_along(library: Library) -> None:
    id = id_of(library, "0-half")
    pick(library, "0-half")

    def picked() -> list[tuple[int]]:
        with Store(library.path) as store:
            return store.rows("SELECT file_id FROM picked")

    assert picked() == [(id,)]
    with Store(library.path, can_write=True) as store:
        store.move_file(id, b"/q/moved.jpg", Stamp(11, 1), None)
    assert picked() == [(id,)]
    with Store(library.path, can_write=True) as store:
        store.content_changed(b"0half", b"other")
        store.add_file(b"/q/moved.jpg", Stamp(12, 2), hash=b"other", facts=FACTS)
    assert picked() == []
    with Store(library.path, can_write=True) as store:  # as one that waited while it was changed
        set_picks(store, [(b"0half", id, True)], AT)
    assert picked() == []
    with Store(library.path, can_write=True) as store:
        set_picks(store, [(b"other", id, True)], AT)
    assert picked() == [(id,)]
