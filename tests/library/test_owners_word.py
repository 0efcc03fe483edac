"""Whatever is done to a library, the owner's word holds and what others wrote stays.

A machine does at random what people and programs do to photos, sidecars and the library. What
chance seldom meets is in ``test_owners_histories``.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support import xmp_editor
from tests.support.owners_checks import check
from tests.support.owners_kills import PLACES
from tests.support.owners_world import World, worlds

# Shrinking takes minutes; what failed is told as it is.
PHASES = (Phase.explicit, Phase.generate)
# Other histories than the usual ones, so many: to look for faults, not to judge a change by chance.
HUNTED = int(os.environ.get("AIMV2_HUNT", "0"))
TAGS = ("Dog", "Sea", "Animals|Cat", "Luna")
NAMES = (*TAGS, "Küche")

tags = st.sampled_from(TAGS)
numbers = st.integers(0, 1 << 16)
vocabularies = st.sampled_from([None, "one", "two"])
programs = st.sampled_from(sorted(xmp_editor.PROGRAMS))
few = st.integers(0, 2)
has_photos = precondition(lambda self: self.world.contents)
has_known = precondition(lambda self: self.world.known())
has_sidecars = precondition(lambda self: self.world.sidecars())


class OwnersWord(RuleBasedStateMachine):
    """One thing after another is done to a world."""

    def __init__(self, make: Callable[[], World]) -> None:
        super().__init__()
        self.world = make()

    def teardown(self) -> None:
        self.world.close()

    @initialize(has_shot=st.booleans(), dice=numbers, sidecars=st.sampled_from(["full", "short"]))
    def begin(self, has_shot: bool, dice: int, sidecars: str) -> None:
        if has_shot:
            self.world.new_photo(has_raw=True)
            self.world.index()
        self.world.tag("one", sidecars=sidecars, dice=dice)

    @invariant()
    def it_holds(self) -> None:
        check(self.world)

    @precondition(lambda self: len(self.world.contents) < 4)
    @rule(kind=st.sampled_from(["new", "copy", "shot"]), with_sidecars=st.booleans(), at=numbers)
    def add_photo(self, kind: str, with_sidecars: bool, at: int) -> None:
        if kind == "copy" and self.world.contents:
            self.world.copy(self.photo(at), with_sidecars=with_sidecars)
        else:
            self.world.new_photo(has_raw=kind == "shot")

    @has_photos
    @rule(at=numbers)
    def add_raw(self, at: int) -> None:
        name = self.photo(at)
        if len(self.world.mates(name)) == 1:
            self.world.add_raw(name)

    @has_photos
    @rule(at=numbers, with_sidecars=st.booleans(), is_indexed=st.booleans())
    def move(self, at: int, with_sidecars: bool, is_indexed: bool) -> None:
        self.world.move(self.photo(at), with_sidecars=with_sidecars, is_indexed=is_indexed)

    @precondition(lambda self: len(self.world.contents) > 1)
    @rule(at=numbers)
    def take_away_and_prune(self, at: int) -> None:
        self.world.take_away_and_prune(self.photo(at))

    @has_photos
    @rule(at=numbers, is_indexed=st.booleans())
    def edit_pixels(self, at: int, is_indexed: bool) -> None:
        self.world.edit_pixels(self.picture(at))
        if is_indexed:
            self.world.index()

    @rule(newer=st.booleans())
    def index(self, newer: bool) -> None:
        self.world.index("second" if newer else None)

    @rule(name=vocabularies, replace=st.booleans(), dice=numbers,
          sidecars=st.sampled_from([None, "full", "full", "short"]))  # fmt: skip
    def tag(self, name: str | None, replace: bool, sidecars: Any, dice: int) -> None:
        self.world.tag(name, replace=replace, sidecars=sidecars, dice=dice)

    @rule(name=vocabularies, dice=numbers, is_run=st.booleans())
    def tag_by_exiftool(self, name: str | None, dice: int, is_run: bool) -> None:
        self.world.tag_by_exiftool(name, dice=dice, is_run=is_run)

    @rule(dice=numbers, undoes=st.booleans())
    def another_library(self, dice: int, undoes: bool) -> None:
        if undoes:
            self.world.undo_by_another_library()
        else:
            self.world.tag_by_another_library(dice)

    @has_known
    @rule(action=st.sampled_from(["add", "confirm", "reject", "reject", "remove"]), tag=tags,
          at=numbers, waits=st.booleans())  # fmt: skip
    def say(self, action: Any, tag: str, at: int, waits: bool) -> None:
        self.world.say(action, tag, self.known(at), waits=waits)

    @has_known
    @rule(tag=tags, yes=numbers, no=st.none() | numbers, words=st.sampled_from([None, False]))
    def teach(self, tag: str, yes: int, no: int | None, words: Any) -> None:
        self.world.teach(tag, self.known(yes), None if no is None else self.known(no), words)

    @rule(was=tags, name=st.sampled_from(NAMES), merges=st.booleans())
    def rename(self, was: str, name: str, merges: bool) -> None:
        self.world.rename(was, name, merges=merges)

    @precondition(lambda self: self.world.edits_left())
    @rule(at=numbers)
    def undo(self, at: int) -> None:
        left = self.world.edits_left()
        self.world.undo(left[at % len(left)])

    @rule(all=st.booleans())
    def undo_runs(self, all: bool) -> None:
        if all:
            self.world.undo_all()
        else:
            self.world.undo()

    @has_photos
    @rule(at=numbers, tag=tags, program=programs, is_short=st.booleans())
    def add_keyword(self, at: int, tag: str, program: str, is_short: bool) -> None:
        self.world.add_keyword(self.photo(at), tag, program, is_short=is_short)

    @has_photos
    @rule(at=numbers, tag=tags, program=programs)
    def add_keyword_inside(self, at: int, tag: str, program: str) -> None:
        self.world.add_keyword_inside(self.picture(at), tag, program)

    @has_sidecars
    @rule(at=numbers, which=numbers, is_indexed=st.booleans())
    def remove_keyword(self, at: int, which: int, is_indexed: bool) -> None:
        self.world.remove_keyword(self.sidecar(at), which)
        if is_indexed:
            self.world.index()

    @has_sidecars
    @rule(at=numbers)
    def write_in_utf16(self, at: int) -> None:
        self.world.write_in_utf16(self.sidecar(at))

    @has_sidecars
    @rule(at=numbers)
    def back_up(self, at: int) -> None:
        self.world.back_up(self.sidecar(at))

    @precondition(lambda self: self.world.old)
    @rule(at=numbers)
    def restore(self, at: int) -> None:
        old = sorted(self.world.old)
        self.world.restore(old[at % len(old)])

    @has_known
    @rule(place=st.sampled_from(PLACES), nth=few, dice=numbers,
          what=st.sampled_from(["tag", "reject", "add", "undo all"]), tag=tags)  # fmt: skip
    def kill(self, place: Any, nth: int, dice: int, what: Any, tag: str) -> None:
        if what == "tag":
            self.world.kill_a_run(place, nth, dice)
        elif what == "undo all":
            self.world.kill_undoing(place, nth)
        else:
            self.world.kill_a_word(place, nth, what, tag, self.known(dice))

    @has_known
    @rule(nth=few, words=st.lists(st.tuples(st.sampled_from(["add", "reject"]), tags, numbers),
          min_size=1, max_size=3))  # fmt: skip
    def kill_while_folding_in(self, nth: int, words: Any) -> None:
        self.world.kill_while_folding_in(
            nth, [(action, tag, self.known(at)) for action, tag, at in words]
        )

    def photo(self, at: int) -> str:
        names = self.world.names()
        return names[at % len(names)]

    def picture(self, at: int) -> str:
        names = [name for name in self.world.names() if name.endswith(".jpg")]
        return names[at % len(names)]

    def known(self, at: int) -> str:
        names = sorted(self.world.known())
        return names[at % len(names)]

    def sidecar(self, at: int) -> str:
        sides = self.world.sidecars()
        return sides[at % len(sides)]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    with worlds(tmp_path_factory.mktemp("worlds")) as make:
        yield make


@pytest.mark.filterwarnings("ignore:sidecars of")
def test_the_owners_word_holds(make: Callable[[], World]) -> None:
    run_state_machine_as_test(
        lambda: OwnersWord(make),
        settings=settings(
            max_examples=HUNTED or 12,
            stateful_step_count=30,
            deadline=None,
            derandomize=not HUNTED,
            database=None,
            phases=PHASES,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
