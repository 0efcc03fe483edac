"""What a user gives as a picture: told apart, named in messages, and opened."""

import io
import os
import threading
from pathlib import Path
from typing import IO, Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.errors import ImageError
from mlx_aimv2.files.paths import open_file, printable, unreadable


class ArrayLike(Protocol):
    """An array: NumPy's, MLX's, or any that NumPy can read."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...


ImageSource = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | ArrayLike
)
"""A path, a file's content as bytes, a file open for reading bytes, a PIL image, or an array.

A path that is not UTF-8 is a ``str`` with surrogates, as ``os.fsdecode`` gives it, or a
``PathLike``. An array is NumPy's, MLX's or any that NumPy can read.
"""

_HINT = "give a path, a file's bytes, an open file, a PIL image or an array (H, W, 3)"
_ARRAY_HINT = "convert it: numpy.array(array, numpy.float32)"
_PATHS_HINT = "give paths as a list: array.tolist()"
_OPEN_HINT = "open it for reading bytes: open(path, 'rb')"

# One file may be given twice, and be read by two threads at once.
_READ_LOCKS = tuple(threading.Lock() for _ in range(61))


def describe(source: object) -> str:
    """A source's name for messages, on one line and printable whatever it is."""
    if isinstance(source, Image.Image):
        file = getattr(source, "filename", "")
        return printable(file) if file else f"<{source.mode} image {source.width}×{source.height}>"
    if isinstance(source, str | os.PathLike):
        return printable(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return f"<{memoryview(source).nbytes:,} bytes>"
    if is_array(source):
        dtype = str(getattr(source, "dtype", "")).rpartition(".")[2]
        return f"<array {tuple(getattr(source, 'shape', ()))} {dtype}>"
    if is_file(source):
        name = getattr(source, "name", None)
        return printable(name) if name and isinstance(name, str | bytes) else f"<{_kind(source)}>"
    return f"<{_kind(source)}>"


def _kind(source: object) -> str:
    return type(source).__name__


def is_array(source: object) -> bool:
    """Whether NumPy can read it as an array: MLX's and others' too."""
    return hasattr(source, "__array__") and not isinstance(source, str | bytes | Image.Image)


def is_file(source: object) -> TypeGuard[IO[bytes]]:
    """Whether it has content to read, as open files have."""
    return hasattr(source, "read")


def is_single(source: object) -> bool:
    """Whether it is one picture, or no picture at all, and not several."""
    if isinstance(source, str | bytes | bytearray | memoryview | os.PathLike | Image.Image):
        return True
    if is_array(source):  # with four axes it is a batch; a table's column may hold paths
        axes = getattr(source, "ndim", 0)
        return axes < 4 and (axes != 1 or hasattr(source, "__dlpack__"))
    return is_file(source) or not hasattr(source, "__iter__")


def to_array(source: Any, name: str) -> NDArray[Any]:
    """Any array as NumPy's. Errors: ImageError for one whose values NumPy cannot read."""
    try:
        array = np.asarray(source)
    except Exception as error:
        raise ImageError(f"{name} cannot be read as a NumPy array", hint=_ARRAY_HINT) from error
    if array.dtype.kind in "OSU":
        raise ImageError(f"{name} holds no pixels", hint=_PATHS_HINT)
    return array


def open_source(source: object, name: str) -> tuple[IO[bytes], str]:
    """A path, bytes or an open file as a file to read, and its file name, if it has one.

    A file that is open is read from its start, and left where it stood; one that cannot be wound
    back, like a pipe, is read from where it stands.

    Errors: ImageError with the name for what cannot be opened or is none of these.
    """
    if isinstance(source, str | os.PathLike):
        return open_file(os.fsdecode(source)), os.fsdecode(source)
    if isinstance(source, bytes | bytearray | memoryview):
        content: object = bytes(source)
    elif is_file(source):
        content = _content(source, name)
    else:
        raise ImageError(f"{name} is not a picture", hint=_HINT)
    if not isinstance(content, bytes):
        raise ImageError(f"{name} is open for reading text", hint=_OPEN_HINT)
    if not content:
        raise ImageError(f"{name} is empty", hint="copy or download the file again")
    given = getattr(source, "name", "")
    return io.BytesIO(content), Path(given).name if isinstance(given, str) else ""


def _content(file: IO[bytes], name: str) -> object:
    try:
        with _READ_LOCKS[id(file) % len(_READ_LOCKS)]:
            if not _can_wind(file):
                return file.read()
            stood = file.tell()
            file.seek(0)
            try:
                return file.read()
            finally:
                file.seek(stood)
    except io.UnsupportedOperation as error:  # an OSError and a ValueError
        raise ImageError(f"{name} is not open for reading", hint=_OPEN_HINT) from error
    except OSError as error:
        raise unreadable(name, error) from error
    except Exception as error:
        reason = "is closed" if getattr(file, "closed", False) else f"cannot be read: {error}"
        raise ImageError(f"{name} {reason}", hint=_OPEN_HINT) from error


def _can_wind(file: IO[bytes]) -> bool:
    return file.seekable() if hasattr(file, "seekable") else hasattr(file, "seek")
