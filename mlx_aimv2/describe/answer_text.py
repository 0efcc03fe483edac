"""Tokens of an answer to pieces of text that will not change any more."""

from mlx_aimv2.texts.aria_tokenizer import TURN_END, TextOfTokens

_UNFINISHED = "\ufffd"  # what a decoder makes of the first bytes of a character


class AnswerText:
    """The text of an answer as its tokens come, up to the end of its turn.

    That end is marked by no token: it comes in pieces, which merge with what stands before. What
    may be the beginning of the marker is held back.
    """

    def __init__(self, text: TextOfTokens) -> None:
        self._text = text
        self._held = ""
        self.is_ended = False

    def add(self, token: int) -> str:
        """The text that is certain since the last call."""
        text, marker, _ = (self._held + self._text.add(token)).partition(TURN_END)
        self.is_ended = bool(marker)
        self._held = "" if marker else _begun_marker(text)
        return text.removesuffix(self._held)

    def rest(self) -> str:
        """What was held back of an answer that was cut off.

        Half a character is left out, and what is more likely the end marker's than the answer's.
        """
        text = self._held + self._text.rest().rstrip(_UNFINISHED)
        begun = _begun_marker(text)
        return text.removesuffix(begun) if len(begun) > 1 else text


def _begun_marker(text: str) -> str:
    """The end of a text that may be the beginning of the end marker."""
    lengths = range(min(len(text), len(TURN_END) - 1), 0, -1)
    return next((text[-length:] for length in lengths if TURN_END.startswith(text[-length:])), "")
