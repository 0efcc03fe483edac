"""A search as it is typed into one line: the words and options of the command ``aimv2 search``.

Words are split as a shell does it, but a quotation mark inside a word is a letter, as in
dog's, and one that is not closed holds all that follows: somebody is still typing.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import Field, dataclass
from itertools import groupby
from typing import Any, get_args

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.options import flags_of, options_of

from .filters import Filters
from .request import SearchRequest

MOST_CHARACTERS, MOST_PIECES = 10_000, 100
PLUS, MINUS = "plus", "minus"
_SIGNS = ("+", "-")
_QUOTES = "'\""
_NEEDS_QUOTES = re.compile(r"""\s|\\|^["']|=["']|^$""")
# What the line cannot hold: nothing that is typed is opened as a file.
_NO_FILE_HINT = "drop the picture onto the page, or open a photo and choose More like this"
_IS_IN_FILTERS = frozenset(each.name for each in options_of(Filters))


@dataclass(frozen=True)
class Piece:
    """A term or an option of the line: the words that it takes there.

    ``name`` is the option's field; of a term it is ``PLUS`` or ``MINUS``, and its words are without
    the sign. ``value`` is what it says.
    """

    name: str
    words: tuple[str, ...]
    value: str


@dataclass(frozen=True)
class Typed:
    """A line that was read: what it asks for, and the pieces that say so."""

    request: SearchRequest
    pieces: tuple[Piece, ...]


def read(text: str) -> Typed:
    """What a line asks for. Errors: UsageError for options that are none, or are wrong."""
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            "the search is too long", hint=f"{MOST_CHARACTERS:,} characters are enough"
        )
    words: list[str] = []
    options: list[Piece] = []
    given: dict[str, Any] = {}
    left = split(text)
    while left:
        word = left.pop(0)
        if word == "--":
            words += left
            break
        if not word.startswith("-") or word in _SIGNS:
            words.append(word)
            continue
        flag, has_value, value = word.partition("=") if word.startswith("--") else (word, "", "")
        field = _field(flag)
        taken = [word]
        if field.type is bool:
            if has_value:
                raise UsageError(f"{flag} takes no value", hint=f"write: {flag}")
        elif not has_value:
            if not left:
                raise UsageError(f"{flag} needs a value", hint=_example(field))
            value = left.pop(0)
            taken.append(value)
        options.append(Piece(field.name, tuple(taken), value))
        if field.default == ():
            given[field.name] = (*given.get(field.name, ()), value)
        else:
            given[field.name] = _value(field, flag, value)
    filters = Filters(**{name: given.pop(name) for name in list(given) if name in _IS_IN_FILTERS})
    pieces = (*_terms(words), *options)
    if len(pieces) > MOST_PIECES:
        raise UsageError(
            f"the search has {len(pieces)} terms and options", hint=f"{MOST_PIECES} are enough"
        )
    return Typed(SearchRequest(words=tuple(words), filters=filters, **given), pieces)


def split(text: str) -> list[str]:
    """The words of a line."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        else:
            word, at = _next(text, at)
            words.append(word)
    return words


def join(words: Iterable[str]) -> str:
    """A line of which ``split`` makes these words again."""
    return " ".join(
        '"' + re.sub(r'(["\\])', r"\\\1", word) + '"' if _NEEDS_QUOTES.search(word) else word
        for word in words
    )


def line_of(pieces: Sequence[Piece]) -> str:
    """A line of pieces; terms that are taken away stand last, as no query begins with them."""
    words: list[str] = []
    for sign, name in zip(_SIGNS, (PLUS, MINUS), strict=True):
        for piece in pieces:
            if piece.name == name:
                words += [sign] * bool(words or name == MINUS) + [*piece.words]
    options = (piece.words for piece in pieces if piece.name not in (PLUS, MINUS))
    return join([*words, *(word for each in options for word in each)])


def _terms(words: Sequence[str]) -> list[Piece]:
    """The terms of a query's words, in their order; ``query`` tells of signs without words."""
    pieces: list[Piece] = []
    sign = "+"
    for is_sign, group in groupby(words, key=_SIGNS.__contains__):
        part = tuple(group)
        if is_sign:
            sign = part[-1]
        else:
            pieces.append(Piece(PLUS if sign == "+" else MINUS, part, " ".join(part)))
    return pieces


def _next(text: str, at: int) -> tuple[str, int]:
    """The word that begins at a place, and where it ends."""
    start, quote = at, ""
    letters: list[str] = []
    while at < len(text) and (quote or not text[at].isspace()):
        letter, follows = text[at], text[at + 1 : at + 2]
        is_escape = letter == "\\" and follows and quote != "'"
        if is_escape and (
            follows in '"\\' or (not quote and (follows == "'" or follows.isspace()))
        ):
            letters.append(follows)
            at += 1
        elif quote and letter == quote:
            quote = ""
        elif not quote and letter in _QUOTES and (at == start or text[at - 1] == "="):
            quote = letter
        else:
            letters.append(letter)
        at += 1
    return "".join(letters), at


def _field(flag: str) -> "Field[Any]":
    found = _FIELDS.get(flag)
    if found is not None and found.name != "like":
        return found
    if found is not None:
        raise UsageError(f"{flag} takes a file, and none is opened from here", hint=_NO_FILE_HINT)
    shown = printable(flag)
    if not flag.startswith("--"):
        hint = f"to take something away write: horse - {printable(flag[1:])}"
    else:
        long = (
            name for name, field in _FIELDS.items() if name[:2] == "--" and field.name != "like"
        )
        hint = f"one of {', '.join(long)}"
    raise UsageError(f"{shown} is no option of a search", hint=hint)


def _value(field: "Field[Any]", flag: str, text: str) -> Any:
    if field.type is bool:
        return True
    kinds = get_args(field.type)
    if float in kinds:
        try:
            return float(text)
        except ValueError:
            message = f"{flag}: {printable(text)!r} is no number"
            raise UsageError(message, hint=f"like: {flag} 0.5") from None
    choices = [each for kind in kinds for each in get_args(kind)]
    if choices and text not in choices:
        raise UsageError(
            f"{flag}: {printable(text)!r} is none", hint=f"one of {', '.join(choices)}"
        )
    return text


def _example(field: "Field[Any]") -> str:
    return str(field.metadata["help"])


_FIELDS = {
    flag: field
    for field in options_of(SearchRequest)
    if "is_argument" not in field.metadata
    for flag in flags_of(field)
}
