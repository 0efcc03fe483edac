"""What a picture's header has of keywords: its XMP packet, and those of IPTC."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# Tags of a TIFF, and the block of Photoshop's resources that holds IPTC. Source: TIFF Technical
# Note 3, Adobe Photoshop File Formats Specification.
_XMP, IPTC, _PHOTOSHOP = 700, 33723, 34377
_IPTC_BLOCK = 0x0404
# Source: IPTC-NAA Information Interchange Model 4.2, sections 1.5 and 2:25.
_MARK, _KEYWORD = 0x1C, (2, 25)
_LONG = 0x8000  # in a length: it is that of the length that follows
_MOST_LENGTH_BYTES = 4
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class Embedded:
    """A file's XMP packet, empty where there is none, and its IPTC keywords."""

    packet: bytes = b""
    iptc: tuple[str, ...] = ()


def find_embedded(info: Mapping[Any, object], tags: Mapping[int, object]) -> Embedded:
    """The packet and the keywords in what a reader gives of a header.

    ``info`` is Pillow's of an image, ``tags`` those of its first directory.
    """
    profile = _raw_profile(info, "iptc")
    blocks = info.get("photoshop")
    if not isinstance(blocks, dict):
        blocks = _blocks(_bytes(tags.get(_PHOTOSHOP)) or profile)
    found = (_bytes(blocks.get(_IPTC_BLOCK)), _bytes(tags.get(IPTC)), profile)
    keywords = [each for data in found for each in read_iptc_keywords(data)]
    packet = _bytes(info.get("xmp")) or _bytes(tags.get(_XMP)) or _raw_profile(info, "xmp")
    return Embedded(packet, tuple(dict.fromkeys(keywords)))


def read_iptc_keywords(data: bytes) -> list[str]:
    """The keywords in IPTC data, up to where they are damaged."""
    found, at = [], 0
    while at + 5 <= len(data) and data[at] == _MARK:
        what, length = (data[at + 1], data[at + 2]), int.from_bytes(data[at + 3 : at + 5], "big")
        at += 5
        if length & _LONG:
            count = length - _LONG
            if count > _MOST_LENGTH_BYTES:
                break
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + length > len(data):
            break
        if what == _KEYWORD and (text := _decoded(data[at : at + length])):
            found.append(text)
        at += length
    return found


def _decoded(data: bytes) -> str:
    # Many programs write UTF-8 without saying so, and no Latin text of meaning can be taken for it.
    for codec in ("utf-8", "cp1252", "latin-1"):
        with suppress(UnicodeDecodeError):
            return " ".join(_CONTROLS.sub(" ", data.decode(codec)).split())
    return ""


def _blocks(data: bytes) -> dict[int, bytes]:
    """Photoshop's resources by their numbers, up to where they are damaged."""
    found, at = {}, 0
    while data[at : at + 4] == b"8BIM" and at + 7 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        at += 6 + ((data[at + 6] + 2) & ~1)  # a name, to an even length with that of its length
        size = int.from_bytes(data[at : at + 4], "big")
        found[number] = data[at + 4 : at + 4 + size]
        at += 4 + ((size + 1) & ~1)
    return found


def _raw_profile(info: Mapping[Any, object], name: str) -> bytes:
    """What ExifTool, exiv2 and ImageMagick write into a PNG as text: name, length, then digits."""
    text = info.get(f"Raw profile type {name}")
    with suppress(ValueError):
        return bytes.fromhex("".join(text.split("\n")[3:])) if isinstance(text, str) else b""
    return b""


def _bytes(value: object) -> bytes:
    """What a reader gives of XMP or IPTC: bytes, or a text in a PNG."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return value if isinstance(value, bytes) else b""
