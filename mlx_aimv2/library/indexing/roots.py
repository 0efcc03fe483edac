"""What is to be indexed: by which paths it is known, and what has become of it."""

import os
import shlex
from collections.abc import Sequence
from typing import Literal

from mlx_aimv2.errors import Aimv2Error, ImageError
from mlx_aimv2.files.paths import is_gone, printable
from mlx_aimv2.files.spelling import spelled
from mlx_aimv2.images.exclusions import Exclusions
from mlx_aimv2.images.formats.header import EXTENSIONS
from mlx_aimv2.images.metadata.exif import read_facts

from ..database.folders import KnownPaths, Root, around, is_inside, under
from ..database.store import Store

RootState = Literal["there", "empty", "away", "deleted"]
_EXTENSIONS = tuple(extension.encode() for extension in EXTENSIONS)


def usable_roots(store: Store, roots: Sequence[Root]) -> tuple[list[Root], list[Aimv2Error]]:
    """The roots by the paths that the library has for them, and errors of files that are no
    pictures: of those nothing is remembered."""
    usable: dict[Root, None] = {}
    errors: list[Aimv2Error] = []
    paths = KnownPaths(store)
    bundles = {spelled(path): path for path, is_photos in store.roots() if is_photos}
    for root in roots:
        known = Root(paths.of(root.path))
        if root.is_photos:
            own = spelled(root.path)
            known = Root(bundles.get(own, own), is_photos=True)
        try:
            if os.path.isfile(known.path) and store.file_at(known.path) is None:  # noqa: PTH113
                read_facts(known.path)
            usable[known] = None
        except Aimv2Error as error:
            errors.append(error)
    return list(usable), errors


def remember_roots(store: Store, roots: Sequence[Root], exclude: Sequence[str]) -> None:
    """Add roots that are there, but none that another one leads to."""
    known = {path for path, is_photos in store.roots() if not is_photos}
    for root in roots:
        is_led_to = not root.is_photos and any(
            _covers(each, root.path, exclude) for each in known.intersection(around(root.path))
        )
        if not (is_gone(root.path) or is_led_to):
            store.add_root(root)


def forget_doubles(store: Store) -> None:
    """A folder that an earlier version took twice, by two spellings, is known once."""
    paths = KnownPaths(store)
    for root in [path for path, is_photos in store.roots() if not is_photos]:
        known = paths.of(root)
        if known != root:
            files = list(store.files(*under(root)))
            twins = [store.file_at(known + each.path[len(root) :]) for each in files]
            doubles = [each.id for each, twin in zip(files, twins, strict=True) if twin]
            store.remove_files(doubles)
            store.remove_root(root)


def state_of(store: Store, root: Root, stored: Sequence[Root]) -> RootState:
    """What has become of something that was indexed.

    A folder that held photos and holds nothing may be the place of a drive that is not connected,
    and so may one that is not there; but not if a folder around it was indexed and holds
    something, and a file is deleted if its folder holds something.
    """
    if not is_gone(root.path):
        held = f"{under(root.path)[0]} AND missing_since IS NULL"
        is_lost = is_empty(root.path) and next(store.files(held, under(root.path)[1]), None)
        return "empty" if is_lost else "there"
    around = [
        each.path
        for each in stored
        if not each.is_photos and each.path != root.path and is_inside(root.path, each.path)
    ]
    if store.file_at(root.path) is not None:
        around.append(os.path.dirname(root.path))  # noqa: PTH120  (pathlib takes no bytes)
    return "deleted" if any(map(holds_something, around)) else "away"


def forget_hint(path: bytes) -> str:
    """What lets the photos go of a folder that is not there."""
    name = shlex.quote(printable(path))
    return f"connect its drive; if its photos are gone for good: aimv2 library forget {name}"


def emptied(folder: str) -> str:
    """What to tell of a folder that held photos and is empty now, or a link that leads nowhere."""
    state = "is empty" if os.path.exists(folder) else "leads nowhere"  # noqa: PTH110
    return (
        f"{printable(folder)} {state} now, and its photos stay in the library: "
        f"{forget_hint(os.fsencode(folder))}"
    )


def not_there(path: bytes) -> Aimv2Error:
    """The error to tell of a root whose drive may not be connected."""
    return ImageError(f"{printable(path)} is not there", hint=forget_hint(path))


def is_empty(folder: bytes) -> bool:
    """Whether a folder is there and holds nothing."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:  # a file, or where one may not look
        return False


def nearest_folder(path: bytes) -> bytes:
    """The innermost folder around a path that is there."""
    folder = os.path.dirname(path)  # noqa: PTH120  (pathlib takes no bytes)
    return nearest_folder(folder) if is_gone(folder) else folder


def holds_something(folder: bytes) -> bool:
    """Whether a folder is there and not empty."""
    return os.path.isdir(folder) and not is_empty(folder)  # noqa: PTH112  (pathlib takes no bytes)


def _covers(folder: bytes, path: bytes, exclude: Sequence[str] = ()) -> bool:
    """Whether a walk of the folder comes to a path in it."""
    inside = folder.rstrip(b"/") + b"/"
    rest = path[len(inside) :].lower()
    if not path.startswith(inside) or any(part.startswith(b".") for part in rest.split(b"/")):
        return False
    if Exclusions(exclude).passes_over(folder, path + b"/x" * os.path.isdir(path)):  # noqa: PTH112
        return False
    return os.path.isdir(path) or rest.endswith(_EXTENSIONS)  # noqa: PTH112  (pathlib takes no bytes)
