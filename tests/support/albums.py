"""Folders of drawings to index, and what a library made of them holds."""

from pathlib import Path

import numpy as np
from PIL import Image

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw


def make_album(folder: Path, count: int, *, first: int = 0, side_px: int = 64) -> list[Path]:
    """Write so many drawings as JPEGs, ``000.jpg`` and on; returns their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(first, first + count):
        path = folder / f"{number:03}.jpg"
        draw(HELD_OUT + number, side_px).image.save(path, quality=90)
        paths.append(path)
    return paths


def save(path: Path, number: int, **options: object) -> Path:
    """One drawing, in the format of the path's extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(HELD_OUT + number, 64).image.save(path, **options)
    return path


def noise(path: Path, seed: int) -> Path:
    """A small picture that is quick to make and unlike any other."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def rows_of(library: Path) -> list[tuple[object, ...]]:
    """Everything a library knows of its files, with the bits of their vectors."""
    with Store(library) as store:
        vectors = store.serving()
        found = []
        for file in store.files():
            row = None if vectors is None else store.row_of(vectors.id, file.id)
            bits = b""
            if vectors is not None and row is not None:
                bits = store.segments(vectors).take(np.array([row])).tobytes()
            known = (file.path.rpartition(b"/")[2], file.hash, file.signature, file.error is None)
            found.append((file.id, *known, file.facts, row, bits))
        return found
