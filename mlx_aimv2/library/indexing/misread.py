"""Photos that were read wrong before colour profiles and every TIFF were read right: found, and
embedded again."""

import os
import warnings
from contextlib import suppress

from mlx_aimv2.errors import Aimv2Error, Aimv2Warning
from mlx_aimv2.images import colour
from mlx_aimv2.images.decode import pillow_differs

from ..database.folders import under
from ..database.store import Store

_TOGETHER = 1000  # photos whose headers are read between two commits

UNREAD = "colours IS NULL AND hash IS NOT NULL AND missing_since IS NULL"


def forget_misread(store: Store, root: bytes) -> int:
    """Forget the vectors of photos under a root that are read otherwise now than when they were
    read; says how many. A walk finds them without a vector.

    Each photo's header is read once. One that is out of reach is looked at by the next run.
    """
    found = last = 0
    where, values = under(root)
    unread = f"SELECT id, path FROM files WHERE {UNREAD} AND id > ? AND {where} ORDER BY id LIMIT ?"
    while page := store.rows(unread, (last, *values, _TOGETHER)):
        last = page[-1][0]
        is_misread: dict[int, bool] = {}
        for id, path in page:
            with suppress(Aimv2Error):
                is_misread[id] = pillow_differs(os.fsdecode(path))
        with store.transaction():
            for id in filter(is_misread.get, is_misread):
                store.remove_vectors(id)
            store.run_many(
                "UPDATE files SET colours = ? WHERE id = ?",
                ((colour.RULE, id) for id in is_misread),
            )
            store.run(  # once it is so of all, the sets say it
                "UPDATE sets SET settings = json_set(settings, '$.preprocessing.colours', ?) "
                f"WHERE NOT EXISTS (SELECT 1 FROM files WHERE {UNREAD})",
                colour.RULE,
            )
        found += sum(is_misread.values())
    return found


def warn_of_unread(store: Store) -> None:
    """Warn where pictures are compared and some were read while colour profiles were ignored."""
    if count := store.count(UNREAD):
        photos = "1 photo was" if count == 1 else f"{count} photos were"
        warnings.warn(
            f"{photos} read while colour profiles were ignored: aimv2 index reads them again",
            Aimv2Warning,
            stacklevel=4,
        )
