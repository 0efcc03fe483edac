"""Tar shards that tests make: members by name and content, whole or damaged."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

Members = Iterable[tuple[str, bytes]]


def write_tar(path: Path, members: Members, format: int = tarfile.GNU_FORMAT) -> Path:
    """A tar of these members, in their order."""
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def small_picture(number: int, width: int = 97, height: int = 83, format: str = "PNG") -> bytes:
    """A picture of smooth colours, another one for each number."""
    rng = np.random.default_rng(number)
    corners = rng.integers(0, 256, (3, 3, 3), np.uint8)
    image = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def pair_members(first: int, last: int) -> Members:
    """Pictures and captions, two members each: ``000007.png`` with "picture number 7"."""
    for number in range(first, last):
        yield f"{number:06}.png", small_picture(number)
        yield f"{number:06}.txt", f"picture number {number}".encode()
