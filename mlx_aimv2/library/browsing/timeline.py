"""Photos by month, the newest first: how many each month has, and which they are.

Of a shot of several files the one to show counts. Photos that cannot be read are among those
without a date.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..database.connection import OF_THESE, listed
from ..database.store import Store
from ..shots import KeptShots

UNDATED = "undated"
_KEPT = 1 << 22  # ids of months, 16 MB: all of a library of four million photos

Ids = NDArray[np.uint32]


@dataclass(frozen=True)
class Months:
    """How many photos there are in each month, the newest month first, and without a date."""

    months: tuple[tuple[str, int], ...]
    undated: int

    @property
    def total(self) -> int:
        """All photos together."""
        return self.undated + sum(count for _, count in self.months)


NO_MONTHS = Months((), 0)


class Timeline:
    """Months of a library, counted again only when photos have changed; for any thread."""

    def __init__(self, shots: KeptShots) -> None:
        self._shots = shots
        self._lock = threading.Lock()
        self._version: str | None = None
        self._months = NO_MONTHS
        self._hidden: frozenset[int] = frozenset()
        self._ids: OrderedDict[str, Ids] = OrderedDict()

    def months(self, store: Store) -> Months:
        """How many photos each month has."""
        with self._lock:
            self._follow(store)
            return self._months

    def ids(self, store: Store, month: str) -> Ids:
        """The photos of a month like ``2024-05``, or of ``undated``, the newest first."""
        with self._lock:
            self._follow(store)
            if month not in self._ids:
                self._ids[month] = _ids_of(store, month, self._hidden)
                while sum(map(len, self._ids.values())) > _KEPT and len(self._ids) > 1:
                    self._ids.popitem(last=False)
            self._ids.move_to_end(month)
            return self._ids[month]

    def _follow(self, store: Store) -> None:
        version = store.photos_version()
        if version != self._version:
            shots = self._shots.of(store).items()
            self._hidden = frozenset(id for id, shot in shots if id != shot[0])
            self._months = _count(store, self._hidden)
            self._ids.clear()
            self._version = version


def _count(store: Store, hidden: frozenset[int]) -> Months:
    """From month to month by the index of dates: to group by month would make a text of each."""
    unseen: dict[str | None, int] = dict(
        store.rows(
            f"SELECT substr(taken_at, 1, 7), count(*) FROM files WHERE {OF_THESE} GROUP BY 1",
            (listed(hidden),),
        )
        if hidden
        else ()
    )
    there = "FROM files WHERE missing_since IS NULL AND taken_at"
    months: list[tuple[str, int]] = []
    last = "~"  # behind every date
    while latest := store.one(f"SELECT max(taken_at) {there} < ?", last)[0]:
        month = latest[:7]
        count = store.one(f"SELECT count(*) {there} >= ? AND taken_at < ?", month, last)[0]
        months.append((month, count - unseen.get(month, 0)))
        last = month
    undated = store.one(f"SELECT count(*) {there} IS NULL")[0]
    return Months(tuple(each for each in months if each[1]), undated - unseen.get(None, 0))


def _ids_of(store: Store, month: str, hidden: frozenset[int]) -> Ids:
    is_of: str = "taken_at IS NULL"
    values: tuple[str, ...] = ()
    if month != UNDATED:
        is_of, values = "taken_at >= ? AND taken_at < ?", (month, f"{month}.")  # . comes after -
    found = store.rows(
        f"SELECT id FROM files WHERE missing_since IS NULL AND {is_of} ORDER BY taken_at DESC, id",
        values,
    )
    return np.array([id for (id,) in found if id not in hidden], np.uint32)
