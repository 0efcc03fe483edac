"""Reading a photo once: its content's hash, its facts and its signature, on the decode threads."""

import hashlib
import os
from dataclasses import dataclass

from mlx_aimv2.files.paths import FilePath, open_file, unreadable
from mlx_aimv2.images import decode
from mlx_aimv2.images.decode import Picture, Shrink
from mlx_aimv2.images.metadata.exif import PhotoFacts, read_facts
from mlx_aimv2.images.source import ImageSource

from ..duplicates.signature import make_signature

_HASH_BYTES = 16
_BLOCK_BYTES = 1 << 20


@dataclass
class Reading:
    """What was read of a photo beside its pixels."""

    hash: bytes
    facts: PhotoFacts
    signature: bytes


class Reader:
    """Opens photos for an embedder, and keeps what it saw until it is taken."""

    def __init__(self) -> None:
        self._readings: dict[bytes, Reading] = {}

    def open(self, source: ImageSource, *, max_pixels: int, shrink: Shrink | None) -> Picture:
        """The picture as ``image.open_picture`` gives it. Called on any thread."""
        path = os.fsencode(source)  # type: ignore[arg-type]  # an index knows paths only
        hash = hash_file(path)
        opened = decode.open_picture(source, max_pixels=max_pixels, shrink=shrink)
        self._readings[path] = Reading(hash, read_facts(path), make_signature(opened))
        return opened

    def take(self, path: bytes) -> Reading | None:
        """What was seen of a photo that could be opened; kept no longer."""
        return self._readings.pop(path, None)


def hash_file(path: FilePath) -> bytes:
    """BLAKE2b of a file's content. Errors: ImageError for a file that cannot be read."""
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    with open_file(path) as file:
        try:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        except OSError as error:
            raise unreadable(path, error) from error
    return digest.digest()
