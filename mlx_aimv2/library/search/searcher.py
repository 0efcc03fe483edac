"""Finding photos by words and by likeness.

A text is compared with prompts that fit anything ("something", "a scene"). A photo's product with
the text, less the library's mean product with those prompts, is how much better it fits than
nothing in particular; the score is the logistic function of that with the checkpoint's scale, as
in ``classify --independent``: 0.5 where both fit alike. Less each photo's own product with the
prompts it was worse: docs/decisions/0007-photo-library.md has the figures.
"""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.zero_shot import BACKGROUND, logistic

from ..database.photos import FileRow
from ..database.store import Store
from ..database.vectors import VectorSet
from ..shots import shots_of
from .filters import Filters
from .nearest import nearest
from .query import Term

Floats = NDArray[np.float32]

LEAST_TEXT_SCORE = 0.5
_SAMPLED = 1024
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


@dataclass(frozen=True)
class Vectors:
    """Where a query's vectors come from: texts and pictures to unit vectors.

    Shapes: n -> (n, P).
    """

    texts: Callable[[list[str]], Floats]
    images: Callable[[Sequence[ImageSource]], Floats]


def search(
    store: Store,
    vectors: VectorSet,
    terms: Sequence[Term],
    embed: Vectors,
    *,
    count: int = 20,
    filters: Filters | None = None,
    min_score: float | None = None,
    exclude: Sequence[bytes] = (),
) -> Answer:
    """The photos that fit the terms best, equal ones by path.

    ``min_score`` is 0.5 for texts, the line above which a text fits better than nothing in
    particular; pictures alone have none. ``exclude`` are paths not to find, nor the other files
    of their shots.
    """
    if count < 1:
        raise UsageError(f"count is {count}", hint="give a positive number")
    is_text = any(term.text is not None for term in terms)
    query = make_query(store, vectors, terms, embed)
    least = min_score if min_score is not None else (LEAST_TEXT_SCORE if is_text else -1.0)
    filters = filters or Filters()
    excluded = _with_their_shots(store, exclude)
    found = _found(store, vectors, query, count, filters, excluded)
    left_out = _in_search(store, vectors, excluded, filters)
    scale = vectors.logit_scale or 1.0
    scored = [
        (file, float(logistic(scale * (product - query.line))) if is_text else product)
        for file, product in found.files
    ]
    best = scored[0][1] if scored else None
    hits = [Hit(file, score) for file, score in scored[:count] if score >= least]
    return Answer(_with_same_shot(store, hits), best, found.searched - left_out, left_out)


def newest(store: Store, filters: Filters, count: int = 20) -> Answer:
    """The photos that fit the filters, the newest first, those without a date last, then by path.

    They are not ranked: there are no scores.
    """
    if count < 1:
        raise UsageError(f"count is {count}", hint="give a positive number")
    known = store.readable_by_date(*filters.sql())
    fitting = [id for id, path in known if filters.matches(path)]
    ids = _shown(store, fitting, set(fitting))
    files = store.files_of(ids[:count])
    hits = [Hit(files[id], None) for id in ids[:count]]
    return Answer(_with_same_shot(store, hits), None, len(ids))


@dataclass(frozen=True)
class Query:
    """What a photo's product with ``wanted`` adds, and what one with ``unwanted`` takes away.

    ``line`` and ``lines`` are the products from which on a photo fits better than nothing in
    particular. Shapes: wanted (P,), unwanted (m, P), lines (m,).
    """

    wanted: Floats
    line: float
    unwanted: Floats
    lines: Floats

    def penalties(self, rows: Floats) -> Floats:
        """What is taken from each row, never below 0: not to fit what is unwanted is no merit.

        Shapes: (n, P) -> (n,).
        """
        taken = np.zeros(len(rows), np.float32)
        for each, line in zip(self.unwanted, self.lines, strict=True):
            # Not by BLAS: its product would depend on where in a matrix a row stands.
            taken += np.maximum((rows * each).sum(axis=1) - line, 0)
        return taken


def make_query(store: Store, vectors: VectorSet, terms: Sequence[Term], embed: Vectors) -> Query:
    """The terms as vectors, so that a photo's product says how well it fits them.

    Beside other terms pictures are centred on the library's mean: texts and pictures lie apart,
    and a picture's part would drown a text's.
    """
    texts = [term.text for term in terms if term.text is not None]
    images = [
        os.fspath(each) if isinstance(each, os.PathLike) else each
        # What is no text was given as a picture: None too, which is refused as all that is none.
        for each in (cast(ImageSource, term.image) for term in terms if term.text is None)
    ]
    embedded, pictures = np.zeros((2, 0, vectors.width), np.float32)
    line = 0.0
    if texts:
        if not vectors.has_text:
            raise UsageError(
                "this library's checkpoint reads pictures only: it finds no words",
                hint="aimv2 search --like FILE; or index again: aimv2 index --model lit",
            )
        embedded = embed.texts([*texts, *BACKGROUND])
        line = float(_mean(store, vectors) @ embedded[len(texts) :].mean(axis=0))
    if images:
        pictures = embed.images(images)
        if texts or any(term.weight < 0 for term in terms):
            pictures = pictures - _mean(store, vectors)
    from_texts, from_images = iter(embedded), iter(pictures)
    parts = np.stack([next(from_images if term.text is None else from_texts) for term in terms])
    lines = np.array([0.0 if term.text is None else line for term in terms], np.float32)
    exact = np.array([term.weight for term in terms], np.float64)
    weights = (exact / exact[exact > 0].sum()).astype(np.float32)
    parts, lines = parts * weights[:, None], lines * weights
    wanted = weights > 0
    return Query(
        parts[wanted].sum(axis=0), float(lines[wanted].sum()), -parts[~wanted], -lines[~wanted]
    )


@dataclass(frozen=True)
class _Found:
    files: list[tuple[FileRow, float]]
    searched: int


def _found(
    store: Store,
    vectors: VectorSet,
    query: Query,
    count: int,
    filters: Filters,
    excluded: Collection[int],
) -> _Found:
    segments = store.segments(vectors)
    among = None
    allowed: set[int] = set()
    if not filters.is_empty:
        known = store.rows_and_files(vectors.id, *filters.sql())
        if filters.has_patterns:
            known = matching(store, known, filters)
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
    return _Found(ranked, searched)


def _shown(
    store: Store, ids: list[int], fitting: set[int] | None, vectors: VectorSet | None = None
) -> list[int]:
    """These files, but of each shot only the first that fits (None: all do) and has a vector."""
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


def _in_search(store: Store, vectors: VectorSet, ids: Collection[int], filters: Filters) -> int:
    """How many of these files a search looks at."""
    if not ids:
        return 0
    where, values = filters.sql()
    marks = ", ".join("?" * len(ids))
    known = store.rows_and_files(vectors.id, f"files.id IN ({marks}) AND {where}", (*ids, *values))
    return len(matching(store, known, filters) if filters.has_patterns and len(known) else known)


def matching(store: Store, known: NDArray[np.int64], filters: Filters) -> NDArray[np.int64]:
    """Of rows and file ids those whose paths fit the filters' patterns. Shapes: (n, 2), kept."""
    paths = dict(store.paths())
    return known[[filters.matches(paths[id]) for id in known[:, 1].tolist()]]


def _mean(store: Store, vectors: VectorSet) -> Floats:
    """The mean of the set's rows, from a sample of them; kept as long as the store is open."""
    key = (vectors.folder, vectors.row_count)
    if key not in store.means:
        count = min(_SAMPLED, vectors.row_count)
        rows = np.linspace(0, vectors.row_count - 1, count).astype(np.int64)
        taken = store.segments(vectors).take(rows).astype(np.float32)
        store.means[key] = taken.sum(axis=0) / max(1, count)
    return store.means[key]
