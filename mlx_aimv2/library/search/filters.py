"""Which photos a search looks at: folder, date, tag, orientation, format."""

import glob
import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fnmatch import translate
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import FilePath, absolute, is_gone, printable, several
from mlx_aimv2.images.formats import raw
from mlx_aimv2.images.formats.header import FORMATS

from ..database.folders import known_path, under
from ..database.store import Store
from ..database.vectors import VectorSet
from ..sidecars.keywords import clean
from ..tag_names import tag_key

Shape = Literal["landscape", "portrait", "square"]

_SHAPES: dict[str, str] = {
    "landscape": "width_px > height_px",
    "portrait": "width_px < height_px",
    "square": "width_px = height_px",
}
# What people call a format, to what the library calls it; a RAW has its ending.
_FORMATS = {
    ending.lstrip(".").upper(): format.name.upper()
    for format in FORMATS
    for ending in format.extensions
} | {ending.lstrip(".").upper(): ending.lstrip(".").upper() for ending in raw.EXTENSIONS}
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")


@dataclass(frozen=True)
class Filters:
    """Conditions that a photo has to meet, all of them, to be found.

    ``places`` are files, folders, or patterns with ``*``, ``?`` and ``[]``, of capitals or not;
    any of them will do.
    ``since`` and ``until`` are years, months or days, both included; photos without a date do
    not fit them.
    """

    places: FilePath | Sequence[FilePath] = ()
    since: str | None = None
    until: str | None = None
    tags: str | Sequence[str] = ()
    shape: Shape | None = None
    formats: str | Sequence[str] = ()
    is_in_photos: bool = False

    def __post_init__(self) -> None:
        for name in ("places", "tags", "formats"):
            given = tuple(map(os.fsdecode, several(getattr(self, name))))
            object.__setattr__(self, name, given)
        if self.shape is not None and self.shape not in _SHAPES:
            raise UsageError(f"{self.shape!r} is no shape", hint=f"one of {', '.join(_SHAPES)}")

    @property
    def named_places(self) -> tuple[str, ...]:
        """The places as text, however they were given."""
        return tuple(map(os.fsdecode, several(self.places)))

    def sql(self) -> tuple[str, list[object]]:
        """The condition as SQL and its values; the text holds no word of the user's."""
        parts: list[str] = []
        values: list[object] = []
        places = self.named_places
        folders = [under(os.fsencode(_absolute(place))) for place in places if _is_plain(place)]
        if places and not self.has_patterns:
            parts.append(_any([text for text, _ in folders]))
            values += [value for _, each in folders for value in each]
        if self.since:
            parts.append("taken_at >= ?")
            values.append(first_day(self.since).isoformat())
        if self.until:
            parts.append("taken_at < ?")
            values.append(_day_after(self.until).isoformat())
        for tag in self.tags:
            # Of Animals|Dog|Poodle, any part or parts that follow one another.
            parts.append(
                "files.id IN (SELECT file_id FROM shown_tags "
                "WHERE instr('|' || key || '|', '|' || ? || '|'))"
            )
            values.append(tag_key(_tag(tag)))
        if self.shape:
            parts.append(_SHAPES[self.shape])
        if self.formats:
            parts.append(_any(["format = ?"] * len(self.formats)))
            values += [_format(_utf8(name)) for name in self.formats]
        if self.is_in_photos:
            parts.append("uuid IS NOT NULL")
        return " AND ".join(parts) or "TRUE", values

    def matches(self, path: bytes) -> bool:
        """Whether a path fits the patterns, which SQL cannot tell of bytes."""
        return not self.has_patterns or any(_fits(path, place) for place in self.named_places)

    @property
    def has_patterns(self) -> bool:
        """Whether a place is a pattern, so that ``matches`` has to be asked for every path."""
        return any(map(_is_pattern, self.named_places))

    @property
    def is_empty(self) -> bool:
        """Whether every photo fits."""
        return self == Filters()


def as_known(store: Store, filters: Filters) -> Filters:
    """The filters, with places that lead through links replaced by the library's own paths."""
    places = tuple(
        place if is_gone(path := _absolute(place)) else os.fsdecode(known_path(store, path))
        for place in filters.named_places
    )
    return replace(filters, places=places)


def rows_that_fit(
    store: Store, vectors: VectorSet, filters: Filters, among: Collection[int] | None = None
) -> NDArray[np.int64]:
    """Rows and ids of the files that fit, of all or among these ids. Shapes: (n, 2)."""
    where, values = filters.sql()
    if among is not None:
        where = f"files.id IN ({', '.join('?' * len(among))}) AND {where}"
        values = [*among, *values]
    known = store.rows_and_files(vectors.id, where, values)
    if not (filters.has_patterns and len(known)):
        return known
    paths = dict(store.paths())
    return known[[filters.matches(paths[id]) for id in known[:, 1].tolist()]]


def check_places(store: Store, places: Sequence[str]) -> None:
    """Refuse places that can only be typing errors: on the disk and in the library is none.

    Of several patterns one that fits will do.
    Errors: UsageError.
    """
    for place in filter(_is_plain, places):
        folder = os.fsencode(_absolute(place))
        if is_gone(folder) and next(store.files(*under(folder)), None) is None:
            raise UsageError(
                f"{printable(place)} does not exist, and the library has no photo in it",
                hint="check the name, or leave it out to search all",
            )
    patterns = [place for place in places if _is_pattern(place)]
    known = [path for _, path in store.paths()] if patterns else []
    if known and not any(_fits(path, place) for path in known for place in patterns):
        raise UsageError(
            f"no photo in the library fits {printable(' or '.join(patterns))}",
            hint="a pattern is of a file's name, like '*.heic', or with a / of its whole path",
        )


def first_day(text: str) -> date:
    """The first day of a year, a month, or the day itself. Errors: UsageError."""
    if not _DATE.fullmatch(text):
        raise _no_date(text)
    year, month, day = (*map(int, text.split("-")), 1, 1)[:3]
    try:
        return date(year, month, day)
    except ValueError:
        raise _no_date(text) from None


def _day_after(text: str) -> date:
    first = first_day(text)
    try:
        if len(text) == len("2024"):
            return date(first.year + 1, 1, 1)
        if len(text) == len("2024-05"):
            return (first + timedelta(days=31)).replace(day=1)
        return first + timedelta(days=1)
    except (ValueError, OverflowError):
        return datetime.max.date()


def _no_date(text: str) -> UsageError:
    return UsageError(f"{text!r} is no date", hint="write 2024, 2024-05 or 2024-05-31")


def _format(name: str) -> str:
    known = _FORMATS.get(name.strip().upper().lstrip("."))
    if known is None:
        common = ", ".join(format.name.lower() for format in FORMATS)
        raise UsageError(
            f"no format is called {printable(name)!r}",
            hint=f"one of {common}, or an ending, like heic or nef",
        )
    return known


def _tag(text: str) -> str:
    """A tag as it is in the library. Errors: UsageError for one without a name."""
    return "|".join(clean(tuple(_utf8(text).split("|"))))


def _absolute(place: str) -> str:
    return absolute(os.path.expanduser(place))  # noqa: PTH111  (keeps bytes and links)


def _is_pattern(place: str) -> bool:
    return any(char in place for char in "*?[") and not os.path.lexists(_absolute(place))


def _is_plain(place: str) -> bool:
    return not _is_pattern(place)


def _fits(path: bytes, place: str) -> bool:
    if _is_plain(place):
        folder = os.fsencode(_absolute(place))
        return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
    name = os.fsdecode(path if "/" in place else path.rpartition(b"/")[2])
    wanted = _absolute_pattern(place) if "/" in place else place
    return _pattern(wanted).match(unicodedata.normalize("NFC", name)) is not None


def _absolute_pattern(place: str) -> str:
    """A pattern for whole paths; names of the current and the home folder are taken literally."""
    first, slash, rest = place.partition("/")
    if first.startswith("~"):
        place = glob.escape(os.path.expanduser(first)) + slash + rest  # noqa: PTH111  (keeps bytes)
    return os.path.normpath(os.path.join(glob.escape(absolute(".")), place))  # noqa: PTH118  (keeps bytes)


@lru_cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(unicodedata.normalize("NFC", pattern)), re.IGNORECASE)


def _any(parts: Sequence[str]) -> str:
    return f"({' OR '.join(parts)})"


def _utf8(text: str) -> str:
    """A text that SQLite takes. Errors: UsageError."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise UsageError(f"{printable(text)} is not UTF-8", hint="use a terminal that writes UTF-8")
    return text
