"""Several libraries on one folder, kills between library and sidecar: no keyword is lost."""

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.sidecars import sidecar
from mlx_aimv2.library.sidecars.keywords import Tag
from mlx_aimv2.library.sidecars.notes import Owner
from mlx_aimv2.library.sidecars.sidecar import Undone
from mlx_aimv2.library.sidecars.xmp import merge, remove_ours, replace_ours
from mlx_aimv2.library.sidecars.xmp import read_keywords as read
from mlx_aimv2.library.tagging import tag_sidecars
from tests.support import sidecar_samples as samples
from tests.support.sidecar_keywords import read_keywords

FIRST, SECOND = Owner("11111111"), Owner("22222222")
RUN = "vocabulary everyday"
HASH = b"h" * 16
DOG, SEA = ("Animals", "Dog"), ("Sea",)
THEIRS: list[Tag] = [("Places", "France", "Paris"), ("holiday",), ("Cat",), ("Animals", "Cat")]
# The others are not written with a list: taking out leaves one, of the same keywords.
EXACT = sorted(set(samples.SAMPLES) - {"bare", "attribute", "text", "empty"})
KILLED = "killed"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"pixels")
    return path


def library(photo: Path, name: str) -> Store:
    store = Store(photo.with_name(f"{name}.db"), can_write=True)
    store.add_file(bytes(photo), Stamp(1, 2, 3), hash=HASH)
    return store


def say(store: Store, photo: Path, *tags: str) -> None:
    """The program gives a photo these tags, and its sidecar is written."""
    store.remove_tags(RUN)
    store.add_tags(RUN, [(1, tag, 0.9) for tag in tags])
    path = bytes(sidecar.existing_or_new(photo))
    [file] = store.files_of([1]).values()
    written = tag_sidecars.write_sidecar(store, file, path, tags)
    assert written is None or written.error is None


def beside(photo: Path) -> bytes | None:
    path = photo.with_name("a.jpg.xmp")
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("order", list(permutations((FIRST, SECOND))))
def test_what_two_libraries_wrote_goes_in_either_order(name: str, order: list[Owner]) -> None:
    before = samples.SAMPLES[name]
    both = merge(merge(before, [DOG, SEA], owner=FIRST), [DOG, ("snow",)], owner=SECOND)
    one = remove_ours(both, owner=order[0])
    assert "Animals|Dog" in read_keywords(one).hierarchical
    assert remove_ours(one, owner=order[1]) == before


@pytest.mark.parametrize("before", [None, samples.DIGIKAM, samples.LIGHTROOM])
@pytest.mark.parametrize("first_to_write", ["one", "two"])
@pytest.mark.parametrize("first_to_undo", ["one", "two"])
def test_undoing_in_any_order_leaves_the_original(
    photo: Path, before: bytes | None, first_to_write: str, first_to_undo: str
) -> None:
    if before:
        photo.with_name("a.jpg.xmp").write_bytes(before)
    with library(photo, "one") as one, library(photo, "two") as two:
        stores, tags = {"one": one, "two": two}, {"one": ["Dog", "Sea"], "two": ["Dog", "Boat"]}
        for name in sorted(stores, key=lambda name: name != first_to_write):
            say(stores[name], photo, *tags[name])
        assert {"Dog", "Sea", "Boat"} <= set(read_keywords(beside(photo) or b"").flat)
        for name in sorted(stores, key=lambda name: name != first_to_undo):
            assert not [each for _, each in tag_sidecars.undo(stores[name])
                        if isinstance(each, Exception)]  # fmt: skip
            if name == first_to_undo:
                [other] = set(stores) - {name}
                assert set(tags[other]) <= set(read_keywords(beside(photo) or b"").flat)
    assert beside(photo) == before


def test_a_second_library_takes_nothing_of_the_first() -> None:
    once = merge(samples.DIGIKAM, [DOG, SEA], owner=FIRST)
    assert replace_ours(once, [], owner=SECOND) == once
    both = replace_ours(once, [DOG], owner=SECOND)
    assert both is not None
    assert read_keywords(both) == read_keywords(once)
    assert replace_ours(both, [], owner=SECOND) == once
    assert replace_ours(both, [DOG, SEA], owner=FIRST) == both


@given(
    name=st.sampled_from(EXACT),
    runs=st.lists(
        st.tuples(st.booleans(), st.sets(st.sampled_from([DOG, SEA, *THEIRS]))), max_size=9
    ),
    first_to_go=st.booleans(),
)
@settings(max_examples=60)
def test_whatever_two_libraries_give_each_has_its_own_and_nothing_of_others_goes(
    name: str, runs: list[tuple[bool, set[Tag]]], first_to_go: bool
) -> None:
    before, owners = samples.SAMPLES[name], {False: FIRST, True: SECOND}
    foreign = set(read_keywords(before).hierarchical)
    data, wanted = before, {False: set[Tag](), True: set[Tag]()}
    for who, tags in runs:
        data = replace_ours(data, sorted(tags), owner=owners[who]) or b""
        wanted[who] = tags
        there = set(read_keywords(data).hierarchical)
        both = {"|".join(tag) for tag in wanted[False] | wanted[True]}
        assert foreign | both <= there
        assert not {"|".join(tag) for tag in (DOG, SEA)} & there - foreign - both
    data = remove_ours(data, owner=owners[first_to_go])
    assert {"|".join(tag) for tag in wanted[not first_to_go]} <= {*read_keywords(data).hierarchical}
    assert remove_ours(data, owner=owners[not first_to_go]) == before


def test_notes_of_an_earlier_version_are_those_of_the_library_that_knows_the_sidecar() -> None:
    earlier = merge(samples.DIGIKAM, [DOG])
    assert remove_ours(earlier, owner=FIRST) == earlier
    known = Owner(FIRST.library, has_earlier=True)
    assert remove_ours(earlier, owner=known) == samples.DIGIKAM
    renewed = merge(earlier, [DOG], owner=known)
    assert remove_ours(renewed, owner=FIRST) == samples.DIGIKAM


STEPS = {
    "before it is remembered": (Store, "remember_emitted"),
    "before the library has it": (Store, "remember_sidecar"),
    "before the sidecar is written": (sidecar, "put_back"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("before", [None, *samples.SAMPLES.values()])
def test_the_next_run_repairs_what_a_kill_left(
    photo: Path, monkeypatch: pytest.MonkeyPatch, step: str, before: bytes | None
) -> None:
    if before:
        photo.with_name("a.jpg.xmp").write_bytes(before)
    with library(photo, "one") as store:
        say(store, photo, "Dog")
        owner, place = Owner(store.setting("library_id") or ""), STEPS[step]
        with monkeypatch.context() as patch:
            patch.setattr(*place, _killed)
            with pytest.raises(KeyboardInterrupt):
                say(store, photo, "Sea")
        assert not read(beside(photo) or b"", owner=owner).gone
        say(store, photo, "Sea")
        assert "Sea" in read_keywords(beside(photo) or b"").hierarchical
        assert "Dog" not in read_keywords(beside(photo) or b"").hierarchical
        assert [each for _, each in tag_sidecars.undo(store)] == [Undone.RESTORED]
    assert beside(photo) == before


def _killed(*_: object) -> None:
    raise KeyboardInterrupt(KILLED)


def test_what_a_person_took_out_stays_out_and_is_still_noted(photo: Path) -> None:
    with library(photo, "one") as store:
        say(store, photo, "Dog", "Sea")
        path = photo.with_name("a.jpg.xmp")
        head, mark, notes = path.read_bytes().partition(b"<aimv2_")
        path.write_bytes(head.replace(b"<rdf:li>Dog</rdf:li>", b"") + mark + notes)
        say(store, photo, "Dog", "Sea", "Boat")
        assert read_keywords(path.read_bytes()).flat == ("Sea", "Boat")
        owner = Owner(store.setting("library_id") or "")
        assert read(path.read_bytes(), owner=owner).gone == {"dog": "Dog"}
        assert store.sidecar(bytes(path))[1] != path.read_bytes()
        say(store, photo, "Sea", "Boat")  # as it is once that is rejected
        assert not read(path.read_bytes(), owner=owner).gone


def test_edits_reach_sidecars_that_were_written(photo: Path) -> None:
    with library(photo, "one") as store:
        store.add_tags(RUN, [(1, "Dog", 0.9)])
        assert list(tag_sidecars.sync_sidecars(store, [1])) == []
        assert beside(photo) is None
        say(store, photo, "Dog")
        store.say(HASH, "Dog", "rejected")
        path = bytes(photo) + b".xmp"
        assert list(tag_sidecars.sync_sidecars(store, [1])) == [(path, Undone.RESTORED)]
        assert beside(photo) is None
        store.say(HASH, "Dog", "confirmed")
        store.say(HASH, "Luna", "added")
        store.remove_tags(RUN)
        assert list(tag_sidecars.sync_sidecars(store, [1])) == [(path, None)]
        assert read_keywords(beside(photo) or b"").flat == ("Dog", "Luna")
        assert store.emitted(HASH) == {"dog", "luna"}
        photo.with_name("a.jpg.xmp").unlink()
        assert list(tag_sidecars.sync_sidecars(store, [1])) == []


def test_what_others_said_before_is_not_ours(photo: Path) -> None:
    with library(photo, "one") as store:
        store.add_tags("file", [(1, "Dog", None)])
        say(store, photo, "Dog", "Sea")
        assert store.emitted(HASH) == {"sea"}
