"""All photos that a search finds, and the best of those that it does not, by their numbers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..database.segments import Segments
from ..database.store import Store
from ..database.vectors import VectorSet
from .captions import LEAST_SHARE
from .catalogue import Catalogue, Ids, Shots
from .filters import Filters
from .fitting import newest_that_fit, rows_that_fit
from .nearest import Floats, about, products_of, spread
from .query import Term
from .request import Sort
from .score import LEAST_TEXT_SCORE, Query
from .searcher import Found, by_date, rank_captions, without_copies

BELOW = 1000  # photos that are listed below the line; of pictures alone, in all
COLLAPSED = 4096  # photos that are compared where of each picture one is to be shown
_AT_ONCE = 4096  # rows
_FEW = 8  # of fewer rows than one in so many, these alone are multiplied

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Listing:
    """Photos in their order, by ids: first those that were found, then those below the line.

    ``scores`` are None where only filters chose. ``found`` is how many were found. ``best`` is the
    best score, also where it was too low. ``line`` is the score below which a photo fits the texts
    no better than any text.
    """

    ids: Ids
    scores: Floats | None
    found: int
    best: float | None = None
    line: float | None = None

    def part(self, start: int, end: int) -> Found:
        """Ids and scores of some places."""
        ids = self.ids[start:end].tolist()
        if self.scores is None:
            return [(id, None) for id in ids]
        return list(zip(ids, self.scores[start:end].astype(float).tolist(), strict=True))


@dataclass(frozen=True)
class Order:
    """How photos are listed; ``min_score`` is the lowest score of one that is found."""

    min_score: float | None = None
    sort: Sort | None = None
    unique: bool = False


EMPTY = Listing(np.zeros(0, np.int64), None, 0)


def list_by_filters(
    store: Store, vectors: VectorSet | None, shots: Shots, filters: Filters, order: Order
) -> Listing:
    """The photos that fit filters, the newest first; of a shot the first that fits."""
    fitting = newest_that_fit(store, filters)
    fits = set(fitting).__contains__
    found: Found = [(id, None) for id in fitting if id == next(filter(fits, shots.get(id, ())), id)]
    if order.unique:
        found = _one_each(store, vectors, found)
    return Listing(np.array([id for id, _ in found], np.int64), None, len(found))


def list_by_captions(
    store: Store,
    vectors: VectorSet | None,
    terms: Sequence[Term],
    filters: Filters,
    order: Order,
) -> Listing:
    """The photos whose captions say most of the terms."""
    ranked, _ = rank_captions(store, terms, filters)
    least = LEAST_SHARE if order.min_score is None else order.min_score
    found = sum(share >= least for _, share in ranked)
    best = ranked[0][1] if ranked else 0.0
    ids, scores = zip(*ranked[: found + BELOW], strict=True) if ranked else ((), ())
    listing = Listing(np.array(ids, np.int64), np.array(scores, np.float32), found, best)
    return _ordered(store, vectors, listing, order)


def list_by_score(
    store: Store,
    vectors: VectorSet,
    catalogue: Catalogue,
    query: Query,
    filters: Filters,
    order: Order,
    *,
    added: Mapping[int, float],
    excluded: Collection[int] = (),
) -> Listing:
    """The photos that fit a query, as ``searcher.search`` ranks them.

    ``added`` is what captions add to products, by file; ``excluded`` are files not to list.
    """
    fits = np.ones(len(catalogue.ids), np.bool_)
    if not filters.is_empty:
        fits = catalogue.mask(rows_that_fit(store, vectors, filters)[:, 1].tolist())
    fits = catalogue.shown(fits) & ~catalogue.mask(excluded)
    lifts = np.zeros(len(catalogue.ids))
    for id, product in added.items():
        lifts[catalogue.places([id])] = product
    places = np.flatnonzero(fits)
    segments = store.segments(vectors)
    has_line = query.scale is not None or order.min_score is not None
    least = query.least_score if order.min_score is None else order.min_score
    # Of pictures alone every photo is like them, more or less: the nearest are listed.
    cut = query.product(least) if has_line else np.inf
    places, products = _likely(segments, query, catalogue, places, lifts, cut)
    ranked = np.lexsort((places, -products))
    places, scores = places[ranked], query.scores(products[ranked])
    found = int((scores >= least).sum()) if has_line else min(len(scores), BELOW)
    kept = slice(found + BELOW if has_line else found)
    best = float(scores[0]) if len(scores) else None
    line = None if query.scale is None else LEAST_TEXT_SCORE
    ids = catalogue.ids[places[kept]]
    listing = Listing(ids, scores[kept].astype(np.float32), found, best, line)
    return _ordered(store, vectors, listing, order)


def _likely(
    segments: Segments, query: Query, catalogue: Catalogue, places: Ids, lifts: Doubles, cut: float
) -> tuple[Ids, Doubles]:
    """The places of all whose products may be above the cut, and of so many more that are best;
    and their products."""
    rows = catalogue.rows[places]
    among, at = None, rows
    if len(rows) * _FEW < catalogue.row_count:
        among, at = np.unique(rows, return_inverse=True)
    guess, lost = about(segments, query.wanted, among)
    for each, line in zip(query.unwanted, query.lines, strict=True):
        taken, more = about(segments, each, among)
        guess = guess - np.maximum(taken - line, 0)
        lost += more
    guesses = guess[at] + lifts[places]
    is_likely = guesses >= cut - lost
    rest = guesses[~is_likely]
    least = np.partition(rest, -BELOW)[-BELOW] - 2 * lost if len(rest) > BELOW else -np.inf
    places = places[is_likely | (guesses >= least)]
    return places, _exact(segments, query, catalogue.rows[places]) + lifts[places]


def _exact(segments: Segments, query: Query, rows: Ids) -> Doubles:
    """The products of rows, less what they lose for what is unwanted."""

    def multiply(part: Ids) -> Floats:
        taken = segments.take(part).astype(np.float32)
        return products_of(taken, query.wanted) - query.penalties(taken)

    parts = spread(multiply, np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE)))
    return np.concatenate(list(parts)).astype(np.float64)


def _ordered(store: Store, vectors: VectorSet | None, ranked: Listing, order: Order) -> Listing:
    """Photos, the best first, in the order that was asked for."""
    if not order.unique and order.sort != "date":
        return ranked
    above, below = ranked.part(0, ranked.found), ranked.part(ranked.found, len(ranked.ids))
    if order.unique:
        above = _one_each(store, vectors, above)
    if order.sort == "date":
        above, below = by_date(store, above), by_date(store, below)
    ids = np.array([id for id, _ in (*above, *below)], np.int64)
    scores = np.array([score for _, score in (*above, *below)], np.float32)
    return replace(ranked, ids=ids, scores=scores, found=len(above))


def _one_each(store: Store, vectors: VectorSet | None, found: Found) -> Found:
    return without_copies(store, vectors, found[:COLLAPSED]) + found[COLLAPSED:]
