"""Apple Photos libraries, read only: the pictures in a bundle's folders, never its database.

Nothing is written, and nothing under ``database/`` is opened, so Photos may be running.
"""

import os
import re
from collections.abc import Iterator, Set
from pathlib import Path

from mlx_aimv2.errors import AwayError, ImageError, UsageError
from mlx_aimv2.files.paths import DISK_ACCESS_HINT, FilePath, printable, unreadable
from mlx_aimv2.images.formats import raw
from mlx_aimv2.images.formats.header import EXTENSIONS
from mlx_aimv2.images.walk import Found

BUNDLE = ".photoslibrary"

_ORIGINALS, _OLD_ORIGINALS = "originals", "masters"
# The second has only thumbnails; both are divided by a UUID's first digit, as the originals are.
_DERIVATIVES = (("resources", "derivatives"), ("resources", "derivatives", "masters"))

_UUID = r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}"
_ORIGINAL = re.compile(rf"({_UUID})(\.\w+)", re.IGNORECASE)
_DERIVATIVE = re.compile(rf"({_UUID})_\w+(\.\w+)", re.IGNORECASE)
_Files = dict[str, list[str]]  # a folder's paths by the UUID in their names, each list sorted

VIDEOS = frozenset(
    {".mov", ".mp4", ".m4v", ".avi", ".3gp", ".3g2", ".mpg", ".mpeg", ".mts", ".m2ts", ".dv"}
)

_UPGRADE_HINT = "open it once in Photos, which upgrades it, and try again"
_OTHER_HINT = f"name a library of Photos on macOS 10.15 or newer: NAME{BUNDLE}"


def is_bundle(path: FilePath) -> bool:
    """Whether a path is a Photos library by its name, and a folder."""
    folder = Path(os.fsdecode(path))
    try:
        return folder.suffix.lower() == BUNDLE and folder.is_dir()
    except OSError:  # where one may not look, listing it says why
        return False


def default_bundle() -> Path:
    """The Photos library that is meant where none is named: Photos' own, or the only one.

    Errors: UsageError where there is none or a choice, ImageError where one may not look.
    """
    pictures = Path.home() / "Pictures"
    usual = pictures / f"Photos Library{BUNDLE}"
    if is_bundle(usual):
        return usual
    try:
        bundles = sorted(path for path in pictures.iterdir() if is_bundle(path))
    except FileNotFoundError:
        bundles = []
    except OSError as error:
        raise _refused(os.fspath(pictures), error) from error
    if len(bundles) == 1:
        return bundles[0]
    if bundles:
        names = ", ".join(printable(bundle.name) for bundle in bundles)
        raise UsageError(
            f"there are several Photos libraries: {names}", hint="name one by its path"
        )
    hint = f"name it by its path: PATH/TO/NAME{BUNDLE}"
    raise UsageError(f"there is no Photos library in {printable(pictures)}", hint=hint)


def find_photos(bundle: FilePath) -> Iterator[Found]:
    """Every picture of a Photos library once, sorted by UUID, one folder listed at a time.

    A folder that cannot be listed is an error among them.
    Of an original that is not here the largest derivative is found. Videos are skipped, and
    so is all that belongs to a picture: a Live Photo's video, edits, the other half of RAW+JPEG.
    Of a video that is only in iCloud the derivative, a frame of it, looks like a picture's.
    """
    root = os.fsdecode(bundle).rstrip("/") or "/"
    try:
        originals = _find_folder(root, (_ORIGINALS,))
        if originals is None:
            raise _no_originals(root)
        derivatives = [_find_folder(root, names) for names in _DERIVATIVES]
        sources = [_subfolders(folder) for folder in (originals, *derivatives)]
    except OSError as error:
        yield _failed(error.filename or root, error)
        return
    except ImageError as error:
        yield Found(root, error)
        return
    originals_by_digit, *copies_by_digit = sources
    raw_extensions = raw.EXTENSIONS if raw.is_available() else frozenset[str]()
    for digit in sorted({digit for source in sources for digit in source}):
        try:
            files = _by_uuid(originals_by_digit.get(digit), _ORIGINAL)
        except OSError as error:
            yield _failed(error.filename, error)
            continue
        copies = []
        for source in copies_by_digit:
            try:
                copies.append(_by_uuid(source.get(digit), _DERIVATIVE))
            except OSError as error:
                yield _failed(error.filename, error)
        yield from _choose(files, copies, raw_extensions)


def _choose(files: _Files, copies: list[_Files], raw_extensions: Set[str]) -> Iterator[Found]:
    """One picture for each UUID: its original, or the largest derivative."""
    for uuid in sorted(set(files).union(*copies)):
        own = files.get(uuid, [])
        readable = _with(EXTENSIONS, own) or _with(raw_extensions, own)
        if readable:
            yield Found(readable[0], uuid=uuid)
        elif not _with(VIDEOS, own):
            smaller = [path for copy in copies for path in _with(EXTENSIONS, copy.get(uuid, []))]
            if smaller:
                yield Found(max(smaller, key=_size_bytes), uuid=uuid)
            else:  # a RAW file alone, of which reading it says what it takes
                yield from (Found(path, uuid=uuid) for path in _with(raw.EXTENSIONS, own)[:1])


def _with(extensions: Set[str], paths: list[str]) -> list[str]:
    return [path for path in paths if Path(path).suffix.lower() in extensions]


def _by_uuid(folder: str | None, pattern: re.Pattern[str]) -> _Files:
    files: _Files = {}
    if folder is None:
        return files
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            match = pattern.fullmatch(entry.name)
            if match and entry.is_file():
                files.setdefault(match[1].upper(), []).append(entry.path)
    return files


def _size_bytes(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:  # Photos may be running, and have made room
        return 0


def _find_folder(root: str, names: tuple[str, ...]) -> str | None:
    """The folder of those names inside each other, in any case; None where it is missing."""
    folder: str | None = root
    for name in names:
        folder = _subfolders(folder).get(name.upper())
        if folder is None:
            return None
    return folder


def _subfolders(folder: str | None) -> dict[str, str]:
    """The folders in a folder, by their names in capitals."""
    if folder is None:
        return {}
    with os.scandir(folder) as entries:
        return {entry.name.upper(): entry.path for entry in entries if entry.is_dir()}


def _no_originals(root: str) -> ImageError:
    if _find_folder(root, (_OLD_ORIGINALS,)):
        return ImageError(f"{printable(root)} is of an old version of Photos", hint=_UPGRADE_HINT)
    return ImageError(f"{printable(root)} holds no originals of Photos", hint=_OTHER_HINT)


def _failed(path: str, error: OSError) -> Found:
    return Found(path, _refused(path, error))


def _refused(path: str, error: OSError) -> ImageError:
    failure = unreadable(path, error)
    is_refused = isinstance(error, PermissionError)
    return AwayError(str(failure), hint=DISK_ACCESS_HINT if is_refused else failure.hint)
