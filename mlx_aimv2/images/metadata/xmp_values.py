"""Single values in XMP: when a photo was taken, its stars, and whose sidecar a packet is."""

import math
from collections.abc import Collection

from mlx_aimv2.errors import OutputError

from .date_parsing import read_date
from .xmp_packet import Name, Packet, trimmed

_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_XMP = "http://ns.adobe.com/xap/1.0/"

# When the picture was taken, the most trustworthy first. Source: XMP specification, part 2;
# Metadata Working Group, Guidelines for handling image metadata 2.0, section 5.3.
_DATES = (
    (_EXIF, "DateTimeOriginal"),
    (_PHOTOSHOP, "DateCreated"),
    (_EXIF, "DateTimeDigitized"),
    (_XMP, "CreateDate"),
)
_RATING = (_XMP, "Rating")
_MOST_STARS = 5
_EXTENSION = (_PHOTOSHOP, "SidecarForExtension")


def read_taken_at(data: bytes) -> str | None:
    """The date in a packet as ``read_date`` gives it; None also for a packet that is damaged."""
    said = _read(data, _DATES)
    dates = (read_date(text) for name in _DATES for text in said.get(name, ()))
    return next((date for date in dates if date), None)


def read_rating(data: bytes) -> int:
    """The stars in a packet, from 1 to 5; 0 for none, also where a photo is marked as rejected.

    Source: XMP specification, part 2, section 1.1.
    """
    said = _read(data, [_RATING]).get(_RATING, ())
    return max((stars(text) for text in said), default=0)


def stars(text: str) -> int:
    """A rating as whole stars, from 0 to 5; 0 for what is none."""
    try:
        value = float(text)
    except ValueError:
        return 0
    return min(max(int(value), 0), _MOST_STARS) if math.isfinite(value) else 0


def read_extension(data: bytes) -> str | None:
    """The extension of the file that a sidecar says it is for, in small letters, without a dot."""
    said = _read(data, [_EXTENSION]).get(_EXTENSION, ())
    return next((text.strip(" .").lower() for text in said if text.strip(" .")), None)


def _read(data: bytes, names: Collection[Name]) -> dict[Name, list[str]]:
    """The texts of these properties, whether they are attributes or elements."""
    try:
        file = Packet(trimmed(data), names, "the packet")
    except OutputError:
        return {}
    said: dict[Name, list[str]] = {}
    for parent in file.descriptions:
        for name in names:
            if name in parent.attributes:
                said.setdefault(name, []).append(parent.attributes[name])
        for element in parent.children:
            parts = (element, *element.children)
            said.setdefault(element.name, []).extend(part.text for part in parts)
    return said
