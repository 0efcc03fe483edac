"""A photo as a small JPEG that keeps nothing of it but the picture and its colours."""

import io
import os
from typing import Any

from PIL import Image

from ..image import open_rgb
from ..paths import FilePath

SIDE_PX = 320

_QUALITY = 80
_MAX_PROFILE_BYTES = 4096  # a phone's has some 500; a printer's half a million


def thumbnail(path: FilePath, side_px: int = SIDE_PX) -> bytes:
    """The photo as a JPEG, upright, its longest side ``side_px`` or what it has, if that is less.

    A profile for RGB stays with it: without, a phone's colours look dull. Dates, places and
    comments do not.
    Errors: ImageError for what cannot be read.
    """
    with open_rgb(os.fsdecode(path)) as photo:
        scale = min(1.0, side_px / max(photo.size))
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        small = photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        profile = _rgb_profile(photo.info)
    small.info = {}  # a comment would be written again
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY, icc_profile=profile)
    return file.getvalue()


def _rgb_profile(info: dict[Any, Any]) -> bytes | None:
    profile = info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE_BYTES:
        return None
    return profile if profile[16:20] == b"RGB " else None
