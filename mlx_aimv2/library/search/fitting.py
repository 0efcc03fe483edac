"""Which photos of the library fit filters: asked of the database, patterns of the paths."""

import glob
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from fnmatch import translate
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import absolute, is_gone, printable
from mlx_aimv2.images.formats import raw
from mlx_aimv2.images.formats.header import FORMATS

from ..database.folders import known_path, under
from ..database.store import Store
from ..database.vectors import VectorSet
from ..shots import shots_of
from ..sidecars.keywords import clean
from ..tag_names import tag_key
from .filters import Filters, absolute_place, is_pattern

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
MANY = 1000  # files: of more than these, all shots are sooner found
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
# Of Animals|Dog|Poodle, any part or parts that follow one another. Rows of ``shown_tags``, begun
# with the few keys: SQLite would make the whole view first.
_TAGGED = """
    file_id FROM (
        WITH wanted(key) AS (
            SELECT key FROM (SELECT DISTINCT key FROM tags UNION SELECT DISTINCT key FROM verdicts)
            WHERE instr('|' || key || '|', '|' || ? || '|')
        )
        SELECT file_id FROM wanted CROSS JOIN tags ON tags.key = wanted.key
            JOIN files ON files.id = file_id
            LEFT JOIN verdicts ON verdicts.hash = last_hash AND verdicts.key = tags.key
            WHERE verdict IS NOT 'rejected'
        UNION ALL
        SELECT files.id FROM wanted CROSS JOIN verdicts ON verdicts.key = wanted.key
            JOIN files ON last_hash = verdicts.hash WHERE verdict <> 'rejected'
    )
"""


def condition(filters: Filters) -> tuple[str, list[object]]:
    """Filters as SQL and its values; the text holds no word of the user's.

    Patterns are not in it. Errors: UsageError for filters that mean nothing.
    """
    parts: list[str] = []
    values: list[object] = []
    places = filters.named_places
    folders = [under(os.fsencode(absolute_place(place))) for place in places if _is_plain(place)]
    if places and not filters.has_patterns:
        parts.append(_any([text for text, _ in folders]))
        values += [value for _, each in folders for value in each]
    if filters.since:
        parts.append("taken_at >= ?")
        values.append(_first_day(filters.since).isoformat())
    if filters.until:
        parts.append("taken_at < ?")
        values.append(_day_after(filters.until).isoformat())
    if filters.tags:  # which of several a file has not, another one of its shot may have
        parts.append(_any([f"files.id IN (SELECT {_TAGGED})"] * len(filters.tags)))
        values += [tag_key(_tag(tag)) for tag in filters.tags]
    parts += [f"files.id NOT IN (SELECT {_TAGGED})"] * len(filters.not_tags)
    values += [tag_key(_tag(tag)) for tag in filters.not_tags]
    if filters.shape:
        parts.append(_SHAPES[filters.shape])
    if filters.formats:
        parts.append(_any(["format = ?"] * len(filters.formats)))
        values += [_format(_utf8(name)) for name in filters.formats]
    if filters.is_in_photos:
        parts.append("uuid IS NOT NULL")
    return " AND ".join(parts) or "TRUE", values


def as_known(store: Store, filters: Filters) -> Filters:
    """The filters, with places that lead through links replaced by the library's own paths."""
    places = tuple(
        place if is_gone(path := absolute_place(place)) else os.fsdecode(known_path(store, path))
        for place in filters.named_places
    )
    return replace(filters, places=places)


def rows_that_fit(
    store: Store, vectors: VectorSet, filters: Filters, among: Collection[int] | None = None
) -> NDArray[np.int64]:
    """Rows and ids of the files that fit, of all or among these ids. Shapes: (n, 2)."""
    where, values = condition(filters)
    if among is not None:
        where = f"files.id IN ({', '.join('?' * len(among))}) AND {where}"
        values = [*among, *values]
    known = store.rows_and_files(vectors.id, where, values)
    if filters.has_patterns and len(known):
        paths = dict(store.paths())
        known = known[[_fits_any(paths[id], filters) for id in known[:, 1].tolist()]]
    if filters.not_tags or len(filters.tags) > 1:
        fits = _fits_tags(store, filters)
        known = known[[fits(id) for id in known[:, 1].tolist()]]
    return known


def newest_that_fit(store: Store, filters: Filters) -> list[int]:
    """Ids of the readable files that fit, with vectors or without, the newest first.

    Those without a date come last, and equal ones by path.
    """
    where, values = condition(filters)
    # +: by the index of dates, a million rows would be looked up one by one.
    known = store.rows(
        "SELECT id, path FROM files WHERE error IS NULL AND missing_since IS NULL "
        f"AND ({where}) ORDER BY +taken_at DESC, path",
        values,
    )
    fits = _fits_tags(store, filters)
    return [id for id, path in known if fits(id) and _fits_any(path, filters)]


def _fits_tags(store: Store, filters: Filters) -> Callable[[int], bool]:
    """Whether a file's shot has all of several tags, each in any of its files, and no unwanted."""
    unwanted = set().union(*(_tagged_by_shot(store, tag) for tag in filters.not_tags))
    several = filters.tags if len(filters.tags) > 1 else ()
    wanted = [_tagged_by_shot(store, tag) for tag in several]
    return lambda id: id not in unwanted and all(id in each for each in wanted)


def _tagged_by_shot(store: Store, tag: str) -> set[int]:
    """The files that have a tag, and all others of their shots."""
    rows = store.rows(f"SELECT DISTINCT {_TAGGED}", (tag_key(_tag(tag)),))
    tagged = [id for (id,) in rows]
    shots = shots_of(store, tagged if len(tagged) < MANY else None) if tagged else {}
    return {each for id in tagged for each in shots.get(id, (id,))}


def check_places(store: Store, places: Sequence[str]) -> None:
    """Refuse places that can only be typing errors: on the disk and in the library is none.

    Of several patterns one that fits will do.
    Errors: UsageError.
    """
    for place in filter(_is_plain, places):
        folder = os.fsencode(absolute_place(place))
        if is_gone(folder) and next(store.files(*under(folder)), None) is None:
            raise UsageError(
                f"{printable(place)} does not exist, and the library has no photo in it",
                hint="check the name, or leave it out to search all",
            )
    patterns = [place for place in places if is_pattern(place)]
    known = [path for _, path in store.paths()] if patterns else []
    if known and not any(_fits(path, place) for path in known for place in patterns):
        raise UsageError(
            f"no photo in the library fits {printable(' or '.join(patterns))}",
            hint="a pattern is of a file's name, like '*.heic', or with a / of its whole path",
        )


def _first_day(text: str) -> date:
    """The first day of a year, a month, or the day itself. Errors: UsageError."""
    if not _DATE.fullmatch(text):
        raise _no_date(text)
    year, month, day = (*map(int, text.split("-")), 1, 1)[:3]
    try:
        return date(year, month, day)
    except ValueError:
        raise _no_date(text) from None


def _day_after(text: str) -> date:
    first = _first_day(text)
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


def _is_plain(place: str) -> bool:
    return not is_pattern(place)


def _fits_any(path: bytes, filters: Filters) -> bool:
    """Whether a path fits the patterns, if there are any: SQL cannot tell of bytes."""
    return not filters.has_patterns or any(_fits(path, place) for place in filters.named_places)


def _fits(path: bytes, place: str) -> bool:
    if _is_plain(place):
        folder = os.fsencode(absolute_place(place))
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
