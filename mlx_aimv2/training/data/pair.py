"""A picture and what is said of it, and where such pairs come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.images.source import ImageSource


class PairError(Aimv2Error):
    """A pair that cannot be used; the message begins with its name."""


@dataclass(frozen=True)
class Pair:
    """A picture, not decoded yet, and its captions; ``key`` names both in messages."""

    key: str
    image: ImageSource
    captions: tuple[str, ...]


class Pairs(Protocol):
    """Pairs by number, from 0; several threads may read at once.

    ``notes`` are what there is to say of the whole: of a shard that is cut, say.
    """

    @property
    def notes(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def read(self, number: int) -> Pair:
        """A pair by its number.

        Errors: PairError for one without a caption, or that cannot be read; ImageError.
        """


def to_captions(value: Any, key: str) -> tuple[str, ...]:
    """The texts in one value, a string or a list of strings, without those that say nothing.

    Errors: PairError where none is left, or one is no text.
    """
    texts = value if isinstance(value, list) else [value]
    captions = tuple(text.strip() for text in texts if isinstance(text, str) and text.strip())
    if not captions:
        raise PairError(f"{key} has no caption")
    for text in captions:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise PairError(f"{key}: its caption is not UTF-8") from None
    return captions
