"""Terms of a query, and an encoder that knows one vector."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.inference.zero_shot import BACKGROUND
from mlx_aimv2.library.search.query import Term

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Vectors:
    """An encoder of texts and of pictures that needs no checkpoint."""

    texts: Callable[[list[str]], Rows]
    images: Callable[[Sequence[object]], Rows]


def constant(vector: object) -> Vectors:
    """Any text has this vector, and what fits anything has none; so has any picture."""
    values = np.asarray(vector, np.float32)

    def texts(texts: list[str]) -> Rows:
        return np.stack([values * (text not in BACKGROUND) for text in texts])

    return Vectors(texts, lambda images: np.stack([values] * len(images)))


def text(words: str, weight: float = 1.0) -> Term:
    return Term(weight, words, None)


def image(path: str | Path, weight: float = 1.0) -> Term:
    return Term(weight, None, Path(path))
