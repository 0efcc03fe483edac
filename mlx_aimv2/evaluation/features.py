"""Vectors of the pictures of a data set, kept on disk: what was made once is not made again."""

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error, OutputError
from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.paths import printable
from mlx_aimv2.files.stamp import Stamp, stamp_of
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model
from mlx_aimv2.inference.prefetch import Read

from .data_sets.part import Part, Stored

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
    options = replace(options, normalize=False)
    with open_cache(folder, model.metadata(options)) as database:
        kept = Kept(part, database, "<f4")
        errors = kept.fill(model, options, tell)
        places = np.array([place for place in range(len(part.pictures)) if place not in errors])
        vectors = np.stack([kept.get(place) for place in places])
    return Features(vectors.astype(np.float32, copy=False), places, tuple(errors.values()))


class Kept:
    """What a cache has of a part's pictures, flat; ``dtype`` is how it is kept.

    A picture may have another view, told by a ``suffix`` of its name.
    """

    def __init__(self, part: Part, database: sqlite3.Connection, dtype: str) -> None:
        self._part, self._database, self._dtype = part, database, dtype
        self._names = [os.fsencode(_name(picture)) for picture in part.pictures]
        self._stamps = [stamp_of(os.fsencode(_file(picture))) for picture in part.pictures]

    def fill(
        self,
        model: Model,
        options: ImageOptions,
        tell: Tell,
        read: Read | None = None,
        suffix: bytes = b"",
    ) -> dict[int, Aimv2Error]:
        """Make what is missing; returns why some could not be, by the places of their pictures.

        ``read`` reads a sample instead of the plan.
        Errors: Aimv2Error if no picture could be read.
        """
        # Of whole batches, so that a picture has the same bits whichever are beside it.
        plan = model.plan(replace(options, fills_batches=True))
        count = len(self._names)
        missing = [place for place in range(count) if not self._has(place, suffix)]
        errors: dict[int, Aimv2Error] = {}
        samples = model.samples(plan, pictures_at(self._part, missing), read)
        committed_s = time.monotonic()
        for number, (place, sample) in enumerate(zip(missing, samples, strict=True), 1):
            if sample.embedding is not None:
                self._add(place, suffix, sample.embedding)
            elif sample.error is not None:
                errors[place] = sample.error
            if time.monotonic() - committed_s > _COMMIT_S:
                self._database.commit()
                committed_s = time.monotonic()
            tell(count - len(missing) + number, count)
        if len(errors) == count:
            raise Aimv2Error(
                f"none of the {count} pictures in {printable(self._part.name)} could be read",
                hint=str(errors[0]),
            )
        return errors

    def get(self, place: int, suffix: bytes = b"") -> NDArray[Any]:
        """The values of a picture, which must be there."""
        query = "SELECT vector FROM features_1 WHERE name = ?"
        (data,) = self._database.execute(query, (self._names[place] + suffix,)).fetchone()
        return np.frombuffer(data, self._dtype)

    def _has(self, place: int, suffix: bytes) -> bool:
        query = "SELECT size, mtime_ns FROM features_1 WHERE name = ?"
        found = self._database.execute(query, (self._names[place] + suffix,)).fetchone()
        return found is not None and Stamp(*found) == self._stamps[place]

    def _add(self, place: int, suffix: bytes, values: Floats) -> None:
        stamp = self._stamps[place] or Stamp(0, 0)  # 0: it came after it was looked for
        self._database.execute(
            "INSERT OR REPLACE INTO features_1 VALUES (?, ?, ?, ?)",
            (
                self._names[place] + suffix,
                stamp.size_bytes,
                stamp.mtime_ns,
                values.astype(self._dtype).tobytes(),
            ),
        )


def pictures_at(part: Part, places: Iterable[int]) -> list[ImageSource]:
    """Pictures of a part, as models take them."""
    return [cast("ImageSource", part.pictures[place]) for place in places]


def digest(facts: Mapping[str, Any]) -> str:
    """A name for a file that is kept, by what made it."""
    return hashlib.sha256(to_json(facts).encode()).hexdigest()[:16]


def stamped(part: Part) -> list[str]:
    """The pictures of a part, each with the stamp of its file."""
    return [f"{_name(each)} {stamp_of(os.fsencode(_file(each)))}" for each in part.pictures]


def _name(picture: Stored) -> str:
    return picture if isinstance(picture, str) else picture.name


def _file(picture: Stored) -> str:
    return picture if isinstance(picture, str) else picture.shard


@contextmanager
def open_cache(folder: Path, settings: Mapping[str, Any]) -> Iterator[sqlite3.Connection]:
    """The cache of what these settings make of pictures; at the end, and by Ctrl-C, it is kept.

    Errors: OutputError where it cannot be read or written.
    """
    file = folder / f"{digest(settings)}.db"
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
                yield database
            finally:
                database.commit()
    except sqlite3.Error as error:
        is_damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
        raise OutputError(
            f"the cache of features {printable(file)} cannot be used: {error}",
            hint="remove that file" if is_damaged else "",
            options=elsewhere,
        ) from error
