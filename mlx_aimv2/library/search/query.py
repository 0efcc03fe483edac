"""What to look for: texts and pictures, added and taken away, as words of a command line.

``horse + stripes - 2:zebra`` is three terms, ``tag:Luna + beach`` a tag and a text. ``+`` and ``-``
stand by themselves; the words between them belong together. A term may begin with its weight: a
number, a colon and, without a space, the rest. ``16:9`` and ``3:30 pm`` are words: after a weight
comes no number, or one with a colon of its own, as in ``2:3:30 pm``. What looks like more
than words and is searched as words is told by ``notes``.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable, unreadable
from mlx_aimv2.images.formats.header import EXTENSIONS
from mlx_aimv2.images.source import ImageSource

_TAG = "tag:"
_SIGNS = {"+": 1.0, "-": -1.0}
_STARTS = ("./", "../", "/", "~/")  # of what can only be a path
_WEIGHT = re.compile(
    r"(?P<weight>[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|nan|inf|infinity)):"
    r"(?!\s|\d+(?:\.\d+)?(?![\d:.]))",
    re.ASCII | re.IGNORECASE,
)
# Words that look like more than words, and why they are none the less.
_ADDRESS = re.compile(r"[a-z][a-z\d+.-]*://", re.IGNORECASE)
_DRIVE = re.compile(r"[a-z]:[\\/]|\\\\", re.IGNORECASE)
_NUMBER_FIRST = re.compile(r"[+-]?[\d.]+:\d")
_NAME_FIRST = re.compile(r"[^\W\d]\w*:\S")
_LOOKS = (
    (_ADDRESS, "addresses are not fetched"),
    (_DRIVE, "it leads to no file here"),
    (_NUMBER_FIRST, "a weight stands at a term's beginning, before a word, as in 2:zebra"),
    (re.compile(r"\d*[,/]\d+:\S"), "a weight is written with a point, as in 2.5:zebra"),
    (_NAME_FIRST, "before a colon only a number means something, a weight, as in 2:zebra"),
    (re.compile(r"[+−–-]\w"), "+ and - stand by themselves, as in horse - zebra"),
    (re.compile(r"[−–＋－]$"), "+ and - are the plain signs of the keyboard"),
    (re.compile(r"(?:AND|OR|NOT)$"), "terms are joined by + and -, as in horse - zebra"),
)

_EXAMPLE_HINT = 'for example: red bicycle + snow, ./cat.jpg + night, or "horse" - "2:zebra"'
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-6, 1e6
_WEIGHT_HINT = (
    "weights are over 0, from 0.000001 to a million, like 0.5:night or 2:dog; "
    "to take away: horse - 2:zebra"
)
_ALONE_HINT = "put + or - between them; quote a path with spaces in it"
_NEGATIVE_HINT = (
    "to take something away does not find what is without it: begin with what to find, "
    "like: horse - zebra"
)
_PATH_HINT = "what begins with ./ ../ / or ~/ is a picture's path"


@dataclass(frozen=True)
class Term:
    """A text, a picture or a tag with its weight, which is below 0 where it is taken away.

    ``vector`` is a picture's, where it is known already. ``direction`` and ``line`` are a taught
    tag's, once it was looked up: a vector, and the product with it from which on a photo fits.
    Shapes: (P,).
    """

    weight: float
    text: str | None
    image: ImageSource | None
    tag: str | None = None
    vector: NDArray[np.float32] | None = field(default=None, compare=False)
    direction: NDArray[np.float32] | None = field(default=None, compare=False)
    line: float = 0.0


def parse(
    words: Sequence[str], like: Sequence[ImageSource] = (), *, opens_files: bool = True
) -> tuple[Term, ...]:
    """The terms of a query: the pictures of ``like``, then those of the words.

    A term is a picture if it begins like a path (``./``, ``../``, ``/``, ``~/``), leads into a
    folder to a file or a picture's name, or is the name of a picture that is here. All else is
    text, so a file called ``dog`` is searched by ``./dog``. After ``like`` the words may begin
    with ``+`` or ``-``. Without ``opens_files`` no word is a picture, and none is looked for.

    Errors: UsageError for words that make no query, and for a path without a file.
    """
    liked = tuple(
        Term(1.0, None, _existing(each) if isinstance(each, str) else each) for each in like
    )
    groups = _split(words)
    if not liked:
        if not groups:
            raise UsageError("there is nothing to search for", hint=_EXAMPLE_HINT)
        if groups[0][0] == "-":
            raise UsageError("the query begins with what to take away", hint=_NEGATIVE_HINT)
        if groups[0][0] == "+":
            raise UsageError("there is nothing before the first +", hint=_EXAMPLE_HINT)
    terms = (_term(_SIGNS[sign or "+"], group, opens_files) for sign, group in groups)
    return liked + tuple(terms)


def notes(words: Sequence[str], terms: Sequence[Term]) -> list[str]:
    """Remarks on words of a query that look like more than words, each once."""
    told = []
    for term in terms:
        weight, text = abs(term.weight), term.text or ""
        if weight != 1 and _NUMBER_FIRST.match(text):
            told.append(f"{weight:g} is read as the weight of {printable(text)}")
            continue
        for word in text.split():
            if word[word.rfind(".") :].lower() in EXTENSIONS:
                told.append(f"{printable(word)} is no file here: searched as words")
            elif reason := next((why for look, why in _LOOKS if look.match(word)), ""):
                told.append(f"{printable(word)} is searched as words: {reason}")
    told += [
        f"{word} inside one text is searched as a word: for terms write horse - zebra, unquoted"
        for text in words
        if text not in _SIGNS
        for word in text.split()
        if word in _SIGNS
    ]
    return list(dict.fromkeys(told))


def _split(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The words of each term after its sign, which may be missing (empty) before the first."""
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if word in _SIGNS:
            if groups and not groups[-1][1]:
                raise UsageError(
                    f"there is nothing between {groups[-1][0]} and {word}", hint=_EXAMPLE_HINT
                )
            groups.append((word, []))
        elif groups:
            groups[-1][1].append(word)
        else:
            groups.append(("", [word]))
    if groups and not groups[-1][1]:
        raise UsageError(f"there is nothing after the last {groups[-1][0]}", hint=_EXAMPLE_HINT)
    return groups


def _term(sign: float, words: list[str], opens_files: bool) -> Term:
    weight, first = _split_weight(words[0])
    words = [first, *words[1:]]
    if first.lower().startswith(_TAG):
        name = " ".join(" ".join([first[len(_TAG) :], *words[1:]]).split())
        if not name:
            raise UsageError("there is no tag after tag:", hint="write: tag:Luna + beach")
        return Term(sign * weight, None, None, name)
    pictures = [word for word in words if opens_files and _is_picture(word)]
    if len(words) == 1 and pictures:
        return Term(sign * weight, None, _existing(first))
    if pictures:
        name = printable(pictures[0])
        raise UsageError(f"{name} is a picture and has words beside it", hint=_ALONE_HINT)
    text = " ".join(" ".join(words).split())
    if not text:
        raise UsageError("a text to search for is empty", hint=_EXAMPLE_HINT)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise UsageError(f"{printable(text)} is not UTF-8", hint="use a terminal that writes UTF-8")
    return Term(sign * weight, text, None)


def _split_weight(word: str) -> tuple[float, str]:
    found = _WEIGHT.match(word)
    if found is None:
        return 1.0, word
    weight = float(found["weight"])
    if not _LEAST_WEIGHT <= weight <= _MOST_WEIGHT:  # as nan is not
        raise UsageError(f"{found['weight']} is no weight", hint=_WEIGHT_HINT)
    return weight, word[found.end() :]


def _is_picture(word: str) -> bool:
    if word.startswith(_STARTS):
        return word != "/"  # a stroke between words
    named_so = word[word.rfind(".") :].lower() in EXTENSIONS
    return (named_so or _is_file(word)) if "/" in word else (named_so and _is_file(word))


def _is_file(word: str) -> bool:
    return os.path.isfile(word)  # noqa: PTH113  (pathlib raises for too long a name)


def _existing(name: str) -> Path:
    path = Path(os.path.expanduser(name))  # noqa: PTH111  (pathlib raises where there is no home)
    try:
        path.stat()
    except OSError as error:
        reason = unreadable(path, error)
        hint = f"{reason.hint}; {_PATH_HINT}" if name.startswith(_STARTS) else reason.hint
        raise UsageError(str(reason), hint=hint) from error
    except ValueError as error:  # a NUL inside, or half of a surrogate pair
        raise UsageError(f"{printable(name)} is no file name", hint=_PATH_HINT) from error
    if path.is_dir():
        raise UsageError(
            f"{printable(path)} is a folder, not a picture",
            hint="search like a picture in it, or choose the folder to search with --in",
        )
    return path
