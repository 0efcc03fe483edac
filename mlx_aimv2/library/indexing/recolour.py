"""Photos that were read wrong before colour profiles and every TIFF were read right: found, and
embedded again."""

import os
import warnings

from mlx_aimv2.errors import Aimv2Error, Aimv2Warning
from mlx_aimv2.images import colour
from mlx_aimv2.images.decode import pillow_differs

from ..database.folders import under
from ..database.photos import FileRow
from ..database.store import Store

_TOGETHER = 1000  # photos whose headers are read between two commits

UNREAD = "colours IS NULL AND hash IS NOT NULL AND missing_since IS NULL"


def forget_misread(store: Store, root: bytes) -> int:
    """Forget the vectors of photos under a root that are read otherwise now than when they were
    read; says how many. A walk finds them without a vector.

    Each photo's header is read once. One that is out of reach is looked at by the next run.
    """
    found = 0
    where, values = under(root)
    unread = list(store.files(f"{UNREAD} AND {where}", values))
    for start in range(0, len(unread), _TOGETHER):
        looked_at: dict[bool, list[FileRow]] = {False: [], True: []}
        for file in unread[start : start + _TOGETHER]:
            try:
                looked_at[pillow_differs(os.fsdecode(file.path))].append(file)
            except Aimv2Error:
                continue
        with store.transaction():
            for file in looked_at[True]:
                store.remove_vectors(file.id)
            store.run_many(
                "UPDATE files SET colours = ? WHERE id = ?",
                ((colour.RULE, file.id) for files in looked_at.values() for file in files),
            )
            store.run(  # once it is so of all, the sets say it
                "UPDATE sets SET settings = json_set(settings, '$.preprocessing.colours', ?) "
                f"WHERE NOT EXISTS (SELECT 1 FROM files WHERE {UNREAD})",
                colour.RULE,
            )
        found += len(looked_at[True])
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
