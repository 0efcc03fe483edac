"""Choosing the tags of photos, by their vectors and a vocabulary."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Warning, UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.inference.zero_shot import BACKGROUND

from ..database.photos import FileRow
from ..database.store import Store
from ..database.taught import TAUGHT
from ..database.vectors import VectorSet
from ..search.filters import Filters
from ..search.fitting import rows_that_fit
from ..search_model import tags_of
from ..shots import rows_shown, with_rows
from ..tag_names import tag_key
from . import calibration
from .in_use import Vocabulary
from .vocabulary import embed_vocabulary, read_vocabulary

Floats = NDArray[np.float32]

BLOCK_ROWS, LEARNT_ROWS = 4096, 32_768
_CHUNK_TEXTS = 256


Given = tuple[tuple[str, float], ...]  # tags with their confidence, the surest first


@dataclass(frozen=True)
class Tagged:
    """A photo and the tags that a run of the program gives it.

    ``given`` are the tags of each origin, the surest first: text form (``Animals|Dog``) and
    confidence. ``taken`` are those that the photo had from this origin and has no longer.
    ``added`` and ``removed`` say what that changes for the photo, whatever the origin.
    """

    file: FileRow
    given: Mapping[str, Given]
    taken: Mapping[str, tuple[str, ...]]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def tags(self) -> Given:
        """The tags of all origins, each once, the surest first."""
        sure: dict[str, tuple[str, float]] = {}
        for tag, confidence in sorted(
            (pair for given in self.given.values() for pair in given), key=lambda pair: -pair[1]
        ):
            sure.setdefault(tag_key(tag), (tag, confidence))
        return tuple(sure.values())

    @property
    def origins(self) -> dict[str, list[str]]:
        """The origins of each of its tags."""
        return {
            tag: [
                origin
                for origin, given in self.given.items()
                if tag_key(tag) in {tag_key(each) for each, _ in given}
            ]
            for tag, _ in self.tags
        }

    @property
    def path(self) -> str:
        """The photo's path, as ``os.fsdecode`` gives it."""
        return self.file.path_str

    @property
    def is_in_photos(self) -> bool:
        """Whether it lies inside Apple's Photos library, where nothing is written."""
        return self.file.uuid is not None


def check(store: Store, vectors: VectorSet, filters: Filters | None) -> None:
    """That there are photos to tag.

    Errors: UsageError for a place without photos; of several patterns one at least must fit.
    """
    places = filters.named_places if filters else ()
    alone = [Filters((place,)) for place in places]
    empty = [each for each in alone if not len(rows_that_fit(store, vectors, each))]
    # "*.nef" beside "*.cr3" is for whichever there are.
    some_fit = any(each.has_patterns and each not in empty for each in alone)
    for each in empty:
        name = printable(each.named_places[0])
        if not each.has_patterns:
            raise UsageError(
                f"the library has no photos in {name}", hint="check the path, or: aimv2 index PATH"
            )
        if not some_fit:
            raise UsageError(
                f"no photo in the library fits {name}",
                hint="check the pattern, or: aimv2 index FOLDER",
            )


def assign(
    store: Store,
    vectors: VectorSet,
    vocabularies: Sequence[Vocabulary],
    embed_texts: Callable[[list[str]], Floats],
    embed_blanks: Callable[[], Floats],
    *,
    taught: Mapping[int, Given] | None = None,
    filters: Filters | None = None,
    replaced: Sequence[str] = (),
) -> Iterator[Tagged]:
    """The tags of every photo that fits the filters, in the order of their rows.

    All files of a shot get the tags of the one that is shown, and count as one. What the owner
    rejected is not given. Of the origins that are ``replaced`` all tags are taken. ``taught`` are
    what taught tags give, by file.
    Each tag is calibrated on the whole library (docs/tagging.md), whatever the filters, and each
    vocabulary by itself, beside the checkpoint's own tags or the everyday ones; ``embed_blanks``
    gives the vectors of ``make_blanks``. A warning says where the library says too little.
    """
    known = store.rows_and_files(vectors.id)
    if not len(known):
        return
    shown = rows_shown(store, known)
    known = with_rows(known, shown)
    blocks = _Blocks(store, vectors, _spread(np.unique(known[:, 0])))
    givers = []
    if vocabularies:
        words = [embed_vocabulary(each.tags, embed_texts) for each in vocabularies]
        rivals = embed_vocabulary(read_vocabulary(tags_of(vectors.source)), embed_texts)
        background, blanks = embed_texts(list(BACKGROUND)), embed_blanks()
        named = store.named()
        givers = [
            _Giver(
                each,
                calibration.fit(blocks, vectors_of_tags, background, blanks, rivals),
                [named(tag.text) for tag in each.tags],
            )
            for each, vectors_of_tags in zip(vocabularies, words, strict=True)
        ]
    for note in sorted({giver.learnt.note for giver in givers} - {""}):
        warnings.warn(note, Aimv2Warning, stacklevel=2)
    if filters is not None and not filters.is_empty:
        known = with_rows(rows_that_fit(store, vectors, filters), shown)
    had = {
        origin: _by_file(store, origin)
        for origin in (
            *(giver.origin for giver in givers),
            *replaced,
            *(() if taught is None else (TAUGHT,)),
        )
    }
    rejected = store.rejected()
    for start in range(0, len(known), BLOCK_ROWS):
        part = known[start : start + BLOCK_ROWS]
        ids = part[:, 1].tolist()
        rows = _unit(store.segments(vectors).take(part[:, 0]).astype(np.float32))
        given: dict[str, list[Given]] = {origin: [()] * len(ids) for origin in replaced}
        given |= {giver.origin: giver.tags_of(rows, ids, rejected) for giver in givers}
        if taught is not None:
            given[TAUGHT] = [taught.get(id, ()) for id in ids]
        files = store.files_of(ids)
        for at, id in enumerate(ids):
            yield _tagged(
                files[id],
                {origin: each[at] for origin, each in given.items()},
                {origin: each.get(id, {}) for origin, each in had.items()},
                rejected,
            )


@dataclass(frozen=True)
class _Giver:
    """A vocabulary, calibrated, with the lasting names of its tags."""

    vocabulary: Vocabulary
    learnt: calibration.Calibration
    names: Sequence[str]

    @property
    def origin(self) -> str:
        return self.vocabulary.origin

    def tags_of(self, rows: Floats, ids: list[int], rejected: set[tuple[int, str]]) -> list[Given]:
        """The tags of each photo, the surest first. Shapes: rows (n, P)."""
        sure = self.learnt.confidence(rows)
        keys = [tag_key(name) for name in self.names]
        place = {id: at for at, id in enumerate(ids)}
        for id, key in rejected:
            if id in place:
                sure[place[id], [at for at, each in enumerate(keys) if each == key]] = -1
        options = self.vocabulary
        chosen = calibration.choose(sure, options.min_confidence, options.limit) & (sure >= 0)
        return [
            tuple({keys[at]: (self.names[at], sure) for at, sure in reversed(given)}.values())[::-1]
            for given in _best_first(sure, chosen)
        ]


def in_chunks(
    embed_texts: Callable[[list[str]], Floats], told: Callable[[int, int], None] | None = None
) -> Callable[[list[str]], Floats]:
    """``embed_texts`` by few texts at a time: a cache keeps those that were done before a stop.

    ``told`` is called with how many are done, from 0 on, and of how many.
    """

    def embed(texts: list[str]) -> Floats:
        parts: list[Floats] = []
        for start in range(0, len(texts), _CHUNK_TEXTS):
            if told is not None:
                told(start, len(texts))
            parts.append(embed_texts(texts[start : start + _CHUNK_TEXTS]))
        if told is not None:
            told(len(texts), len(texts))
        return np.concatenate(parts)

    return embed


def _spread(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows to calibrate on: all, or 32,768 from all over the library."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), LEARNT_ROWS)).astype(np.int64)]


class _Blocks:
    """The vectors of a library in blocks; can be iterated again and again."""

    def __init__(self, store: Store, vectors: VectorSet, rows: NDArray[np.int64]) -> None:
        self._segments = store.segments(vectors)
        self._rows = rows

    def __iter__(self) -> Iterator[Floats]:
        for start in range(0, len(self._rows), BLOCK_ROWS):
            taken = self._segments.take(self._rows[start : start + BLOCK_ROWS])
            yield _unit(taken.astype(np.float32))


def _unit(rows: Floats) -> Floats:
    # Float16 has moved their lengths by up to a thousandth.
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)


def _best_first(sure: Floats, chosen: NDArray[np.bool_]) -> Iterator[list[tuple[int, float]]]:
    """Each photo's tags, by number, with their confidence. Shapes: (n, T), (n, T) -> n."""
    photos, numbers = np.nonzero(chosen)
    confidence = sure[photos, numbers]
    order = np.lexsort((numbers, -confidence, photos))
    found = list(zip(numbers[order].tolist(), confidence[order].tolist(), strict=True))
    ends = np.cumsum(np.bincount(photos, minlength=len(chosen))).tolist()
    return (found[start:end] for start, end in pairwise([0, *ends]))


def _by_file(store: Store, origin: str) -> dict[int, dict[str, str]]:
    """The tags that files have from an origin, by their keys."""
    had: dict[int, dict[str, str]] = {}
    for file_id, tag, _ in store.tags(origin):
        had.setdefault(file_id, {})[tag_key(tag)] = tag
    return had


def _tagged(
    file: FileRow,
    given: dict[str, Given],
    had: Mapping[str, Mapping[str, str]],
    rejected: set[tuple[int, str]],
) -> Tagged:
    keys = {origin: {tag_key(tag) for tag, _ in each} for origin, each in given.items()}
    taken = {
        origin: tuple(
            tag
            for key, tag in each.items()
            # One that the owner rejected is hidden: to take it would be an edit of nothing.
            if key not in keys[origin] and (file.id, key) not in rejected
        )
        for origin, each in had.items()
    }
    now = set().union(*keys.values())
    before = {
        key: tag
        for each in had.values()
        for key, tag in each.items()
        if (file.id, key) not in rejected  # those were taken by the owner
    }
    added = {
        key: tag
        for each in given.values()
        for tag, _ in each
        if (key := tag_key(tag)) not in before
    }
    removed = sorted(tag for key, tag in before.items() if key not in now)
    return Tagged(file, given, taken, tuple(added.values()), tuple(removed))
