"""The demo's vocabulary: CLIP's form, every text spelled, the same for a seed."""

from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.texts.tokenizer import Tokenizer
from mlx_aimv2.training.byte_pairs import BEGIN, END, WORD_END, learn_vocabulary
from mlx_aimv2.training.drawings.nouns import COLOURS, NOUNS


@pytest.fixture(scope="module")
def learnt() -> tokenizers.Tokenizer:
    return learn_vocabulary(5)


def test_size_and_specials(learnt: tokenizers.Tokenizer) -> None:
    vocab = learnt.get_vocab()
    assert 600 < len(vocab) <= 2000
    assert sorted(vocab.values()) == list(range(len(vocab)))
    assert vocab[END] == len(vocab) - 1
    assert vocab[BEGIN] == len(vocab) - 2


def test_it_is_fixed_by_its_seed(learnt: tokenizers.Tokenizer) -> None:
    assert learnt.to_str() == learn_vocabulary(5).to_str()


def test_common_words_are_one_token(learnt: tokenizers.Tokenizer) -> None:
    words = [word for noun in NOUNS for word in noun.split()] + list(COLOURS) + ["photo", "drawing"]
    for word in words:
        assert learnt.encode(word).tokens == [BEGIN, word + WORD_END, END]


def test_clip_form(learnt: tokenizers.Tokenizer) -> None:
    assert learnt.encode(" A  DOG\n").ids == learnt.encode("a dog").ids
    assert learnt.encode("e\u0301").ids == learnt.encode("\u00e9").ids
    assert learnt.encode("").tokens == [BEGIN, END]


@given(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=30))
@settings(max_examples=60, deadline=None)
def test_every_text_comes_back(learnt: tokenizers.Tokenizer, text: str) -> None:
    normal = "".join(learnt.normalizer.normalize_str(text).split())
    decoded = learnt.decode(learnt.encode(text, add_special_tokens=False).ids)
    if BEGIN not in normal and END not in normal and WORD_END not in normal:
        assert "".join(decoded.split()) == normal


def test_the_package_reads_it(learnt: tokenizers.Tokenizer, tmp_path: Path) -> None:
    learnt.save(str(tmp_path / "tokenizer.json"))
    end = learnt.get_vocab_size() - 1
    tokenizer = Tokenizer.from_folder(tmp_path, max_length=7, eos_token_id=end)
    ids = tokenizer.encode(["a red dog", "cat", "one two three four five six seven"])
    assert ids.shape == (3, 7)
    assert ids[0].tolist() == [*learnt.encode("a red dog").ids, end, end]
    assert ids[2, -1] == end
    assert (ids[:, 0] == end - 1).all()
