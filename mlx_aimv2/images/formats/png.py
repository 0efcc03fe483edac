"""What Pillow does not tell of a PNG: read from its chunks, without decoding a pixel."""

import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import IO

from PIL.PngImagePlugin import PngImageFile

_SIGNATURE_BYTES = 8
PROFILE = {b"iCCP"}
TEXTS = {b"tEXt", b"zTXt", b"iTXt"}  # which can hold EXIF data and XMP
# By what Pillow multiplies grey values of fewer bits, but not the one that is transparent.
_FACTORS = {"L;2": 85, "L;4": 17}


def chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """The name and length of each chunk; meanwhile the file stands at the chunk's content."""
    at = _SIGNATURE_BYTES
    file.seek(at)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        yield name, length
        at += 12 + length
        file.seek(at)


def read_cicp(file: IO[bytes]) -> dict[str, int] | None:
    """The colours by their numbers, from a chunk before the pixels; named as pillow-heif does.

    Source: PNG, third edition, section 11.3.2.6.
    """
    for name, length in chunks(file):
        if name == b"cICP" and length == 4:
            primaries, transfer, *_ = file.read(4)
            return {"color_primaries": primaries, "transfer_characteristics": transfer}
        if name == b"IDAT":
            break
    return None


def read_text_after_pixels(image: PngImageFile) -> None:
    """Have Pillow read what stands behind the pixels, which it does only once it decoded them.

    The image cannot be decoded any more. What Pillow does not read is left out.
    """
    file, parser = image.fp, image.png
    assert file is not None and parser is not None
    is_behind = False
    for name, length in chunks(file):
        is_behind = is_behind or name == b"IDAT"
        if is_behind and name == b"fcTL":
            return  # the next picture of several: what follows is not the first one's
        if is_behind and (name == b"eXIf" or name in TEXTS):
            with suppress(ValueError, SyntaxError):
                parser.call(name, file.tell(), length)


def scale_transparency(image: PngImageFile) -> None:
    """Make the transparent colour one of the values that Pillow decodes to, before it does.

    Of 16-bit colours Pillow keeps the upper halves.
    """
    clear, raw_mode = image.info.get("transparency"), image.tile[0][3]
    if isinstance(clear, int) and raw_mode in _FACTORS:
        image.info["transparency"] = min(clear * _FACTORS[raw_mode], 255)
    elif isinstance(clear, tuple) and raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def without(file: IO[bytes], left_out: Collection[bytes]) -> bytes:
    """The whole file but for the chunks of these names, where they keep Pillow from reading."""
    file.seek(0)
    parts = [file.read(_SIGNATURE_BYTES)]
    for name, length in chunks(file):
        if name not in left_out:
            parts += [struct.pack(">I4s", length, name), file.read(length + 4)]
    return b"".join(parts)
