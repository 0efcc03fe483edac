"""An argument file for ExifTool, which writes keywords into the photos themselves.

Source: ExifTool's documentation of -@ and of list tags, https://exiftool.org/exiftool_pod.html.
"""

import os
from collections.abc import Iterable, Iterator, Sequence

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.paths import FilePath, printable

from .keywords import HIERARCHICAL, SUBJECT, TAGS_LIST, Tag, clean

_HEAD = b"""\
# Keywords for photos, to be written by ExifTool:
#   exiftool -@ FILE
# They are added to those that are there. ExifTool keeps each photo as it was beside the new one,
# as NAME_original; once all is well, remove those with: exiftool -delete_original FOLDER
"""
_XMP = (
    ("XMP-dc:Subject", SUBJECT),
    ("XMP-lr:HierarchicalSubject", HIERARCHICAL),
    ("XMP-digiKam:TagsList", TAGS_LIST),
)
_IPTC_MAX_BYTES = 64
# A C string, in which ExifTool reads these as one character each.
_C_ESCAPES = {b"\\": rb"\\", b"\n": rb"\n", b"\r": rb"\r"}


def arguments(entries: Iterable[tuple[FilePath, Sequence[Tag]]]) -> Iterator[bytes]:
    """The lines of an argument file that adds tags to photos, each line with its end.

    A keyword that is there already is taken out and added again, so that it is there once.
    IPTC, older than Unicode, gets only names that all its readers understand.
    Errors: UsageError for a tag that no field can hold; OutputError for a path with a line end
    in it beside ``$`` or ``@``, which ExifTool's argument files cannot express.
    """
    yield _HEAD
    for path, tags in entries:
        cleaned = [clean(tag) for tag in tags]
        if not cleaned:
            continue
        for name, field in _XMP:
            yield from _added(name, dict.fromkeys(field.entry(tag) for tag in cleaned))
        leaves = dict.fromkeys(tag[-1] for tag in cleaned)
        yield from _added("IPTC:Keywords", filter(_suits_iptc, leaves))
        yield _path_line(path)
        yield b"-execute\n"


def _added(name: str, values: Iterable[str]) -> Iterator[bytes]:
    for value in values:
        yield f"-{name}-={value}\n".encode()
        yield f"-{name}+={value}\n".encode()


def _suits_iptc(name: str) -> bool:
    """Whether IPTC holds a name, whether a photo's IPTC is in UTF-8 or, by default, Latin."""
    try:
        name.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return len(name.encode()) <= _IPTC_MAX_BYTES


def _path_line(path: FilePath) -> bytes:
    name = os.fsencode(path)
    if not name.startswith(b"/"):
        name = b"./" + name  # else it could be an option, a comment, or lose its first spaces
    if not (b"\n" in name or b"\r" in name):
        return name + b"\n"
    if b"$" in name or b"@" in name:
        raise OutputError(
            f"{printable(path)} cannot be written in an argument file for ExifTool",
            hint="take the line end out of its name",
        )
    for char, escaped in _C_ESCAPES.items():
        name = name.replace(char, escaped)
    return b"#[CSTR]" + name + b"\n"
