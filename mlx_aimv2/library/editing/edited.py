"""What an edit did to photos and their sidecars."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

from mlx_aimv2.errors import Aimv2Error

from ..database.store import Store
from ..shots import shots_of

if TYPE_CHECKING:
    from ..sidecars.sidecar import Undone

Sidecars = tuple[tuple[str, Union["Undone", Aimv2Error, None]], ...]


@dataclass(frozen=True)
class Edited:
    """What an edit did; ``number`` is its place in the journal, None where it changed nothing.

    ``is_waiting``: another process writes the library, and the edit counts once that has ended.
    ``tag`` is the tag that was meant, empty where none was, ``is_new`` if none was known by that
    name; ``photos`` are the paths of the files it was about, ``count`` is how many photos these
    are, the files of a shot being one, and ``changed`` of how many photos anything changed; None
    while that waits. ``said`` is the edit as a sentence, as the journal has it.
    ``errors`` are of photos that were named and are not known. ``from_others`` are photos that
    keep the tag as a keyword of another program: removing does not touch that, rejecting hides it.
    ``sidecars`` are those that were brought up to date, each with what undoing did to it, with an
    error, or with None.
    """

    tag: str
    photos: tuple[str, ...] = ()
    errors: tuple[Aimv2Error, ...] = ()
    from_others: tuple[str, ...] = ()
    is_waiting: bool = False
    is_new: bool = False
    count: int = 0
    changed: int | None = None
    number: int | None = None
    said: str = ""
    sidecars: Sidecars = field(default=(), repr=False)


def count_photos(store: Store, file_ids: list[int]) -> int:
    """How many photos these files are, those of a shot being one."""
    shots = shots_of(store, file_ids)
    return len({shots.get(id, (id,))[0] for id in file_ids})


def synced(store: Store, ids: list[int]) -> Sidecars:
    """What became of the sidecars of these files, which are brought up to date."""
    if not ids:
        return ()
    from ..tagging.tag_sidecars import sync_sidecars  # noqa: PLC0415  (XML, as above)

    done = tuple((os.fsdecode(path), each) for path, each in sync_sidecars(store, ids))
    store.sidecars_follow(ids)
    return done
