"""Choosing the tags of photos, by their vectors and a vocabulary."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.inference.zero_shot import BACKGROUND

from ..database.photos import FileRow
from ..database.store import Store
from ..database.vectors import VectorSet
from ..search.filters import Filters, rows_that_fit
from ..shots import shots_of
from . import calibration
from .vocabulary import Tag, embed_vocabulary

Floats = NDArray[np.float32]

ORIGIN = "vocabulary everyday"
_BLOCK_ROWS, _LEARNT_ROWS = 4096, 32_768
_CHUNK_TEXTS = 256
_MOVED = (
    "if they were moved, aimv2 index FOLDER; if they are gone, aimv2 index and aimv2 library "
    "prune; then undo again"
)


@dataclass(frozen=True)
class Tagged:
    """A photo and its tags, the surest first: text form (``Animals|Dog``) and confidence.

    ``added`` and ``removed`` are what differs from the tags it had from this program.
    """

    file: FileRow
    tags: tuple[tuple[str, float], ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def path(self) -> str:
        """The photo's path, as ``os.fsdecode`` gives it."""
        return self.file.path_str

    @property
    def is_in_photos(self) -> bool:
        """Whether it lies inside Apple's Photos library, where nothing is written."""
        return self.file.uuid is not None


def assign(
    store: Store,
    vectors: VectorSet,
    tags: Sequence[Tag],
    embed_texts: Callable[[list[str]], Floats],
    *,
    min_confidence: float = calibration.MIN_CONFIDENCE,
    limit: int | None = None,
    filters: Filters | None = None,
) -> Iterator[Tagged]:
    """The tags of every photo that fits the filters, in the order of their rows.

    All files of a shot get the tags of the one that is shown, and count as one.
    Each tag is calibrated on the whole library (docs/tagging.md), whatever the filters.
    Errors: UsageError for a checkpoint without texts, and for a place without photos; of several
    patterns one at least must fit.
    """
    if not vectors.has_text:
        raise UsageError(
            "this library's checkpoint reads no texts, only pictures",
            hint="aimv2 index --model lit",
        )
    _check_places(store, vectors, filters.named_places if filters else ())
    known = store.rows_and_files(vectors.id)
    if not len(known):
        return
    shown = _rows_shown(store, known)
    known = _with_rows(known, shown)
    words = embed_vocabulary(tags, embed_texts)
    background = embed_texts(list(BACKGROUND))
    blocks = _Blocks(store, vectors, _spread(np.unique(known[:, 0])))
    learnt = calibration.fit(blocks, words, background)
    if filters is not None and not filters.is_empty:
        known = _with_rows(rows_that_fit(store, vectors, filters), shown)
    had = _by_file(store)
    for start in range(0, len(known), _BLOCK_ROWS):
        part = known[start : start + _BLOCK_ROWS]
        rows = store.segments(vectors).take(part[:, 0]).astype(np.float32)
        sure = learnt.confidence(_unit(rows))
        chosen = calibration.choose(sure, min_confidence, limit)
        files = store.files_of(part[:, 1].tolist())
        for id, given in zip(part[:, 1].tolist(), _best_first(sure, chosen), strict=True):
            named = tuple((tags[at].text, confidence) for at, confidence in given)
            yield _tagged(files[id], named, had.get(id, set()))


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


def _rows_shown(store: Store, known: NDArray[np.int64]) -> dict[int, int]:
    """The row of the file that is shown of a shot, by the id of each of its files."""
    shots = shots_of(store)
    row_of = dict(known[:, ::-1].tolist()) if shots else {}
    firsts = {id: next(filter(row_of.__contains__, shot), None) for id, shot in shots.items()}
    return {id: row_of[first] for id, first in firsts.items() if first is not None}


def _with_rows(known: NDArray[np.int64], shown: Mapping[int, int]) -> NDArray[np.int64]:
    """Rows and file ids, each row that of its shot's shown file. Shapes: (n, 2), kept."""
    pairs = [(shown.get(id, row), id) for row, id in known.tolist()] if shown else known
    return np.array(pairs, np.int64).reshape(-1, 2)


def _check_places(store: Store, vectors: VectorSet, places: Sequence[str]) -> None:
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


def _spread(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows to calibrate on: all, or 32,768 from all over the library."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _LEARNT_ROWS)).astype(np.int64)]


class _Blocks:
    """The vectors of a library in blocks; can be iterated again and again."""

    def __init__(self, store: Store, vectors: VectorSet, rows: NDArray[np.int64]) -> None:
        self._segments = store.segments(vectors)
        self._rows = rows

    def __iter__(self) -> Iterator[Floats]:
        for start in range(0, len(self._rows), _BLOCK_ROWS):
            taken = self._segments.take(self._rows[start : start + _BLOCK_ROWS])
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


def _by_file(store: Store) -> dict[int, set[str]]:
    had: dict[int, set[str]] = {}
    for file_id, tag, _ in store.tags(ORIGIN):
        had.setdefault(file_id, set()).add(tag)
    return had


def _tagged(file: FileRow, tags: tuple[tuple[str, float], ...], had: set[str]) -> Tagged:
    names = {tag for tag, _ in tags}
    added = tuple(tag for tag, _ in tags if tag not in had)
    return Tagged(file, tags, added, tuple(sorted(had - names)))
