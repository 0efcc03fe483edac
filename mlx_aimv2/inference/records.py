"""The records of an image on its way to an embedding: inside, and as the public stream gives it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.images.source import ImageSource, describe

if TYPE_CHECKING:
    import mlx.core as mx  # a search of the library starts without it


@dataclass
class Sample:
    """One image of a stream: each stage writes into it what it knows.

    Reading it on a thread: its ``pixels`` and perhaps a ``note``, and what a reader of one's own
    keeps beside them (``facts``). The model: its ``embedding``, for which the pixels go. Either: an
    ``error``, and then there is no embedding.
    Shapes: pixels (H, W, 3) uint8; embedding (D,) float32, (rows, columns, D) with pooling "none".
    """

    index: int
    source: ImageSource
    pixels: NDArray[np.uint8] | None = None
    embedding: NDArray[np.float32] | None = None
    error: Aimv2Error | None = None
    note: str | None = None
    facts: Any = None


@dataclass(frozen=True)
class _Sourced:
    index: int
    source: ImageSource

    @property
    def path(self) -> str:
        """The image's printable name."""
        return describe(self.source)


@dataclass(frozen=True, repr=False)
class Embedded(_Sourced):
    """An image of a stream and its embedding.

    Shapes: embedding (D,), or (rows, columns, D) with pooling "none"; float32.
    """

    embedding: "mx.array"
    note: str | None = None
    error: None = None

    def __repr__(self) -> str:
        return f"Embedded({self.index}, {self.path!r}, {self.embedding.shape})"


@dataclass(frozen=True, repr=False)
class Failed(_Sourced):
    """An image of a stream that could not be read or embedded, and why."""

    error: Aimv2Error
    note: str | None = None
    embedding: None = None

    def __repr__(self) -> str:
        return f"Failed({self.index}, {self.path!r}, {str(self.error)!r})"


Item = Embedded | Failed
"""One image of a stream. ``item.error is None`` tells the two apart, for type checkers too."""
