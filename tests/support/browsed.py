"""A small library to look at in a browser: drawings, one with hostile words all over it."""

import shutil
from pathlib import Path

from PIL import Image

from mlx_aimv2.library.library import Library
from mlx_aimv2.training.drawings.album import write_album

HOSTILE = '<img src=x onerror="window.pwned=1">'
"""What would be run if a name, a tag or a caption were ever taken for a page's text."""
COUNT = 24


def browsed_library(folder: Path) -> Path:
    """A library of some drawings in a new folder, indexed with the demo's checkpoint.

    One drawing has hostile words as its file's name, its tag, its caption and what its EXIF says.
    """
    files = write_album(folder / "album", COUNT, side_px=128, dated=True)
    victim = next(file for file in files if file.name.startswith("0009-"))
    hostile = victim.with_name(f"0009 {HOSTILE}.jpg".replace("/", ""))
    with Image.open(victim) as image:
        exif = image.getexif()
        exif[0x010E] = HOSTILE  # ImageDescription
        image.save(hostile, exif=exif)
    victim.unlink()
    path = folder / "library.db"
    with Library(path) as library:
        library.index(folder / "album", model="demo")
        library.edit_tags("add", HOSTILE, hostile)
        library.edit_caption(hostile, HOSTILE)
        library.edit_tags("add", "Luna", files[0])
    return path


def copied(library: Path, folder: Path) -> Path:
    """A library's copy for one test; its photos are those of the original."""
    for part in library.parent.iterdir():
        if part.name.startswith(library.name):
            (shutil.copytree if part.is_dir() else shutil.copy2)(part, folder / part.name)
    return folder / library.name
