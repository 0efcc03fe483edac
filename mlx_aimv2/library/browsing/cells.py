"""Photos as cells of a grid: what is shown of each before anything more is asked."""

from collections.abc import Callable, Sequence
from enum import IntFlag
from typing import NamedTuple

from ..database.connection import OF_THESE, listed
from ..database.store import Store


class Flag(IntFlag):
    """What a cell says of its photo at a glance."""

    OFFLINE = 1
    PICKED = 2
    TAGGED = 4
    CAPTIONED = 8
    UNREADABLE = 16


class Cell(NamedTuple):
    """A photo in a grid.

    ``version`` is the beginning of its content's hash: of a picture in its address. ``day`` is
    like 2024-05-03. ``ratio`` is 64 times width by height, from 1 to 255.
    """

    id: int
    version: int
    day: str | None
    ratio: int
    flags: int


_SQUARE = 64
_QUERY = f"""
    SELECT files.id, last_hash, taken_at, width_px, height_px,
    {Flag.PICKED} * EXISTS (SELECT 1 FROM picked WHERE file_id = files.id)
    + {Flag.TAGGED} * (EXISTS (
        SELECT 1 FROM tags LEFT JOIN verdicts ON hash = last_hash AND verdicts.key = tags.key
        WHERE file_id = files.id AND verdict IS NOT 'rejected'
    ) OR EXISTS (SELECT 1 FROM verdicts WHERE hash = last_hash AND verdict <> 'rejected'))
    + {Flag.CAPTIONED} * EXISTS (
        SELECT 1 FROM shown_captions WHERE hash = last_hash AND text <> ''
    )
    + {Flag.UNREADABLE} * (error IS NOT NULL),
    path FROM files WHERE {OF_THESE}
"""


def cells_of(
    store: Store, ids: Sequence[int], is_away: Callable[[bytes], bool] | None = None
) -> list[Cell]:
    """The cells of photos, in their order; of those that are not known there is none.

    ``is_away``: whether the drive of a path is not connected; None where all are.
    """
    found: dict[int, Cell] = {}
    for id, hash, taken_at, width, height, flags, path in store.rows(_QUERY, (listed(ids),)):
        ratio = round(_SQUARE * width / height) if width and height else _SQUARE
        found[id] = Cell(
            id,
            int.from_bytes((hash or b"")[:4]),
            taken_at[:10] if taken_at else None,
            min(max(ratio, 1), 255),
            flags + Flag.OFFLINE * (is_away is not None and is_away(path)),
        )
    return [found[id] for id in ids if id in found]
