"""The vocabularies that a library uses: kept with their texts, each with its own threshold."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import FilePath, printable

from ..database.edits import now
from ..database.store import Store
from .calibration import MIN_CONFIDENCE
from .vocabulary import Tag, parse_vocabulary, vocabulary_text

EVERYDAY = "everyday"  # the vocabulary that comes with the package


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary by its name, with its text; how sure its tags must be, and how many a photo.

    Errors: UsageError for a text that is no vocabulary.
    """

    name: str
    text: str
    min_confidence: float = MIN_CONFIDENCE
    limit: int | None = None

    @property
    def origin(self) -> str:
        """The origin of the tags that it gives."""
        return f"vocabulary {self.name}"

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """Its tags, in the order of the text."""
        return parse_vocabulary(self.text, self.name)


def vocabularies_in_use(store: Store) -> list[Vocabulary]:
    """The vocabularies that the library uses, by name."""
    query = "SELECT name, text, min_confidence, tag_limit FROM vocabularies ORDER BY name"
    return [
        Vocabulary(name, text, MIN_CONFIDENCE if sure is None else sure, limit)
        for name, text, sure, limit in store.rows(query)
    ]


def vocabularies_to_run(
    store: Store, own: Path | None, own_name: str, named: FilePath | None
) -> list[Vocabulary]:
    """The vocabulary that was named, by file or name, or else those in use, with their texts now.

    Of a library that uses none it is the checkpoint's ``own``, or the one of the package.
    Errors: UsageError for a name that is no vocabulary, and for a file that cannot be one.
    """
    in_use = {each.name: each for each in vocabularies_in_use(store)}
    own_texts = {EVERYDAY: None} | ({own_name: own} if own else {})

    def current(name: str) -> Vocabulary:
        if name not in own_texts:
            return in_use[name]
        text = vocabulary_text(own_texts[name])  # as it is now
        return replace(in_use[name], text=text) if name in in_use else Vocabulary(name, text)

    if named is None:
        return [current(name) for name in in_use or [own_name if own else EVERYDAY]]
    given = os.fsdecode(named)
    if not os.path.lexists(given) and (given in own_texts or given in in_use):
        return [current(given)]
    path = Path(given)
    text = vocabulary_text(path)
    if path.stem in own_texts and text != vocabulary_text(own_texts[path.stem]):
        raise UsageError(
            f"{printable(path)}: the name {path.stem} is taken by a vocabulary that comes with "
            "aimv2 or with the checkpoint",
            hint="give the file another name",
        )
    known = in_use.get(path.stem, Vocabulary(path.stem, text))
    parse_vocabulary(text, str(path))  # errors name the file
    return [replace(known, text=text)]


def changed(vocabulary: Vocabulary, min_confidence: float | None, limit: int | None) -> Vocabulary:
    """The vocabulary with another threshold or limit, where one is given; 0 is no limit.

    Errors: UsageError for a confidence outside 0 to 1 or a limit below 0.
    """
    if min_confidence is not None:
        vocabulary = replace(vocabulary, min_confidence=min_confidence)
    return vocabulary if limit is None else replace(vocabulary, limit=limit or None)


def remember(store: Store, vocabularies: list[Vocabulary]) -> None:
    """The library uses these vocabularies from now on, beside those that it used before."""
    store.run_many(
        "INSERT INTO vocabularies VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "text = excluded.text, min_confidence = excluded.min_confidence, "
        "tag_limit = excluded.tag_limit, used_at = excluded.used_at",
        ((each.name, each.text, each.min_confidence, each.limit, now()) for each in vocabularies),
    )


def count_others(store: Store, kept: list[Vocabulary]) -> tuple[int, int]:
    """How many tags other vocabularies have given, and on how many photos."""
    others, values = _others(kept)
    query = f"SELECT count(*), count(DISTINCT file_id) FROM shown_tags {others}"
    tags, photos = store.one(query, *values)
    return tags, photos


def origins_of_others(store: Store, kept: list[Vocabulary]) -> list[str]:
    """The origins of tags that other vocabularies have given."""
    others, values = _others(kept)
    return [
        origin for (origin,) in store.rows(f"SELECT DISTINCT origin FROM tags {others}", values)
    ]


def take_others(store: Store, kept: list[Vocabulary]) -> None:
    """Take away the tags of all other vocabularies, which are used no more."""
    others, values = _others(kept)
    store.run(f"DELETE FROM tags {others}", *values)
    names = [each.name for each in kept]
    marks = ", ".join("?" * len(names))
    store.run(f"DELETE FROM vocabularies WHERE name NOT IN ({marks})", *names)


def _others(kept: list[Vocabulary]) -> tuple[str, list[str]]:
    marks = ", ".join("?" * len(kept))
    where = f"WHERE origin LIKE 'vocabulary %' AND origin NOT IN ({marks})"
    return where, [each.origin for each in kept]
