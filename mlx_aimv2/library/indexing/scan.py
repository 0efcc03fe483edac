"""What has changed on disk since the library was last brought up to date."""

import os
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from mlx_aimv2.errors import Aimv2Error, AwayError, ImageError
from mlx_aimv2.files.local_disks import local_devices
from mlx_aimv2.files.paths import is_gone, printable, unreadable
from mlx_aimv2.files.stamp import Stamp, read_stamp
from mlx_aimv2.images.exclusions import Exclusions
from mlx_aimv2.images.formats.header import EXTENSIONS
from mlx_aimv2.images.walk import Found, find_images

from .. import apple_photos
from ..database.folders import Root, is_inside, under
from ..database.photos import FileRow
from ..database.store import Store
from .found import FoundPhotos

_EXTENSIONS = tuple(extension.encode() for extension in EXTENSIONS)
_NO_STAMP = Stamp(-1, 0)  # reading the file will say what is wrong with it


RootState = Literal["there", "empty", "away", "deleted"]


class Away:
    """Known photos, and folders of them, that cannot be looked at just now: they stay as they were.

    There is one error for each reason, however many they are.
    """

    def __init__(self) -> None:
        self.photos = 0
        self._told: set[bytes] = set()
        self._paths: dict[tuple[str, str], list[bytes]] = {}

    def add(self, path: bytes, error: AwayError, *, is_photo: bool) -> None:
        """One of them, and what keeps it from being looked at."""
        if path in self._told:
            return
        self._told.add(path)
        self.photos += is_photo
        reason = str(error).removeprefix(printable(path)).strip()
        self._paths.setdefault((reason, error.hint), []).append(path)

    def errors(self) -> list[Aimv2Error]:
        """What to tell of them."""
        return [
            AwayError(f"{printable(paths[0])} {reason}{_and_more(len(paths) - 1)}", hint=hint)
            for (reason, hint), paths in self._paths.items()
        ]


def _and_more(others: int) -> str:
    if others:
        return f", and {others} more like it; they stay in the library as they were"
    return "; it stays in the library as it was"


class Scan:
    """The walk over the roots, and what it says of photos that it did not find.

    ``exclude`` are patterns of what is passed over. After it ``empty`` and ``deleted`` are roots,
    ``errors`` and ``away`` what could not be looked at, and ``skipped`` what is no photo.
    """

    def __init__(
        self, store: Store, found: FoundPhotos, roots: Sequence[Root], exclude: Sequence[str]
    ) -> None:
        self.errors: list[Aimv2Error] = []
        self.away = Away()
        self.empty: list[bytes] = []
        self.deleted: list[bytes] = []
        self.skipped: Counter[str] = Counter()
        self.excluded = 0
        self._exclude, self._exclusions = exclude, Exclusions(exclude)
        self._store, self._found, self._roots = store, found, roots
        self._unseen_folders: list[bytes] = []

    def walk(self, told: Callable[[], None]) -> None:
        """Put every photo under the roots, with its stamp, into the table of those found."""
        stored, devices = self._store.roots(), local_devices()
        states = {each.path: state_of(self._store, each, stored) for each in stored}
        for path, state in states.items():
            if state in ("empty", "away"):  # also for a walk that comes by it
                self._unseen_folders.append(path)
        for root in self._roots:
            match states.get(root.path, "there"):
                case "empty":
                    self.empty.append(root.path)
                case "deleted":
                    self.deleted.append(root.path)
                case "away":
                    self.errors.append(_away(root.path))
                case "there":
                    for seen in self._photos(root):
                        path = os.fsencode(seen.path)
                        if seen.error is not None:
                            self._note_error(root, path, seen.error)
                            continue
                        stamp, error = _look(path, devices)
                        is_away = error is not None and self.keep_away(
                            path, self._store.file_at(path), error
                        )
                        self._found.add(path, seen.uuid, stamp, is_away=is_away)
                        told()
        self._found.write()

    def mark_missing(self) -> int:
        """Mark what is gone from the roots that could be read, and what is back.

        Returns how many files are gone.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        gone: set[int] = set()
        excluded: set[int] = set()
        stored = [path for path, is_photos in self._store.roots() if not is_photos]
        for root in self._roots:
            if is_gone(root.path) and root.path not in self.deleted:
                continue  # a drive that is not connected says nothing about its files
            inside, values = under(root.path)
            unseen = f"NOT EXISTS (SELECT 1 FROM found WHERE found.path = files.path) AND {inside}"
            for file in self._store.files(unseen, values):
                if self._is_gone(file, root):
                    gone.add(file.id)
                elif self._is_passed_over(file, stored):
                    excluded.add(file.id)
        self.excluded = len(excluded)
        with self._store.transaction():
            self._store.set_missing(gone, now)
            self._store.set_missing(excluded, now, is_excluded=True)
            self._store.run(
                "UPDATE files SET missing_since = NULL, is_excluded = 0 WHERE missing_since "
                "IS NOT NULL AND path IN (SELECT path FROM found WHERE NOT is_away)"
            )
            self._store.run(  # by an older version, or before their disk told
                "UPDATE files SET ctime_ns = found.ctime_ns FROM found "
                "WHERE files.path = found.path AND files.ctime_ns IS NULL "
                "AND files.size_bytes = found.size_bytes AND files.mtime_ns = found.mtime_ns "
                "AND found.ctime_ns IS NOT NULL"
            )
        return len(gone)

    def keep_away(self, path: bytes, known: FileRow | None, error: Aimv2Error | None) -> bool:
        """Whether this was read before and cannot be looked at just now: it stays as it was."""
        if known is None or known.hash is None or not isinstance(error, AwayError):
            return False
        self.away.add(path, error, is_photo=True)
        self._store.run("UPDATE found SET is_away = 1 WHERE path = ?", path)
        return True

    def was_deleted(self, path: bytes) -> bool:
        """Whether a photo that was found is there no more, and not its drive's place is empty."""
        folder = path
        while is_gone(folder):
            folder = os.path.dirname(folder)  # noqa: PTH120  (pathlib takes no bytes)
        is_deleted = folder != path and _holds_something(folder)
        if not is_deleted or not any(is_inside(folder, root.path) for root in self._roots):
            return False
        self._store.run("DELETE FROM found WHERE path = ?", path)
        return True

    def _note_error(self, root: Root, path: bytes, error: Aimv2Error) -> None:
        # Where a folder of Photos cannot be listed, its pictures may have been found in another.
        self._unseen_folders.append(root.path if root.is_photos else path)
        if isinstance(error, AwayError) and next(self._store.files(*under(path)), None):
            self.away.add(path, error, is_photo=False)
        else:
            self.errors.append(error)

    def _photos(self, root: Root) -> Iterator[Found]:
        if root.is_photos:
            yield from apple_photos.find_photos(root.path)
            return
        walk = find_images([root.path], self._exclude)
        yield from walk
        self.skipped += walk.skipped

    def _is_gone(self, file: FileRow, root: Root) -> bool:
        if file.missing_since is not None and not file.is_excluded:
            return False
        if any(is_inside(file.path, each) for each in self._unseen_folders):
            return False
        # In a Photos library a derivative stays when its original comes.
        return root.is_photos or is_gone(file.path)

    def _is_passed_over(self, file: FileRow, roots: Sequence[bytes]) -> bool:
        """Whether a file that is there is in a system folder, or excluded, for all roots."""
        if file.missing_since is not None or file.uuid is not None:
            return False
        around = [each for each in roots if is_inside(file.path, each)]
        return bool(around) and all(
            self._exclusions.passes_over(each, file.path) for each in around
        )


def _look(path: bytes, devices: Collection[int]) -> tuple[Stamp, Aimv2Error | None]:
    try:
        return read_stamp(path, devices), None
    except OSError as error:
        return _NO_STAMP, unreadable(path, error)
    except ValueError:  # no name of a file, as reading it will say
        return _NO_STAMP, None


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
    return "deleted" if any(map(_holds_something, around)) else "away"


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


def _away(path: bytes) -> Aimv2Error:
    return ImageError(f"{printable(path)} is not there", hint=forget_hint(path))


def is_empty(folder: bytes) -> bool:
    """Whether a folder is there and holds nothing."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:  # a file, or where one may not look
        return False


def _holds_something(folder: bytes) -> bool:
    return os.path.isdir(folder) and not is_empty(folder)  # noqa: PTH112  (pathlib takes no bytes)


def covers(folder: bytes, path: bytes, exclude: Sequence[str] = ()) -> bool:
    """Whether a walk of the folder comes to a path in it."""
    inside = folder.rstrip(b"/") + b"/"
    rest = path[len(inside) :].lower()
    if not path.startswith(inside) or any(part.startswith(b".") for part in rest.split(b"/")):
        return False
    if Exclusions(exclude).passes_over(folder, path + b"/x" * os.path.isdir(path)):  # noqa: PTH112
        return False
    return os.path.isdir(path) or rest.endswith(_EXTENSIONS)  # noqa: PTH112  (pathlib takes no bytes)
