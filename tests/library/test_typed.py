"""The search that is typed into one line: split as by a shell, read as by the command."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.search.filters import Filters
from mlx_aimv2.library.search.query import parse
from mlx_aimv2.library.search.typed import MOST_CHARACTERS, join, line_of, read, split

WORDS = st.lists(st.text(st.sampled_from("a b-+'\"\\=é\n*:"), max_size=7), max_size=6)


@given(words=WORDS)
def test_a_line_of_words_is_split_into_the_same_words(words: list[str]) -> None:
    assert split(join(words)) == words


@given(text=st.text(max_size=40))
def test_any_line_can_be_split_and_joined(text: str) -> None:
    assert split(join(split(text))) == split(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("red  boat", ["red", "boat"]),
        ('"red boat" + beach', ["red boat", "+", "beach"]),
        ("'red boat'", ["red boat"]),
        ('"red bo', ["red bo"]),  # somebody is still typing
        ("dog's bed", ["dog's", "bed"]),
        ("--in='New York'", ["--in=New York"]),
        ("New\\ York", ["New York"]),
        ('5" disk', ['5"', "disk"]),
        ('""', [""]),
        ("", []),
        ("\t\n", []),
    ],
)
def test_lines_are_split_as_people_mean_them(text: str, words: list[str]) -> None:
    assert split(text) == words


def test_every_option_of_a_search_can_be_typed() -> None:
    typed = read(
        "red boat -t 0.25 --sort date --unique --captions-only --in Sea --in=2024/Lake "
        "--since 2023 --until 2024-05 --tag Sea --tag 'Big Boat' --not-tag Work "
        "--orientation portrait --format heic --photos"
    )
    request = typed.request
    assert request.words == ("red", "boat")
    assert (request.min_score, request.sort) == (0.25, "date")
    assert request.unique
    assert request.captions_only
    assert request.filters == Filters(
        ("Sea", "2024/Lake"), "2023", "2024-05", ("Sea", "Big Boat"), "portrait", ("heic",),
        True, ("Work",),
    )  # fmt: skip
    typed_names = {piece.name for piece in typed.pieces}
    assert {field.name for field in fields(Filters)} <= typed_names


def test_words_behind_two_dashes_are_no_options() -> None:
    assert read("-- --since 2023").request.words == ("--since", "2023")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("red -night", "horse - night"),
        ("red --colour blue", "--since"),
        ("red --since", "2024"),
        ("--sort worst", "best, date"),
        ("-t much", "like: -t 0.5"),
        ("--unique=yes", "write: --unique"),
        ("--orientation round", "landscape"),
        ("--like cat.jpg", "drop the picture"),
        ("x" * (MOST_CHARACTERS + 1), "enough"),
        ("a + " * 101 + "a", "100 are enough"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        read(text)
    assert told in error.value.hint


def test_pieces_are_the_terms_in_their_order() -> None:
    typed = read('boat - 2:night --since 2023 + "tag:Big Dog" sea')
    terms = parse(typed.request.words, opens_files=False)
    pieces = [each for each in typed.pieces if each.name in ("plus", "minus")]
    assert [each.value for each in pieces] == ["boat", "2:night", "tag:Big Dog sea"]
    assert [term.weight < 0 for term in terms] == [each.name == "minus" for each in pieces]
    assert line_of(typed.pieces) == 'boat + "tag:Big Dog" sea - 2:night --since 2023'
    assert {term.text or term.tag for term in parse(read(line_of(typed.pieces)).request.words)} == {
        term.text or term.tag for term in terms
    }
