"""A photo's file, opened only if it is still the one that was indexed."""

import errno
import io
import os
import stat
from typing import IO

from mlx_aimv2.files.paths import blaming_the_disk, printable, reason_of
from mlx_aimv2.files.stamp import in_64_bits
from mlx_aimv2.images.decode import Picture, Shrink, decode_file
from mlx_aimv2.images.formats.raw import is_raw
from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.thumbnails.thumbnail import Recipe, to_jpeg

from ..answers import PageError
from ..roots import place_of
from ..service import Service

_GONE = (errno.ENOENT, errno.ENOTDIR)
_INDEX = "start an index: it sees what has changed"


def photo_of(service: Service, id: int) -> FileRow:
    """A photo by its number. Errors: PageError "not_found"."""
    found = service.look(lambda store: store.files_of([id])).get(id)
    if found is None:
        raise PageError("not_found", f"the library has no photo {id}", hint="load the page again")
    return found


def open_indexed(service: Service, file: FileRow) -> IO[bytes]:
    """The file of a photo, open for reading; a link is not followed where the photo was.

    Errors: PageError "offline" where the folder that was indexed is not there, "not_found" where
    the file is not or may not be read, "changed" where another is there.
    """
    name = name_of(file)
    try:
        # What is opened is what is looked at: nothing can be put in its place between the two.
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _not_opened(service, file, error) from error
    status = os.fstat(descriptor)
    stamp = status.st_size, in_64_bits(status.st_mtime_ns)
    if not stat.S_ISREG(status.st_mode) or stamp != (file.stamp.size_bytes, file.stamp.mtime_ns):
        os.close(descriptor)
        raise _changed(name)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def read_indexed(service: Service, file: FileRow, shrink: Shrink | None = None) -> Picture:
    """A photo's picture, of its file. Errors: those of ``open_indexed``, and ImageError."""
    name = name_of(file)
    with open_indexed(service, file) as opened, blaming_the_disk(opened, name):
        # A reader of RAW files would open the file again by its name.
        source = io.BytesIO(opened.read()) if is_raw(file.path) else opened
        return decode_file(source, name, name, shrink=shrink)


def make_jpeg(service: Service, file: FileRow, recipe: Recipe) -> bytes:
    """A photo as a JPEG. Errors: those of ``read_indexed``."""
    return to_jpeg(read_indexed(service, file, recipe.shrink), recipe)


def name_of(file: FileRow) -> str:
    """A photo's name without its folder, printable."""
    return printable(os.path.basename(file.path))  # noqa: PTH119  (pathlib takes no bytes)


def _not_opened(service: Service, file: FileRow, error: OSError | ValueError) -> PageError:
    name = name_of(file)
    if not isinstance(error, OSError) or error.errno in _GONE:
        root, _ = place_of(file.path, service.roots())
        if root is None or root.is_online:
            return PageError("not_found", f"{name} is not there any more", hint=_INDEX)
        said = f"{name} is in {root.name}, which is not there"
        return PageError("offline", said, hint="connect its drive")
    if error.errno == errno.ELOOP:
        return _changed(name)
    reason, hint = reason_of(error)
    return PageError("not_found", f"{name} {reason}", hint=hint)


def _changed(name: str) -> PageError:
    return PageError("changed", f"{name} has changed since it was indexed", hint=_INDEX)
