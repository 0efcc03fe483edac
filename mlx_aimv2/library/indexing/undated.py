"""Photos without a date of their own take that of their sidecars."""

import os
from collections.abc import Iterable, Iterator
from itertools import groupby

from mlx_aimv2.errors import OutputError
from mlx_aimv2.images.metadata.xmp_values import read_taken_at

from ..database.store import Store, Undated
from ..sidecars.sidecar import own_sidecars, read_sidecar
from .scan import under

_MOST = (1 << 63) - 1  # of SQLite's integers


def date_undated(store: Store, folder: bytes) -> None:
    """Give the photos in a folder that have no date of their own the one in their sidecars.

    Each folder of such photos is listed once, and only sidecars that are new or changed are read.
    What cannot be looked at keeps the date it has.
    """
    photos = sorted(store.undated(*under(folder)), key=_folder)
    with store.transaction():
        for place, some in groupby(photos, key=_folder):
            store.set_sidecar_dates(_changes(place, some))


def _changes(folder: bytes, photos: Iterable[Undated]) -> Iterator[Undated]:
    try:
        with os.scandir(folder) as entries:
            stamps = {
                entry.name.lower(): entry.stat(follow_symlinks=False).st_mtime_ns
                for entry in entries
                if entry.name.lower().endswith(b".xmp")
            }
    except OSError:
        return
    for photo in photos:
        if not stamps and photo.sidecar_stamp is None:
            continue
        name = os.path.basename(photo.path).lower()  # noqa: PTH119  (pathlib takes no bytes)
        names = {name + b".xmp", os.path.splitext(name)[0] + b".xmp"}  # noqa: PTH122  (as above)
        found = names & stamps.keys()
        stamp = sum(stamps[each] for each in found) & _MOST if found else None
        if stamp != photo.sidecar_stamp:
            try:
                yield Undated(photo.id, photo.path, _date(photo.path), stamp)
            except OutputError:
                continue


def _date(photo: bytes) -> str | None:
    dates = (read_taken_at(read_sidecar(path) or b"") for path in own_sidecars(photo))
    return next((date for date in dates if date), None)


def _folder(photo: Undated) -> bytes:
    return os.path.dirname(photo.path)  # noqa: PTH120  (pathlib takes no bytes)
