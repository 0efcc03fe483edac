"""A query's words become the terms they say, or an error that says what to type."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.search.query import Term, notes, parse
from tests.support.names import takes_any_bytes
from tests.support.queries import image, text


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a few files in it."""
    names = ("cat.jpg", "CAT2.JPG", "dog", "notes.txt", "my cat.png", "sub/scan", "2:cat.jpg")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["horse"], [text("horse")]),
        (["red bicycle in snow"], [text("red bicycle in snow")]),
        (["red", "bicycle", "+", "snow"], [text("red bicycle"), text("snow")]),
        (
            ["horse", "+", "stripes", "-", "2:zebra"],
            [text("horse"), text("stripes"), text("zebra", -2)],
        ),
        (["1.5:dog"], [text("dog", 1.5)]),
        ([".5:dog", "-", "1e-1:cat"], [text("dog", 0.5), text("cat", -0.1)]),
        (["2.:big", "dog"], [text("big dog", 2)]),
        (["horse + stripes"], [text("horse + stripes")]),
        (["C++", "book"], [text("C++ book")]),
        (["-zebra"], [text("-zebra")]),
        (["  red\n bicycle "], [text("red bicycle")]),
        (["cats", "/", "dogs"], [text("cats / dogs")]),
        (["cats/dogs"], [text("cats/dogs")]),
        (["3:30 pm"], [text("3:30 pm")]),
        (["16:9", "boat"], [text("16:9 boat")]),
        (["boat", "-", "1:100", "model"], [text("boat"), text("1:100 model", -1)]),
        (["2:3:30 pm"], [text("3:30 pm", 2)]),
        (["1:3:30 pm"], [text("3:30 pm")]),
        (["3: a film"], [text("3: a film")]),
        (["note: dog"], [text("note: dog")]),
        (["a", "2:1", "picture"], [text("a 2:1 picture")]),
        (["١:dog"], [text("١:dog")]),
        (["1_0:dog"], [text("1_0:dog")]),
        (["x" * 5000], [text("x" * 5000)]),
    ],
)
def test_texts(words: list[str], expected: list[Term], here: Path) -> None:
    assert parse(words) == tuple(expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["./cat.jpg", "+", "night"], [image("cat.jpg"), text("night")]),
        (["cat.jpg"], [image("cat.jpg")]),
        (["CAT2.JPG"], [image("CAT2.JPG")]),
        (["my cat.png", "-", "0.5:my cat.png"], [image("my cat.png"), image("my cat.png", -0.5)]),
        (["2:./cat.jpg"], [image("cat.jpg", 2)]),
        (["2:cat.jpg"], [image("cat.jpg", 2)]),
        (["./2:cat.jpg"], [image("2:cat.jpg")]),
        (["sub/scan"], [image("sub/scan")]),
        (["sub/../dog"], [image("sub/../dog")]),
        (["./dog"], [image("dog")]),
        (["dog"], [text("dog")]),
        (["notes.txt"], [text("notes.txt")]),
        (["lost.jpg"], [text("lost.jpg")]),
        (["jpg"], [text("jpg")]),
    ],
)
def test_pictures(words: list[str], expected: list[Term], here: Path) -> None:
    assert parse(words) == tuple(expected)


def test_pictures_by_absolute_paths(here: Path) -> None:
    assert parse([str(here / "dog")]) == (image(here / "dog"),)
    assert parse(["3:~/dog"]) == (image(here / "dog", 3),)
    assert parse(["."]) == (text("."),)


def test_like_comes_first_and_is_always_a_path(here: Path) -> None:
    assert parse([], ["dog", "2:cat.jpg"]) == (image("dog"), image("2:cat.jpg"))
    assert parse(["night"], ["dog"]) == (image("dog"), text("night"))
    assert parse(["-", "2:zebra", "+", "snow"], ["~/dog"]) == (
        image(here / "dog"),
        text("zebra", -2),
        text("snow"),
    )


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ([], "nothing to search for", "red bicycle"),
        (["-", "zebra"], "begins with what to take away", "does not find"),
        (["-", "zebra", "+", "horse"], "begins with what to take away", "begin with"),
        (["+", "zebra"], "nothing before the first +", "red bicycle"),
        (["horse", "+"], "nothing after the last +", "red bicycle"),
        (["horse", "-"], "nothing after the last -", "red bicycle"),
        (["horse", "+", "-", "zebra"], "nothing between + and -", "red bicycle"),
        (["-"], "nothing after the last -", "red bicycle"),
        ([""], "is empty", "red bicycle"),
        (["horse", "+", " \n"], "is empty", "red bicycle"),
        (["2:"], "is empty", "red bicycle"),
        (["0:dog"], "0 is no weight", "over 0"),
        (["0.0:dog"], "0.0 is no weight", "over 0"),
        (["-2:dog"], "-2 is no weight", "take away"),
        (["nan:dog"], "nan is no weight", "over 0"),
        (["Inf:dog"], "Inf is no weight", "over 0"),
        (["1e999:dog"], "1e999 is no weight", "over 0"),
        (["1e-999:dog"], "1e-999 is no weight", "over 0"),
        (["1e39:dog"], "1e39 is no weight", "to a million"),
        (["1e-50:boat", "+", "dog"], "1e-50 is no weight", "from 0.000001"),
        (["boat", "-", "1e7:dog"], "1e7 is no weight", "to a million"),
        (["./lost.jpg"], "lost.jpg does not exist", "check its name"),
        (["sub/lost.jpg"], "does not exist", "check its name"),
        (["./cat.jpg/x"], "a part of its path is a file", "check the path"),
        (["/" + "x" * 5000], "too long a name", "shorten"),
        (["./a\0b"], r"./a\x00b is no file name", "path"),
        (["./sub"], "is a folder", "--in"),
        (["./cat.jpg", "night"], "has words beside it", "put + or -"),
        (["night", "cat.jpg"], "has words beside it", "put + or -"),
        (["caf\udce9"], r"caf\udce9", "UTF-8"),
    ],
)
def test_what_is_no_query(words: list[str], message: str, hint: str, here: Path) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["lost.jpg", "./lost", "sub", ""])
def test_like_without_a_file(path: str, here: Path) -> None:
    with pytest.raises(UsageError, match=r"does not exist|is a folder"):
        parse(["horse"], [path])


def test_a_picture_whose_name_is_not_utf8(here: Path) -> None:
    if not takes_any_bytes(here):
        pytest.skip("needs a file system that takes any bytes")
    name = os.fsdecode(b"./caf\xe9.jpg")
    Path(name).touch()
    (term,) = parse([name])
    assert os.fsencode(term.image or "") == b"caf\xe9.jpg"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["horse", "+", "stripes", "-", "2:zebra"], []),
        (["note: a C++ book, e-mail & more"], []),
        (["16:9", "boat"], ["16:9 is searched as words: a weight"]),
        (["2,5:boat"], ["2,5:boat is searched as words: a weight is written with a point"]),
        (["1/2:boat"], ["1/2:boat is searched as words: a weight is written with a point"]),
        (["meeting", "12:30"], ["12:30 is searched as words: a weight"]),
        (["18:55:30"], ["18 is read as the weight of 55:30"]),
        (["https://example.org/cat"], ["https://example.org/cat is searched as words: addresses"]),
        (["C:\\Pictures"], ["C:\\Pictures is searched as words: it leads to no file"]),
        (["a", "tag:dog", "tag:dog"], ["tag:dog is searched as words: before a colon"]),
        (["tag:dog", "+", "2:tag:cat"], []),
        (["horse", "+stripes"], ["+stripes is searched as words: + and - stand by themselves"]),
        (["horse", "−", "zebra"], ["− is searched as words: + and - are the plain signs"]),
        (["cats", "OR", "dogs"], ["OR is searched as words: terms are joined by + and -"]),
        (["horse - zebra + snow"], ["- inside one text is searched", "+ inside one text is"]),
        (["lost.jpg"], ["lost.jpg is no file here: searched as words"]),
    ],
)
def test_what_looks_like_more_than_words_is_told(words: list[str], told: list[str]) -> None:
    terms = parse(words)
    said = notes(words, terms)
    assert [bool(line) for line in said] == [True] * len(told)
    assert all(line.startswith(start) for line, start in zip(said, told, strict=True))


@given(st.lists(st.text(min_size=0, max_size=6), max_size=7))
def test_any_words_are_a_query_or_a_usage_error(words: Sequence[str]) -> None:
    try:
        terms = parse(words)
    except UsageError as error:
        assert error.hint
    else:
        assert terms
        assert terms[0].weight > 0
        assert all((term.text is None) != (term.image is None) for term in terms)
