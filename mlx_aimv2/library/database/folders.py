"""What was indexed and what is passed over, and the paths by which the library knows photos."""

import os
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from mlx_aimv2.files.paths import FilePath, absolute
from mlx_aimv2.files.spelling import spelled

from .connection import Database


class Root(NamedTuple):
    """What is indexed: a file or folder, or a library of Apple Photos."""

    path: bytes
    is_photos: bool = False


class Folders(Database):
    """Questions about what was indexed."""

    def roots(self) -> list[Root]:
        """What was indexed, by path."""
        query = "SELECT path, is_photos FROM roots ORDER BY path"
        return [Root(path, bool(is_photos)) for path, is_photos in self.rows(query)]

    def add_root(self, root: Root) -> None:
        """Remember what was indexed, so that it can be brought up to date without naming it."""
        self.run("INSERT OR REPLACE INTO roots VALUES (?, ?)", *root)

    def remove_root(self, path: bytes) -> None:
        """Bring it up to date no more, unless it is named."""
        self.run("DELETE FROM roots WHERE path = ?", path)

    def excluded(self) -> list[str]:
        """The patterns of what is not indexed."""
        rows = self.rows("SELECT pattern FROM excluded ORDER BY pattern")
        return [os.fsdecode(pattern) for (pattern,) in rows]

    def set_excluded(self, patterns: Iterable[str]) -> None:
        """These are the patterns of what is not indexed, from now on."""
        with self.transaction():
            self.run("DELETE FROM excluded")
            self.run_many(
                "INSERT INTO excluded VALUES (?)", ((os.fsencode(each),) for each in patterns)
            )


class KnownPaths:
    """The paths by which the library knows what paths lead to, by links or by other spellings."""

    def __init__(self, store: Folders) -> None:
        self._folders = {path for path, is_photos in store.roots() if not is_photos}

    def of(self, given: FilePath) -> bytes:
        """The path in a folder indexed; for what is in none of them its own."""
        path = spelled(os.fsencode(absolute(given)))
        if not self._folders.isdisjoint(around(path)):
            return path
        real = spelled(os.path.realpath(path))
        for each in around(real):
            if each in self._real:
                inside = real[len(each.rstrip(b"/")) :]
                return self._real[each].rstrip(b"/") + inside or b"/"
        return path

    @cached_property
    def _real(self) -> dict[bytes, bytes]:
        """Each folder by where it really is; of several that are one, the first."""
        folders = sorted(self._folders, reverse=True)
        return {spelled(os.path.realpath(each)): each for each in folders}


def known_path(store: Folders, given: FilePath) -> bytes:
    """The path by which the library knows what a path leads to."""
    return KnownPaths(store).of(given)


def around(path: bytes) -> list[bytes]:
    """A path and the folders it is in, the outermost first."""
    names = path.split(b"/")
    return [b"/".join(names[:count]) or b"/" for count in range(1, len(names) + 1)]


def is_inside(path: bytes, folder: bytes) -> bool:
    """Whether a path is a folder or lies in it."""
    return (path + b"/").startswith(folder.rstrip(b"/") + b"/")


def under(folder: bytes) -> tuple[str, tuple[bytes, ...]]:
    """SQL for the file at a path and all files in the folder there."""
    inside = folder.rstrip(b"/") + b"/"
    return "(path = ? OR (path >= ? AND path < ?))", (folder, inside, inside[:-1] + b"0")
