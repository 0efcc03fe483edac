"""The colours of an AVIF picture by their numbers, which Pillow's reader does not tell."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

_MOST_BYTES = 16 << 20  # of all that is said of the pictures in a file

Box = tuple[bytes, bytes]
"""A box of the file: the four letters of its kind, and its content."""


def read_nclx(file: IO[bytes]) -> dict[str, int] | None:
    """What the primary picture's ``colr`` box of type nclx says, named as pillow-heif does.

    Source: ISO/IEC 14496-12, sections 8.11 and 12.1.5; ISO/IEC 23008-12, section 9.3.
    """
    with suppress(struct.error, IndexError, KeyError):  # damaged: then nothing is known
        meta = dict(_boxes(_read_meta(file)[4:]))
        pitm = meta[b"pitm"]
        primary = int.from_bytes(pitm[4:8] if pitm[0] else pitm[4:6], "big")
        properties = dict(_boxes(meta[b"iprp"]))
        known = list(_boxes(properties[b"ipco"]))
        for index in _associated(properties[b"ipma"], primary):
            kind, content = known[index - 1]
            if index and kind == b"colr" and content[:4] == b"nclx":
                primaries, transfer = struct.unpack_from(">HH", content, 4)
                return {"color_primaries": primaries, "transfer_characteristics": transfer}
    return None


def _read_meta(file: IO[bytes]) -> bytes:
    file.seek(0)
    while head := file.read(8):
        size, kind = struct.unpack(">I4s", head)
        length = size - 8
        if size == 1:
            length = struct.unpack(">Q", file.read(8))[0] - 16
        if kind == b"meta":
            return file.read(min(length, _MOST_BYTES) if size else _MOST_BYTES)
        if length < 0:
            break
        file.seek(length, 1)
    return b""


def _boxes(data: bytes) -> Iterator[Box]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:  # to the end, or of more than four gigabytes
            return
        yield kind, data[at + 8 : at + size]
        at += size


def _associated(ipma: bytes, item: int) -> Iterator[int]:
    """The numbers, from 1, of the properties that an item has."""
    version, is_wide = ipma[0], ipma[3] & 1
    at = 8
    for _ in range(struct.unpack_from(">I", ipma, 4)[0]):
        id_bytes = 4 if version else 2
        id = int.from_bytes(ipma[at : at + id_bytes], "big")
        count = ipma[at + id_bytes]
        at += id_bytes + 1
        for _ in range(count):
            if id == item:
                if is_wide:
                    yield struct.unpack_from(">H", ipma, at)[0] & 0x7FFF
                else:
                    yield ipma[at] & 0x7F
            at += 2 if is_wide else 1
