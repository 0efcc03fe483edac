"""Small data sets on disk, of pictures that are quick to make."""

import zlib
from pathlib import Path

from .pictures import photo

Counts = dict[str, dict[str, int]]


def write_classes(folder: Path, counts: Counts) -> Path:
    """``part/class/0.png`` and on: so many pictures of each class in each part."""
    for part, classes in counts.items():
        for name, count in classes.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                seed = zlib.crc32(f"{part} {name} {number}".encode())
                photo(41, 37, seed).save(folder / part / name / f"{number}.png")
    return folder
