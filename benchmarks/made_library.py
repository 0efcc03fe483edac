"""Libraries of any size without pictures: rows written straight into the database and segments.

Each row is a random direction with two of the vocabulary's tags mixed in; one row in a hundred is
a copy of another, with a little noise.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mlx_aimv2 as aimv2
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.images.metadata.exif import PhotoFacts
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.database.vectors import VectorSet
from mlx_aimv2.library.indexing.indexer import NATIVE_MAX_PATCHES
from mlx_aimv2.library.search_model import identify
from mlx_aimv2.library.signature import make_signature
from mlx_aimv2.library.tagging.vocabulary import embed_vocabulary, read_vocabulary
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw

Floats = NDArray[np.float32]

WIDE = 768
TAGS = 400
COPIED = 100  # one row in so many
_TOGETHER = 320 * COPIED  # so that rows copied in a block are those copied by their numbers
_MIXED = 0.35  # of a tag, beside a random direction of length 1; more where rows are narrow
_NOISE = 0.02
_SIGNATURES, _SIGNED_PX = 300, 96
_LENS = ((4032, 3024), (3024, 4032), (6000, 4000), (1920, 1080))
_FORMATS = ("JPEG", "HEIC", "PNG")


@dataclass(frozen=True)
class Checkpoint:
    """What a set of vectors is made by: the demo, or one that exists in name only."""

    key: str
    source: str
    settings: dict[str, object]
    logit_scale: float
    embed_texts: Callable[[Sequence[str]], Floats]


def demo_checkpoint() -> Checkpoint:
    """The demo as the indexer writes it down, so that the command takes the library for its own."""
    model = aimv2.load("demo")
    key, _ = identify("demo", "hub", NATIVE_MAX_PATCHES)
    settings = model.metadata(ImageOptions())
    return Checkpoint(
        key, "demo", settings, model.logit_scale, lambda texts: np.array(model.embed_texts(texts))
    )


def wide_checkpoint() -> Checkpoint:
    """As wide as the published LiT checkpoint; there are no weights."""
    settings: dict[str, object] = {
        "checkpoint": "wide",
        "fingerprint": "wide",
        "width": WIDE,
        "preprocessing": {"preset": "hub"},
    }
    return Checkpoint("wide", "wide", settings, 100.0, embed_words)


def embed_words(texts: Sequence[str], width: int = WIDE) -> Floats:
    """Random unit vectors, always the same for a text. Shapes: n -> (n, width)."""
    seeds = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) for text in texts]
    rows = [np.random.default_rng(seed).standard_normal(width, np.float32) for seed in seeds]
    return unit(np.stack(rows))


def unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def make_library(path: Path, rows: int, checkpoint: Checkpoint) -> None:
    """So many photos, each with a path, facts, a signature, a vector and up to three tags."""
    rng = np.random.default_rng(rows)
    signatures = _signatures()
    names = [tag.text for tag in read_vocabulary()[:TAGS]]
    with Store(path, can_write=True) as store:
        vectors = store.add_set(
            checkpoint.key,
            checkpoint.source,
            checkpoint.settings,
            has_text=True,
            logit_scale=checkpoint.logit_scale,
        )
        segments = store.segments(vectors)
        segments.cut()
        tags = embed_vocabulary(read_vocabulary()[:TAGS], checkpoint.embed_texts)
        for first, part in _rows(rng, rows, tags):
            segments.append(part.astype(np.float16))
            with store.transaction():
                _add_files(store, vectors, range(first, first + len(part)), signatures, names)
                store.set_row_count(vectors.id, segments.row_count)


def _rows(rng: np.random.Generator, rows: int, tags: Floats) -> Iterator[tuple[int, Floats]]:
    width = tags.shape[1]
    mixed = _MIXED * (WIDE / width) ** 0.5
    for first in range(0, rows, _TOGETHER):
        count = min(_TOGETHER, rows - first)
        part = unit(rng.standard_normal((count, width), np.float32))
        for _ in range(2):
            part += mixed * tags[rng.integers(0, len(tags), count)]
        copies = np.arange(COPIED - 1, count, COPIED)
        part[copies] = part[copies - 1] + _NOISE * rng.standard_normal(
            (len(copies), width), np.float32
        )
        yield first, unit(part)


def _add_files(
    store: Store,
    vectors: VectorSet,
    numbers: range,
    signatures: Sequence[bytes],
    names: Sequence[str],
) -> None:
    tags = []
    for number in numbers:
        rng = random.Random(number)
        original = number - (number % COPIED == COPIED - 1)
        width_px, height_px = _LENS[original % len(_LENS)]
        month, day, hour = rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23)
        taken_at = f"{2000 + number % 24}-{month:02}-{day:02}T{hour:02}:00:00"
        file_id = store.add_file(
            f"/home/somebody/Pictures/{taken_at[:4]}/{month:02}/IMG_{number:07}.jpg".encode(),
            Stamp(1_000_000 + number, 1_700_000_000_000_000_000 + number),
            hash=rng.randbytes(16),
            facts=PhotoFacts(
                _FORMATS[number % len(_FORMATS)], width_px, height_px, 1, taken_at, None, None
            ),
            signature=signatures[original % len(signatures)],
        )
        store.set_vector(vectors.id, file_id, number)
        tags += [(file_id, tag, 0.9) for tag in set(rng.choices(names, k=number % 4))]
    store.add_tags("other", tags)


def _signatures() -> list[bytes]:
    seeds = range(HELD_OUT, HELD_OUT + _SIGNATURES)
    return [make_signature(draw(seed, _SIGNED_PX).image) for seed in seeds]
