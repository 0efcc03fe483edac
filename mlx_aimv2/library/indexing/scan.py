"""What has changed on disk since the library was last brought up to date."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime

from mlx_aimv2.errors import Aimv2Error, AwayError
from mlx_aimv2.files.local_disks import local_devices
from mlx_aimv2.files.paths import is_gone, printable, unreadable
from mlx_aimv2.files.stamp import Stamp, read_stamp
from mlx_aimv2.images.exclusions import Exclusions
from mlx_aimv2.images.walk import SIDECAR, Found, find_images

from .. import apple_photos
from ..database.folders import Root, is_inside, under
from ..database.photos import FileRow
from ..database.store import Store
from .report import Report
from .roots import holds_something, nearest_folder, not_there, state_of
from .scan_results import FoundPhotos

_NO_STAMP = Stamp(-1, 0)  # reading the file will say what is wrong with it


class Scan:
    """The walk over the roots, and what it says of photos that it did not find.

    ``exclude`` are patterns of what is passed over.
    """

    def __init__(
        self,
        store: Store,
        found: FoundPhotos,
        roots: Sequence[Root],
        exclude: Sequence[str],
        report: Report,
    ) -> None:
        self._store, self._found, self._roots, self._report = store, found, roots, report
        self._exclude, self._exclusions = exclude, Exclusions(exclude)
        self._deleted: list[bytes] = []
        self._unseen_folders: list[bytes] = []
        # Known photos, and folders of them, by the reason why they are left as they were.
        self._away: dict[tuple[str, str], dict[bytes, None]] = {}

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
                    self._report.empty.append(os.fsdecode(root.path))
                case "deleted":
                    self._deleted.append(root.path)
                case "away":
                    self._report.errors.append(not_there(root.path))
                case "there":
                    for seen in self._photos(root):
                        if seen.error is not None:
                            self._note_error(root, os.fsencode(seen.path), seen.error)
                        else:
                            self._add(os.fsencode(seen.path), seen.uuid, devices)
                            told()
        self._found.write()

    def _add(self, path: bytes, uuid: str | None, devices: Collection[int]) -> None:
        stamp, is_away = _NO_STAMP, False
        try:
            stamp = read_stamp(path, devices)
        except OSError as error:
            is_away = self.keep_away(path, self._store.file_at(path), unreadable(path, error))
        except ValueError:  # no name of a file, as reading it will say
            pass
        self._found.add(path, uuid, stamp, is_away=is_away)

    def mark_missing(self) -> None:
        """Mark what is gone from the roots that could be read, and what is back."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        gone: set[int] = set()
        excluded: set[int] = set()
        stored = [path for path, is_photos in self._store.roots() if not is_photos]
        for root in self._roots:
            if is_gone(root.path) and root.path not in self._deleted:
                continue  # a drive that is not connected says nothing about its files
            inside, values = under(root.path)
            unseen = f"NOT EXISTS (SELECT 1 FROM found WHERE found.path = files.path) AND {inside}"
            for file in self._store.files(unseen, values):
                if self._is_gone(file, root):
                    gone.add(file.id)
                elif self._is_passed_over(file, stored):
                    excluded.add(file.id)
        self._report.missing, self._report.excluded = len(gone), len(excluded)
        with self._store.transaction():
            for path in self._deleted:
                self._store.remove_root(path)
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

    def tell_away(self) -> None:
        """Report the known photos that could not be looked at, one error for each reason."""
        self._report.away = self._found.count("is_away")
        for (reason, hint), (first, *others) in self._away.items():
            left = "; it stays in the library as it was"
            if others:
                left = f", and {len(others)} more like it; they stay in the library as they were"
            error = AwayError(f"{printable(first)} {reason}{left}", hint=hint)
            before_failed = len(self._report.errors) - self._report.failed
            self._report.errors.insert(before_failed, error)

    def keep_away(self, path: bytes, known: FileRow | None, error: Aimv2Error | None) -> bool:
        """Whether this was read before and cannot be looked at just now: it stays as it was."""
        if known is None or known.hash is None or not isinstance(error, AwayError):
            return False
        self._note_away(path, error)
        self._store.run("UPDATE found SET is_away = 1 WHERE path = ?", path)
        return True

    def was_deleted(self, path: bytes) -> bool:
        """Whether a photo that was found is there no more, and not its drive's place is empty."""
        folder = nearest_folder(path)
        is_in_root = any(is_inside(folder, root.path) for root in self._roots)
        is_deleted = is_gone(path) and is_in_root and holds_something(folder)
        if is_deleted:
            self._store.run("DELETE FROM found WHERE path = ?", path)
        return is_deleted

    def _note_error(self, root: Root, path: bytes, error: Aimv2Error) -> None:
        # Where a folder of Photos cannot be listed, its pictures may have been found in another.
        self._unseen_folders.append(root.path if root.is_photos else path)
        if isinstance(error, AwayError) and next(self._store.files(*under(path)), None):
            self._note_away(path, error)
        else:
            self._report.errors.append(error)

    def _note_away(self, path: bytes, error: AwayError) -> None:
        reason = str(error).removeprefix(printable(path)).strip()
        self._away.setdefault((reason, error.hint), {})[path] = None

    def _photos(self, root: Root) -> Iterator[Found]:
        if root.is_photos:
            yield from apple_photos.find_photos(root.path)
            return
        walk = find_images([root.path], self._exclude)
        yield from walk
        del walk.skipped[SIDECAR]  # those are read with their photos
        self._report.skipped = dict(Counter(self._report.skipped) + walk.skipped)

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
