"""Sidecars as files: where they lie, and how they are written and put back.

Photos are never opened here, and nothing is written to a name that does not end in .xmp.
"""

import errno
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Literal

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.atomic_folder import sync
from mlx_aimv2.files.paths import FilePath, printable, unwritable
from mlx_aimv2.files.spelling import is_same_file
from mlx_aimv2.images.formats import header, raw
from mlx_aimv2.images.metadata.xmp_packet import MAX_BYTES
from mlx_aimv2.images.metadata.xmp_values import read_extension

from ..apple_photos import VIDEOS
from .notes import EARLIER, Owner, has_ours
from .xmp import without_ours

Style = Literal["full", "short"]

_SUFFIXES = (".xmp", ".XMP")
_ALLOW = "allow writing there with chmod u+w, for the folder and for a sidecar that is there"
_HINTS = {
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EROFS: "its disk is read-only: copy the photos to another, or take --write json",
    errno.ENOENT: "its folder is gone: aimv2 index sees where the photos are now",
    errno.ENAMETOOLONG: "shorten the photo's name, or take --write json",
}
_RIVALS = header.EXTENSIONS | raw.EXTENSIONS | VIDEOS


_MOST = (1 << 62) - 1  # of SQLite's integers, with room for a mark


class Undone(Enum):
    """What undoing did to a sidecar."""

    RESTORED = "as it was before, byte for byte"
    CLEANED = "changed since by another program: only the keywords of this one were taken out"
    FOUND = "known by its own notes only: the keywords of this program were taken out"
    CAPTIONED = (
        "its caption, or what was carried from copies, stays: only the keywords of this program "
        "were taken out"
    )
    GONE = "removed since"


def sidecar_path(photo: FilePath, style: Style = "full") -> Path:
    """Where a photo's sidecar lies: IMG_1.jpg.xmp, or the short IMG_1.xmp of Adobe's programs."""
    path = Path(os.fsdecode(photo))
    return path.with_name(path.name + ".xmp") if style == "full" else path.with_suffix(".xmp")


def sidecar_names(photo: FilePath, style: Style = "full") -> list[Path]:
    """All names of a photo's sidecar, those of this style first."""
    other: Style = "short" if style == "full" else "full"
    paths = [sidecar_path(photo, style), sidecar_path(photo, other)]
    return [path.with_suffix(suffix) for path in paths for suffix in _SUFFIXES]


def own_sidecars(photo: FilePath, style: Style = "full") -> list[Path]:
    """The sidecars that a photo has, those of this style first.

    A short name may be another file's: a sidecar says of which extension it is. Where it does not,
    the short name is nobody's that stands for several pictures or for a video too, as a.xmp for
    a.jpg beside a.png; of a RAW and other files it is the RAW's.
    """
    short = sidecar_names(photo, "short")[: len(_SUFFIXES)]
    return [
        name
        for name in sidecar_names(photo, style)
        if os.path.lexists(name)
        and not (name in short and _is_of_another(name, Path(os.fsdecode(photo))))
    ]


def stamp(times_ns: Iterable[int]) -> int:
    """When a photo's sidecars changed, as one number that is kept; from each one's mtime."""
    return sum(times_ns) & _MOST


def existing_or_new(photo: FilePath, style: Style = "full") -> Path:
    """The sidecar that a photo has, of whichever style, else where a new one goes."""
    own = own_sidecars(photo, style)
    if own:
        return own[0]
    full, short = sidecar_path(photo, "full"), sidecar_path(photo, "short")
    is_taken = any(os.path.lexists(short.with_suffix(suffix)) for suffix in _SUFFIXES)
    if style == "full" or is_taken or _shares_short_name(Path(os.fsdecode(photo))):
        return full
    return short


def read_sidecar(path: FilePath) -> bytes | None:
    """A sidecar's bytes, or None where there is no file.

    Errors: OutputError for one that cannot be read, or is larger than sidecars are.
    """
    target = _target(path)
    if not os.path.lexists(target):
        return None
    try:
        if not target.is_file():
            raise OutputError(f"{printable(path)} is no file", hint="move it away")
        with target.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise OutputError(
            f"{printable(path)} cannot be read: {reason}", hint="allow it: chmod u+r FILE"
        ) from error
    if len(data) > MAX_BYTES:
        raise OutputError(
            f"{printable(path)} is larger than {MAX_BYTES >> 20} MB, too large for a sidecar",
            hint="move it away, and a new one is written",
        )
    return data


def write_sidecar(path: FilePath, data: bytes) -> None:
    """Write a sidecar; at any moment the file is whole, as before or as written.

    One that is there keeps its permissions; a link stays, and what it leads to is written.
    Errors: OutputError where it cannot be written.
    """
    target = _target(path)
    partial = target.with_name(f".aimv2-{secrets.token_hex(8)}.partial")
    try:
        before = target.stat() if os.path.lexists(target) else None
        if before and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "read-only")
        _create(partial, data, before)
        partial.replace(target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    _sync_folder(target)


def restore(path: FilePath, before: bytes | None, after: bytes, owner: Owner = EARLIER) -> Undone:
    """Undo the writing of ``after`` where ``before`` was (None: no file).

    Errors: OutputError where it cannot be written, or was changed to what cannot be read.
    """
    now = read_sidecar(path)
    if now is None:
        return Undone.GONE
    if not is_as_written(now, after, owner, name=path):
        cleaned = without_ours(now, owner=owner, name=path)
        if cleaned != now and has_ours(now, owner):
            put_back(path, cleaned)
        return Undone.CLEANED
    put_back(path, before)
    return Undone.RESTORED


def is_as_written(now: bytes, after: bytes, owner: Owner, *, name: FilePath) -> bool:
    """Whether nobody but this library changed a sidecar since it wrote ``after``.

    A kill leaves one that the library knows already as it was to be. Errors: as for reading.
    """
    if now == after:
        return True
    if not (after and has_ours(now, owner)):
        return False
    left = without_ours(now, owner=owner, name=name)
    return left == without_ours(after, owner=owner, name=name)


def clean(path: FilePath, now: bytes, owner: Owner = EARLIER) -> Undone:
    """Take out what a sidecar's own notes say that the owner added; see ``restore``."""
    put_back(path, without_ours(now, owner=owner, name=path))
    return Undone.FOUND


def put_back(path: FilePath, before: bytes | None) -> None:
    """Write a sidecar as it was before; None: there was no file. Errors: OutputError."""
    if before is None:
        _remove(path)
    else:
        write_sidecar(path, before)


def _is_of_another(short: Path, photo: Path) -> bool:
    """Whether a sidecar of a photo's short name is another file's."""
    if short == sidecar_path(photo, "full"):  # of a name without an extension
        return False
    try:
        extension = read_extension(read_sidecar(short) or b"")
    except OutputError:  # as whoever reads it next will say
        extension = None
    if extension is None:
        return _shares_short_name(photo)
    return extension != photo.suffix[1:].lower()


def _shares_short_name(photo: Path) -> bool:
    """Whether another file has this name but for its extension; to a RAW only RAWs count."""
    rivals = raw.EXTENSIONS if raw.is_raw(photo) else _RIVALS
    for extension in rivals:
        for spelling in (extension, extension.upper()):
            other = photo.with_suffix(spelling)
            if other != photo and os.path.lexists(other) and not is_same_file(other, photo):
                return True
    return False


def _target(path: FilePath) -> Path:
    """The file that a sidecar's path leads to by links; its name has to end in .xmp too."""
    target = Path(os.path.realpath(os.fsdecode(path)))
    try:
        target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise _unwritable(path, error) from error
    if os.path.islink(target):  # noqa: PTH114  (pathlib raises for what it cannot look at)
        raise OutputError(f"{printable(path)} is a link to itself", hint="remove the link")
    if target.suffix.lower() != ".xmp":
        raise OutputError(
            f"{printable(path)} leads to {printable(target)}, which does not end in .xmp",
            hint="remove the link; only files that end in .xmp are written",
        )
    return target


def _create(partial: Path, data: bytes, before: os.stat_result | None) -> None:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        if before:
            with suppress(OSError):  # only root may give a file away
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, before.st_mode & 0o7777)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _remove(path: FilePath) -> None:
    target = _target(path)
    try:
        target.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error
    _sync_folder(target)


def _sync_folder(target: Path) -> None:
    with suppress(OSError):  # some network disks sync no folder
        sync(target.parent)


def _unwritable(path: FilePath, error: OSError) -> OutputError:
    return unwritable(
        path,
        error,
        full="make room on its disk, then run the same command again",
        otherwise="look whether its disk is still there",
        hints=_HINTS,
    )
