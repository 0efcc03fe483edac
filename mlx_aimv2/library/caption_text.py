"""Texts of captions: as they are kept, and as words by which they are found."""

import re
import unicodedata

# Writing without spaces between words: each of its signs is a word of its own.
_ALONE = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af])")
_WORD = re.compile(r"\w+")
_ENDS = frozenset({"Cc", "Zl", "Zp"})  # of lines and the like
_HIDDEN = frozenset({"Cf", "Cs", "Cn"})
_JOINERS = "\u200c\u200d"  # emoji and several scripts need them


def clean_caption(text: str) -> str:
    """A caption on one line, without characters that no sidecar can hold or that hide themselves.

    What a model says is data: markers and markup in it stay as the letters that they are.
    """
    shown = (
        " " if kind in _ENDS else "" if kind in _HIDDEN and char not in _JOINERS else char
        for char in unicodedata.normalize("NFC", text)
        for kind in [unicodedata.category(char)]
    )
    return " ".join("".join(shown).split())


def searchable(text: str) -> str:
    """A caption with spaces around each word: its words are told apart by them alone."""
    return " ".join(words_of(text))


def words_of(text: str) -> list[str]:
    """The words of a caption or of a query, in their order; signs between words are none."""
    plain = unicodedata.normalize("NFKC", text).replace("_", " ")
    return _WORD.findall(_ALONE.sub(r" \1 ", plain))
