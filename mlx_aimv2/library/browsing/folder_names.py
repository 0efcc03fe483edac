"""Folders of the library by their names, as a person calls them; nothing on the disk is asked."""

import os
import unicodedata
from collections.abc import Iterable

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable

from ..database.folders import around, is_inside
from ..database.store import Store

MOST = 200  # folders of one name
_HINT = "a folder by its name, like Sea or 2024/Sea, or files by a pattern, like *.heic"


def places_named(store: Store, names: Iterable[str]) -> tuple[str, ...]:
    """The folders of the library that have these names, as ``Filters.places`` takes them.

    A name is that of a folder or the last names of its path, from a folder that was indexed on, of
    capitals or not. Patterns of files' names stay as they are.
    Errors: UsageError for a name that no folder has, or too many.
    """
    given = list(names)
    folders = _folders(store) if any(not _is_pattern(name) for name in given) else {}
    places: list[str] = []
    for name in given:
        if _is_pattern(name):
            if "/" in name:
                raise UsageError(f"{printable(name)} is no name of a folder", hint=_HINT)
            places.append(name)
            continue
        wanted = f"/{_folded(name.strip('/'))}"
        found = [path for path, shown in folders.items() if shown.endswith(wanted)]
        if not found:
            raise UsageError(f"no folder of the library is called {printable(name)}", hint=_HINT)
        if len(found) > MOST:
            message = f"{len(found)} folders of the library are called {printable(name)}"
            raise UsageError(message, hint="add the name of the folder around: 2024/Sea")
        places += map(os.fsdecode, found)
    return tuple(places)


def _folders(store: Store) -> dict[bytes, str]:
    """The folders with photos and those around them, with their names from what was indexed on."""
    roots = [root.path for root in store.roots()]
    direct = store.rows("SELECT DISTINCT folder_of(path) FROM files WHERE missing_since IS NULL")
    found: dict[bytes, str] = {}
    for root in roots:
        start = len(os.path.dirname(root).rstrip(b"/"))  # noqa: PTH120  (pathlib takes no bytes)
        for (folder,) in direct:
            if is_inside(folder, root):
                for each in around(folder):
                    if each not in found and is_inside(each, root):
                        found[each] = _folded(printable(each[start:]))
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")
