"""Captions: kept by content, found by their words, and the owner's stand."""

from pathlib import Path

import pytest

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.caption_text import clean_caption, words_of
from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.store import Store

HASH, OTHER = b"a" * 16, b"b" * 16


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "library.db", can_write=True) as opened:
        for name, hash in (("a", HASH), ("b", OTHER), ("copy", HASH)):
            opened.add_file(f"/p/{name}.jpg".encode(), Stamp(1, 2, 3), hash=hash)
        yield opened


def by_program(text: str) -> Caption:
    return Caption(text, "program", "Describe it.", "aria")


def test_of_several_origins_the_owners_counts(store: Store) -> None:
    store.caption(HASH, by_program("two dogs on a beach"))
    assert store.captions_of([1, 2, 3]) == dict.fromkeys((1, 3), by_program("two dogs on a beach"))
    store.caption(HASH, Caption("Luna at the lake", "file"))
    store.caption(HASH, Caption("Luna in Norway", "you"))
    assert store.captions_of([1])[1].text == "Luna in Norway"
    assert store.files_saying("norway") == {1, 3}
    assert store.files_saying("beach") == store.files_saying("lake") == set()
    store.remove_caption(HASH, "you")
    assert store.captions_of([1])[1].text == "Luna at the lake"
    store.caption(HASH, Caption("", "you"))
    assert store.captions_of([1]) == {}
    assert store.files_saying("lake") == set()
    assert store.count_captions() == {}


def test_a_caption_is_found_by_its_words_as_it_is_now(store: Store) -> None:
    store.caption(HASH, by_program("Zwei Hunde in einem Café"))
    store.caption(OTHER, by_program("一只猫在桌子上"))
    assert store.files_saying("cafe") == store.files_saying("HUNDE") == {1, 3}
    assert store.files_saying("猫") == {2}
    store.caption(HASH, by_program("a walking dog"))
    assert store.files_saying("Hunde") == set()
    assert store.files_saying("dogs") == store.files_saying("walks") == {1, 3}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ('"', []),
        ("dog*", [{1, 3}]),
        ("dog OR", [{1, 3}, {1, 3}]),
        ("do* AND", [set(), set()]),
        ("text:", [set()]),
        ("^-(", []),
        ("NEAR(dog", [set(), {1, 3}]),
        ("a\0dog", [{1, 3}, {1, 3}]),
    ],
)
def test_a_word_is_no_syntax(store: Store, word: str, found: list[set[int]]) -> None:
    store.caption(HASH, by_program("a dog or two"))
    assert [store.files_saying(each) for each in words_of(word)] == found
    assert store.files_saying("dog") == {1, 3}


@pytest.mark.parametrize("origin", ["you", "program"])
def test_an_edit_of_captions_is_undone(store: Store, origin) -> None:
    store.caption(OTHER, Caption("before", origin, "p", "m"))
    with store.edit("describe", "a run") as number:
        store.caption(HASH, Caption("a dog", origin))
        store.caption(OTHER, Caption("after", origin))
        store.caption(OTHER, Caption("as the file has it", "file"))
    assert store.files_of_edit(number) == [1, 2, 3]
    assert store.undo_edit(number) == 2
    assert store.captions_of([1]) == {}
    assert store.captions_of_content(OTHER) == {
        "file": Caption("as the file has it", "file"),
        origin: Caption("before", origin, "p", "m"),
    }
    store.remove_caption(OTHER, "file")
    assert store.files_saying("dog") == store.files_saying("after") == set()
    assert store.files_saying("before") == {2}


def test_a_renamed_tag_of_the_same_name_is_no_reason_not_to_undo(store: Store) -> None:
    with store.edit("caption", "a word") as number:
        store.caption(HASH, Caption("a dog", "you"))
    store.say(OTHER, "you", "added")
    with store.edit("rename", "you to me"):
        store.rename("you", "me")
    assert store.undo_edit(number) == 1


def test_the_owners_caption_goes_with_an_edited_photo(store: Store) -> None:
    store.caption(HASH, Caption("Luna", "you"))
    store.caption(HASH, by_program("a dog"))
    store.content_changed(HASH, b"c" * 16)
    store.content_changed(HASH, OTHER)
    for hash in (b"c" * 16, OTHER):
        assert store.captions_of_content(hash) == {"you": Caption("Luna", "you")}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" A dog.\n\nOn\ta beach. ", "A dog. On a beach."),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("a\x1b[31m dog\x07\x00", "a [31m dog"),
        ("stop<|im_end|>", "stop<|im_end|>"),
        ("a\u202edog\ufeff\ud800", "adog"),
        ("\ufffe\uffff", ""),
        ("👩\u200d🚀 e\u0301", "👩\u200d🚀 é"),
    ],
)
def test_a_caption_is_one_line_that_hides_nothing(text: str, kept: str) -> None:
    assert clean_caption(text) == kept
