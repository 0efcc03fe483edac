"""What a taught tag is learnt from in a library, and what it says of each photo there."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..database.store import Store
from ..database.taught import TaughtTag
from ..database.vectors import VectorSet
from ..shots import rows_shown, with_rows
from ..tag_names import tag_key
from ..tagging.vocabulary import Tag, embed_vocabulary
from .classifier import Direction, Lesson, Space, learn, learn_space
from .confidence import Confidence, learn_confidence

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

COPIES = 0.98  # the cosine from which two photos count as one
_RANDOM, _LEAST_RANDOM, _JUDGES = 300, 100, 1000  # photos; answers take the place of random ones
_SPACE_ROWS, _SCORED_ROWS = 4096, 8192
_TAGS_KEPT = 16
_MOST_KEPT_BYTES = 320 << 20  # 100,000 photos: turning their numbers takes longer than the product


@dataclass(frozen=True, repr=False)
class Learnt:
    """A taught tag as the answers teach it now. Rows are those of the photos' vectors.

    ``yes`` and ``no`` count the answers, near-copies and files of one shot once. ``answered``
    are the rows that were said to have the tag, or not to.
    """

    taught: TaughtTag
    direction: Direction
    confidence: Confidence
    yes: int
    no: int
    answered: dict[int, bool]


class Album:
    """The photos of a library as tags are learnt from them; they serve until the photos change.

    ``mark`` tells these photos from those of another moment.
    """

    def __init__(self, store: Store, vectors: VectorSet) -> None:
        self.mark = mark_of(store, vectors)
        self.segments = store.segments(vectors)
        known = store.rows_and_files(vectors.id)
        self.shown = rows_shown(store, known)
        self.photos = with_rows(known, self.shown)
        self.rows: Rows = np.unique(self.photos[:, 0])
        self._kept: list[Floats] | None = None
        self.judged: dict[TaughtTag, tuple[dict[int, bool], Learnt, Floats]] = {}

    def take(self, rows: Rows) -> Floats:
        """Unit vectors. Shapes: (n,) -> (n, P)."""
        taken = self.segments.take(rows).astype(np.float32)
        lengths = np.linalg.norm(taken, axis=1, keepdims=True)
        return np.asarray(taken / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)

    def scores(self, direction: Direction) -> Floats:
        """The score of every photo, in the order of ``rows``. Shapes: (n,)."""
        return np.concatenate(
            [np.zeros(0, np.float32), *(direction.scores(each) for each in self._blocks())]
        )

    def _blocks(self) -> Iterator[Floats]:
        """All vectors, as they are; those of a usual library are kept between two lessons."""
        if self._kept is not None:
            yield from self._kept
            return
        size_bytes = len(self.rows) * self.segments.width * np.float32().itemsize
        kept: list[Floats] = []
        for first, block in self.segments.blocks():
            inside = self.rows[(self.rows >= first) & (self.rows < first + len(block))] - first
            for start in range(0, len(inside), _SCORED_ROWS):
                taken = block[inside[start : start + _SCORED_ROWS]].astype(np.float32)
                if size_bytes <= _MOST_KEPT_BYTES:
                    kept.append(taken)
                yield taken
        if size_bytes <= _MOST_KEPT_BYTES:
            self._kept = kept

    @cached_property
    def space(self) -> Space:
        """What tells photos of this library apart."""
        return learn_space(self.take(_spread(self.rows, _SPACE_ROWS)))


def mark_of(store: Store, vectors: VectorSet) -> tuple[object, ...]:
    """What differs wherever other photos, or other vectors of them, are to be learnt from."""
    return vectors.id, vectors.folder, vectors.row_count, store.photos_version()


class School:
    """What a library teaches at one moment: its photos, and what the owner has answered.

    ``embed_texts`` is not needed for a checkpoint without texts: examples alone teach there.
    """

    def __init__(
        self,
        store: Store,
        vectors: VectorSet,
        embed_texts: Callable[[list[str]], Floats],
        album: Album | None = None,
    ) -> None:
        self._store, self._vectors, self._embed_texts = store, vectors, embed_texts
        self.album = album or Album(store, vectors)
        self.set_id, self.scale = vectors.id, vectors.logit_scale or 1.0
        self.has_text = vectors.has_text
        self.photos, self.rows, self.take = self.album.photos, self.album.rows, self.album.take

    def learn(self, taught: TaughtTag) -> Learnt | None:
        """What is known of a tag by its words and the owner's answers; None where that is nothing.

        Photos that are in no vector of this checkpoint teach nothing.
        """
        judged = self.judged(taught)
        return None if judged is None else judged[0]

    def judged(self, taught: TaughtTag) -> tuple[Learnt, Floats] | None:
        """:meth:`learn`, and the score of every photo, in the order of ``rows``. Shapes: (n,).

        For the same answers they are kept.
        """
        given = self._store.answered_rows(self._vectors.id, taught.tag)
        answered = {self.row_of(row, id): has for row, id, has in given}
        known = self.album.judged.get(taught)
        if known is not None and known[0] == answered:
            return known[1:]
        learnt = self._learn(taught, answered)
        if learnt is None:
            return None
        scores = self.album.scores(learnt.direction)
        while len(self.album.judged) >= _TAGS_KEPT:
            self.album.judged.pop(next(iter(self.album.judged)), None)
        self.album.judged[taught] = answered, learnt, scores
        return learnt, scores

    def _learn(self, taught: TaughtTag, answered: dict[int, bool]) -> Learnt | None:
        words = self._words(taught)
        yes, no = (self._examples(answered, has=has) for has in (True, False))
        if not len(self.rows) or (words is None and not len(yes)):
            return None
        others = self._others(taught.tag, answered)
        unlike = others if not len(yes) else self._unlike(others, yes)
        random = max(_LEAST_RANDOM, _RANDOM - len(yes) - len(no))
        judges = unlike[random : random + _JUDGES] if len(unlike) > 2 * random else unlike
        lesson = Lesson(
            yes,
            no,
            self.take(unlike[:random]),
            self.take(judges),
            words,
            self.scale,
        )
        direction = learn(lesson, self.album.space)
        scores = direction.scores(self.take(others[:_SCORED_ROWS]))
        confidence = learn_confidence(scores, direction.yes_left_out)
        return Learnt(taught, direction, confidence, len(yes), len(no), answered)

    def row_of(self, row: int, id: int) -> int:
        """The row of the file that is shown of this one's shot."""
        return self.album.shown.get(id, row)

    def _examples(self, answered: dict[int, bool], *, has: bool) -> Floats:
        rows = np.array([row for row, each in answered.items() if each is has], np.int64)
        vectors = self.take(rows)
        return vectors[distinct(vectors)]

    def _others(self, tag: str, answered: dict[int, bool]) -> Rows:
        """The rows of photos without an answer, in an order that is random, yet always the same."""
        rows = self.rows[~np.isin(self.rows, list(answered))]
        seed = zlib.crc32(tag_key(tag).encode())
        return np.random.default_rng(seed).permutation(rows)

    def _unlike(self, rows: Rows, yes: Floats) -> Rows:
        """Those of the first rows that are no copies of photos with the tag."""
        some = rows[: _RANDOM + _JUDGES]
        return some[(self.take(some) @ yes.T).max(axis=1) < COPIES]

    def _words(self, taught: TaughtTag) -> Floats | None:
        if taught.words is None or not self.has_text:
            return None
        names = tuple(taught.tag.split("|"))
        is_name = taught.words == names[-1]
        tag = Tag(names, (taught.words,)) if is_name else Tag(names, (), (taught.words,))
        return np.asarray(embed_vocabulary([tag], self._embed_texts)[0], np.float32)


def distinct(vectors: Floats) -> list[int]:
    """The numbers of photos, of near-copies only the first. Shapes: unit rows (n, P)."""
    kept: list[int] = []
    for number, vector in enumerate(vectors):
        if not kept or float((vectors[kept] @ vector).max()) < COPIES:
            kept.append(number)
    return kept


def _spread(rows: Rows, most: int) -> Rows:
    """Rows from all over the library, so many at most."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64)]
