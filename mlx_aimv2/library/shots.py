"""Which files are one shot of the camera: a RAW and its pictures, an original and Apple's edit.

They have one name in one folder, but for the extension and the E of ``IMG_E0001.JPG``, and their
dates are seconds apart; where one of them has no date, they look alike. Pictures of one name
alone, as a HEIC and the JPEG made of it, are copies and no shot.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from mlx_aimv2.files.spelling import fold
from mlx_aimv2.images.formats import raw

from .duplicates.signature import coarse_vectors, is_signature, similarity, stack

SignatureOf = Callable[[int], bytes | None]

_EDIT = re.compile(rb"(img_)e(\d+)", re.IGNORECASE)
# A Pixel's: PXL_1.RAW-01.COVER.jpg, PXL_1.RAW-02.ORIGINAL.dng.
_PART = re.compile(rb"\.raw-\d\d(\.mp)?\.(cover|original)$", re.IGNORECASE)
_MOST_APART_S = 5

# Without dates the looks decide: of 1,000 pairs of unlike drawings 1 is above the first. An edit
# may be grey, darker or cropped, and its name says more: 59 are above one of the other two.
_LEAST_ALIKE = 0.1
_LEAST_ALIKE_EDITED, _LEAST_COARSE_EDITED = 0.02, 0.9

_FIRST = (".jpg", ".jpeg", ".heic", ".heif", ".hif")  # of the pictures, the one to show
EDIT, PICTURE, RAW = range(3)  # kinds; the lowest is shown


@dataclass(frozen=True)
class Member:
    """A file that may be part of a shot."""

    id: int
    path: bytes
    taken_at: str | None


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


def settle(members: Sequence[Member], signature_of: SignatureOf) -> list[list[Member]]:
    """The shots among files of one key, each with the file to show first.

    That is the edit, or else the JPEG, and RAWs come last. Signatures are asked for by files' ids.
    """
    left = sorted(members, key=lambda each: (kind_of(each.path), _rank(each.path), each.path))
    shots = []
    while left:
        first = left[0]
        shot = [each for each in left if each is first or _is_one_shot(first, each, signature_of)]
        left = [each for each in left if each not in shot]
        if len({kind_of(each.path) for each in shot}) > 1:
            shots.append(shot)
    return shots


def _is_one_shot(first: Member, other: Member, signature_of: SignatureOf) -> bool:
    if first.taken_at is None or other.taken_at is None:
        is_edit = kind_of(first.path) == EDIT
        return _is_alike(signature_of(first.id), signature_of(other.id), is_edit=is_edit)
    apart = datetime.fromisoformat(first.taken_at) - datetime.fromisoformat(other.taken_at)
    return abs(apart.total_seconds()) <= _MOST_APART_S


def _is_alike(first: bytes | None, other: bytes | None, *, is_edit: bool) -> bool:
    if first is None or other is None or not (is_signature(first) and is_signature(other)):
        return False
    rows = stack([first, other])
    alike = float(similarity(rows[:1], rows[1:])[0])
    if not is_edit:
        return alike >= _LEAST_ALIKE
    coarse = coarse_vectors(rows)
    return alike >= _LEAST_ALIKE_EDITED or float(coarse[0] @ coarse[1]) >= _LEAST_COARSE_EDITED


def _rank(path: bytes) -> int:
    extension = os.path.splitext(os.fsdecode(path))[1].lower()  # noqa: PTH122  (pathlib takes no bytes)
    return _FIRST.index(extension) if extension in _FIRST else len(_FIRST)


def _stem(path: bytes) -> bytes:
    """A file's name without its extension, and without what a Pixel calls parts of a shot."""
    stem = os.path.splitext(path.rpartition(b"/")[2])[0]  # noqa: PTH122  (pathlib takes no bytes)
    return _PART.sub(b"", stem)
