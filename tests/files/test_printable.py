"""Paths on one line: what is escaped, and what stays."""

import sys
import unicodedata

from mlx_aimv2.files.paths import printable

TURNS = {"RLE", "LRE", "PDF", "RLO", "LRO", "LRI", "RLI", "FSI", "PDI"}


def test_every_character_is_escaped_or_stays() -> None:
    for char in map(chr, range(sys.maxunicode + 1)):
        hides = unicodedata.category(char) in {"Cc", "Zl", "Zp"}
        turns = unicodedata.bidirectional(char) in TURNS or char in "\u061c\u200e\u200f"
        if unicodedata.category(char) != "Cs":  # halves of characters: bytes that are not UTF-8
            shown = char.encode("unicode_escape").decode() if hides or turns else char
            assert printable(char) == shown, repr(char)


def test_bytes_that_are_not_utf8_are_escaped() -> None:
    assert printable(b"caf\xe9.jpg") == "caf\\udce9.jpg"
