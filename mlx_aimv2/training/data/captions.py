"""Captions as tokens to be read or to be predicted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.texts.tokenizer import Tokenizer


@dataclass(frozen=True)
class Captions:
    """How captions become tokens: those of a checkpoint's tokenizer, cut to its length.

    ``begins``: with the begin token, as a text tower reads them. The decoder that predicts them has
    a start vector of its own, so there the first token is the text's.
    """

    tokenizer: Tokenizer
    begins: bool = False

    @property
    def max_tokens(self) -> int:
        """Tokens of each row, the end token among them."""
        return self.tokenizer.max_length - (not self.begins)

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Tokens, filled up with the end token, and which of them count: up to the first end token.

        Shapes: B texts -> (B, T), (B, T).
        Errors: TextError.
        """
        ids = self.tokenizer.encode(texts)[:, 0 if self.begins else 1 :]
        tokens = np.full((len(texts), self.max_tokens), self.tokenizer.eos_token_id, np.int32)
        tokens[:, : ids.shape[1]] = ids
        ends = (tokens == self.tokenizer.eos_token_id).argmax(axis=1)  # no text holds one
        return tokens, np.arange(self.max_tokens) <= ends[:, None]
