"""Reading a photo, its file opened once: pixels for the model, and what the library keeps of it."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO

from mlx_aimv2.files.paths import FilePath, blaming_the_disk, open_file, printable
from mlx_aimv2.images.decode import decode_file
from mlx_aimv2.images.metadata.embedded import Embedded
from mlx_aimv2.images.metadata.exif import PhotoFacts, header_in
from mlx_aimv2.inference.preprocessing import Plan
from mlx_aimv2.inference.records import Sample

from ..signature import make_signature
from ..thumbnails.store import Thumbnails
from ..thumbnails.thumbnail import SMALL, to_jpeg

_BLAKE2B = partial(hashlib.blake2b, digest_size=16)


@dataclass(frozen=True)
class Reading:
    """What the library keeps of a photo beside its embedding; ``hash`` is its content's.

    ``keywords`` are those inside it, by their keys; None where they have to be read yet.
    ``thumbnail`` is a JPEG; None where there is one already, or it would be no good.
    """

    hash: bytes
    facts: PhotoFacts
    signature: bytes
    keywords: Mapping[str, str] | None = None
    thumbnail: bytes | None = None


def read_photo(plan: Plan, thumbnails: Thumbnails, sample: Sample) -> None:
    """Write a photo's pixels into its sample, and a :class:`Reading` as its facts.

    What is decoded for the model becomes a thumbnail too, if ``thumbnails`` has none.

    Errors: ImageError for what cannot be read.
    """
    path = os.fsdecode(sample.source)  # type: ignore[arg-type]  # an index knows paths only
    with open_file(path) as file, blaming_the_disk(file, path):
        hash = _hash(file)
        file.seek(0)
        picture = decode_file(
            file, path, printable(path), max_pixels=plan.options.max_pixels, shrink=plan.shrink
        )
        file.seek(0)
        facts, embedded = header_in(file, path)
    # Of a model that sees little, a decoder may have left less than a thumbnail shows.
    is_enough = picture.image.width >= SMALL.size_of(picture)[0] and not thumbnails.has(hash)
    small = to_jpeg(picture) if is_enough else None
    sample.facts = Reading(hash, facts, make_signature(picture), _keywords(embedded), small)
    sample.pixels, sample.note = plan.fit(picture)


def read_keywords_inside(path: FilePath) -> dict[str, str]:
    """The keywords inside a photo, by their keys. Errors: ImageError for what cannot be read."""
    with open_file(path) as file, blaming_the_disk(file, path):
        return _keywords(header_in(file, path)[1])


def read_caption_inside(path: FilePath) -> str:
    """The caption inside a photo; "" without one. Errors: ImageError for what cannot be read."""
    from ..sidecars.caption import read_caption  # noqa: PLC0415  (XML, as above)

    with open_file(path) as file, blaming_the_disk(file, path):
        return read_caption(header_in(file, path)[1].packet)


def read_rating_inside(path: FilePath) -> int:
    """The stars inside a photo; 0 without any. Errors: ImageError for what cannot be read."""
    from mlx_aimv2.images.metadata.xmp_values import read_rating  # noqa: PLC0415  (XML, as above)

    with open_file(path) as file, blaming_the_disk(file, path):
        return read_rating(header_in(file, path)[1].packet)


def hash_file(path: FilePath) -> bytes:
    """BLAKE2b of a file's content, 16 bytes. Errors: ImageError for what cannot be read."""
    with open_file(path) as file, blaming_the_disk(file, path):
        return _hash(file)


def _hash(file: IO[bytes]) -> bytes:
    return hashlib.file_digest(file, _BLAKE2B).digest()  # type: ignore[arg-type]  # typeshed wants a BytesIO


def _keywords(embedded: Embedded) -> dict[str, str]:
    if not embedded.packet and not embedded.iptc:
        return {}
    from ..sidecars.xmp import read_keywords  # noqa: PLC0415  (XML: searches start sooner)

    said = read_keywords(embedded.packet, embedded.iptc)
    return {**said.ours, **said.others}
