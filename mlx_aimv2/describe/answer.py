"""An answer as it comes."""

from collections.abc import Collection, Generator, Iterator
from typing import Self

from mlx_aimv2.texts.aria_tokenizer import TextOfTokens

from .answer_text import AnswerText


class Answer(Iterator[str]):
    """Pieces of an answer, each as soon as it is certain; together they are ``text``.

    ``ids`` are the tokens so far. ``is_cut``: whether the end did not come, because there were as
    many tokens as were allowed, or because nobody took the rest.
    """

    def __init__(self, tokens: Iterator[int], text: TextOfTokens, end_ids: Collection[int]) -> None:
        self.ids: list[int] = []
        self.text = ""
        self.is_cut = True
        self._pieces = self._read(tokens, AnswerText(text), end_ids)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        piece = next(self._pieces)
        self.text += piece
        return piece

    def close(self) -> None:
        """Take no more of the answer."""
        self._pieces.close()

    def _read(
        self, tokens: Iterator[int], text: AnswerText, end_ids: Collection[int]
    ) -> Generator[str, None, None]:
        for token in tokens:
            self.ids.append(token)
            self.is_cut = token not in end_ids
            piece = text.add(token) if self.is_cut else text.rest()
            self.is_cut = self.is_cut and not text.is_ended
            if piece:
                yield piece
            if not self.is_cut:
                return
        if rest := text.rest():
            yield rest
