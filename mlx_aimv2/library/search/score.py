"""How well a photo fits a query: the score, and the line above which a photo is found.

A text is compared with prompts that fit anything ("something", "a scene"). The score line is the
library's mean product with those prompts: a photo whose product with the text lies on the line
fits the text as well as it fits anything, and has the score 0.5. The score is the logistic
function of the distance from the line, by the checkpoint's scale, as in ``classify
--independent``. A line for each photo, its own product with the prompts, was worse:
docs/decisions/0007-photo-library.md has the figures.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.zero_shot import BACKGROUND, logistic

from ..database.store import Store
from ..database.vectors import VectorSet
from ..search_model import SearchModel
from .query import Term

Floats = NDArray[np.float32]

LEAST_TEXT_SCORE = 0.5  # on the line
_SAMPLED = 1024


@dataclass(frozen=True)
class Query:
    """The terms of a query as vectors, and the lines that scores are counted from.

    ``wanted`` is the sum of the terms that are added, ``line`` the score line of their texts.
    ``unwanted`` are the terms that are taken away, ``lines`` their score lines. ``scale`` is the
    checkpoint's; None for a query of pictures alone, whose scores are cosines.
    Shapes: wanted (P,), unwanted (m, P), lines (m,).
    """

    wanted: Floats
    line: float
    unwanted: Floats
    lines: Floats
    scale: float | None

    def score(self, product: float) -> float:
        """The score of a photo by its product with ``wanted``, less penalties: 0 to 1 for texts."""
        if self.scale is None:
            return product
        return float(logistic(self.scale * (product - self.line)))

    def scores(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of photos by their products. Shapes: (n,) -> (n,)."""
        if self.scale is None:
            return products
        return np.asarray(logistic(self.scale * (products - self.line)))

    def product(self, score: float) -> float:
        """The product from which on a photo has a score or a better one."""
        if self.scale is None or not 0 < score < 1:
            return score if self.scale is None else math.copysign(math.inf, score - 0.5)
        return self.line + math.log(score / (1 - score)) / self.scale

    @property
    def least_score(self) -> float:
        """The score from which on a photo is found, unless the user says another."""
        return -1.0 if self.scale is None else LEAST_TEXT_SCORE

    def penalties(self, rows: Floats) -> Floats:
        """What each row loses for fitting what is unwanted; never below 0, so that none gains.

        Shapes: (n, P) -> (n,).
        """
        taken = np.zeros(len(rows), np.float32)
        for each, line in zip(self.unwanted, self.lines, strict=True):
            # Not by BLAS: its product would depend on where in a matrix a row stands.
            taken += np.maximum((rows * each).sum(axis=1) - line, 0)
        return taken


def make_query(
    store: Store, vectors: VectorSet, terms: Sequence[Term], encode: SearchModel
) -> Query:
    """The terms of a query as vectors.

    Beside other terms pictures are centred on the library's mean: texts and pictures lie apart,
    and a picture's part would drown a text's.
    """
    texts = [term.text for term in terms if term.text is not None]
    images = [term for term in terms if term.text is None and term.direction is None]
    embedded, pictures = np.zeros((2, 0, vectors.width), np.float32)
    line = 0.0
    if texts:
        if not vectors.has_text:
            raise UsageError(
                "this library's checkpoint reads pictures only: it finds no words",
                hint="aimv2 search --like FILE; or index again: aimv2 index --model lit",
            )
        embedded = encode.texts([*texts, *BACKGROUND])
        line = float(_mean(store, vectors) @ embedded[len(texts) :].mean(axis=0))
    if images:
        pictures = _pictures(images, encode)
        if len(images) < len(terms) or any(term.weight < 0 for term in terms):
            pictures = pictures - _mean(store, vectors)
    from_texts, from_images = iter(embedded), iter(pictures)
    parts = np.stack(
        [
            term.direction
            if term.direction is not None
            else next(from_images if term.text is None else from_texts)
            for term in terms
        ]
    )
    lines = np.array([term.line if term.text is None else line for term in terms], np.float32)
    exact = np.array([term.weight for term in terms], np.float64)
    weights = (exact / exact[exact > 0].sum()).astype(np.float32)
    parts, lines = parts * weights[:, None], lines * weights
    wanted = weights > 0
    return Query(
        parts[wanted].sum(axis=0),
        float(lines[wanted].sum()),
        -parts[~wanted],
        -lines[~wanted],
        (vectors.logit_scale or 1.0) if len(images) < len(terms) else None,
    )


def _pictures(terms: Sequence[Term], encode: SearchModel) -> Floats:
    """The vectors of terms that are pictures. Shapes: n -> (n, P)."""
    unknown = [
        os.fspath(term.image) if isinstance(term.image, os.PathLike) else term.image
        for term in terms
        if term.vector is None
    ]
    # What is no text was given as a picture: None too, which is refused as all that is none.
    made = iter(encode.images(cast("list[ImageSource]", unknown)) if unknown else ())
    return np.stack([next(made) if term.vector is None else term.vector for term in terms])


def _mean(store: Store, vectors: VectorSet) -> Floats:
    """The mean of the set's rows, from a sample of them; kept as long as the store is open."""
    key = (vectors.folder, vectors.row_count)
    if key not in store.means:
        count = min(_SAMPLED, vectors.row_count)
        rows = np.linspace(0, vectors.row_count - 1, count).astype(np.int64)
        taken = store.segments(vectors).take(rows).astype(np.float32)
        store.means[key] = taken.sum(axis=0) / max(1, count)
    return store.means[key]
