"""Finding photos: those whose score is best, or the newest that fit the filters.

Of a shot of several files one is found, the first that fits. What a score is: ``score``.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlx_aimv2.errors import UsageError

from ..database.photos import FileRow
from ..database.store import Store
from ..database.vectors import VectorSet
from ..search_model import SearchModel
from ..shots import shots_of
from .filters import Filters, rows_that_fit
from .nearest import nearest
from .query import Term
from .score import Query, make_query

_MANY = 1000  # files: of more than these, all shots are sooner found


@dataclass(frozen=True, repr=False)
class Hit:
    """A photo that was found.

    ``score``: 0 to 1 for texts; the cosine for pictures alone; None where only filters chose.
    ``same_shot`` are the paths of the other files of the shot, as a RAW beside its JPEG.
    """

    file: FileRow
    score: float | None
    same_shot: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The photo's path, as ``os.fsdecode`` gives it."""
        return self.file.path_str

    def __repr__(self) -> str:
        return f"Hit({self.path!r}, {self.score})"


@dataclass(frozen=True)
class Answer:
    """Hits, best first; ``best`` is the best score, also where it was too low to be a hit.

    Of a shot of several files one is a hit, the first that fits. ``searched`` are the files that
    could be found (the shots, where only filters chose), ``excluded`` those that were not to be.
    """

    hits: tuple[Hit, ...]
    best: float | None
    searched: int
    excluded: int = 0


def search(
    store: Store,
    vectors: VectorSet,
    terms: Sequence[Term],
    encode: SearchModel,
    *,
    count: int = 20,
    filters: Filters | None = None,
    min_score: float | None = None,
    exclude: Sequence[bytes] = (),
) -> Answer:
    """The photos that fit the terms best, equal ones by path.

    ``min_score`` is 0.5 for texts, unless given, and none for pictures alone. ``exclude`` are
    paths not to find, nor the other files of their shots.
    """
    if count < 1:
        raise UsageError(f"count is {count}", hint="give a positive number")
    query = make_query(store, vectors, terms, encode)
    least = query.least_score if min_score is None else min_score
    filters = filters or Filters()
    excluded = _with_their_shots(store, exclude)
    ranked, searched = _ranked(store, vectors, query, count, filters, excluded)
    left_out = len(rows_that_fit(store, vectors, filters, excluded)) if excluded else 0
    scored = [(file, query.score(product)) for file, product in ranked]
    best = scored[0][1] if scored else None
    hits = [Hit(file, score) for file, score in scored[:count] if score >= least]
    return Answer(_with_same_shot(store, hits), best, searched - left_out, left_out)


def newest(store: Store, filters: Filters, count: int = 20) -> Answer:
    """The photos that fit the filters, the newest first, those without a date last, then by path.

    They are not ranked: there are no scores.
    """
    if count < 1:
        raise UsageError(f"count is {count}", hint="give a positive number")
    where, values = filters.sql()
    known = store.rows(
        "SELECT id, path FROM files WHERE error IS NULL AND missing_since IS NULL "
        f"AND ({where}) ORDER BY taken_at DESC, path",
        values,
    )
    fitting = [id for id, path in known if filters.matches(path)]
    ids = _shown(store, fitting, set(fitting))
    files = store.files_of(ids[:count])
    hits = [Hit(files[id], None) for id in ids[:count]]
    return Answer(_with_same_shot(store, hits), None, len(ids))


def _ranked(
    store: Store,
    vectors: VectorSet,
    query: Query,
    count: int,
    filters: Filters,
    excluded: Collection[int],
) -> tuple[list[tuple[FileRow, float]], int]:
    """Files with their products, the best first, at least ``count`` of them where there are so
    many; and how many files were looked at."""
    segments = store.segments(vectors)
    among = None
    allowed: set[int] = set()
    if not filters.is_empty:
        known = rows_that_fit(store, vectors, filters)
        among, allowed = np.unique(known[:, 0]), set(known[:, 1].tolist())
    searched = store.count_vectors(vectors.id) if among is None else len(known)
    wanted = count + len(excluded)
    while True:
        rows, bounds = nearest(segments, query.wanted, wanted, among)
        pairs = store.files_in_rows(vectors.id, rows)
        ids = [id for _, id in pairs if (among is None or id in allowed) and id not in excluded]
        shown = set(_shown(store, ids, None if among is None else allowed, vectors))
        pairs = [(row, id) for row, id in pairs if id in shown]
        products = bounds - query.penalties(segments.take(rows).astype(np.float32))
        product_of = dict(zip(rows.tolist(), products.tolist(), strict=True))
        best = sorted((product_of[row] for row, _ in pairs), reverse=True)[:count]
        # No row that was not looked at can be better than the last that was.
        if len(rows) < wanted or (len(best) == count and best[-1] >= bounds[-1]):
            break
        wanted *= 4
    files = store.files_of(id for _, id in pairs)
    ranked = sorted(
        ((files[id], product_of[row]) for row, id in pairs),
        key=lambda pair: (-pair[1], pair[0].path),
    )
    return ranked, searched


def _shown(
    store: Store, ids: list[int], fitting: set[int] | None, vectors: VectorSet | None = None
) -> list[int]:
    """The files, of a shot only the first that is in ``fitting`` (None: all) and has a vector."""
    shots = shots_of(store, ids if len(ids) < _MANY else None)
    members = {each for id in ids for each in shots.get(id, ())}
    if vectors is not None:
        members = store.with_vectors(vectors.id, members)
    if fitting is not None:
        members &= fitting
    return [id for id in ids if id == next(filter(members.__contains__, shots.get(id, ())), id)]


def _with_same_shot(store: Store, hits: Sequence[Hit]) -> tuple[Hit, ...]:
    shots = shots_of(store, [hit.file.id for hit in hits])
    files = store.files_of({id for shot in shots.values() for id in shot})
    return tuple(
        replace(
            hit,
            same_shot=tuple(
                os.fsdecode(files[id].path)
                for id in shots.get(hit.file.id, ())
                if id != hit.file.id
            ),
        )
        for hit in hits
    )


def _with_their_shots(store: Store, paths: Sequence[bytes]) -> set[int]:
    """The ids of the files at these paths, and of the others of their shots."""
    files = [file.id for file in map(store.file_at, paths) if file is not None]
    return {*files, *(id for shot in shots_of(store, files).values() for id in shot)}
