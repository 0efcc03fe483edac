"""Token ids equal transformers' CLIPTokenizer, id for id."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.texts.tokenizer import Tokenizer
from mlx_aimv2.verification import expected
from tests.support.vocabulary import BEGIN, END, clip_vocabulary

transformers = pytest.importorskip("transformers")

MAX_LENGTH = 77
VOCABULARY = clip_vocabulary()

TEXTS = [
    *expected.TEXTS,
    " ",
    "<|endoftext|> <|startoftext|> <|ENDOFTEXT|>",
    "end_of_text <end_of_text <END_OF_TEXT>",
    "word " * 100,
    "x" * 1000,
    "日" * 200,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return VOCABULARY.write_parts(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def ours(folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(
        folder, max_length=MAX_LENGTH, eos_token_id=VOCABULARY.eos_token_id
    )


@pytest.fixture(scope="module")
def theirs(folder: Path):
    return transformers.CLIPTokenizer(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        unk_token=END,
    )


@pytest.fixture(scope="module")
def ours_from_their_file(theirs, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("saved")
    theirs.save_pretrained(folder)
    assert (folder / "tokenizer.json").is_file()
    return Tokenizer.from_folder(
        folder, max_length=MAX_LENGTH, eos_token_id=VOCABULARY.eos_token_id
    )


def _theirs(tokenizer, texts: list[str]) -> np.ndarray:
    encoded = tokenizer(
        texts, padding="longest", truncation=True, max_length=MAX_LENGTH, return_tensors="np"
    )
    return encoded["input_ids"]


def test_the_oracle_added_no_ids(theirs) -> None:
    assert len(theirs) == len(VOCABULARY.ids)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_fixed_texts(ours: Tokenizer, ours_from_their_file: Tokenizer, theirs, text: str) -> None:
    expected = _theirs(theirs, [text])
    np.testing.assert_array_equal(ours.encode([text]), expected)
    np.testing.assert_array_equal(ours_from_their_file.encode([text]), expected)


def test_one_padded_batch(ours: Tokenizer, theirs) -> None:
    np.testing.assert_array_equal(ours.encode(TEXTS), _theirs(theirs, TEXTS))


# A begin or end string inside a text is special to the oracle; here it never is.
ANY_TEXT = st.text(max_size=200).filter(lambda text: BEGIN not in text and END not in text)


@settings(deadline=None, max_examples=500)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_random_unicode(ours, ours_from_their_file, theirs, texts: list[str]) -> None:
    expected = _theirs(theirs, texts)
    np.testing.assert_array_equal(ours.encode(texts), expected)
    np.testing.assert_array_equal(ours_from_their_file.encode(texts), expected)
