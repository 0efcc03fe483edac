"""The photos of which a person speaks: paths that were typed, to what the library knows of them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.paths import FilePath, printable, several

from ..database.folders import KnownPaths, under
from ..database.photos import FileRow
from ..database.store import Store
from ..shots import shots_of


@dataclass(frozen=True)
class Named:
    """Photos that were named, with the other files of their shots, and their contents by file id.

    ``errors`` are of those that the library does not know or could never read.
    """

    files: dict[int, FileRow]
    contents: dict[int, bytes]
    errors: tuple[Aimv2Error, ...]

    @property
    def hashes(self) -> list[bytes]:
        """Each content once."""
        return list(dict.fromkeys(self.contents.values()))


def named_photos(store: Store, photos: FilePath | Iterable[FilePath]) -> Named:
    """The photos at these paths.

    Errors: UsageError for no photos; the first one's error if none of them is known.
    """
    known, errors, ids = KnownPaths(store), [], []
    for photo in several(photos):
        path = known.of(photo)
        file = store.file_at(path)
        if file is None:
            errors.append(_unknown(store, photo, path))
        elif store.last_hash(file.id) is None:
            errors.append(UsageError(
                f"{printable(photo)} could not be read, so nothing can be said of it",
                hint=file.error_hint or "aimv2 library errors",
            ))  # fmt: skip
        else:
            ids.append(file.id)
    if not ids:
        raise errors[0] if errors else UsageError("no photos were named", hint="name some by path")
    shots = shots_of(store, ids)
    all_ids = {each for id in ids for each in shots.get(id, (id,))}
    hashes = {id: store.last_hash(id) for id in sorted(all_ids)}
    contents = {id: hash for id, hash in hashes.items() if hash is not None}
    return Named(store.files_of(contents), contents, tuple(errors))


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
