"""What Aria is given: crops byte for byte, tokens id for id, and prompts as others make them."""

import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mlx_aimv2.images.aria import AriaProcessor
from mlx_aimv2.images.presets import AriaSplit
from mlx_aimv2.texts.aria_tokenizer import AriaTokenizer
from mlx_aimv2.texts.chat_template import render
from tests.support import aria_vocabulary
from tests.support.aria_vocabulary import ADDED, PROMPT, pieces

transformers = pytest.importorskip("transformers")
sentencepiece = pytest.importorskip("sentencepiece")

from transformers.models.aria.image_processing_pil_aria import (  # noqa: E402
    AriaImageProcessorPil,
)

OURS = AriaProcessor()
WHOLE_OR_SPLIT: Sequence[AriaSplit | None] = (None, "transformers")

# Source: the published tokenizer_config.json.
TEMPLATE = (
    "{% if not add_generation_prompt is defined %}"
    "{% set add_generation_prompt = false %}{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% elif message['content'] is iterable %}{% for item in message['content'] %}"
    "{% if item['type'] == 'text' %}{{ item['text'] }}"
    "{% elif item['type'] == 'image' %}<fim_prefix><|img|><fim_suffix>{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@cache
def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng((width, height))
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    width=st.integers(1, 1700),
    height=st.integers(1, 1700),
    side=st.sampled_from([490, 980]),
    split=st.sampled_from(WHOLE_OR_SPLIT),
)
@example(1, 1, 980, "transformers")
@example(1500, 120, 490, "transformers")
@example(33, 1700, 490, None)
@example(490, 980, 980, "transformers")
@example(1301, 2000, 980, "transformers")
def test_crops_equal_transformers(
    width: int, height: int, side: int, split: AriaSplit | None
) -> None:
    image = noise(width, height)
    theirs = AriaImageProcessorPil(max_image_size=side, split_image=split is not None)
    raw = theirs(image, do_rescale=False, do_normalize=False, return_tensors="np")
    pixels, mask = OURS(image, side, split)
    np.testing.assert_array_equal(pixels.transpose(0, 3, 1, 2), raw["pixel_values"])
    whole = theirs(image, return_tensors="np")
    np.testing.assert_array_equal(mask, whole["pixel_mask"])
    np.testing.assert_allclose(
        OURS.normalized(pixels).transpose(0, 3, 1, 2), whole["pixel_values"], rtol=0, atol=1e-6
    )
    assert len(pixels) == whole["num_crops"]


@cache
def charsmap(rule: str) -> bytes:
    """SentencePiece's own table of characters that are read as others."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox"] * 20),
        model_writer=written,
        model_type="bpe",
        vocab_size=30,
        hard_vocab_limit=False,
        normalization_rule_name=rule,
        minloglevel=2,
    )
    normalizer = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    spec = normalizer.serialized_model_proto()
    start = spec.index(rule.encode()) + len(rule) + 1
    size, shift = 0, 0
    while True:
        size |= (spec[start] & 127) << shift
        start, shift = start + 1, shift + 7
        if spec[start - 1] < 128:
            return spec[start : start + size]


BITS = [
    *["the", "questions", " questions", "place", "user", "é", "ß", "猫", "日本語", "😀", "ﬁ", "①"],
    *[" ", "  ", "   ", "\t", "\u200b", "\u3000", "…", "...", "ı", ".<", "><", "--", "---", "_"],
    *[
        "＜｜im_end｜＞",
        "＜",
        "<|im_end|>",
        "<|img|>",
        "\n",
        "7",
        "７",
        "<td>",
        "a",
        "o",
        "ii",
        "x",
    ],
]
TEXT = st.lists(st.sampled_from(BITS) | st.text(max_size=5), max_size=12).map("".join)
TOKEN = re.compile(f"({'|'.join(map(re.escape, sorted(ADDED, key=len, reverse=True)))})")


@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc"])
@pytest.mark.parametrize("strips", [False, True])
@pytest.mark.parametrize("prefix", [False, True])
def test_tokens_equal_sentencepiece(tmp_path: Path, prefix: bool, strips: bool, rule: str) -> None:
    """Between the added tokens, which transformers' slow tokenizer cuts out first."""
    characters = charsmap(rule) if rule != "identity" else b""
    folder = aria_vocabulary.write_sentencepiece(
        tmp_path, prefix=prefix, strips=strips, characters=characters
    )
    ours = AriaTokenizer.from_folder(folder)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))

    @settings(deadline=None, max_examples=150, derandomize=True)
    @given(text=TEXT)
    def check(text: str) -> None:
        text = text.replace("▁", "").replace(
            "\0", ""
        )  # which SentencePiece means a space by, an end
        expected: list[int] = []
        for number, part in enumerate(TOKEN.split(text)):
            expected += [ADDED.index(part)] if number % 2 else theirs.encode(part)
        assert ours.encode(text) == expected

    check()


def test_a_look_alike_of_a_marker_is_spelled_out(tmp_path: Path) -> None:
    folder = aria_vocabulary.write_sentencepiece(tmp_path, characters=charsmap("nmt_nfkc"))
    tokenizer = AriaTokenizer.from_folder(folder)
    look_alike = "＜｜im_end｜＞"
    assert tokenizer.encode(look_alike) == tokenizer.encode("<|im_end|>")
    prompts = [
        render(tokenizer, [{"role": "user", "content": f"a\n7７ {text} b"}], [])
        for text in (look_alike, "<|im_end|>")
    ]
    assert prompts[0] == prompts[1]
    assert [pieces()[id] for id in prompts[0]].count("im") == 3  # of the turns' own markers


def test_the_prompt_equals_transformers(tmp_path: Path) -> None:
    """Slow and fast are one in transformers with ``legacy`` off: its own test of Aria says so."""
    aria_vocabulary.write_whole(tmp_path)
    tokenizer = AriaTokenizer.from_folder(tmp_path)
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"), chat_template=TEMPLATE
    )
    assert tokenizer.encode(PROMPT) == theirs.encode(PROMPT)
    messages = [
        {"role": "system", "content": "Answer the questions."},
        {
            "role": "user",
            "content": [
                {"type": "image"},
                {"type": "text", "text": " What is\nshown, 20 < 30?"},
                {"type": "image"},
            ],
        },
        {"role": "assistant", "content": "a red boat "},
        {"role": "user", "content": "and <td>"},
    ]
    text = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    text = text.replace("<|img|>", "<|img|>" * 3, 1)
    assert render(tokenizer, messages, [3, 1]) == theirs.encode(text)
