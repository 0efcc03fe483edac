"""What cameras' names say of files: which may be one shot, and which of them are edits or RAWs."""

import os
import re
from hashlib import blake2b

from mlx_aimv2.files.spelling import fold
from mlx_aimv2.images.formats import raw

_EDIT = re.compile(rb"(img_)e(\d+)", re.IGNORECASE)
# A Pixel's: PXL_1.RAW-01.COVER.jpg, PXL_1.RAW-02.ORIGINAL.dng.
_PART = re.compile(rb"\.raw-\d\d(\.mp)?\.(cover|original)$", re.IGNORECASE)
EDIT, PICTURE, RAW = range(3)  # kinds; the lowest is shown


def kind_of(path: bytes) -> int:
    """Whether a file is an edit, a picture or a RAW by its name."""
    if raw.is_raw(path):
        return RAW
    return EDIT if _EDIT.fullmatch(_stem(path)) else PICTURE


def shot_key(path: bytes) -> int:
    """The same number for files of one folder whose names say that they may be one shot."""
    folder = path.rpartition(b"/")[0]
    stem = _stem(path)
    if edit := _EDIT.fullmatch(stem):
        stem = edit[1] + edit[2]
    digest = blake2b(folder + b"/" + fold(stem), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def videos_beside(path: bytes) -> list[bytes]:
    """The videos of a picture's own name beside it, as those of Live Photos are."""
    stem = os.path.splitext(path)[0]  # noqa: PTH122  (pathlib takes no bytes)
    found = []
    for extension in (b".MOV", b".MP4"):
        names = (stem + extension, stem + extension.lower())
        found += list(filter(os.path.lexists, names))[:1]  # both, where capitals do not count
    return found


def _stem(path: bytes) -> bytes:
    """A file's name without its extension, and without what a Pixel calls parts of a shot."""
    stem = os.path.splitext(path.rpartition(b"/")[2])[0]  # noqa: PTH122  (pathlib takes no bytes)
    return _PART.sub(b"", stem)
