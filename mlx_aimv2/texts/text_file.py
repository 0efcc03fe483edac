"""How a text file is written: in UTF-8, or in UTF-16 or UTF-32 with the mark that says so."""

import codecs

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.file_diagnosis import START_BYTES, stand_in
from mlx_aimv2.images.formats.header import formats_of

UTF8_MARK = codecs.BOM_UTF8
SAVE_HINT = "save it as UTF-8 text"
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def codec_of(start: bytes) -> str:
    """The codec that a file's first bytes ask for."""
    return next((codec for mark, codec in _MARKS if start.startswith(mark)), "utf-8")


def refuse_others(start: bytes, name: str) -> None:
    """Errors: UsageError where a list's first bytes are a picture's, or of what stands for it."""
    if b"\0" in start and formats_of(start):
        raise UsageError(f"{name} is a picture, not a list", hint="write one entry on each line")
    if found := stand_in(start):
        raise UsageError(f"{name} is {found[0]}", hint=found[1])


def decode(data: bytes, name: str) -> str:
    """The text of a whole file, without a mark.

    Errors: UsageError, with the line, for another encoding and for what is no text.
    """
    refuse_others(data[:START_BYTES], name)
    codec = codec_of(data)
    try:
        text = data.removeprefix(UTF8_MARK).decode(codec)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{name}, line {line}: not {codec.upper()}", hint=f"{SAVE_HINT}, not as Latin-1"
        ) from None
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise UsageError(
            f"{name}, line {line}: a character that cannot be shown: NUL",
            hint=f"{SAVE_HINT}; UTF-16 without its mark looks like this",
        )
    return text
