"""What a picture's header says of it: format, size, date, place; no pixel is decoded."""

from dataclasses import dataclass
from typing import IO, Any

from PIL import ExifTags, Image, TiffTags
from PIL.PngImagePlugin import PngImageFile

from mlx_aimv2.files.paths import FilePath, blaming_the_disk, open_file, printable

from ..formats.header import read_header
from ..formats.png import read_text_after_pixels
from ..formats.raw import is_raw, read_raw_header
from ..orientation import ORIENTATIONS
from .date_parsing import read_date
from .embedded import IPTC, Embedded, find_embedded

# When the picture was taken, the most trustworthy tag first. Source: EXIF 2.3, section 4.6.5 F.
_DATE_TAGS = (
    (ExifTags.IFD.Exif, ExifTags.Base.DateTimeOriginal),
    (ExifTags.IFD.Exif, ExifTags.Base.DateTimeDigitized),
    (None, ExifTags.Base.DateTime),
)

# A coordinate's tag, the tag of its half of the globe, the halves with their signs, the limit.
_LATITUDE = (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, {"N": 1, "S": -1}, 90)
_LONGITUDE = (ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, {"E": 1, "W": -1}, 180)

_TURNED_BY_READER = {"TIFF", "HEIF"}


@dataclass(frozen=True)
class PhotoFacts:
    """What is known of a picture without its pixels.

    ``format`` is Pillow's name for it, or of a RAW file its extension in capitals. Width and
    height are as displayed. ``orientation`` is EXIF's (1 to 8). ``taken_at`` is what the camera's
    clock showed, as ISO 8601 without a zone. Latitude and longitude are degrees. Each is None where
    not known.
    """

    format: str
    width_px: int
    height_px: int
    orientation: int | None
    taken_at: str | None
    latitude: float | None
    longitude: float | None


def read_facts(path: FilePath) -> PhotoFacts:
    """Read a picture's facts from its header; what makes no sense in it counts as absent.

    The date is EXIF's, or else that of the XMP in the file.

    Errors: ImageError with the path for what cannot be opened or is no picture.
    """
    with open_file(path) as file, blaming_the_disk(file, path):
        return facts_in(file, path)


def facts_in(file: IO[bytes], path: FilePath) -> PhotoFacts:
    """``read_facts`` of an open file, read from its start."""
    return header_in(file, path)[0]


def header_in(file: IO[bytes], path: FilePath) -> tuple[PhotoFacts, Embedded]:
    """``facts_in``, and where keywords are in the header."""
    if is_raw(path):
        raw = read_raw_header(path, file)
        embedded = find_embedded({}, _directory(raw.exif, None))
        size = (raw.width_px, raw.height_px)
        return _facts(raw.format, size, raw.orientation, raw.exif, embedded.packet), embedded
    image = read_header(file, printable(path))
    format, size = image.format or "", image.size
    exif, orientation = _read_exif(image)
    if orientation and ORIENTATIONS[orientation].swaps_sides and format not in _TURNED_BY_READER:
        size = size[::-1]
    embedded = find_embedded(image.info, _directory(exif, None))
    return _facts(format, size, orientation, exif, embedded.packet), embedded


def _facts(
    format: str, size: tuple[int, int], orientation: int | None, exif: Image.Exif, packet: bytes
) -> PhotoFacts:
    latitude, longitude = _place(exif)
    taken_at = _taken_at(exif) or _taken_at_in_xmp(packet)
    return PhotoFacts(format, *size, orientation, taken_at, latitude, longitude)


def _read_exif(image: Image.Image) -> tuple[Image.Exif, int | None]:
    """The EXIF data and the orientation, however damaged they are."""
    try:
        if isinstance(image, PngImageFile):
            read_text_after_pixels(image)
        exif = Image.Image.getexif(image)  # the PNG reader's own decodes all pixels first
        stored = image.info.get("original_orientation") or exif.get(ExifTags.Base.Orientation)
    except Exception:  # parsers of damaged EXIF raise whatever there is
        return Image.Exif(), None
    return exif, next((number for number in ORIENTATIONS if number == stored), None)


def _directory(exif: Image.Exif, tag: int | None) -> dict[int, Any]:
    try:
        # Photoshop calls the bytes of IPTC numbers, of which Pillow would take the first, and warn.
        types = getattr(getattr(exif, "_info", None), "tagtype", {})
        if IPTC in types:
            types[IPTC] = TiffTags.UNDEFINED
        return dict(exif) if tag is None else exif.get_ifd(tag)
    except Exception:  # as above
        return {}


def _taken_at(exif: Image.Exif) -> str | None:
    texts = (_text(_directory(exif, directory).get(tag)) for directory, tag in _DATE_TAGS)
    return next((date for date in map(read_date, texts) if date), None)


def _taken_at_in_xmp(packet: bytes) -> str | None:
    if not packet:
        return None
    from .xmp_values import read_taken_at  # noqa: PLC0415  (XML: a search starts sooner without it)

    return read_taken_at(packet)


def _place(exif: Image.Exif) -> tuple[float, float] | tuple[None, None]:
    gps = _directory(exif, ExifTags.IFD.GPSInfo)
    latitude, longitude = (_degrees(gps, *row) for row in (_LATITUDE, _LONGITUDE))
    return (None, None) if latitude is None or longitude is None else (latitude, longitude)


def _degrees(
    gps: dict[int, Any], tag: int, half_tag: int, signs: dict[str, int], limit: int
) -> float | None:
    sign = signs.get(_text(gps.get(half_tag)).upper())
    try:
        degrees, minutes, seconds = map(float, gps[tag])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    # Without a fix cameras write 0/0, which is NaN here and fails each comparison.
    if sign is None or not (degrees >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    return sign * value if value <= limit else None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\0 ") if isinstance(value, str) else ""
