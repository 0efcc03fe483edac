"""The photos of which a person speaks, by path or by number, and what the library knows of them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.paths import FilePath, printable

from ..database.connection import OF_THESE, listed
from ..database.folders import KnownPaths, under
from ..database.store import Store
from ..shots import shots_of

Photo = FilePath | int
"""A photo by its path, or by the id of its file."""


@dataclass(frozen=True)
class Named:
    """Photos that were named, with the other files of their shots: their contents by file id.

    ``ids`` are the files that were named themselves. ``count`` is how many photos these are, the
    files of a shot being one. ``errors`` are of those that the library does not know or could
    never read.
    """

    contents: dict[int, bytes]
    ids: tuple[int, ...]
    count: int
    errors: tuple[Aimv2Error, ...]

    @property
    def hashes(self) -> list[bytes]:
        """Each content once."""
        return list(dict.fromkeys(self.contents.values()))


def photos_in(given: Photo | Iterable[Photo]) -> list[Photo]:
    """Photos as a list; a single one is one, and not the letters of its path."""
    return [given] if isinstance(given, int | str | bytes | os.PathLike) else list(given)


def named_photos(store: Store, photos: Photo | Iterable[Photo]) -> Named:
    """The photos of these paths or ids; of any number of ids in as many statements as of one.

    Errors: UsageError for no photos; the first one's error if none of them is known.
    """
    given = photos_in(photos)
    known, errors = KnownPaths(store), []
    ids: dict[int, Photo] = {}
    for photo in given:
        id = photo if isinstance(photo, int) else _id_at(store, known.of(photo))
        if id is None:
            assert not isinstance(photo, int)
            errors.append(_unknown(store, photo, known.of(photo)))
        else:
            ids.setdefault(id, photo)
    query = f"SELECT id, last_hash, error_hint FROM files WHERE {OF_THESE}"
    rows = {id: row for id, *row in store.rows(query, (listed(ids),))}
    for id, photo in ids.items():
        if id not in rows:
            errors.append(UsageError(f"there is no photo {id}", hint="look again: it is gone"))
        elif rows[id][0] is None:
            hint = None if isinstance(photo, int) else rows[id][1]  # it may name a folder
            errors.append(UsageError(
                f"{_name_of(photo)} could not be read, so nothing can be said of it",
                hint=hint or "aimv2 library errors",
            ))  # fmt: skip
    contents = {id: hash for id, (hash, _) in rows.items() if hash is not None}
    if not contents:
        raise errors[0] if errors else UsageError("no photos were named", hint="name some by path")
    named = tuple(contents)
    shots = shots_of(store, named)
    count = len({shots.get(id, (id,))[0] for id in named})
    others = {id for shot in shots.values() for id in shot} - contents.keys()
    query = f"SELECT id, last_hash FROM files WHERE last_hash IS NOT NULL AND {OF_THESE}"
    contents |= store.rows(query, (listed(others),))
    return Named(dict(sorted(contents.items())), named, count, tuple(errors))


def _id_at(store: Store, path: bytes) -> int | None:
    row = store.one("SELECT id FROM files WHERE path = ?", path)
    return None if row is None else int(row[0])


def _name_of(photo: Photo) -> str:
    return f"photo {photo}" if isinstance(photo, int) else printable(photo)


def _unknown(store: Store, photo: FilePath, path: bytes) -> UsageError:
    if next(store.files(*under(path)), None) is not None or os.path.isdir(path):  # noqa: PTH112  (bytes)
        return UsageError(
            f"{printable(photo)} is a folder, not a photo",
            hint=f"name its photos: {quote(printable(photo))}/*",
        )
    return UsageError(
        f"the library does not know {printable(photo)}",
        hint=f"check the path, or: aimv2 index {quote(printable(photo))}",
    )
