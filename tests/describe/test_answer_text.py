"""Text of an answer as its tokens come: nothing that changes later, nothing of the end marker."""

import codecs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlx_aimv2.describe.answer import Answer
from mlx_aimv2.describe.answer_text import AnswerText
from mlx_aimv2.texts.aria_tokenizer import TURN_END as END

# What a marker is made of, characters of one to four bytes, and anything else.
TEXTS = st.lists(
    st.one_of(
        st.sampled_from([END, "<", "<|", "<|im", "|>", "_end", "é", "日本", "👩‍🚀"]), st.text()
    )
).map("".join)


class Bytes:
    """A token is a byte."""

    def __init__(self):
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token):
        return self._decoder.decode(bytes([token]))

    def rest(self):
        return self._decoder.decode(b"", final=True)


def answer_of(text, end_ids=()):
    data = text.encode() if isinstance(text, str) else text
    return Answer(iter(data), Bytes(), end_ids)


@given(TEXTS)
@example("ab<|im_end|>cd")
@example("<|im_<|im_end|>")
@example("a < b <| c")
def test_the_pieces_are_the_text_up_to_the_end_marker(text):
    answer = answer_of(text)
    before, marker, _ = text.partition(END)
    shown = "".join(answer)
    assert answer.text == shown
    assert answer.is_cut != bool(marker)
    if marker:
        assert shown == before
    else:
        assert before.startswith(shown)
        held = before.removeprefix(shown)
        assert END.startswith(held) and len(held) != 1


def test_the_marker_ends_the_answer_at_once():
    answer = answer_of(f"A dog.{END} and more")
    assert "".join(answer) == "A dog."
    assert len(answer.ids) == len(f"A dog.{END}")


@pytest.mark.parametrize("held", ["", "<", "<|im_"])
def test_the_end_token_ends_the_answer(held):
    answer = answer_of(f"A dog.{held}\2 and more", end_ids=(2,))
    assert "".join(answer) == "A dog." + held[:1] * (held == "<")
    assert not answer.is_cut
    assert answer.ids[-1] == 2


def test_pieces_come_as_soon_as_they_are_certain():
    text = AnswerText(Bytes())
    data = "aé<|b<".encode()
    assert [text.add(token) for token in data] == ["a", "", "é", "", "", "<|b", ""]
    assert text.rest() == "<"
    assert text.rest() == "<"


@pytest.mark.parametrize("cut", range(2, len(END)))
def test_an_answer_that_is_cut_within_the_marker_does_not_show_it(cut):
    answer = answer_of(f"A dog.{END[:cut]}")
    assert "".join(answer) == "A dog."
    assert answer.is_cut


def test_an_answer_that_is_cut_within_a_character_does_not_show_it():
    answer = answer_of("日本".encode()[:-1])
    assert "".join(answer) == "日"


def test_an_answer_that_is_closed_takes_no_more_tokens():
    tokens = iter(b"A dog.")
    answer = Answer(tokens, Bytes(), ())
    assert [next(answer), next(answer)] == ["A", " "]
    answer.close()
    assert [*answer] == []
    assert answer.text == "A "
    assert answer.is_cut
    assert bytes(tokens) == b"dog."
