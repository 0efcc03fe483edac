"""Which files are one shot of the camera."""

import os
import re
import unicodedata
from hashlib import blake2b

# Apple's names for an original and what was made of it: IMG_0001.HEIC and IMG_E0001.JPG.
_EDIT = re.compile(r"(img_)e(\d+)")


def shot_key(path: bytes) -> int:
    """The same number for files of one folder whose names say that they may be one shot."""
    folder, _, name = path.rpartition(b"/")
    stem = os.path.splitext(os.fsdecode(name))[0]  # noqa: PTH122  (pathlib takes no bytes)
    stem = _EDIT.sub(r"\1\2", unicodedata.normalize("NFC", stem).casefold())
    digest = blake2b(folder + b"/" + os.fsencode(stem), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
