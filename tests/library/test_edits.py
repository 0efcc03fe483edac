"""Every change inside an edit can be undone, row by row, unless somebody changed the row since."""

import random
import sqlite3
from contextlib import suppress
from itertools import permutations
from pathlib import Path

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.database import schema
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.known_tags import count_by_origin

HASH, OTHER = b"a" * 16, b"b" * 16
RUN = "vocabulary everyday"


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "library.db", can_write=True) as opened:
        for name, hash in (("a", HASH), ("b", OTHER)):
            opened.add_file(f"/p/{name}.jpg".encode(), Stamp(1, 2, 3), hash=hash)
        yield opened


def shown(store: Store, id: int = 1) -> dict[str, list[str]]:
    return store.origins_of([id])[id]


def test_the_owners_word_is_shown_and_hides(store: Store) -> None:
    store.add_tags(RUN, [(1, "Animals|Dog", 0.9), (1, "Sea", 0.8)])
    store.add_tags("file", [(1, "animals|dog", None)])
    store.say(HASH, "Sea", "rejected")
    store.say(HASH, "Luna", "added")
    assert shown(store) == {"Luna": ["you"], "animals|dog": ["file", RUN]}
    assert store.tags_of(1) == {"Luna": "you", "animals|dog": "file"}
    assert store.rejected() == {(1, "sea")}


def test_an_edit_is_undone(store: Store) -> None:
    store.add_tags(RUN, [(1, "Sea", 0.8), (1, "Dog", 0.7)])
    store.say(HASH, "Dog", "rejected")
    before = (list(store.tags(RUN)), store.verdicts_of(HASH), store.aliases())
    with store.edit("tag", "a run") as number:
        store.remove_tags(RUN, [(1, "Sea")])
        store.add_tags(RUN, [(1, "Dog", 0.9), (2, "Boat", 0.9)])
        store.say(HASH, "dog", "confirmed")
        store.say(OTHER, "Boat", "added")
        store.alias("Boat", "Ship")
    assert store.files_of_edit(number) == [1, 2]
    assert store.undo_edit(number) == 5
    tags = [(1, "Dog", 0.9), (1, "Sea", 0.8)]  # a score that rose is nobody's word
    assert (list(store.tags(RUN)), store.verdicts_of(HASH), store.aliases()) == (tags, *before[1:])
    with pytest.raises(UsageError, match="was undone"):
        store.undo_edit(number)
    with pytest.raises(UsageError, match="no edit 99"):
        store.undo_edit(99)


def test_what_was_changed_since_stays_and_what_was_undone_does_not_return(store: Store) -> None:
    with store.edit("confirm", "first") as first:
        store.say(HASH, "Dog", "confirmed")
    with store.edit("reject", "second") as second:
        store.say(HASH, "Dog", "rejected")
    assert store.undo_edit(first) == 0
    assert store.verdicts_of(HASH) == {"dog": "rejected"}
    assert store.undo_edit(second) == 1
    assert store.verdicts_of(HASH) == {}


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_edits_undone_in_any_order_leave_what_was_there_at_first(
    store: Store, order: tuple[int, ...]
) -> None:
    store.add_tags(RUN, [(1, "Sea", 0.8)])
    store.say(OTHER, "Sea", "added")
    numbers = []
    for step in (
        lambda: store.add_tags(RUN, [(1, "Dog", 0.7), (2, "Dog", 0.6)]),
        lambda: store.remove_tags(RUN, [(1, "Dog"), (1, "Sea")]),
        lambda: (store.add_tags(RUN, [(1, "Dog", 0.5)]), store.say(OTHER, "Sea", "rejected")),
        lambda: (store.add_tags(RUN, [(2, "Cat", 0.4)]), store.remove_tags(RUN, [(2, "Dog")])),
    ):
        with store.edit("tag", "a step") as number:
            step()
        numbers.append(number)
    for at in order:
        store.undo_edit(numbers[at])
    assert list(store.tags(RUN)) == [(1, "Sea", 0.8)]
    assert store.verdicts_of(OTHER) == {"sea": "added"}
    assert store.aliases() == {}


def test_what_is_rejected_under_a_new_name_does_not_come_back_under_the_old_one(
    store: Store,
) -> None:
    store.add_tags(RUN, [(1, "Dog|Poodle", 0.8)])
    store.say(HASH, "Dog|Poodle", "rejected")
    with store.edit("tag", "another vocabulary's, which take these away") as run:
        store.remove_tags(RUN, [(1, "Dog|Poodle")])
    with store.edit("rename", "Dog is Hound now") as renamed:
        store.rename("Dog", "Hound")
    for undo in (run, None):
        with pytest.raises(UsageError, match=f"another name since edit {renamed}: Dog is") as error:
            store.undo_edit(store.edit_to_undo(undo))
        assert error.value.hint == f"undo that one first: aimv2 tag undo {renamed}"
        assert store.origins_of([1])[1] == {}
    store.undo_edit(renamed)
    store.undo_edit(run)
    assert store.origins_of([1])[1] == {}
    assert list(store.tags(RUN)) == [(1, "Dog|Poodle", 0.8)]


def test_what_is_decided_of_duplicates_is_undone_and_done_again(store: Store) -> None:
    def decided() -> list[list[tuple[object, ...]]]:
        tables = ("picks", "not_duplicates", "carried")
        return [store.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]

    with store.edit("pick", "a pick") as first:
        store.run("INSERT INTO picks VALUES (1, hex(?), 'then')", HASH)
        store.run("INSERT INTO not_duplicates VALUES (?, 's', 1, 0, 'then')", HASH)
        store.run("INSERT INTO not_duplicates VALUES (?, 's', 2, 1, 'then')", OTHER)
        store.run("INSERT INTO carried VALUES (?, 'rating', '5', 'then')", HASH)
    before = decided()
    with store.edit("rename", "a tag of that name is none of them") as _:
        store.rename("rating", "Stars")
    assert store.undo_edit(first) == 4
    second = store.edits()[0].number
    assert decided() == [[], [], []]
    assert store.files_of_edit(second) == [1, 2]
    assert store.undo_edit(second) == 4
    assert decided() == before


def test_what_files_say_and_nothing_at_all_are_no_edits(store: Store) -> None:
    with store.edit("keywords", "nothing"):
        store.add_tags("file", [(1, "Dog", None)])
    assert store.edits() == []


def test_a_photo_that_is_forgotten_takes_its_changes_along_but_not_the_owners_word(
    store: Store,
) -> None:
    with store.edit("tag", "a run") as number:
        store.add_tags(RUN, [(1, "Sea", 0.8)])
        store.say(HASH, "Luna", "added")
    store.remove_files([1])
    assert store.undo_edit(number) == 1
    assert store.verdicts_of(HASH) == {}


def test_new_content_keeps_the_owners_word_and_its_undo(store: Store) -> None:
    with store.edit("reject", "no dog") as number:
        store.say(HASH, "Dog", "rejected")
    new = b"c" * 16
    store.content_changed(HASH, new)
    assert store.verdicts_of(new) == store.verdicts_of(HASH) == {"dog": "rejected"}
    assert store.undo_edit(number) == 2
    assert store.verdicts_of(new) == {}


def test_renamed_tags_keep_their_names(store: Store) -> None:
    store.alias("Animals", "Fauna")
    store.alias("Fauna|Dog", "Dogs")
    named = store.named()
    assert [named(tag) for tag in ("animals|cat", "Animals", "fauna|dog", "Sea")] == [
        "Fauna|cat", "Fauna", "Dogs", "Sea",
    ]  # fmt: skip
    store.add_tags(RUN, [(1, "Animals|Cat", 0.9)])
    assert shown(store) == {"Fauna|Cat": [RUN]}


def test_a_renamed_path_takes_all_beneath_it_along_and_comes_back(store: Store) -> None:
    store.add_tags(RUN, [(1, "Animals|Dog", 0.9), (1, "Animals|Dog|Poodle", 0.8), (2, "Cat", 0.7)])
    store.add_tags("file", [(1, "animals", None)])
    store.say(OTHER, "Animals|Dog", "rejected")
    before = store.origins_of([1, 2]), store.rejected()
    with store.edit("rename", "Animals to Fauna") as number:
        store.rename("Animals", "Fauna")
    assert shown(store) == {"Fauna": ["file"], "Fauna|Dog": [RUN], "Fauna|Dog|Poodle": [RUN]}
    assert store.rejected() == {(2, "fauna|dog")}
    store.undo_edit(number)
    assert (store.origins_of([1, 2]), store.rejected()) == before
    assert store.named()("Animals|Dog") == "Animals|Dog"


@pytest.mark.parametrize("names", [("Dog", "Hound"), ("Dog", "Dog|Poodle"), ("A|Dog", "Dog")])
def test_a_name_that_was_given_up_can_be_taken_again(store: Store, names: tuple[str, str]) -> None:
    old, new = names
    store.add_tags(RUN, [(1, old, 0.9)])
    for was, now in ((old, new), (new, old), (old, new)):
        store.rename(was, now)
        assert shown(store) == {now: [RUN]}
        assert store.named()(was) == store.named()(now) == now
    store.rename(new, "Beast")
    assert [store.named()(tag) for tag in (old, f"{old}|Small")] == ["Beast", "Beast|Small"]


def test_of_two_words_on_merged_tags_the_yes_counts(store: Store) -> None:
    for first, second in (("confirmed", "rejected"), ("rejected", "confirmed")):
        with store.edit("add", "words"):
            store.say(HASH, "Dog", first)
            store.say(HASH, "Hound", second)
        with store.edit("merge", "Hound into Dog") as number:
            store.rename("Hound", "Dog")
        assert store.verdicts_of(HASH) == {"dog": "confirmed"}
        store.undo_edit(number)
        assert store.verdicts_of(HASH) == {"dog": first, "hound": second}


def test_a_photo_that_cannot_be_read_for_a_while_keeps_the_owners_word(store: Store) -> None:
    store.add_tags(RUN, [(1, "Dog", 0.9)])
    store.say(HASH, "Dog", "rejected")
    store.say(HASH, "Luna", "added")
    store.add_file(b"/p/a.jpg", Stamp(1, 2, 3), error="cut off")
    assert store.last_hash(1) == HASH
    assert shown(store) == {"Luna": ["you"]}
    assert store.rejected() == {(1, "dog")}


def test_tags_of_an_earlier_version_are_a_run_that_can_be_undone(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    database = sqlite3.connect(path, isolation_level=None)
    for migration in schema.MIGRATIONS[:5]:
        database.executescript(migration)
    database.execute("PRAGMA user_version = 5")
    database.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    database.execute(
        "INSERT INTO files (id, path, size_bytes, mtime_ns, hash) VALUES (1, ?, 1, 1, ?)",
        (b"/p/a.jpg", HASH),
    )
    database.executemany(
        "INSERT INTO tags VALUES (1, ?, ?, ?)",
        [("Animals|Dog", "aimv2", 0.9), ("Sea", "aimv2", 0.8), ("Luna", "user", None)],
    )
    database.close()
    with Store(path, can_write=True) as store:
        earlier = "vocabulary earlier"
        assert shown(store) == {"Animals|Dog": [earlier], "Luna": ["user"], "Sea": [earlier]}
        (run,) = store.edits()
        assert (run.kind, run.changes) == ("tag", 2)
        assert store.undo_edit(store.edit_to_undo(None)) == 2
        assert shown(store) == {"Luna": ["user"]}
        assert store.last_hash(1) == HASH
        assert len(store.setting("library_id") or "") == 8


def test_a_tag_is_counted_once_however_it_is_spelled(store: Store) -> None:
    store.add_tags(RUN, [(1, "Dog", 0.9), (2, "dog", 0.8)])
    store.add_tags("file", [(1, "DOG", None)])
    assert [(each.tag, each.photos) for each in count_by_origin(store)] == [("DOG", 2)]


def test_tags_of_few_files_are_read_without_looking_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    rows = store.rows
    monkeypatch.setattr(store, "rows", lambda query: asked.append(query) or [])
    store.origins_of([1, 2])
    (query,) = asked
    plan = " ".join(row[3] for row in rows(f"EXPLAIN QUERY PLAN {query}"))
    assert "SEARCH tags USING PRIMARY KEY" in plan
    assert "SCAN tags" not in plan
    assert "SCAN verdicts" not in plan


NAMES = ["Dog", "Cat", "Animals|Dog", "Animals", "Sea", "Dog|Poodle"]


def change_anything(store: Store, chance: random.Random) -> None:
    tag, other = chance.sample(NAMES, 2)
    id, hash = chance.choice([(1, HASH), (2, OTHER)])
    step = chance.randrange(6)
    if step == 0:
        store.add_tags(RUN, [(id, tag, 0.9)])
    elif step == 1:
        store.remove_tags(RUN, [(id, tag)])
    elif step == 2:
        store.unsay([hash], tag)
    elif step == 3:
        store.rename(tag, other)
    else:
        store.say(hash, store.named()(tag), "added" if step == 4 else "rejected")


def undo(store: Store, number: int) -> bool:
    """Whether an edit could be undone: not one whose tags have other names since."""
    if any(edit.number == number for edit in store.edits()):  # else it changed nothing
        try:
            store.undo_edit(number)
        except UsageError as error:
            assert "has another name since edit" in str(error)
            return False
    return True


@pytest.mark.parametrize("seed", range(40))
def test_whatever_was_done_all_of_it_can_be_undone_in_any_order(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    store.add_tags(RUN, [(1, "Dog", 0.5), (2, "Cat", 0.4)])
    store.say(HASH, "Sea", "rejected")

    def state() -> list[object]:
        return [
            store.rows("SELECT file_id, key, origin, tag FROM tags ORDER BY 1, 2, 3"),
            store.rows("SELECT hash, key, tag, verdict FROM verdicts ORDER BY 1, 2"),
            store.aliases(),
        ]

    before, numbers = state(), []
    for _ in range(6):
        with store.edit("merge", "anything") as number:
            for _ in range(3):
                change_anything(store, chance)
        numbers.append(number)
        if chance.random() < 0.3:
            undone = chance.choice(numbers)
            if undo(store, undone):
                numbers.remove(undone)
    chance.shuffle(numbers)
    while numbers:
        left = [number for number in numbers if not undo(store, number)]
        assert len(left) < len(numbers)
        numbers = left
    assert state() == before


def test_names_that_go_round_in_a_ring_end(store: Store) -> None:
    for number in range(6):
        store.alias(f"other {number}", "Other")
        store.say(HASH, "A", "added")
        for was, name in (("A", "B"), ("B", "C"), ("C", "A")):
            store.rename(was, name)
        assert shown(store) == {"A": ["you"]}
        assert store.named()("B") == store.named()("C") == "A"


@pytest.mark.parametrize("seed", range(20))
def test_edits_that_are_undone_and_done_again_in_any_order(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    store.say(HASH, "Sea", "added")
    at_first = state(store)
    for _ in range(25):
        live = [each for each in store.edits() if each.undone_at is None]
        undoings = [each for each in live if each.undoes and each.kind == "undo"]
        others = [each for each in live if each not in undoings]
        dice = rng.random()
        if dice < 0.3 and others:
            before = state(store)
            store.undo_edit(rng.choice(others).number)
            [undone] = [each for each in store.edits()[:1] if each.kind == "undo"] or [None]
            if undone is not None and dice < 0.15 and undone.number > live[0].number:
                store.undo_edit(undone.number)  # at once: as if nothing had been
                assert state(store) == before
        elif dice < 0.5 and undoings:
            with suppress(UsageError):  # what it left was changed since
                store.undo_edit(rng.choice(undoings).number)
        else:
            with store.edit("add", "a word"):
                for _ in range(rng.randint(1, 3)):
                    hash, tag = rng.choice([HASH, OTHER]), rng.choice(["Sea", "Dog"])
                    store.say(hash, tag, rng.choice(["added", "rejected", None]))
    while live := [
        each
        for each in store.edits()
        if each.undone_at is None and not (each.undoes and each.kind == "undo")
    ]:
        store.undo_edit(rng.choice(live).number)
    assert state(store) == at_first


def state(store: Store) -> list[dict[str, str]]:
    return [store.verdicts_of(hash) for hash in (HASH, OTHER)]
