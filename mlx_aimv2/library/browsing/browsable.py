"""A library that a page searches: results are kept, so that their photos come part by part."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import FilePath
from mlx_aimv2.texts.truncation import cut_note

from ..database.store import Store
from ..database.vectors import VectorSet
from ..library import Library
from ..search import query
from ..search.captions import said
from ..search.catalogue import Catalogue, make_catalogue
from ..search.fitting import check_places, condition
from ..search.kept import Kept
from ..search.listing import (
    EMPTY,
    Listing,
    Order,
    list_by_captions,
    list_by_filters,
    list_by_score,
)
from ..search.nearest import products_of
from ..search.query import Term
from ..search.score import LEAST_TEXT_SCORE, Query, make_query
from ..search.searcher import added_by_captions, check_date_order, check_order
from ..search.typed import MINUS, PLUS
from ..search_model import SearchModel
from ..shots import KeptShots, shots_of
from ..text_cache import TextCache
from .asked import Asked
from .folder_names import places_named
from .timeline import Timeline

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SentPicture:
    """A picture that a page has sent, as its vector; ``made_by`` is the set that it fits."""

    vector: Floats
    made_by: tuple[int, str]


@dataclass(frozen=True)
class Search:
    """A search that was made: its terms, with what tags meant, and the photos in their order.

    Without terms it has no scores: only filters chose. ``set_id`` is the set of vectors that was
    searched.
    """

    asked: Asked
    terms: tuple[Term, ...]
    set_id: int | None
    listing: Listing
    notes: tuple[str, ...]

    def named_terms(self) -> list[tuple[Term, str, str]]:
        """The terms, each with its kind and how it was asked for."""
        names = [("like", f"photo {id}") for id in self.asked.like]
        names += [("picture", name) for name in self.asked.pictures]
        pieces = (each for each in self.asked.typed.pieces if each.name in (PLUS, MINUS))
        names += [(each.name, each.value) for each in pieces]
        return [
            (term, "tag" if term.tag is not None and kind == PLUS else kind, text)
            for term, (kind, text) in zip(self.terms, names, strict=True)
        ]


@dataclass(frozen=True)
class TermScore:
    """How far a photo fits a term by itself; ``line`` is as in ``Listing``."""

    text: str
    kind: str
    weight: float
    score: float | None
    line: float | None


@dataclass(frozen=True)
class Reasons:
    """Why a search found a photo; ``caption`` is what its caption adds to its score."""

    score: float | None
    line: float | None
    terms: tuple[TermScore, ...]
    caption: float | None


class BrowsableLibrary(Library):
    """A library whose searches are kept for half an hour; any thread may ask."""

    def __init__(self, path: FilePath | None = None, *, cache: TextCache | None = None) -> None:
        super().__init__(path, cache=cache)
        self.searches: Kept[Search] = Kept("s")
        self.pictures: Kept[SentPicture] = Kept("p")
        self.shots = KeptShots()
        self.timeline = Timeline(self.shots)
        self._catalogue: tuple[object, Catalogue] | None = None  # with what it was made of
        self._catalogue_lock = threading.Lock()

    def ask(self, asked: Asked) -> tuple[str, Search]:
        """Make a search and keep it; its name, and what it found. Nothing typed is a path.

        Errors: UsageError for a query or filter that means nothing, or for a photo or picture that
        there is none of.
        """
        request = asked.request
        liked = len(asked.like) + len(asked.pictures)
        has_query = bool(request.words or liked or request.filters.is_empty)
        check_order(request.sort, request.min_score, has_query=has_query)
        terms: tuple[Term, ...] = ()
        if has_query:
            terms = query.parse(request.words, [b""] * liked, opens_files=False)
        found = self._of_one_moment(lambda store: self._search(store, asked, terms))
        return self.searches.put(found, len(found.listing.ids)), found

    def send_picture(self, data: bytes) -> str:
        """Keep a picture, given by its file's content, to search by; its name.

        Only its vector is kept, in memory. Errors: ImageError for what is no picture, UsageError
        in an empty library.
        """

        def look(store: Store) -> SentPicture:
            vectors = store.serving()
            if vectors is None:
                raise UsageError(
                    "there are no photos to compare it with", hint="aimv2 index FOLDER"
                )
            vector = self._model_of(store, vectors).images([data])[0]
            return SentPicture(vector, (vectors.id, vectors.fingerprint))

        return self.pictures.put(self._of_one_moment(look))

    def why(self, search: Search, id: int) -> Reasons | None:
        """Why a search found a photo, or did not; None for a photo that is not known."""

        def look(store: Store) -> Reasons | None:
            if not store.files_of([id]):
                return None
            if not search.terms:
                return Reasons(None, None, (), None)
            if search.asked.request.captions_only:
                shares = [
                    said(store, [replace(term, weight=1.0)]).get(id, 0.0) for term in search.terms
                ]
                terms = tuple(map(_term_score, search.named_terms(), shares, repeat(None)))
                return Reasons(said(store, search.terms).get(id, 0.0), None, terms, None)
            vectors = store.serving()
            row = None if vectors is None else store.row_of(vectors.id, id)
            if vectors is None or row is None or vectors.id != search.set_id:
                terms = tuple(_term_score(each, None, None) for each in search.named_terms())
                return Reasons(None, None, terms, None)
            return self._reasons(store, vectors, search, id, row)

        return self._of_one_moment(look)

    def _reasons(
        self, store: Store, vectors: VectorSet, search: Search, id: int, row: int
    ) -> Reasons:
        taken = store.segments(vectors).take(np.array([row])).astype(np.float32)
        encode = self._model_of(store, vectors)

        def compare(terms: Sequence[Term]) -> tuple[Query, float]:
            one = make_query(store, vectors, terms, encode)
            return one, float((products_of(taken, one.wanted) - one.penalties(taken))[0])

        scores = []
        for named in search.named_terms():
            alone, product = compare([replace(named[0], weight=1.0)])
            line = None if alone.scale is None else LEAST_TEXT_SCORE
            scores.append(_term_score(named, alone.score(product), line))
        whole, product = compare(search.terms)
        added = added_by_captions(store, search.terms, whole).get(id, 0.0)
        score = whole.score(product + added)
        caption = score - whole.score(product) if added else None
        line = None if whole.scale is None else LEAST_TEXT_SCORE
        return Reasons(score, line, tuple(scores), caption)

    def _search(self, store: Store, asked: Asked, terms: Sequence[Term]) -> Search:
        request, vectors = asked.request, store.serving()
        named = places_named(store, request.filters.named_places)
        filters = replace(request.filters, places=named)
        condition(filters)
        check_places(store, filters.named_places)
        order = Order(request.min_score, request.sort, request.unique)
        notes = query.notes(request.words, terms)
        if not terms:
            found = list_by_filters(store, vectors, self.shots.of(store), filters, order)
        elif request.captions_only:
            found = list_by_captions(store, vectors, terms, filters, order)
        elif vectors is None:
            found = EMPTY
        else:
            encode = self._model_of(store, vectors)
            terms = self._meant(store, vectors, asked, terms, encode)
            compared = make_query(store, vectors, terms, encode)
            check_date_order(compared, request.sort or "best", request.min_score)
            found = list_by_score(
                store,
                vectors,
                self._catalogue_of(store, vectors),
                compared,
                filters,
                order,
                added=added_by_captions(store, terms, compared),
                excluded=_with_their_shots(store, asked.like),
            )
            cuts = encode.cuts
            notes += [cut_note(cuts[0], len(cuts))] if cuts else []
        set_id = None if vectors is None else vectors.id
        return Search(asked, tuple(terms), set_id, found, tuple(notes))

    def _meant(
        self,
        store: Store,
        vectors: VectorSet,
        asked: Asked,
        terms: Sequence[Term],
        encode: SearchModel,
    ) -> list[Term]:
        """The terms with the vectors of photos and sent pictures, and with what tags mean."""
        found: list[Floats] = []
        for id in asked.like:
            row = store.row_of(vectors.id, id)
            if row is None:
                raise UsageError(
                    f"photo {id} cannot be compared: it is not in the index",
                    hint="bring the library up to date: aimv2 index",
                )
            taken = store.segments(vectors).take(np.array([row]))
            found.append(taken[0].astype(np.float32))
        for name in asked.pictures:
            sent = self.pictures.get(name)
            if sent is None or sent.made_by != (vectors.id, vectors.fingerprint):
                raise UsageError("the picture is kept no more", hint="choose it again")
            found.append(sent.vector)
        liked = [Term(1.0, None, None, vector=vector) for vector in found]
        return [*liked, *self._with_tags(store, vectors, terms[len(found) :], encode)]

    def _catalogue_of(self, store: Store, vectors: VectorSet) -> Catalogue:
        made_of = store.photos_version(), vectors.id, vectors.folder, vectors.row_count
        with self._catalogue_lock:
            if self._catalogue is None or self._catalogue[0] != made_of:
                self._catalogue = made_of, make_catalogue(store, vectors, self.shots.of(store))
            return self._catalogue[1]


def _term_score(named: tuple[Term, str, str], score: float | None, line: float | None) -> TermScore:
    term, kind, text = named
    return TermScore(text, kind, term.weight, score, line)


def _with_their_shots(store: Store, ids: Sequence[int]) -> set[int]:
    shots = shots_of(store, ids) if ids else {}
    return {*ids, *(id for shot in shots.values() for id in shot)}
