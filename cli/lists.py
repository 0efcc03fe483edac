"""Lists on stdin or in a file, read as they come, whichever editor or system wrote them."""

import codecs
import os
import re
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import chain

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images.formats.header import formats_of
from mlx_aimv2.texts.text_file import SAVE_HINT, UTF8_MARK, codec_of, refuse_others

_BLOCK_BYTES = 1 << 16
_START_BYTES = 16
_NOT_IN_NAMES = re.compile(rb"[\x01-\x08\x0e-\x1f]")
_NOT_IN_LISTS = re.compile(rb"\0\0|" + _NOT_IN_NAMES.pattern)
_PATHS = "- reads a list of paths, one on each line, and this is"
_PATH_HINT = "name the picture, or pipe names of pictures: ls *.jpg | aimv2 embed -"


def lines(file: BufferedReader, name: str) -> Iterator[bytes]:
    """Lines in UTF-8 without their ends, which may be those of Windows or of old Macs.

    Errors: UsageError for what is a picture.
    """
    start, blocks = _start(file)
    refuse_others(start, name)
    for line in split(_utf8(start, blocks, name), b"\n"):
        yield from line.removesuffix(b"\r").split(b"\r")


def paths(file: BufferedReader, *, is_null: bool) -> Iterator[bytes]:
    """The paths of a list on stdin: one on each line, or each with a NUL after it.

    Line ends may be those of Windows or of old Macs; a path with such a sign in it that is there
    is one path.
    Errors: UsageError for what is a picture, and for a list of the other kind.
    """
    start, blocks = _start(file)
    is_binary = _NOT_IN_LISTS.search(start) if is_null else b"\0" in start
    if is_binary and (formats := formats_of(start)):
        raise UsageError(f"{_PATHS} a picture ({formats[0].name})", hint=_PATH_HINT)
    if is_null:
        start = start.removeprefix(UTF8_MARK)
        yield from filter(None, split(_require_nulls(chain([start], blocks)), b"\0"))
        return
    for line in split(_refuse_nulls(_utf8(start, blocks, "stdin")), b"\n"):
        is_one = b"\r" not in line or os.path.lexists(line)
        yield from filter(None, [line] if is_one else line.split(b"\r"))


def split(blocks: Iterable[bytes], separator: bytes) -> Iterator[bytes]:
    """The parts between separators, as they come."""
    rest = b""
    for block in blocks:
        *parts, rest = (rest + block).split(separator)
        yield from parts
    if rest:
        yield rest


def _start(file: BufferedReader) -> tuple[bytes, Iterator[bytes]]:
    """Enough of a file to see what it is, or its first line, and the blocks that follow."""
    start = b""
    while len(start) < _START_BYTES and (block := file.read1(_BLOCK_BYTES)):
        start += block
        if block.endswith(b"\n"):  # somebody types
            break
    return start, iter(lambda: file.read1(_BLOCK_BYTES), b"")


def _utf8(start: bytes, blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    codec = codec_of(start)
    if codec == "utf-8":
        yield start.removeprefix(UTF8_MARK)
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for block in chain([start], blocks):
            yield decoder.decode(block).encode()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is damaged {codec.upper()}", hint=SAVE_HINT) from error


def _refuse_nulls(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if b"\0" in block:
            parts = block.strip(b"\0").split(b"\0")
            if _NOT_IN_NAMES.search(block) or min(map(len, parts)) < 2:
                raise UsageError(f"{_PATHS} no text", hint=f"{SAVE_HINT}, or {_PATH_HINT}")
            raise UsageError("the list on stdin has NULs, not line ends", hint="add --null")
        yield block


def _require_nulls(blocks: Iterator[bytes]) -> Iterator[bytes]:
    has_nulls = has_lines = False
    for block in blocks:
        has_nulls, has_lines = has_nulls or b"\0" in block, has_lines or b"\n" in block
        yield block
    if has_lines and not has_nulls:
        raise UsageError("the list on stdin has line ends, not NULs", hint="leave --null out")
