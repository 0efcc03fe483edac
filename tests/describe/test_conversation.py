"""Conversations about pictures: what is asked, what is kept between turns, what is looked at."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_aimv2.describe.aria import Aria
from mlx_aimv2.describe.options import AnswerOptions
from mlx_aimv2.errors import ImageError, UsageError
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.models.aria.network import AriaNetwork
from mlx_aimv2.texts import chat_template
from tests.support.pictures import photo
from tests.support.talking_aria import says, write_aria

WIDE, HIGH = photo(97, 40, seed=1), photo(31, 71, seed=2)
SEVEN = AnswerOptions(max_tokens=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_aria(tmp_path_factory.mktemp("aria") / "aria")


@pytest.fixture(scope="module")
def aria(folder):
    return Aria.load(folder)


def counted(monkeypatch, name):
    """Calls of a method of the network from here on."""
    calls, method = [], getattr(AriaNetwork, name)

    def note(self, *args, **options):
        calls.append(args)
        return method(self, *args, **options)

    monkeypatch.setattr(AriaNetwork, name, note)
    return calls


def ids_of(aria, images, question, history=(), options=SEVEN):
    answer = aria.chat(images, options, history=history).ask(question)
    assert "".join(answer) == answer.text
    return answer.ids


def expected_ids(aria, images, question, count=7, fast=False, split=None):
    """The likeliest tokens by the whole network, over the whole text each time."""
    side_px = 56 if fast else 112
    crops = [aria.processor(open_rgb(image), side_px, split) for image in images]
    message = {"role": "user", "content": [*[{"type": "image"}] * len(images),
               {"type": "text", "text": question}]}  # fmt: skip
    tokens = [len(pixels) * (4 if fast else 8) for pixels, _ in crops]
    ids = chat_template.render(aria.tokenizer, [message], tokens)
    pixels, masks = (np.concatenate(each) for each in zip(*crops, strict=True))
    pixels, masks = mx.array(aria.processor.normalized(pixels)), mx.array(masks)
    for _ in range(count):
        logits = aria.forward(mx.array([ids]), pixels.transpose(0, 3, 1, 2), masks)
        ids = [*ids, int(np.array(logits)[0, -1].argmax())]
    return ids[-count:]


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("split", [None, "rhymes", "transformers"])
def test_an_answer_is_what_the_network_says_of_pictures_and_question(aria, fast, split):
    images, question = [WIDE, HIGH], "What is shown in this image?"
    options = AnswerOptions(max_tokens=7, fast=fast, split=split)
    found = ids_of(aria, images, question, options=options)
    assert found == expected_ids(aria, images, question, fast=fast, split=split)


def test_pictures_are_read_in_their_order(aria):
    question = "What is shown in this image?"
    assert ids_of(aria, [WIDE, HIGH], question) != ids_of(aria, [HIGH, WIDE], question)


def test_a_later_question_is_answered_as_if_all_was_asked_at_once(aria):
    chat = aria.chat([WIDE, HIGH], SEVEN)
    history = []
    for question in ("What is shown?", "Is it a dog?", "Where?"):
        fresh = ids_of(aria, [WIDE, HIGH], question, history)
        answer = chat.ask(question)
        history.append((question, "".join(answer)))
        assert answer.ids == fresh


def test_a_history_of_other_than_questions_with_answers_is_refused(aria):
    for history in ([("What is shown?",)], [("What is shown?", "a dog", "a cat")], "ab"):
        with pytest.raises(ValueError, match="unpack"):
            aria.chat([WIDE], SEVEN, history=history)


def test_pictures_are_looked_at_once_and_only_what_is_new_is_read(aria, folder, monkeypatch):
    looked = counted(monkeypatch, "encode_images")
    read = says(monkeypatch, folder, "Two dogs.<|im_end|>", "A beach.<|im_end|>", "No.<|im_end|>")
    chat = aria.chat([WIDE, HIGH])
    assert "".join(chat.ask("What is shown?")) == "Two dogs."
    assert "".join(chat.ask("Where?")) == "A beach."
    assert "".join(chat.ask("Are you sure?")) == "No."
    assert len(looked) == 2
    assert read[0] > 2 * 8
    # The turn's end, the question, and where the answer begins.
    assert read[1] < 60 and read[2] < 60


def test_an_answer_that_nobody_took_to_its_end_is_what_was_taken(aria):
    chat = aria.chat([WIDE], AnswerOptions(max_tokens=30))
    first = chat.ask("What is shown?")
    taken = [next(first), next(first)]
    second = chat.ask("Where?")
    fresh = ids_of(aria, [WIDE], "Where?", [("What is shown?", "".join(taken))],
                   AnswerOptions(max_tokens=30))  # fmt: skip
    assert ("".join(second), second.ids) == (second.text, fresh)
    assert [*first] == []
    untouched = aria.chat([WIDE], SEVEN)
    untouched.ask("Is it a dog?")
    answer = untouched.ask("Where?")
    "".join(answer)
    assert answer.ids == ids_of(aria, [WIDE], "Where?", [("Is it a dog?", "")])


def test_what_does_not_fit_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    small = Aria.load(write_aria(tmp_path / "small", context=100))
    looked = counted(monkeypatch, "encode_images")
    decoded = counted(monkeypatch, "decode")
    with pytest.raises(UsageError, match=r"8 tokens.* 93.*100"):
        small.chat([WIDE], AnswerOptions(max_tokens=93))
    chat = small.chat([WIDE], AnswerOptions(max_tokens=40))
    with pytest.raises(UsageError, match="tokens"):
        chat.ask("Where is the red boat? " * 9)
    with pytest.raises(UsageError, match="104 tokens"):
        small.chat([WIDE] * 13, AnswerOptions(max_tokens=1))
    assert not looked and not decoded
    assert chat.ask("Where?").text == ""


def test_a_conversation_that_is_full_says_so(tmp_path):
    small = Aria.load(write_aria(tmp_path / "small", context=100))
    chat = small.chat([WIDE], AnswerOptions(max_tokens=20))
    "".join(chat.ask("Where?"))
    with pytest.raises(UsageError, match="more than the 100 of this checkpoint") as caught:
        for _ in range(5):
            "".join(chat.ask("Where?"))
    assert "begin a new conversation" in caught.value.hint


def test_a_picture_that_cannot_be_read(aria, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"a\.png"):
        aria.chat([WIDE, tmp_path / "a.png"])
