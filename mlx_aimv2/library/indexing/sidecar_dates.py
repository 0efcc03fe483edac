"""Photos without a date of their own take that of their sidecars."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from operator import itemgetter

from mlx_aimv2.errors import OutputError
from mlx_aimv2.images.metadata.xmp_values import read_taken_at

from ..database.folders import under
from ..database.store import Store
from ..sidecars.sidecar import own_sidecars, read_sidecar

_MOST = (1 << 63) - 1  # of SQLite's integers


def date_undated(store: Store, root: bytes) -> None:
    """Give the photos under a root that have no date of their own the one in their sidecars.

    Each folder of such photos is listed once, and only sidecars that are new or changed are read.
    What cannot be looked at keeps the date it has; Apple's Photos has no sidecars.
    """
    where, values = under(root)
    photos = store.each_row(
        "SELECT folder_of(path), id, path, sidecar_stamp FROM files "
        "WHERE (taken_at IS NULL OR sidecar_stamp IS NOT NULL) AND error IS NULL "
        f"AND missing_since IS NULL AND uuid IS NULL AND {where} ORDER BY 1, path",
        values,
    )
    change = "UPDATE files SET taken_at = ?, sidecar_stamp = ? WHERE id = ?"
    with store.transaction():
        for folder, some in groupby(photos, key=itemgetter(0)):
            store.run_many(change, _changes(folder, some))


def _changes(
    folder: bytes, photos: Iterable[tuple[bytes, int, bytes, int | None]]
) -> Iterator[tuple[str | None, int | None, int]]:
    """Date, stamp of the sidecars and id of each photo whose sidecars are new or changed.

    ``photos``: folder, id, path and stamp as it was, None where there were no sidecars.
    """
    try:
        with os.scandir(folder) as entries:
            stamps = {
                entry.name.lower(): entry.stat(follow_symlinks=False).st_mtime_ns
                for entry in entries
                if entry.name.lower().endswith(b".xmp")
            }
    except OSError:
        return
    for _, id, path, before in photos:
        if not stamps and before is None:
            continue
        name = os.path.basename(path).lower()  # noqa: PTH119  (pathlib takes no bytes)
        names = {name + b".xmp", os.path.splitext(name)[0] + b".xmp"}  # noqa: PTH122  (as above)
        found = names & stamps.keys()
        stamp = sum(stamps[each] for each in found) & _MOST if found else None
        if stamp != before:
            with suppress(OutputError):
                yield _date(path), stamp, id


def _date(photo: bytes) -> str | None:
    dates = (read_taken_at(read_sidecar(path) or b"") for path in own_sidecars(photo))
    return next((date for date in dates if date), None)
