"""Vectors of the pictures of a data set, kept on disk: what was made once is not made again."""

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error, OutputError
from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.paths import printable
from mlx_aimv2.files.stamp import Stamp, stamp_of
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model

from .data_sets import Part, Stored

Floats = NDArray[np.float32]
Tell = Callable[[int, int], None]
"""Told how many pictures are done, and of how many."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS features_1 (
    name BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, vector BLOB NOT NULL
) WITHOUT ROWID
"""
_COMMIT_S = 2.0
_WAIT_S = 60.0  # for another process that writes
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


@dataclass(frozen=True)
class Features:
    """Vectors of the pictures that could be read, in their order, and why others could not.

    ``places`` are the pictures' numbers in their part.
    Shapes: vectors (n, D), not normalised; places (n,).
    """

    vectors: Floats
    places: NDArray[np.int64]
    errors: tuple[Aimv2Error, ...]

    @property
    def units(self) -> Floats:
        """The vectors at unit length. Shapes: (n, D)."""
        norms = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return self.vectors / np.maximum(norms, np.finfo(np.float32).tiny)


def default_folder() -> Path:
    """Where the system keeps caches: ``~/Library/Caches/mlx-aimv2/features`` on a Mac."""
    from platformdirs import user_cache_path  # noqa: PLC0415

    return user_cache_path("mlx-aimv2") / "features"


def read_features(
    part: Part, model: Model, options: ImageOptions, folder: Path, tell: Tell
) -> Features:
    """The vectors of a part's pictures, from the cache in ``folder`` or made now.

    Each is kept with the stamp of its picture, for this checkpoint and this preprocessing; a run
    that is stopped loses two seconds. Pictures that cannot be read are tried again each time.
    Errors: OutputError where the cache cannot be written; Aimv2Error if no picture could be read.
    """
    # Of whole batches, so that a picture has the same bits whichever are beside it.
    options = replace(options, normalize=False, fills_batches=True)
    names = [os.fsencode(_name(picture)) for picture in part.pictures]
    rows: dict[int, Floats] = {}
    errors: list[Aimv2Error] = []
    with open_cache(folder, to_json(model.metadata(options))) as cache:
        stamps = [stamp_of(os.fsencode(_file(picture))) for picture in part.pictures]
        for place, (name, stamp) in enumerate(zip(names, stamps, strict=True)):
            if (vector := cache.get(name, stamp)) is not None:
                rows[place] = vector
        missing = [place for place in range(len(names)) if place not in rows]
        pictures = [cast("ImageSource", part.pictures[place]) for place in missing]
        samples = model.samples(model.plan(options), pictures)
        for place, sample in zip(missing, samples, strict=True):
            if sample.embedding is not None:
                rows[place] = sample.embedding
                cache.add(names[place], stamps[place], sample.embedding)
            elif sample.error is not None:
                errors.append(sample.error)
            tell(len(rows) + len(errors), len(names))
    if not rows:
        raise Aimv2Error(
            f"none of the {len(names)} pictures in {printable(part.name)} could be read",
            hint=str(errors[0]),
        )
    places = np.array(sorted(rows))
    return Features(np.stack([rows[place] for place in places]), places, tuple(errors))


def _name(picture: Stored) -> str:
    return picture if isinstance(picture, str) else picture.name


def _file(picture: Stored) -> str:
    return picture if isinstance(picture, str) else picture.shard


class Cache:
    """One file of vectors, by the names and the stamps of pictures; see :func:`open_cache`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._committed_s = time.monotonic()

    def get(self, name: bytes, stamp: Stamp | None) -> Floats | None:
        """The vector of a picture, if it has not changed since. Shapes: (D,)."""
        query = "SELECT size, mtime_ns, vector FROM features_1 WHERE name = ?"
        found = self._database.execute(query, (name,)).fetchone()
        if found is None or stamp is None or Stamp(found[0], found[1]) != stamp:
            return None
        return np.frombuffer(found[2], "<f4")

    def add(self, name: bytes, stamp: Stamp | None, vector: Floats) -> None:
        """Keep a vector of a picture that had this stamp."""
        if stamp is None:  # gone meanwhile
            return
        self._database.execute(
            "INSERT OR REPLACE INTO features_1 VALUES (?, ?, ?, ?)",
            (name, stamp.size_bytes, stamp.mtime_ns, vector.astype("<f4").tobytes()),
        )
        if time.monotonic() - self._committed_s > _COMMIT_S:
            self._database.commit()
            self._committed_s = time.monotonic()


@contextmanager
def open_cache(folder: Path, settings: str) -> Iterator[Cache]:
    """The cache of what these settings make of pictures; at the end, and by Ctrl-C, it is kept.

    Errors: OutputError where it cannot be read or written.
    """
    file = folder / f"{hashlib.sha256(settings.encode()).hexdigest()[:16]}.db"
    elsewhere = {"cache FOLDER": "keep features elsewhere"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"the cache of features {printable(folder)} cannot be made: {error.strerror}"
        raise OutputError(reason, options=elsewhere) from error
    try:
        with closing(sqlite3.connect(file, timeout=_WAIT_S)) as database:
            database.execute(_SCHEMA)
            try:
                yield Cache(database)
            finally:
                database.commit()
    except sqlite3.Error as error:
        is_damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
        raise OutputError(
            f"the cache of features {printable(file)} cannot be used: {error}",
            hint="remove that file" if is_damaged else "",
            options=elsewhere,
        ) from error
