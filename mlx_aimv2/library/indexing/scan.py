"""What has changed on disk since the library was last brought up to date."""

import os
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from mlx_aimv2.errors import Aimv2Error, AwayError, ImageError
from mlx_aimv2.files.local_disks import local_devices
from mlx_aimv2.files.paths import is_gone, printable, unreadable
from mlx_aimv2.files.stamp import Stamp, read_stamp
from mlx_aimv2.images.exclusions import Exclusions
from mlx_aimv2.images.formats.header import EXTENSIONS
from mlx_aimv2.images.walk import find_images

from .. import apple_photos
from ..database.folders import Root, under
from ..database.photos import FileRow
from ..database.store import Store
from .respelled import Respelled

_EXTENSIONS = tuple(extension.encode() for extension in EXTENSIONS)
_NO_STAMP = Stamp(-1, 0)  # reading the file will say what is wrong with it


@dataclass(frozen=True)
class Candidate:
    """A picture to read: new, changed, not readable before, or without a vector in the set.

    ``known`` is what the library has of this path; its content may be the same.
    """

    path: bytes
    stamp: Stamp
    uuid: str | None
    known: FileRow | None
    is_reread: bool = False

    @property
    def is_unchanged(self) -> bool:
        """Whether the file is as it was when it was read, without an error, before."""
        return self._has_known_stamp and not self.has_old_stamp

    @property
    def has_old_stamp(self) -> bool:
        """Whether only reading tells if the file has changed: all is to be read again, or
        something of it has changed that is not its size or time, as its permissions."""
        if not self._has_known_stamp or self.known is None:
            return False
        before, now = self.known.stamp.ctime_ns, self.stamp.ctime_ns
        return self.is_reread or (None not in (before, now) and before != now)

    @property
    def _has_known_stamp(self) -> bool:
        known = self.known
        is_read = known is not None and known.error is None and known.hash is not None
        return is_read and known is not None and known.stamp == self.stamp


RootState = Literal["there", "empty", "away", "deleted"]


@dataclass(frozen=True)
class _Seen:
    path: bytes
    uuid: str | None
    error: Aimv2Error | None


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

    def __contains__(self, path: bytes) -> bool:
        return path in self._told

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
    """A walk over the roots: yields candidates, and knows afterwards what was not there.

    ``moved`` are files that were recognised at other paths before it; ``respelled`` are known by
    other spellings of their paths, for ``Store.move_files``. ``exclude`` are patterns of what is
    passed over; with ``reread`` every file is a candidate.
    """

    def __init__(
        self,
        store: Store,
        roots: Iterable[Root],
        set_id: int | None,
        moved: Collection[int] = (),
        *,
        exclude: Sequence[str] = (),
        reread: bool = False,
    ) -> None:
        self.errors: list[Aimv2Error] = []
        self.away = Away()
        self.respelled: list[tuple[int, bytes, Stamp, str | None]] = []
        self.empty: list[bytes] = []
        self.deleted: list[bytes] = []
        self.skipped: Counter[str] = Counter()
        self.found = 0
        self.unchanged = 0
        self.recognised = 0
        self.excluded = 0
        self._moved = moved
        self._exclude, self._exclusions = exclude, Exclusions(exclude)
        self._rereads = reread
        self._devices = local_devices()
        self._ctimes: list[tuple[int, int]] = []
        self._store = store
        self._roots = list(roots)
        self._set_id = set_id
        self._seen: set[int] = set()
        self._back: list[int] = []
        self._former = Respelled(store)
        self._met: set[bytes] = set()
        self._unseen_folders: list[bytes] = []
        self._states: dict[bytes, RootState] = {}

    def candidates(self) -> Iterator[Candidate]:
        """Every picture that has to be looked at, in the order of the walk."""
        stored = self._store.roots()
        self._states = {each.path: state_of(self._store, each, stored) for each in stored}
        for path, state in self._states.items():
            if state in ("empty", "away"):  # also for a walk that comes by it
                self._unseen_folders.append(path)
        for root in self._roots:
            match self._states.get(root.path, "there"):
                case "empty":
                    self.empty.append(root.path)
                    continue
                case "deleted":
                    self.deleted.append(root.path)
                    continue
                case "away":
                    self.errors.append(_away(root.path))
                    continue
            for seen in self._walk(root):
                if seen.error is not None:
                    self._note_error(root, seen.path, seen.error)
                    continue
                if len(self._roots) > 1:
                    if seen.path in self._met:
                        continue
                    self._met.add(seen.path)
                self.found += 1
                candidate = self._look(seen)
                if candidate:
                    yield candidate

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
            for file in self._store.files(*under(root.path)):
                if self._is_gone(file, root):
                    gone.add(file.id)
                elif file.id not in self._seen and self._is_passed_over(file, stored):
                    excluded.add(file.id)
        self.excluded = len(excluded)
        with self._store.transaction():
            self._store.set_missing(gone, now)
            self._store.set_missing(excluded, now, is_excluded=True)
            self._store.set_ctimes(self._ctimes)
            self._store.set_missing(self._back, None)
        return len(gone)

    def note_seen(self, file_id: int) -> None:
        """This file is there, under whichever path."""
        self._seen.add(file_id)

    def keep_away(self, candidate: Candidate, error: Aimv2Error | None) -> bool:
        """Whether this was read before and cannot be looked at just now: it stays as it was."""
        known = candidate.known
        if known is None or known.hash is None or not isinstance(error, AwayError):
            return False
        self.away.add(candidate.path, error, is_photo=True)
        return True

    def _note_error(self, root: Root, path: bytes, error: Aimv2Error) -> None:
        # Where a folder of Photos cannot be listed, its pictures may have been found in another.
        self._unseen_folders.append(root.path if root.is_photos else path)
        if isinstance(error, AwayError) and next(self._store.files(*under(path)), None):
            self.away.add(path, error, is_photo=False)
        else:
            self.errors.append(error)

    def _look(self, seen: _Seen) -> Candidate | None:
        known = self._store.file_at(seen.path) or self._respell(seen.path)
        candidate = Candidate(seen.path, _NO_STAMP, seen.uuid, known)
        if known is not None:
            self.note_seen(known.id)
        try:
            stamp = read_stamp(seen.path, self._devices)
            candidate = replace(candidate, stamp=stamp, is_reread=self._rereads)
        except OSError as error:
            if self.keep_away(candidate, unreadable(seen.path, error)):
                return None
        except ValueError:  # no name of a file, as reading it will say
            pass
        if seen.path in self.away:
            return None
        if known is None or not candidate.is_unchanged:
            return candidate
        if known.stamp.ctime_ns is None and candidate.stamp.ctime_ns is not None:
            self._ctimes.append((known.id, candidate.stamp.ctime_ns))
        if known.missing_since is not None:
            self._back.append(known.id)
        if self._set_id is None or self._store.row_of(self._set_id, known.id) is None:
            return candidate
        if known.id in self._moved:
            self.recognised += 1
        else:
            self.unchanged += 1
        return None

    def _respell(self, path: bytes) -> FileRow | None:
        known = self._former.before(path)
        if known is None:
            return None
        self.respelled.append((known.id, path, known.stamp, known.uuid))
        return replace(known, path=path)

    def _walk(self, root: Root) -> Iterator[_Seen]:
        if root.is_photos:
            for item in apple_photos.find_photos(root.path):
                yield _Seen(os.fsencode(item.path), item.uuid, item.error)
            return
        walk = find_images([root.path], self._exclude)
        for found in walk:
            yield _Seen(os.fsencode(found.path), None, found.error)
        self.skipped += walk.skipped

    def _is_gone(self, file: FileRow, root: Root) -> bool:
        is_known_gone = file.missing_since is not None and not file.is_excluded
        if is_known_gone or file.id in self._seen:
            return False
        if any(file.path.startswith(each.rstrip(b"/") + b"/") for each in self._unseen_folders):
            return False
        # In a Photos library a derivative stays when its original comes.
        return root.is_photos or is_gone(file.path)

    def _is_passed_over(self, file: FileRow, roots: Sequence[bytes]) -> bool:
        """Whether a file that is there is in a system folder, or excluded, for all roots."""
        if file.missing_since is not None or file.uuid is not None:
            return False
        around = [each for each in roots if (file.path + b"/").startswith(each.rstrip(b"/") + b"/")]
        return bool(around) and all(
            self._exclusions.passes_over(each, file.path) for each in around
        )


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
        if not each.is_photos and root.path.startswith(each.path.rstrip(b"/") + b"/")
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
