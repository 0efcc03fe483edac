"""Photos by their scores, the best first; of a shot of several files the first that fits."""

from collections.abc import Collection, Mapping

import numpy as np

from ..database.connection import OF_THESE, listed
from ..database.store import Store
from ..database.vectors import VectorSet
from ..shots import shots_of
from .filters import Filters
from .fitting import MANY, rows_that_fit
from .nearest import Floats, Rows, nearest, products_of
from .score import Query

_AT_ONCE = 4096  # rows
_TIMES = 4  # as many rows are looked at next, where those before were not enough


class Ranking:
    """The photos that fit filters, but for those excluded, by their scores for a query.

    ``added`` is what captions add to products, by file; never below 0. ``searched`` is how many
    files fit; ``best`` the best score, once photos were looked at.
    """

    def __init__(
        self,
        store: Store,
        vectors: VectorSet,
        query: Query,
        filters: Filters,
        excluded: Collection[int],
        added: Mapping[int, float],
    ) -> None:
        self._store, self._vectors, self._query = store, vectors, query
        self._segments = store.segments(vectors)
        self._excluded = excluded
        self._among: Rows | None = None
        self._allowed: set[int] | None = None
        if filters.is_empty:
            self.searched = store.count_vectors(vectors.id)
        else:
            known = rows_that_fit(store, vectors, filters)
            self._among, self._allowed = np.unique(known[:, 0]), set(known[:, 1].tolist())
            self.searched = len(known)
        self.best: float | None = None
        self._added = added
        # Captions may lift these above any row: they are looked at whatever their products are.
        lifted = store.rows_and_files(vectors.id, OF_THESE, [listed(added)]) if added else None
        self._lifted = np.unique(lifted[:, 0]) if lifted is not None else np.zeros(0, np.int64)
        self._lifted_products = self._exact(self._lifted)

    def first(self, count: int) -> list[tuple[int, float]]:
        """Ids and scores, equal ones by path: at least so many, or all that there are."""
        wanted = count + len(self._excluded)
        while True:
            found, bound = self._look(wanted)
            # No row that was not looked at can be better than the bound.
            if bound is None or sum(product >= bound for _, product in found) >= count:
                return self._ranked(found)
            wanted *= _TIMES

    def down_to(self, least: float) -> list[tuple[int, float]]:
        """Ids and scores of all photos with this score or a better one."""
        wanted = _AT_ONCE
        while True:
            found, bound = self._look(wanted)
            if bound is None or self._query.score(bound) < least:
                ranked = [pair for pair in self._ranked(found) if pair[1] >= least]
                if not ranked:
                    self.first(1)  # for the best score
                return ranked
            wanted *= _TIMES

    def _look(self, wanted: int) -> tuple[list[tuple[int, float]], float | None]:
        """Ids and products of the photos among so many of the best rows, and the product that no
        other row is above; None where these were all."""
        rows, bounds = nearest(self._segments, self._query.wanted, wanted, self._among)
        bound = float(bounds[-1]) if len(rows) >= wanted else None
        is_new = ~np.isin(self._lifted, rows)
        rows = np.concatenate([rows, self._lifted[is_new]])
        bounds = np.concatenate([bounds, self._lifted_products[is_new]])
        pairs = self._store.files_in_rows(self._vectors.id, rows)
        ids = [
            id
            for _, id in pairs
            if (self._allowed is None or id in self._allowed) and id not in self._excluded
        ]
        shown = set(shown_of_shots(self._store, ids, self._allowed, self._vectors))
        product_of = dict(zip(rows.tolist(), self._products(rows, bounds), strict=True))
        added = self._added
        found = [(id, product_of[row] + added.get(id, 0.0)) for row, id in pairs if id in shown]
        return found, bound

    def _exact(self, rows: Rows) -> Floats:
        """The rows' products with what is wanted."""
        parts = [
            products_of(self._segments.take(part).astype(np.float32), self._query.wanted)
            for part in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE))
        ]
        return np.concatenate(parts)

    def _products(self, rows: Rows, bounds: Floats) -> list[float]:
        """The rows' products with what is wanted, less what they lose for what is not."""
        if not len(self._query.unwanted):
            return bounds.tolist()
        lost = [
            self._query.penalties(self._segments.take(part).astype(np.float32))
            for part in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE))
        ]
        return (bounds - np.concatenate(lost)).tolist()

    def _ranked(self, found: list[tuple[int, float]]) -> list[tuple[int, float]]:
        query = f"SELECT id, path FROM files WHERE {OF_THESE}"
        path_of = dict(self._store.rows(query, (listed(id for id, _ in found),)))
        ordered = sorted(found, key=lambda pair: (-pair[1], path_of[pair[0]]))
        scored = [(id, self._query.score(product)) for id, product in ordered]
        self.best = scored[0][1] if scored else None
        return scored


def shown_of_shots(
    store: Store, ids: list[int], fitting: set[int] | None, vectors: VectorSet | None = None
) -> list[int]:
    """The files, of a shot only the first that is in ``fitting`` (None: all) and has a vector."""
    shots = shots_of(store, ids if len(ids) < MANY else None)
    members = {each for id in ids for each in shots.get(id, ())}
    if vectors is not None:
        members = store.with_vectors(vectors.id, members)
    if fitting is not None:
        members &= fitting
    return [id for id in ids if id == next(filter(members.__contains__, shots.get(id, ())), id)]
