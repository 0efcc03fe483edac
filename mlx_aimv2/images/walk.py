"""The one walk: from paths and folders to the pictures in them, lazily, in a stable order."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlx_aimv2.errors import ImageError
from mlx_aimv2.files.paths import FilePath, unreadable
from mlx_aimv2.files.spelling import fold, spelled

from .exclusions import Exclusions
from .formats import raw
from .formats.header import EXTENSIONS

# What an entry of a folder is that is skipped.
APPLE_DOUBLE = "macOS metadata file"
HIDDEN = "hidden file"
OTHER_KIND = "other file"
PHOTO_LIBRARY = "photo library"
RAW_FILE = "RAW file"
SEEN_FOLDER = "repeated folder"
SIDECAR = "sidecar"

_EXTENSIONS = frozenset(extension.encode() for extension in EXTENSIONS)
_RAW_EXTENSIONS = frozenset(extension.encode() for extension in raw.EXTENSIONS)
_LIBRARIES = (b".photoslibrary", b".migratedphotolibrary", b".photolibrary", b".aplibrary")


_Inode = tuple[int, int]  # a file's, with its device


@dataclass(frozen=True)
class Found:
    """A picture to read; or, with ``error``, a path that is not there or cannot be listed.

    It is taken wherever a path is. ``path`` is as ``os.fsdecode`` gives it: ``os.fsencode`` gives
    back its bytes. ``uuid`` is the name that Apple's Photos has for it, in a library of Photos.
    """

    path: str
    error: ImageError | None = None
    uuid: str | None = None

    def __fspath__(self) -> str:
        return self.path


def find_images(paths: FilePath | Iterable[FilePath], exclude: str | Iterable[str] = ()) -> "Walk":
    """Walk files and folders, folders with all that is in them, sorted by name.

    What is named is always found, whatever its name, and as often as it is named. In folders
    pictures are known by their extensions (those of RAW files where rawpy is installed), and
    links are followed, but each folder is walked once, by whichever way comes first. What is
    hidden in them is skipped, and so are folders of systems, as ``@eaDir`` and ``node_modules``,
    and what fits a pattern in ``exclude`` (see :class:`Exclusions`).
    """
    return Walk(
        [paths] if isinstance(paths, str | bytes | os.PathLike) else paths, Exclusions(exclude)
    )


class Walk:
    """An iterator over what is found; ``skipped`` counts what is skipped, by what it is.

    It holds the names of one folder per level, however large the tree is.
    """

    def __init__(self, paths: Iterable[FilePath], exclusions: Exclusions) -> None:
        self._exclusions = exclusions
        self.skipped: Counter[str] = Counter()
        self._reads_raw = raw.is_available()
        self._seen: dict[tuple[_Inode, bytes], list[bytes]] = {}  # folders, by their real paths
        self._around: list[_Inode] = []  # of the folder that is listed and those it is in
        self._found = self._walk(paths)

    def __iter__(self) -> Iterator[Found]:
        return self

    def __next__(self) -> Found:
        return next(self._found)

    def _walk(self, paths: Iterable[FilePath]) -> Iterator[Found]:
        for path in paths:
            try:
                is_folder = stat.S_ISDIR(_status(os.fsencode(path)).st_mode)
            except OSError as error:
                yield Found(os.fsdecode(path), unreadable(path, error))
                continue
            except ValueError:  # no name of a file, as reading it will say
                is_folder = False
            if is_folder:
                yield from self._walk_folder(os.fsencode(path))
            else:
                yield Found(os.fsdecode(path))

    def _walk_folder(self, root: bytes) -> Iterator[Found]:
        levels = [self._walk_level(root, root, 0)]
        while levels:
            found = next(levels[-1], None)
            if found is None:
                levels.pop()
            elif isinstance(found, Found):
                yield found
            else:
                levels.append(self._walk_level(root, found, len(levels)))

    def _walk_level(self, root: bytes, folder: bytes, depth: int) -> Iterator[Found | bytes]:
        """The pictures of one folder, and as bytes the folders in it."""
        names: list[bytes] = []
        try:
            if self._is_seen(folder, depth):
                self.skipped[SEEN_FOLDER] += 1
                return
            with os.scandir(folder) as entries:
                for entry in entries:
                    path = folder.rstrip(b"/") + b"/" + entry.name
                    is_folder = _is_folder(entry)
                    reason = self._exclusions.reason(root, path, is_folder=is_folder)
                    reason = reason or self._reason_to_skip(entry)
                    if reason:
                        self.skipped[reason] += 1
                    else:
                        names.append(entry.name + b"/" * is_folder)
        except OSError as error:
            yield Found(os.fsdecode(folder), unreadable(folder, error))
        names.sort(reverse=True)
        while names:
            path = folder.rstrip(b"/") + b"/" + names.pop()
            yield path.rstrip(b"/") if path.endswith(b"/") else Found(os.fsdecode(path))

    def _is_seen(self, folder: bytes, depth: int) -> bool:
        """Whether a folder was met before, by a link or another spelling, or leads back to itself.

        Inodes alone do not tell: on some network disks all of them are equal.
        """
        inode, real = _inode(_status(folder)), os.path.realpath(folder)
        del self._around[depth:]
        if inode in self._around and not _tells_none_apart(folder, inode):
            return True
        self._around.append(inode)
        seen = self._seen.setdefault((inode, fold(real)), [])
        if real in seen or (seen and spelled(real) in map(spelled, seen)):
            return True
        seen.append(real)
        return False

    def _reason_to_skip(self, entry: os.DirEntry[bytes]) -> str:
        name = entry.name.lower()
        if name.startswith(b"._"):
            return APPLE_DOUBLE
        if name.startswith(b"."):
            return HIDDEN
        if _is_folder(entry):
            return PHOTO_LIBRARY if name.endswith(_LIBRARIES) else ""
        extension = name[name.rfind(b".") :]
        if extension in _RAW_EXTENSIONS:
            return "" if self._reads_raw else RAW_FILE
        if extension in _EXTENSIONS:
            return ""
        return SIDECAR if extension == b".xmp" else OTHER_KIND


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where one may not look
        return False


def _inode(status: os.stat_result) -> _Inode:
    return status.st_dev, status.st_ino


def _tells_none_apart(folder: bytes, inode: _Inode) -> bool:
    """Whether the disk gives what is in a folder the folder's own inode."""
    with os.scandir(folder) as entries:
        return any(_inode(os.lstat(folder + b"/" + entry.name)) == inode for entry in entries)


def _status(path: bytes) -> os.stat_result:
    return os.stat(path)  # noqa: PTH116  (pathlib takes no bytes)
