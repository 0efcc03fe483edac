"""A conversation as Aria reads it: the published form, and no turn but those that there are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.errors import TextError, UsageError
from mlx_aimv2.texts.aria_tokenizer import AriaTokenizer
from mlx_aimv2.texts.chat_template import render
from tests.support import aria_vocabulary
from tests.support.aria_vocabulary import ADDED, pieces

MARKERS = ["<|im_start|>", "<|im_end|>", "<|img|>", "<fim_prefix>", "<fim_suffix>", "<|endoftext|>"]
HOSTILE = st.lists(
    st.sampled_from([*MARKERS, *ADDED, "<|im_", "end|>", "<|", "|>", "assistant\n"])
    | st.text(max_size=4),
    max_size=10,
).map("".join)
START, END = "<|im_start|>", "<|im_end|>"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> AriaTokenizer:
    folder = aria_vocabulary.write_sentencepiece(tmp_path_factory.mktemp("aria"))
    return AriaTokenizer.from_folder(folder)


def image() -> dict[str, str]:
    return {"type": "image"}


def said(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def user(*content: dict[str, str]) -> dict[str, object]:
    return {"role": "user", "content": list(content)}


def count(ids: list[int], marker: list[int]) -> int:
    return sum(
        ids[start : start + len(marker)] == marker for start in range(len(ids) - len(marker) + 1)
    )


def test_the_example_of_one_picture(tokenizer: AriaTokenizer) -> None:
    ids = render(tokenizer, [user(image(), said("What is this?"))], [256])
    expected = (
        f"{START}user\n<fim_prefix>{'<|img|>' * 256}<fim_suffix>What is this?{END}\n"
        f"{START}assistant\n"
    )
    assert ids == tokenizer.encode(expected)


def test_pictures_of_several_turns_each_with_its_own_count(tokenizer: AriaTokenizer) -> None:
    messages = [
        {"role": "system", "content": "Answer the questions."},
        user(image(), said("a boat?\n"), image()),
        {"role": "assistant", "content": "two dogs"},
        user(said(" and "), image()),
    ]
    ids = render(tokenizer, messages, [3, 128, 7])

    def picture(tokens: int) -> str:
        return f"<fim_prefix>{'<|img|>' * tokens}<fim_suffix>"

    expected = (
        f"{START}system\nAnswer the questions.{END}\n"
        f"{START}user\n{picture(3)}a boat?\n{picture(128)}{END}\n"
        f"{START}assistant\ntwo dogs{END}\n"
        f"{START}user\n and {picture(7)}{END}\n{START}assistant\n"
    )
    assert ids == tokenizer.encode(expected)


def test_pieces_go_over_the_end_of_a_text(tokenizer: AriaTokenizer) -> None:
    ids = render(tokenizer, [{"role": "user", "content": "the questions."}], [])
    assert ".<" in [pieces()[id] for id in ids]


@settings(deadline=None, max_examples=200)
@given(texts=st.lists(HOSTILE, min_size=1, max_size=3), answer=HOSTILE)
def test_what_somebody_wrote_ends_and_begins_nothing(
    tokenizer: AriaTokenizer, texts: list[str], answer: str
) -> None:
    messages = [
        user(*map(said, texts), image(), said(texts[0])),
        {"role": "assistant", "content": answer},
        {"role": "user", "content": texts[-1]},
    ]
    ids = render(tokenizer, messages, [5])
    assert ids.count(tokenizer.image_id) == 5
    assert (ids.count(39), ids.count(41)) == (1, 1)
    assert not [id for id in ids if id < len(aria_vocabulary.SPECIAL) and id != 9]
    start, end = ([*map(pieces().index, ["|", "im", "_", word, "|"])] for word in ("start", "end"))
    assert (count(ids, start), count(ids, end)) == (4, 3)


@settings(deadline=None)
@given(text=HOSTILE)
def test_not_a_letter_of_it_is_lost(tokenizer: AriaTokenizer, text: str) -> None:
    ids = render(tokenizer, [{"role": "user", "content": text}], [])
    shown = text.replace("▁", " ")
    assert tokenizer.decode(ids) == f"{START}user\n{shown}{END}\n{START}assistant\n"


def test_a_marker_in_two_parts_is_one(tokenizer: AriaTokenizer) -> None:
    halves = render(tokenizer, [user(said("a <|im_"), said("end|> b"))], [])
    assert halves == render(tokenizer, [user(said("a <|im_end|> b"))], [])
    nested = render(tokenizer, [user(said("<|im_<|im_end|>end|>"))], [])
    assert count(nested, [*map(pieces().index, ["|", "im", "_", "end", "|"])]) == 1


def test_what_texts_hold_stays_a_token(tokenizer: AriaTokenizer) -> None:
    ids = render(tokenizer, [user(said("<td>5</td>\n---"))], [])
    assert {ADDED.index(token) for token in ("<td>", "</td>", "5", "---")} <= set(ids)


@pytest.mark.parametrize("counts", [[], [1, 2]])
def test_other_pictures_than_were_given(tokenizer: AriaTokenizer, counts: list[int]) -> None:
    with pytest.raises(UsageError, match=r"(more|fewer) pictures than were given"):
        render(tokenizer, [user(image())], counts)


def test_messages_that_are_none(tokenizer: AriaTokenizer) -> None:
    with pytest.raises(UsageError, match="a message is of 'owner'"):
        render(tokenizer, [{"role": "owner", "content": "a"}], [])
    with pytest.raises(UsageError, match="a message holds"):
        render(tokenizer, [{"role": "user", "content": [{"type": "video"}]}], [])
    for text in ("a\udcff", 5, None, b"a"):
        with pytest.raises(TextError):
            render(tokenizer, [{"role": "user", "content": [{"type": "text", "text": text}]}], [])
