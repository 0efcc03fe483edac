"""An argument file for ExifTool, which writes keywords into the photos themselves.

Source: ExifTool's documentation of -@ and of list tags, https://exiftool.org/exiftool_pod.html.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.paths import FilePath, printable

from .keywords import HIERARCHICAL, SUBJECT, TAGS_LIST, Tag, clean

_HEAD = b"""\
# Keywords for photos, to be written by ExifTool:
#   exiftool -@ FILE
# They are added to those that are there, and taken out where aimv2 gave them and does no more.
# ExifTool keeps each photo as it was beside the new one, as NAME_original; once all is well,
# remove those with: exiftool -delete_original FOLDER
"""
_XMP = (
    ("XMP-dc:Subject", SUBJECT),
    ("XMP-lr:HierarchicalSubject", HIERARCHICAL),
    ("XMP-digiKam:TagsList", TAGS_LIST),
)
_IPTC_MAX_BYTES = 64
# A C string, in which ExifTool reads these as one character each.
_C_ESCAPES = {b"\\": rb"\\", b"\n": rb"\n", b"\r": rb"\r"}


@dataclass(frozen=True)
class Change:
    """What a photo's keywords are to be: tags to add, and tags to take out.

    ``keep`` are tags of other programs: what they are written with is not taken out.
    """

    path: FilePath
    add: Sequence[Tag] = ()
    remove: Sequence[Tag] = ()
    keep: Sequence[Tag] = ()


def arguments(changes: Iterable[Change]) -> Iterator[bytes]:
    """The lines of an argument file that changes photos' keywords, each line with its end.

    Nothing without a change. A keyword that is there already is taken out and added again, so
    that it is there once. IPTC, older than Unicode, gets only names that all its readers
    understand.
    Errors: UsageError for a tag that no field can hold; OutputError for a path with a line end
    in it beside ``$`` or ``@``, which ExifTool's argument files cannot express.
    """
    head = _HEAD
    for change in changes:
        add, remove, keep = (
            [clean(tag) for tag in tags] for tags in (change.add, change.remove, change.keep)
        )
        lines: list[bytes] = []
        for name, field in (*_XMP, ("IPTC:Keywords", SUBJECT)):
            added, gone, kept = (
                dict.fromkeys(field.entry(tag) for tag in tags) for tags in (add, remove, keep)
            )
            is_written = _suits_iptc if name.startswith("IPTC") else bool
            for value in filter(
                is_written, (*sorted(gone.keys() - added.keys() - kept.keys()), *added)
            ):
                lines.append(f"-{name}-={value}\n".encode())
                lines += [f"-{name}+={value}\n".encode()] if value in added else []
        if lines:
            yield from (head, *lines, _path_line(change.path), b"-execute\n")
            head = b""


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
