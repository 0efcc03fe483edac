"""A picture file's format, known by its first bytes, and what its decoder says of it."""

import io
import re
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import IO, cast

from PIL import Image, ImageFile

from mlx_aimv2.errors import ImageError
from mlx_aimv2.files.file_diagnosis import START_BYTES, stand_in
from mlx_aimv2.files.paths import unreadable

from .png import PROFILE, TEXTS, without
from .tiff import is_unknown, unread


@dataclass(frozen=True)
class Format:
    """A file format: its first bytes, Pillow's reader for it, and its file names."""

    name: str
    magic: bytes
    module: str
    reader: str
    extensions: tuple[str, ...]


# Readers are called directly, because PIL.Image.open has a limit and a warning of its own, tries
# every format there is, and warns where a phone's second picture in a JPEG is malformed.
# A "mif1" file can be either of the last two.
FORMATS = (
    Format("JPEG", rb"\xff\xd8\xff", "PIL.JpegImagePlugin", "JpegImageFile",
           (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")),
    Format("PNG", rb"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile", (".png", ".apng")),
    Format("WebP", rb"RIFF....WEBP", "PIL.WebPImagePlugin", "WebPImageFile", (".webp",)),
    Format("GIF", rb"GIF8[79]a", "PIL.GifImagePlugin", "GifImageFile", (".gif",)),
    Format("TIFF", rb"II[*+]\0|MM\0[*+]", "PIL.TiffImagePlugin", "TiffImageFile",
           (".tif", ".tiff")),
    Format("BMP", rb"BM", "PIL.BmpImagePlugin", "BmpImageFile", (".bmp", ".dib")),
    Format("AVIF", rb"....ftyp(avi[fs]|m[is]f1)", "PIL.AvifImagePlugin", "AvifImageFile",
           (".avif", ".avifs")),
    Format("HEIF", rb"....ftyp(he[iv][cmsx]|m[is]f1)", "pillow_heif", "HeifImageFile",
           (".heic", ".heif", ".hif", ".heics", ".heifs")),
)  # fmt: skip

EXTENSIONS = frozenset(extension for format in FORMATS for extension in format.extensions)
# Between blocks a decoder waits its turn for the interpreter: with Pillow's own 64 KB, half as long
# again where another thread is busy.
_BLOCK_BYTES = 1 << 20


def formats_of(start: bytes) -> list[Format]:
    """The formats that a file with these first bytes can be in."""
    return [format for format in FORMATS if re.match(format.magic, start, re.DOTALL)]


def read_header(file: IO[bytes], name: str) -> Image.Image:
    """Find the format by its first bytes; no pixel is decoded yet.

    Errors: ImageError for what is in no known format.
    """
    failure: ImageError | None = None
    start = file.read(START_BYTES)
    for format in formats_of(start):
        try:
            opened = _opened(format, file)
            opened.decodermaxblock = _BLOCK_BYTES
            return opened
        except Exception as error:
            failure = undecodable(name, format.name, error)
            failure.__cause__ = error
    if failure:
        raise failure
    if found := stand_in(start):
        raise ImageError(f"{name} is {found[0]}", hint=found[1])
    known = ", ".join(format.name for format in FORMATS)
    raise ImageError(f"{name} is not a picture in a known format", hint=f"known are {known}")


def _opened(format: Format, file: IO[bytes]) -> ImageFile.ImageFile:
    reader = getattr(import_module(format.module), format.reader)
    file.seek(0)
    try:
        return cast(ImageFile.ImageFile, reader(file))
    except (ValueError, SyntaxError):
        if format.name != "PNG":
            raise
    # Pillow reads no PNG with a text or a profile that is large, or packed in an unknown way.
    with suppress(ValueError, SyntaxError):
        return cast(ImageFile.ImageFile, reader(io.BytesIO(without(file, TEXTS))))
    opened = cast(ImageFile.ImageFile, reader(io.BytesIO(without(file, PROFILE))))
    opened.info["icc_profile"] = None
    return opened


def undecodable(name: str, format: str, error: Exception) -> ImageError:
    """The error to raise where a decoder gave up, whatever it raised."""
    if isinstance(error, OSError) and error.errno:
        return unreadable(name, error)
    reason = " ".join(str(error).split()) or type(error).__name__
    match error:
        case MemoryError():
            failure = ImageError(
                f"{name} needs more memory than there is", hint="shrink the picture"
            )
        case Image.DecompressionBombError():
            hint = "shrink it, or raise PIL.Image.MAX_IMAGE_PIXELS in Python"
            message = f"{name} has more pixels than Pillow allows ({reason})"
            failure = ImageError(message, hint=hint)
        case ValueError() if "closed" in reason:
            failure = closed(name)
        case _ if is_unknown(reason):
            failure = unread(name, format=format)
        case _ if "truncated" in reason.lower():
            hint = "copy or download the file again"
            failure = ImageError(f"{name} is truncated ({format}: {reason})", hint=hint)
        case _:
            hint = "does a viewer open it?"
            failure = ImageError(f"{name} is damaged ({format}: {reason})", hint=hint)
    return failure


def closed(name: str) -> ImageError:
    """The error for an image or a file that was closed before it was read."""
    return ImageError(f"{name} is closed", hint="give it before it is closed, or give its path")
