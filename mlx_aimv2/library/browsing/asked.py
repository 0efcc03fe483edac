"""A search as a page asks for it: what was typed, and what was chosen beside it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

from mlx_aimv2.errors import UsageError

from ..search.request import SearchRequest, Sort
from ..search.typed import MINUS, PLUS, Piece, Typed, line_of, read

MOST_LIKED = 1000  # photos
_LARGEST_ID = 1 << 62
_MOST_TAGS = 100


@dataclass(frozen=True)
class Chip:
    """Something that was understood, and the same search without it."""

    kind: str
    text: str
    without: "Asked"
    id: int | None = None


# What the page calls the options that can be typed; others by their own names.
_KINDS = {"tags": "tag", "not_tags": "not_tag", "places": "in", "shape": "orientation",
          "formats": "format", "is_in_photos": "photos", "min_score": "min"}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """``q`` has the words and options of the command ``aimv2 search``; what was typed there goes
    before what was chosen. ``like`` are photos, ``pictures`` names of pictures that were sent."""

    q: str = ""
    like: tuple[int, ...] = ()
    pictures: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    not_tags: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    sort: Sort | None = None
    min: float | None = None
    unique: bool = False
    captions_only: bool = False

    @cached_property
    def typed(self) -> Typed:
        """What was typed. Errors: UsageError for options that are none, or are wrong."""
        return read(self.q)

    @property
    def request(self) -> SearchRequest:
        """What is searched for, typed and chosen together."""
        given = self.typed.request
        filters = replace(
            given.filters,
            tags=tuple(dict.fromkeys((*given.filters.tags, *self.tags))),
            not_tags=tuple(dict.fromkeys((*given.filters.not_tags, *self.not_tags))),
            since=given.filters.since or self.since,
            until=given.filters.until or self.until,
        )
        return replace(
            given,
            filters=filters,
            sort=given.sort or self.sort,
            min_score=self.min if given.min_score is None else given.min_score,
            unique=given.unique or self.unique,
            captions_only=given.captions_only or self.captions_only,
        )

    def chips(self) -> list[Chip]:
        """All that was understood, each with the search that is left without it."""
        chips = [
            Chip("like", f"photo {id}", self._without(like=_less(self.like, id)), id)
            for id in self.like
        ]
        chips += [
            Chip("picture", name, self._without(pictures=_less(self.pictures, name)))
            for name in self.pictures
        ]
        for piece in self.typed.pieces:
            kind = _KINDS.get(piece.name, piece.name)
            chips.append(Chip(kind, piece.value, self._without(piece)))
        for name in ("tags", "not_tags"):
            given = getattr(self, name)
            chips += [
                Chip(_KINDS[name], tag, self._without(None, **{name: _less(given, tag)}))
                for tag in given
            ]
        typed = {piece.name for piece in self.typed.pieces}
        for name, option in (("since", "since"), ("until", "until"), ("min", "min_score")):
            value = getattr(self, name)
            if value is not None and option not in typed:
                chips.append(
                    Chip(
                        name,
                        value if isinstance(value, str) else f"{value:g}",
                        self._without(None, **{name: None}),
                    )
                )
        return chips

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Asked":
        """What a page has sent. Errors: UsageError for what is none of it."""
        values = {}
        for name, (is_so, to_value) in _FIELDS.items():
            value = body.get(name)
            if value is None:
                continue
            if not is_so(value):
                raise UsageError(f"{name} of the search is wrong", hint="load the page again")
            values[name] = to_value(value)
        return cls(**values)

    def _without(self, piece: Piece | None = None, /, **less: Any) -> "Asked":
        """The search without a piece that was typed, or with less that was chosen.

        Where nothing is left to look for, nothing is left to take away from it either.
        """
        asked = replace(self, **less)
        left = [each for each in self.typed.pieces if each is not piece]
        if not (asked.like or asked.pictures or any(each.name == PLUS for each in left)):
            left = [each for each in left if each.name != MINUS]
        is_same = len(left) == len(self.typed.pieces)
        return asked if is_same else replace(asked, q=line_of(left))


def _less(given: Sequence[Any], one: Any) -> tuple[Any, ...]:
    return tuple(each for each in given if each != one)


def _are(kind: type, most: int) -> Callable[[Any], bool]:
    return lambda given: (
        isinstance(given, list) and len(given) <= most and all(type(each) is kind for each in given)
    )


def _are_ids(given: Any) -> bool:
    return _are(int, MOST_LIKED)(given) and all(0 < each < _LARGEST_ID for each in given)


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda given: type(given) in kinds


def _once(given: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(given))


def _is_number(given: Any) -> bool:
    return type(given) in (int, float) and abs(given) < _LARGEST_ID and math.isfinite(given)


# What the page may send: whether it is right, and how it is kept.
_FIELDS: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    "q": (_is(str), str),
    "like": (_are_ids, _once),
    "pictures": (_are(str, MOST_LIKED), _once),
    "tags": (_are(str, _MOST_TAGS), _once),
    "not_tags": (_are(str, _MOST_TAGS), _once),
    "since": (_is(str), lambda given: given or None),
    "until": (_is(str), lambda given: given or None),
    "sort": (lambda given: given in get_args(Sort), str),
    "min": (_is_number, float),
    "unique": (_is(bool), bool),
    "captions_only": (_is(bool), bool),
}
