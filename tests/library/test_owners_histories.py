"""Histories of a library that chance seldom meets: the owner's word holds, others' stays."""

from collections.abc import Callable, Iterator

import pytest

from tests.support import xmp_editor
from tests.support.owners_checks import check
from tests.support.owners_kills import PLACES
from tests.support.owners_world import VOCABULARIES, World, worlds


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    with worlds(tmp_path_factory.mktemp("worlds")) as make:
        yield make


def rejected_is_not_given_again(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    yield world.say("reject", "Dog", "1.jpg")
    yield world.tag("one", sidecars="full")
    yield world.index("second")
    yield world.teach("Dog", "2.jpg", None)
    yield world.tag(None, sidecars="full")


def words_go_with_the_content(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    yield world.say("reject", "Dog", "1.jpg")
    yield world.say("add", "Luna", "1.jpg")
    yield world.move("1.jpg", with_sidecars=True, is_indexed=True)
    yield world.tag("one", sidecars="full")
    yield world.edit_pixels("3.jpg")
    yield world.index()
    yield world.copy("3.jpg", with_sidecars=False)
    yield world.index()
    yield world.take_away_and_prune("3.jpg")
    yield world.tag("one", sidecars="full")


def words_go_with_a_photo_that_was_edited_and_copied_before_an_index(
    world: World,
) -> Iterator[None]:
    world.count = 9  # the copy comes first in the order of names
    yield world.tag("one")
    yield world.say("reject", "Dog", "2.jpg")
    yield world.edit_pixels("2.jpg")
    yield world.copy("2.jpg", with_sidecars=False)
    yield world.index()
    assert sorted(world.contents) == ["1.jpg", "11.jpg", "2.jpg"]


def each_edit_is_undone_alone(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    yield world.say("add", "Luna", "1.jpg")
    yield world.say("reject", "Sea", "1.jpg")
    yield world.say("reject", "Luna", "1.jpg")
    yield world.rename("Dog", "Küche")
    renamed, no, _, first, _ = world.edits_left()
    yield world.undo(first)
    yield world.undo()
    yield world.undo(no)
    yield world.undo(renamed)
    yield world.say("add", "Luna", "2.jpg")
    yield world.say("remove", "Luna", "2.jpg")
    yield world.say("add", "Luna", "2.jpg")
    yield world.undo(world.edits_left()[2])  # the last one says the same, and stays
    yield world.index()


def the_last_run_is_undone_and_no_other(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    yield world.tag("two", sidecars="full")
    yield world.say("confirm", "Luna", "1.jpg")
    yield world.undo()
    assert xmp_editor.noted(world.data("1.jpg.xmp")) == {*VOCABULARIES["one"], "Luna"}
    yield world.undo()
    assert xmp_editor.noted(world.data("1.jpg.xmp")) == {"Luna"}


def keywords_of_others_stay_when_a_vocabulary_goes(world: World) -> Iterator[None]:
    yield world.add_keyword_inside("1.jpg", "Sea", "lightroom")
    yield world.add_keyword("2.jpg", "Animals|Cat", "digikam")
    yield world.index()
    yield world.tag("one", sidecars="full")
    yield world.index()
    yield world.say("remove", "Animals|Cat", "2.jpg")
    yield world.say("remove", "Sea", "1.jpg")
    yield world.tag("two", replace=True, sidecars="full")
    world.tag_by_exiftool("two")
    yield world.index()


def a_name_of_others_stays_where_a_path_of_ours_had_it(world: World) -> Iterator[None]:
    yield world.add_keyword_inside("1.jpg", "Animals|Cat", "simple")
    yield world.index()
    world.tag_by_exiftool("one")
    yield world.index()
    yield world.tag("two", replace=True)
    world.tag_by_exiftool("two")
    yield world.index()
    assert ("lr", "Animals|Cat") not in world.inside_of("1.jpg")


def keywords_inside_stay_that_no_index_has_read(world: World) -> Iterator[None]:
    yield world.add_keyword_inside("1.jpg", "Sea", "lightroom")
    yield world.add_keyword("2.jpg", "Dog", "lightroom")
    yield world.tag("one", sidecars="full")
    yield world.tag("two", replace=True)
    world.tag_by_exiftool("two")
    yield world.index()


def what_is_theirs_inside_stays_theirs_with_ours_beside_it(world: World) -> Iterator[None]:
    yield world.add_keyword_inside("1.jpg", "Dog", "lightroom")
    yield world.index()
    yield world.tag("one", sidecars="full")
    yield world.take_away_and_prune("1.jpg")
    yield world.tag("two", replace=True)
    world.tag_by_exiftool("two")
    yield world.index()


def no_sidecar_is_made_where_a_photo_was(world: World) -> Iterator[None]:
    yield world.move("1.jpg", with_sidecars=True, is_indexed=False)
    yield world.tag("one", sidecars="full")
    assert b"1.jpg" not in world.tag_by_exiftool("one", is_run=False)
    yield world.index()
    yield world.tag("one", sidecars="full")
    assert world.sidecars() == ["2.jpg.xmp", "3.jpg.xmp"]
    new = world.new_photo()
    yield world.index()
    yield world.tag("two", sidecars="full")
    yield world.undo()  # its sidecar is gone again, and may come back
    yield world.undo()
    yield world.move(new, with_sidecars=True, is_indexed=True)
    yield world.say("add", "Luna", "5.jpg")


def merged_and_renamed_tags_keep_their_words(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    yield world.say("reject", "Dog", "1.jpg")
    yield world.say("confirm", "Dog", "2.jpg")
    yield world.say("reject", "Sea", "1.jpg")
    yield world.say("reject", "Sea", "2.jpg")
    yield world.rename("Sea", "Küche")
    yield world.rename("Dog", "Küche", merges=True)
    yield world.tag("one", sidecars="full")
    yield world.index()
    yield world.undo(world.edits_left()[1])
    yield world.tag("one", sidecars="full")


def keywords_that_were_read_under_another_name_have_theirs_again(world: World) -> Iterator[None]:
    yield world.tag("one")
    yield world.say("reject", "Sea", "1.jpg")
    yield world.rename("Sea", "Küche")
    yield world.add_keyword_inside("2.jpg", "Sea", "lightroom")
    yield world.index()
    yield world.undo(world.edits_left()[0])
    yield world.index()


def old_sidecars_are_no_rejection(world: World) -> Iterator[None]:
    world.back_up("1.jpg.xmp")
    yield world.tag("one", sidecars="full")
    yield world.index()
    yield world.restore("1.jpg.xmp")
    yield world.index()
    world.back_up("2.jpg.xmp")
    yield world.tag("two", sidecars="full")
    yield world.index()
    yield world.restore("2.jpg.xmp")
    yield world.index()
    (world.folder / "1.jpg.xmp").unlink()
    for known in (world.foreign, world.base):
        del known["1.jpg.xmp"]
    yield world.index()
    yield world.tag(None, sidecars="full")


def what_is_taken_out_of_a_sidecar_is_rejected(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    yield world.index()
    yield world.remove_keyword("1.jpg.xmp", tag="Dog")
    yield world.tag("one", sidecars="full")  # it stays out, and the index can still tell
    yield world.index()
    assert world.owner.words(world.contents["1.jpg"]) == {"Dog": "rejected"}
    yield world.tag("one", sidecars="full")
    yield world.remove_keyword("2.jpg.xmp", tag="Sea")
    yield world.say("add", "Sea", "2.jpg")  # later than that
    yield world.index()
    assert "you" in world.shown(["2.jpg"])["2.jpg"]["Sea"]
    yield world.say("reject", "Sea", "2.jpg")
    yield world.add_keyword("2.jpg", "Sea")
    yield world.say("reject", "Sea", "2.jpg")
    yield world.index()
    assert "Sea" not in world.shown(["2.jpg"])["2.jpg"]


def another_librarys_keywords_are_its_own(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    yield world.tag_by_another_library()
    yield world.index()
    yield world.say("reject", "Dog", "1.jpg")
    yield world.tag("two", replace=True, sidecars="full")
    assert "Places|Beach" in xmp_editor.noted(world.data("1.jpg.xmp"))
    yield world.undo_by_another_library()
    yield world.undo_all()


def exiftool_takes_out_what_it_was_given(world: World) -> Iterator[None]:
    first = world.tag_by_exiftool("one")
    yield world.index()
    yield world.say("reject", "Dog", "1.jpg")
    world.tag_by_exiftool("one")
    assert ("lr", "Dog") not in world.inside_of("1.jpg")
    assert ("lr", "Sea") in world.inside_of("1.jpg")
    yield world.index()
    # It is taken out by every run: an argument file of before may still be run.
    assert b"-XMP-lr:HierarchicalSubject-=Dog\n" in world.tag_by_exiftool("one")
    yield world.run_exiftool(first)
    yield world.index()
    world.tag_by_exiftool("one")
    assert ("lr", "Dog") not in world.inside_of("1.jpg")
    yield world.index()


def what_exiftool_wrote_is_ours(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    world.tag_by_exiftool("one")
    yield world.index()
    yield world.edit_pixels("1.jpg")
    yield world.index()
    yield world.tag("two", replace=True, sidecars="full")
    yield world.index()
    yield world.undo_all()


def a_shot_has_one_word(world: World) -> Iterator[None]:
    shot = world.new_photo(has_raw=True)
    yield world.index()
    yield world.tag("one", sidecars="full")
    yield world.say("add", "Dog", shot)
    yield world.index()
    yield world.remove_keyword("3.dng.xmp", tag="Dog")
    yield world.index()
    assert world.owner.words(world.contents[shot]) == {"Dog": "rejected"}
    yield world.tag("one", sidecars="full")
    yield world.say("reject", "Sea", "2.jpg")
    yield world.add_raw("2.jpg")
    yield world.index()
    yield world.tag("one", sidecars="full")
    yield world.move("2.jpg", with_sidecars=True, is_indexed=True)
    yield world.tag("two", sidecars="short")


def sidecars_of_both_names_stay_side_by_side(world: World) -> Iterator[None]:
    yield world.add_keyword("1.jpg", "Dog", "lightroom", is_short=True)
    yield world.index()
    yield world.tag("one", sidecars="short")
    yield world.tag("two", sidecars="full")
    assert all(
        xmp_editor.noted(world.data(each)) >= set(VOCABULARIES["two"])
        for each in ("1.xmp", "1.jpg.xmp")
    )
    yield world.say("reject", "Luna", "1.jpg")
    yield world.remove_keyword("1.xmp", tag="Sea")
    yield world.index()  # the other one still has it
    assert "Sea" not in world.owner.words(world.contents["1.jpg"])
    yield world.move("1.jpg", with_sidecars=True, is_indexed=True)
    yield world.tag(None, sidecars="short")
    yield world.undo_all()


def sidecars_with_notes_may_be_of_another_encoding(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    yield world.index()
    yield world.write_in_utf16("1.jpg.xmp")
    yield world.index()
    yield world.say("reject", "Dog", "1.jpg")
    yield world.write_in_utf16("1.jpg.xmp")
    yield world.tag("two", sidecars="full")
    yield world.write_in_utf16("1.jpg.xmp")
    yield world.move("1.jpg", with_sidecars=True, is_indexed=True)
    yield world.write_in_utf16("3.jpg.xmp")
    yield world.undo_all()


def a_kill_loses_no_word(world: World) -> Iterator[None]:
    for place, tag in zip(PLACES, VOCABULARIES["one"], strict=True):
        assert world.kill_a_run(place, 1)
        yield None
        yield world.tag("one", sidecars="full")
        assert world.kill_a_word(place, 0, "reject", tag, "1.jpg")
        yield world.index()
        yield world.tag("one", sidecars="full")
        assert world.kill_undoing("before", 0)
        yield world.index()
        yield world.undo_all()


def words_that_wait_outlive_a_kill(world: World) -> Iterator[None]:
    yield world.tag("one", sidecars="full")
    words = [("add", "Luna", "1.jpg"), ("reject", "Dog", "2.jpg"), ("reject", "Luna", "1.jpg")]
    for nth in range(3):
        yield world.kill_while_folding_in(nth, words[nth:])
    yield world.index()
    yield world.tag("one", sidecars="full")


HISTORIES = (
    rejected_is_not_given_again,
    words_go_with_the_content,
    words_go_with_a_photo_that_was_edited_and_copied_before_an_index,
    each_edit_is_undone_alone,
    the_last_run_is_undone_and_no_other,
    keywords_of_others_stay_when_a_vocabulary_goes,
    a_name_of_others_stays_where_a_path_of_ours_had_it,
    keywords_inside_stay_that_no_index_has_read,
    what_is_theirs_inside_stays_theirs_with_ours_beside_it,
    no_sidecar_is_made_where_a_photo_was,
    merged_and_renamed_tags_keep_their_words,
    keywords_that_were_read_under_another_name_have_theirs_again,
    old_sidecars_are_no_rejection,
    what_is_taken_out_of_a_sidecar_is_rejected,
    another_librarys_keywords_are_its_own,
    exiftool_takes_out_what_it_was_given,
    what_exiftool_wrote_is_ours,
    a_shot_has_one_word,
    sidecars_of_both_names_stay_side_by_side,
    sidecars_with_notes_may_be_of_another_encoding,
    a_kill_loses_no_word,
    words_that_wait_outlive_a_kill,
)


@pytest.mark.filterwarnings("ignore:sidecars of")
@pytest.mark.parametrize("history", HISTORIES, ids=lambda each: each.__name__)
def test_of_this_history(
    make: Callable[[], World], history: Callable[[World], Iterator[None]]
) -> None:
    world = make()
    for _ in history(world):
        check(world)
    world.close()
