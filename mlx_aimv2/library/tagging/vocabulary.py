"""The tags that pictures can be given: a readable file of paths, synonyms and whole sentences.

A line is a path, then ":" and words for the templates, then "=" and a sentence used as it
stands, more after further "=". A path alone is looked for by its last name. "#" begins a comment,
at a line's start or after a space.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference.zero_shot import templates_of
from mlx_aimv2.texts.text_file import decode

Floats = NDArray[np.float32]

_LARGEST_BYTES = 4 * 2**20
_MOST_TAGS = 10_000
_MOST_PROMPTS = 64  # words and sentences of one tag
_LONGEST = 200  # characters of a name, a word or a sentence
# What other programs take for the end of a keyword or of a level of it.
_NOT_IN_NAMES = ",;/"
_LIKE = "like Animals|Dog: dog, puppy"
_LINE_END = re.compile("\r\n|\r|\n")
_COMMENT = re.compile(r"(^|\s)#.*", re.DOTALL)


@dataclass(frozen=True)
class Tag:
    """One tag: where it is in the hierarchy, words for the templates, whole prompts."""

    path: tuple[str, ...]
    words: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The whole path, like "Animals|Dog"."""
        return "|".join(self.path)

    @property
    def name(self) -> str:
        """The last part of the path, like "Dog"."""
        return self.path[-1]


def read_vocabulary(path: Path | None = None) -> tuple[Tag, ...]:
    """The tags of a file, in its order; without one, those that come with this package.

    Errors: UsageError naming file and line for what is no vocabulary.
    """
    return parse_vocabulary(vocabulary_text(path), "vocabulary.txt" if path is None else str(path))


def vocabulary_text(path: Path | None = None) -> str:
    """The text of a vocabulary's file; without one, that of this package's.

    Errors: UsageError for a file that cannot be read as text.
    """
    if path is None:
        return resources.files(__package__).joinpath("vocabulary.txt").read_text("utf-8")
    return _read(path)


def prompts_of(tag: Tag, templates: str | Sequence[str]) -> tuple[str, ...]:
    """All texts that stand for a tag: each word in each template, and the whole prompts.

    Errors: UsageError for templates that are unknown or without "{}".
    """
    filled = (form.replace("{}", word) for word in tag.words for form in templates_of(templates))
    return tuple(dict.fromkeys((*filled, *tag.prompts)))


def embed_vocabulary(
    tags: Sequence[Tag],
    embed_texts: Callable[[list[str]], Floats],
    templates: str | Sequence[str] = "ensemble",
) -> Floats:
    """One unit vector a tag: the mean of its prompts' unit vectors, at unit length again.

    ``embed_texts`` gives unit vectors and is called once, with every prompt once.
    Shapes: T tags -> (T, P). Errors: UsageError for no tags.
    """
    if not tags:
        raise UsageError("no tags to look for", hint="give a vocabulary with at least one tag")
    prompts = [prompts_of(tag, templates) for tag in tags]
    rows = {text: row for row, text in enumerate(dict.fromkeys(sum(prompts, ())))}
    vectors = embed_texts(list(rows))
    means = np.stack([vectors[[rows[text] for text in texts]].mean(axis=0) for texts in prompts])
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"cannot read the vocabulary {path}: {reason}", hint="name a text file of tags"
        ) from None
    if len(content) > _LARGEST_BYTES:
        raise UsageError(
            f"{path} is too large for a vocabulary", hint="one tag a line, 4 MB at most"
        )
    return decode(content, str(path))


def parse_vocabulary(text: str, source: str) -> tuple[Tag, ...]:
    """The tags of a vocabulary's text, in its order; errors name the source and the line.

    Errors: UsageError for what is no vocabulary.
    """
    tags: dict[str, tuple[Tag, int]] = {}
    for number, line in enumerate(_LINE_END.split(text), 1):
        content = unicodedata.normalize("NFC", _COMMENT.sub("", line).strip())
        if not content:
            continue
        where = f"{source}, line {number}"
        tag = _tag(content, where)
        _, first = tags.setdefault(tag.text.casefold(), (tag, number))
        if first != number:
            raise UsageError(
                f"{where}: {tag.text} is in line {first} already",
                hint="put the words of both on one line",
            )
    if not tags:
        raise UsageError(f"{source} has no tags", hint="one a line, like Animals|Dog: dog, puppy")
    if len(tags) > _MOST_TAGS:
        raise UsageError(f"{source} has {len(tags)} tags", hint=f"at most {_MOST_TAGS:,}")
    return tuple(tag for tag, _ in tags.values())


def _tag(content: str, where: str) -> Tag:
    head, *prompts = _split(content, "=", where)
    name, colon, listed = head.partition(":")
    if not name.strip():
        raise UsageError(f"{where}: no name before the colon", hint=_LIKE)
    if colon and not listed.strip():
        raise UsageError(
            f"{where}: no words after the colon", hint=f"{_LIKE}; or without a colon: {name}"
        )
    path = _split(name, "|", where)
    for part in path:
        if any(sign in part for sign in _NOT_IN_NAMES):
            raise UsageError(
                f"{where}: a tag's name has no {' '.join(_NOT_IN_NAMES)} in it: {part}",
                hint="words come after a colon, like Animals|Dog: dog, puppy",
            )
    words = _split(listed, ",", where) if colon else () if prompts else (path[-1],)
    if len(words) + len(prompts) > _MOST_PROMPTS:
        raise UsageError(f"{where}: too many words", hint=f"at most {_MOST_PROMPTS} for a tag")
    for texts in (words, prompts):
        if len({text.casefold() for text in texts}) < len(texts):
            raise UsageError(f"{where}: a word is there twice", hint="remove one of them")
    return Tag(tuple(path), tuple(words), tuple(prompts))


def _split(text: str, sign: str, where: str) -> list[str]:
    parts = [" ".join(part.split()) for part in text.split(sign)]
    for part in parts:
        if not part:
            raise UsageError(
                f'{where}: nothing before or after "{sign}"',
                hint=_LIKE,
            )
        if len(part) > _LONGEST and sign != "=":
            raise UsageError(f"{where}: too long: {part[:40]}…", hint=f"{_LONGEST} characters")
        if not part.isprintable():
            raise UsageError(
                f"{where}: a character that cannot be shown: {part!r}",
                hint="remove it, or save as text",
            )
    return parts
