"""Finding photos: those whose score is best, or the newest that fit the filters.

Of a shot of several files one is found, the first that fits. What a score is: ``score``; how
photos are ranked by it: ``ranking``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from mlx_aimv2.errors import UsageError

from ..database.connection import OF_THESE, listed
from ..database.photos import FileRow
from ..database.store import Store
from ..database.vectors import VectorSet
from ..duplicates.groups import collapsed
from ..search_model import SearchModel
from ..shots import shots_of
from .captions import LEAST_ADDED, LEAST_SHARE, POWER, WEIGHT, only_texts, said
from .filters import Filters
from .fitting import newest_that_fit, rows_that_fit
from .query import Term
from .ranking import Ranking, shown_of_shots
from .request import Sort
from .score import LEAST_TEXT_SCORE, Query, make_query

Found = list[tuple[int, float | None]]  # ids of files and their scores, in their order

_LOOKED_AT = 4  # times as many photos as are shown, where one of each picture is


@dataclass(frozen=True, repr=False)
class Hit:
    """A photo that was found.

    ``score``: 0 to 1 for texts; the cosine for pictures alone; None where only filters chose.
    ``same_shot`` are the paths of the other files of the shot, as a RAW beside its JPEG; ``copies``
    those of other photos that were found and show the same picture, where only one was to be shown.
    """

    file: FileRow
    score: float | None
    same_shot: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The photo's path, as ``os.fsdecode`` gives it."""
        return self.file.path_str

    def __repr__(self) -> str:
        return f"Hit({self.path!r}, {self.score})"


@dataclass(frozen=True)
class Answer:
    """Hits in their order; ``best`` is the best score, also where it was too low to be a hit.

    Of a shot of several files one is a hit, the first that fits. ``searched`` are the files that
    could be found (the shots, where only filters chose), ``excluded`` those that were not to be.
    ``line`` is the score below which a photo fits the texts no better than any text; None where no
    text was searched for.
    """

    hits: tuple[Hit, ...]
    best: float | None
    searched: int
    excluded: int = 0
    line: float | None = None


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
    sort: Sort = "best",
    unique: bool = False,
) -> Answer:
    """The photos that fit the terms best, by picture and caption together, equal ones by path.

    ``min_score`` is 0.5 for texts, unless given, and none for pictures alone. ``exclude`` are
    paths not to find, nor the other files of their shots. ``sort="date"``: of all photos with that
    score or a better one, the newest. ``unique``: of photos that show one picture, the first.
    """
    _check_count(count)
    query = make_query(store, vectors, terms, encode)
    check_date_order(query, sort, min_score)
    least = query.least_score if min_score is None else min_score
    filters = filters or Filters()
    excluded = _with_their_shots(store, exclude)
    added = added_by_captions(store, terms, query)
    ranking = Ranking(store, vectors, query, filters, excluded, added)
    if sort == "date":
        dated = by_date(store, ranking.down_to(least))
        hits = _hits(store, vectors, lambda _: dated, count, unique=unique)
    else:

        def best(looked: int) -> Found:
            return [(id, score) for id, score in ranking.first(looked) if score >= least]

        hits = _hits(store, vectors, best, count, unique=unique)
    left_out = len(rows_that_fit(store, vectors, filters, excluded)) if excluded else 0
    line = None if query.scale is None else LEAST_TEXT_SCORE
    return Answer(hits, ranking.best, ranking.searched - left_out, left_out, line)


def search_captions(
    store: Store,
    terms: Sequence[Term],
    *,
    count: int = 20,
    filters: Filters | None = None,
    min_score: float | None = None,
    sort: Sort = "best",
    unique: bool = False,
) -> Answer:
    """The photos whose captions say most of the terms, equal ones by path; no model is needed.

    The score is the share of the words that the caption has, seldom ones weighing more: of all it
    is 1, and ``min_score`` is 0.5 unless given.
    Errors: UsageError for terms that are no texts.
    """
    _check_count(count)
    ranked, searched = rank_captions(store, terms, filters or Filters())
    least = LEAST_SHARE if min_score is None else min_score
    above = [(id, share) for id, share in ranked if share >= least]
    found: Found = by_date(store, above) if sort == "date" else [*above]
    hits = _hits(store, store.serving(), lambda _: found, count, unique=unique)
    return Answer(hits, ranked[0][1] if ranked else 0.0, searched)


def rank_captions(
    store: Store, terms: Sequence[Term], filters: Filters
) -> tuple[list[tuple[int, float]], int]:
    """Files and how far their captions say the terms, best first; and how many have a caption.

    Errors: UsageError for terms that are no texts.
    """
    only_texts(terms)
    fitting = newest_that_fit(store, filters)
    shares = said(store, terms)
    has_caption = store.captions_of(fitting)
    captioned = [id for id in fitting if id in has_caption]
    ids = shown_of_shots(store, [id for id in captioned if id in shares], set(captioned))
    path_of = {id: file.path for id, file in store.files_of(ids).items()}
    ranked = sorted(ids, key=lambda id: (-shares[id], path_of[id]))
    return [(id, shares[id]) for id in ranked], len(captioned)


def added_by_captions(store: Store, terms: Sequence[Term], query: Query) -> dict[int, float]:
    """What captions add to products, by file; not of those that say too little."""
    if query.scale is None:
        return {}
    shares = said(store, terms, power=POWER)
    return {
        id: WEIGHT * share / query.scale for id, share in shares.items() if share >= LEAST_ADDED
    }


def check_date_order(query: Query, sort: Sort, min_score: float | None) -> None:
    """Errors: UsageError for an order by date where any photo would be found."""
    if sort == "date" and query.scale is None and min_score is None:
        raise UsageError(
            "by date come the photos above a lowest score, and pictures alone have none",
            hint="give it, like: --min-score 0.6",
        )


def newest(store: Store, filters: Filters, count: int = 20, *, unique: bool = False) -> Answer:
    """The photos that fit the filters, the newest first, those without a date last, then by path.

    They are not ranked: there are no scores.
    """
    _check_count(count)
    fitting = newest_that_fit(store, filters)
    found: Found = [(id, None) for id in shown_of_shots(store, fitting, set(fitting))]
    hits = _hits(store, store.serving(), lambda _: found, count, unique=unique)
    return Answer(hits, None, len(found))


def check_order(sort: str | None, min_score: float | None, *, has_query: bool) -> None:
    """Refuse an order and a lowest score that mean nothing, or nothing for filters alone.

    Errors: UsageError.
    """
    if sort not in (None, *get_args(Sort)):
        raise UsageError(f"{sort!r} is no order", hint=f"one of {', '.join(get_args(Sort))}")
    if min_score is not None and not math.isfinite(min_score):
        raise UsageError(f"{min_score} is no score", hint="give a number, like 0.5")
    if not has_query and (sort == "best" or min_score is not None):
        option = "--sort" if sort == "best" else "--min-score"
        raise UsageError(
            "without words or pictures there are no scores", hint=f"leave {option} out"
        )


def _check_count(count: int) -> None:
    if count < 1:
        raise UsageError(f"count is {count}", hint="give a positive number")


def by_date(store: Store, found: Sequence[tuple[int, float | None]]) -> Found:
    """The newest first, those without a date last, then by path."""
    score_of = dict(found)
    query = f"SELECT id FROM files WHERE {OF_THESE} ORDER BY +taken_at DESC, path"
    return [(id, score_of[id]) for (id,) in store.rows(query, (listed(score_of),))]


def without_copies(store: Store, vectors: VectorSet | None, found: Found) -> Found:
    """Of files that show one picture the first."""
    score_of = dict(found)
    pictures = collapsed(store, vectors, [id for id, _ in found])
    return [(shown.id, score_of[shown.id]) for shown, *_ in pictures]


def _hits(
    store: Store,
    vectors: VectorSet | None,
    ordered: Callable[[int], Found],
    count: int,
    *,
    unique: bool,
) -> tuple[Hit, ...]:
    """So many hits of what ``ordered`` gives: at least so many as it is asked for, or all."""
    looked = count * _LOOKED_AT if unique else count
    while True:
        found = ordered(looked)
        ids = [id for id, _ in found[:looked]]
        if unique:
            pictures = collapsed(store, vectors, ids)
        else:
            files = store.files_of(ids)
            pictures = [(files[id],) for id in ids]
        if not unique or len(pictures) >= count or len(found) < looked:
            break
        looked *= _LOOKED_AT
    score_of = dict(found)
    shots = shots_of(store, [shown.id for shown, *_ in pictures[:count]])
    others = store.files_of({id for shot in shots.values() for id in shot})
    return tuple(
        Hit(
            shown,
            score_of[shown.id],
            tuple(others[id].path_str for id in shots.get(shown.id, ()) if id != shown.id),
            tuple(copy.path_str for copy in copies),
        )
        for shown, *copies in pictures[:count]
    )


def _with_their_shots(store: Store, paths: Sequence[bytes]) -> set[int]:
    """The ids of the files at these paths, and of the others of their shots."""
    files = [file.id for file in map(store.file_at, paths) if file is not None]
    return {*files, *(id for shot in shots_of(store, files).values() for id in shot)}
