"""What a walk of a folder passes over: folders of systems, and what the user excludes."""

import os
import re
import unicodedata
from collections.abc import Iterable

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.files.spelling import fold

# Where systems and other programs keep thumbnails, deleted files and copies, in small letters.
SYSTEM_FOLDERS = frozenset(
    {
        # Synology, QNAP, NetApp, ZFS: thumbnails, deleted files, snapshots
        *(b"@eadir", b"#recycle", b"#snapshot", b"@tmp", b"@recycle", b"@recently-snapshot"),
        *(b".@__thumb", b".@__qini", b"~snapshot", b".snapshot", b".snapshots", b".zfs"),
        # Windows
        *(b"$recycle.bin", b"recycler", b"recycled", b"system volume information", b"found.000"),
        # macOS, and what it and its archives leave elsewhere
        *(b".trash", b".trashes", b"network trash folder", b"temporary items", b".temporaryitems"),
        *(b".spotlight-v100", b".fseventsd", b".documentrevisions-v100", b"__macosx"),
        *(b".appledouble", b"backups.backupdb"),
        # Linux and Android
        *(b".thumbnails", b"lost+found", b"lost.dir", b".xvpics"),
        # Syncthing, Resilio, Nextcloud, Dropbox, Google Drive: older versions and deleted files
        *(b".stversions", b".stfolder", b".sync", b"files_trashbin", b"files_versions"),
        *(b".dropbox.cache", b".tmp.drivedownload", b".tmp.driveupload"),
        # digiKam, Picasa, and programs in development
        *(b".dtrash", b".picasaoriginals", b"node_modules", b"bower_components", b"__pycache__"),
    }
)
_SYSTEM_STARTS = (b".trash-", b"@gmt-")  # a Linux user's trash on a drive; Samba's snapshots

_TOKENS = re.compile(r"(\*\*/|/\*\*$|\*\*|\*|\?|\[[^\]/]+\])")
_MEANINGS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Exclusions:
    """System folders, and patterns of the user's: a name anywhere, or with a / a path in a folder.

    ``*`` and ``?`` stand for anything but ``/``, ``**`` for any folders; a / at the end means
    folders only, and an absolute path is one too. Capitals and normal forms do not count.
    Errors: UsageError for what is no pattern.
    """

    def __init__(self, patterns: str | Iterable[str] = ()) -> None:
        given = [patterns] if isinstance(patterns, str) else patterns
        self._patterns = [_Pattern(pattern) for pattern in given]

    def reason(self, root: bytes, path: bytes, *, is_folder: bool) -> str:
        """What an entry below a root is that is passed over; empty if it is not."""
        name = path.rpartition(b"/")[2]
        if is_folder and is_system_folder(name):
            return f"{os.fsdecode(name)} folder"
        if any(each.fits(root, path, is_folder=is_folder) for each in self._patterns):
            return "excluded folder" if is_folder else "excluded file"
        return ""

    def passes_over(self, root: bytes, path: bytes) -> bool:
        """Whether a walk of a root does not come to a file below it."""
        if path == root:
            return False
        inside = root.rstrip(b"/") + b"/"
        folders = path.removeprefix(inside).split(b"/")[:-1]
        for name in folders:
            inside += name
            if self.reason(root, inside, is_folder=True):
                return True
            inside += b"/"
        return bool(self.reason(root, path, is_folder=False))


def is_system_folder(name: bytes) -> bool:
    """Whether a folder of this name belongs to a system or another program."""
    lower = name.lower()
    return lower in SYSTEM_FOLDERS or lower.startswith(_SYSTEM_STARTS)


class _Pattern:
    def __init__(self, pattern: str) -> None:
        given = os.path.expanduser(pattern).removeprefix("./")  # noqa: PTH111  (pathlib takes off /)
        self._is_for_folders = given.endswith("/")
        plain = _plain(os.fsencode(given.rstrip("/")))
        self._is_of_path = "/" in plain
        self._is_absolute = plain.startswith("/")
        parts = _TOKENS.split(plain.lstrip("/"))
        try:
            self._regex = re.compile("".join(map(_meaning, parts)), re.DOTALL)
        except re.error:
            parts = []
        if not any(parts):
            raise UsageError(
                f"{printable(pattern)!r} is no pattern",
                hint="a name like '*.png' or Exports, or a path in the folder like Trips/*/raw",
            )

    def fits(self, root: bytes, path: bytes, *, is_folder: bool) -> bool:
        if self._is_for_folders and not is_folder:
            return False
        if not self._is_of_path:
            return self._regex.fullmatch(_plain(path.rpartition(b"/")[2])) is not None
        inside = path.removeprefix(root.rstrip(b"/") + b"/")
        places = [inside, path.lstrip(b"/")] if self._is_absolute else [inside]
        return any(self._regex.fullmatch(_plain(place)) for place in places)


def _meaning(part: str) -> str:
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        is_negated = part[1] in "!^"
        chars = re.sub(r"([\\^[])", r"\\\1", part[1 + is_negated : -1])
        return f"[{'^' * is_negated}{chars}]"
    return _MEANINGS.get(part, re.escape(part))


def _plain(path: bytes) -> str:
    return unicodedata.normalize("NFC", os.fsdecode(fold(path)))
