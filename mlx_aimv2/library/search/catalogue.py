"""The photos that searches may find, as arrays, for a process that searches again and again.

A single search asks the database of the rows that it looks at; to ask of all takes longer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..database.store import Store
from ..database.vectors import VectorSet

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]
Shots = Mapping[int, tuple[int, ...]]  # as ``shots_of`` gives them


@dataclass(frozen=True)
class Catalogue:
    """The photos that are there and have a vector in a set, by path, and the rows of those.

    ``members`` are the places of files that are part of a shot of several files, shot by shot and
    the one to show first; ``starts`` is where the shot of each begins among them.
    Shapes: (n,) each; members and starts (m,).
    """

    set_id: int
    row_count: int
    ids: Ids
    rows: Ids
    by_id: Ids
    members: Ids
    starts: Ids

    def places(self, ids: Iterable[int]) -> Ids:
        """Where these photos are; those that are not here are left out."""
        wanted = np.array(sorted(set(ids)), np.int64)
        if not len(self.ids) or not len(wanted):
            return np.zeros(0, np.int64)
        at = np.minimum(np.searchsorted(self.ids, wanted, sorter=self.by_id), len(self.ids) - 1)
        found = self.by_id[at]
        return found[self.ids[found] == wanted]

    def mask(self, ids: Iterable[int]) -> Mask:
        """Which photos are these. Shapes: (n,)."""
        mask = np.zeros(len(self.ids), np.bool_)
        mask[self.places(ids)] = True
        return mask

    def shown(self, fits: Mask) -> Mask:
        """Those that fit, of a shot only the first that does. Shapes: (n,) -> (n,)."""
        fitting = fits[self.members]
        so_far = np.cumsum(fitting)
        before = (so_far - fitting)[self.starts] if len(self.starts) else so_far
        shown = fits.copy()
        shown[self.members] = fitting & (so_far - before == 1)
        return shown


def make_catalogue(store: Store, vectors: VectorSet, shots: Shots) -> Catalogue:
    """The photos of a set as they are now, with the shots of the library."""
    known = store.rows(
        "SELECT files.id, row FROM files JOIN vectors ON file_id = files.id "
        "WHERE set_id = ? AND missing_since IS NULL ORDER BY path",
        (vectors.id,),
    )
    ids, rows = np.array(known, np.int64).reshape(-1, 2).T.copy()
    place_of = dict(zip(ids.tolist(), range(len(ids)), strict=True))
    members: list[int] = []
    starts: list[int] = []
    for shot in dict.fromkeys(shots.values()):
        places = [place_of[id] for id in shot if id in place_of]
        starts += [len(members)] * len(places)
        members += places
    return Catalogue(
        vectors.id, vectors.row_count, ids, rows, np.argsort(ids),
        np.array(members, np.int64), np.array(starts, np.int64),
    )  # fmt: skip
