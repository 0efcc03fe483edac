"""The folders of the library as the page names them: by numbers and printable names, never by
where they are."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from mlx_aimv2.files.paths import printable
from mlx_aimv2.library.database.folders import is_inside, under
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing.roots import state_of


@dataclass(frozen=True)
class ShownRoot:
    """Something that was indexed; ``id`` is the same as long as it is at its place.

    ``is_online``: it is there just now; of a folder whose drive is away it is not.
    """

    id: int
    name: str
    path: bytes
    is_online: bool


def shown_roots(store: Store) -> list[ShownRoot]:
    """All that was indexed, by path."""
    stored = store.roots()
    names = _names([root.path for root in stored])
    return [
        ShownRoot(
            crc32(root.path),
            printable(name),
            root.path,
            state_of(store, root, stored) == "there",
        )
        for root, name in zip(stored, names, strict=True)
    ]


def photos_of_roots(store: Store) -> dict[bytes, int]:
    """How many photos can be found in each root, by its path."""
    photos = {}
    for root in store.roots():
        where, values = under(root.path)
        there = f"{where} AND error IS NULL AND missing_since IS NULL"
        photos[root.path] = int(store.one(f"SELECT count(*) FROM files WHERE {there}", *values)[0])
    return photos


def place_of(path: bytes, roots: Iterable[ShownRoot]) -> tuple[ShownRoot | None, str]:
    """The innermost root that a file is in, and its folder there, empty at the top."""
    around = [root for root in roots if is_inside(path, root.path)]
    if not around:
        return None, ""
    root = max(around, key=lambda each: len(each.path))
    inside = path[len(root.path.rstrip(b"/")) + 1 :]
    return root, printable(os.path.dirname(inside))  # noqa: PTH120  (pathlib takes no bytes)


def _names(paths: Sequence[bytes]) -> list[bytes]:
    """The last names of paths, with those of folders around where they would be alike."""
    parts = [path.strip(b"/").split(b"/") for path in paths]
    ends = [b"/".join(each[-1:]) or b"/" for each in parts]
    for count in range(2, max(map(len, parts), default=0) + 1):
        ends = [
            b"/".join(each[-count:]) if ends.count(end) > 1 else end
            for each, end in zip(parts, ends, strict=True)
        ]
    return ends
