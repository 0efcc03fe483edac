"""A photo as a small JPEG that keeps nothing of it but the picture, in sRGB."""

import io
import os
from collections.abc import Callable

from PIL import Image

from mlx_aimv2.files.paths import FilePath
from mlx_aimv2.images.decode import open_picture

SIDE_PX = 320

_QUALITY = 80


def thumbnail(
    path: FilePath,
    side_px: int = SIDE_PX,
    draw: Callable[[Image.Image], Image.Image] | None = None,
) -> bytes:
    """The photo as a JPEG, upright, its longest side ``side_px`` or what it has, if that is less.

    Its colours are sRGB's, as browsers show them; dates, places and comments do not stay. ``draw``
    draws on it.
    Errors: ImageError for what cannot be read.
    """
    photo = open_picture(os.fsdecode(path))
    scale = min(1.0, side_px / max(photo.size))
    size = (max(1, round(photo.size[0] * scale)), max(1, round(photo.size[1] * scale)))
    small = photo.to_srgb(photo.image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
    small = draw(small) if draw else small
    small.info = {}  # a comment or a profile would be written again
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
