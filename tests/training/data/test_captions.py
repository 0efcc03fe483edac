"""Captions as tokens: the end is a target, nothing behind it is, and no row is longer than T."""

import pytest

from mlx_aimv2.checkpoints.hub import DEMO, resolve
from mlx_aimv2.texts.tokenizer import Tokenizer
from mlx_aimv2.training.data.captions import Captions

END = 940
TEXTS = ["a red cat", "two dogs " * 30, "x", "<end_of_text> in a text"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(resolve(DEMO).folder, max_length=11, eos_token_id=END)


@pytest.mark.parametrize("begins", [False, True])
def test_rows_of_one_length_with_one_end_that_counts(tokenizer: Tokenizer, begins: bool) -> None:
    captions = Captions(tokenizer, begins=begins)
    tokens, mask = captions.encode(TEXTS)
    assert tokens.shape == mask.shape == (4, captions.max_tokens) == (4, 10 + begins)
    assert (tokens.dtype.name, mask.dtype.name) == ("int32", "bool")
    for text, row, counted in zip(TEXTS, tokens, mask, strict=True):
        alone = tokenizer.encode([text])[0, not begins :]
        assert row[: len(alone)].tolist() == alone.tolist()
        assert (row[len(alone) :] == END).all()
        assert counted.sum() == len(alone)
        assert not (counted[1:] & ~counted[:-1]).any()
        assert row[counted].tolist().count(END) == 1
        assert row[counted][-1] == END


def test_no_texts_are_no_rows(tokenizer: Tokenizer) -> None:
    tokens, mask = Captions(tokenizer).encode([])
    assert tokens.shape == mask.shape == (0, 10)
