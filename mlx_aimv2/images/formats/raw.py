"""RAW files of cameras: the preview that the camera put into them, and their header."""

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import ImageError
from mlx_aimv2.files.paths import FilePath, printable

from ..orientation import BY_FLIPS

if TYPE_CHECKING:
    from rawpy import RawPy

# Source: LibRaw's list of cameras. Of these .dng is Adobe's, Apple's and many phones'.
EXTENSIONS = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc"),
        *(".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2"),
        *(".srf", ".srw", ".x3f"),
    }
)


@dataclass(frozen=True)
class RawHeader:
    """What a RAW file's header says; ``format`` is its extension in capitals.

    Width and height are the sensor's picture as displayed, not the preview's.
    """

    format: str
    width_px: int
    height_px: int
    orientation: int
    exif: Image.Exif


def is_raw(path: FilePath) -> bool:
    """Whether a file is RAW by its name: by its first bytes a NEF or a DNG is a TIFF."""
    return _extension(path) in EXTENSIONS


def is_available() -> bool:
    """Whether RAW files can be read: rawpy is installed."""
    return find_spec("rawpy") is not None


def open_preview(path: FilePath, file: IO[bytes]) -> Image.Image:
    """The largest preview in a RAW file; a JPEG is not decoded yet.

    ``file`` is the file of that name, open, or its content in memory. The preview is as it was
    stored, and its EXIF orientation says how to turn it upright.

    Errors: ImageError with the path where rawpy is absent, the file is not RAW or has no preview.
    """
    with _opened(path, file) as raw:
        preview = _extract(raw, printable(path))
        with suppress(Exception):  # damaged EXIF is no reason to refuse the picture
            orientation = BY_FLIPS[raw.sizes.flip].number
            preview.getexif().setdefault(ExifTags.Base.Orientation, orientation)
        return preview


def read_raw_header(path: FilePath, file: IO[bytes]) -> RawHeader:
    """Read a RAW file's size, orientation and EXIF data; no pixel is decoded.

    Errors: ImageError with the path where rawpy is absent or the file is not RAW.
    """
    with _opened(path, file) as raw:
        sizes = raw.sizes
        orientation = BY_FLIPS[sizes.flip]
        size = (sizes.width, sizes.height)
        width, height = size[::-1] if orientation.swaps_sides else size
        exif = _tiff_exif(file) or _preview_exif(raw, printable(path))
        format = _extension(path)[1:].upper()
        return RawHeader(format, width, height, orientation.number, exif)


def _extension(path: FilePath) -> str:
    name = os.fsdecode(path).lower()
    return name[name.rfind(".") :]


def _opened(path: FilePath, file: IO[bytes]) -> "RawPy":
    name = printable(path)
    try:
        import rawpy  # noqa: PLC0415
    except ImportError as error:
        raise ImageError(
            f"{name} is RAW, and rawpy is not installed", hint=install_hints.extra("raw")
        ) from error
    try:
        return rawpy.imread(_for_rawpy(path, file))
    except Exception as error:  # LibRaw's errors, and Python's for a damaged header
        message = f"{name} is no RAW file that LibRaw knows ({_reason(error)})"
        raise ImageError(message, hint="export it as JPEG, or convert it to DNG") from error


def _for_rawpy(path: FilePath, file: IO[bytes]) -> Any:
    """The name, of which rawpy reads what it needs; or the whole file, where it is in memory or
    its name is not UTF-8."""
    name = os.fsdecode(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return file
    return file if isinstance(file, io.BytesIO) else name


def _extract(raw: "RawPy", name: str) -> Image.Image:
    try:
        data: Any = raw.extract_thumb().data
        if isinstance(data, bytes):
            return JpegImageFile(io.BytesIO(data))
        return Image.fromarray(data)
    except Exception as error:  # as above
        message = f"{name} has no preview that can be read ({_reason(error)})"
        raise ImageError(message, hint="export it as JPEG") from error


def _tiff_exif(file: IO[bytes]) -> Image.Exif | None:
    """The EXIF data of a RAW file that is a TIFF, as most are; the rest have a copy in a JPEG."""
    exif = Image.Exif()
    with suppress(Exception):  # parsers of damaged EXIF raise whatever there is
        file.seek(0)
        exif.load_from_fp(file)
        exif.get_ifd(ExifTags.IFD.GPSInfo)
        exif.get_ifd(ExifTags.IFD.Exif)
        return exif
    return None


def _preview_exif(raw: "RawPy", name: str) -> Image.Exif:
    with suppress(Exception):  # as above
        return _extract(raw, name).getexif()
    return Image.Exif()


def _reason(error: Exception) -> str:
    text = error.args[0] if error.args else type(error).__name__
    return (
        text.decode("utf-8", "replace") if isinstance(text, bytes) else " ".join(str(text).split())
    )
