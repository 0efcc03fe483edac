"""A picture and what is said of it, and where such pairs come from."""

import io
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from PIL import Image

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.paths import FilePath
from mlx_aimv2.files.stamp import stamp_of
from mlx_aimv2.images.source import ImageSource


class PairError(Aimv2Error):
    """A pair that cannot be used; the message begins with its name."""


@dataclass(frozen=True)
class Pair:
    """A picture, not decoded yet, and its captions; ``key`` names both in messages."""

    key: str
    image: ImageSource
    captions: tuple[str, ...]

    @property
    def mark(self) -> int:
        """A number below 2^32 that is another one where the picture is another."""
        if isinstance(self.image, io.BytesIO):
            return zlib.crc32(self.image.getbuffer())
        if isinstance(self.image, Image.Image):
            return zlib.crc32(self.image.tobytes())
        name = os.fsencode(cast(FilePath, self.image))
        return zlib.crc32(repr(stamp_of(name)).encode(), zlib.crc32(name))


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
