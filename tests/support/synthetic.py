"""Libraries written row by row: files that need not be there, vectors of known geometry."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.images.metadata.exif import PhotoFacts
from mlx_aimv2.library.database.segments import Segments
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.database.vectors import VectorSet

FACTS = PhotoFacts("JPEG", 40, 30, None, None, None, None)


def unit(rows: object) -> NDArray[np.float32]:
    """Rows of length 1."""
    array = np.asarray(rows, np.float32)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def facts(**known: object) -> PhotoFacts:
    return replace(FACTS, **known)


def add_photo(store: Store, path: str | bytes, **known: object) -> int:
    """A file that need not exist; returns its id."""
    raw = path if isinstance(path, bytes) else path.encode()
    values = {"hash": blake2b(raw, digest_size=16).digest(), "facts": FACTS} | known
    return store.add_file(raw, Stamp(1, 2), **values)


def add_set(store: Store, width: int, key: str = "key", *, has_text: bool = True) -> VectorSet:
    settings = {
        "checkpoint": key,
        "revision": None,
        "fingerprint": key,
        "width": width,
        "preprocessing": {"preset": "hub"},
    }
    return store.add_set(key, key, settings, has_text=has_text, logit_scale=10.0)


def fill(store: Store, vectors: VectorSet, rows: object, files: Sequence[int]) -> VectorSet:
    """Append rows, one for each file, where ``files`` may name one more than once."""
    segments = store.segments(vectors)
    segments.cut()
    first = segments.row_count
    segments.append(np.asarray(rows).astype(np.float16))
    with store.transaction():
        store.set_row_count(vectors.id, segments.row_count)
        for number, file in enumerate(files):
            store.set_vector(vectors.id, file, first + number)
    return store.set_with_id(vectors.id)


def make_library(path: Path, names: Sequence[str], rows: object, **facts_of: object) -> None:
    """A library of one set: each file has its row."""
    rows = np.asarray(rows)
    with Store(path, can_write=True) as store, store.transaction():
        vectors = add_set(store, rows.shape[1])
        fill(store, vectors, rows, [add_photo(store, name, **facts_of) for name in names])


def segments_of(folder: Path, rows: NDArray[np.float32]) -> Segments:
    """Rows by themselves, on disk."""
    segments = Segments(folder, rows.shape[1], 0)
    segments.cut()
    segments.append(rows.astype(np.float16))
    return segments
