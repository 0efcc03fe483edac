"""A library without pictures, with stand-in thumbnails, and the page over it as a child process."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.library_scale import AIMV2, command, made
from benchmarks.made_library import demo_checkpoint
from mlx_aimv2.images.decode import Picture
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.thumbnails.store import Thumbnails
from mlx_aimv2.library.thumbnails.thumbnail import to_jpeg
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw

_STAND_INS, _TOGETHER = 60, 2000
_GRAIN = 8  # levels of 255, so that a drawing takes as many bytes as a photo
_ENDING_S = 60


@dataclass(frozen=True)
class Served:
    """A page that runs: where it is, with and without its token, its process and its library."""

    url: str
    process: int
    library: Path

    @property
    def address(self) -> str:
        return self.url.partition("/?")[0]


def library_with_thumbnails(folder: Path, rows: int) -> Path:
    """So many rows, each with a thumbnail, by the demo checkpoint; made once in a folder."""
    library = made(folder / f"page{rows}.db", rows, demo_checkpoint())
    small = [_stand_in(number) for number in range(_STAND_INS)]
    thumbnails = Thumbnails(library)
    with Store(library) as store:
        has_folder = bool(store.roots())
        hashes = [hash for (hash,) in store.rows("SELECT hash FROM files WHERE hash NOT NULL")]
    if not all(map(thumbnails.has, hashes[:: max(1, len(hashes) // 100)])):
        for first in range(0, rows, _TOGETHER):
            part = hashes[first : first + _TOGETHER]
            thumbnails.put([(hash, small[hash[0] % _STAND_INS]) for hash in part])
    thumbnails.close()
    if not has_folder:  # of photos that can be indexed from the page
        add_photos(indexed_folder(library), 1, 0)
        command(["index", str(indexed_folder(library)), "--library", str(library)], folder)
    return library


def indexed_folder(library: Path) -> Path:
    """The one folder of a library that is there."""
    return library.with_name(f"{library.stem}.photos")


def add_photos(folder: Path, count: int, seed: int) -> None:
    """JPEGs that no library has yet, 2 megapixels each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    large = [draw(HELD_OUT + each, 320).image.resize((1600, 1200)) for each in range(4)]
    for number in range(count):
        image = large[number % len(large)].copy()
        patch = rng.integers(0, 256, (64, 64, 3), np.uint8)
        image.paste(Image.fromarray(patch), (random.Random(seed + number).randrange(1500), 500))
        image.save(folder / f"{seed}-{number:04}.jpg", quality=90)


@contextmanager
def served(library: Path) -> Iterator[Served]:
    """``aimv2 browse`` over a library, with caches of its own, until the end."""
    environment = dict(os.environ) | {"XDG_CACHE_HOME": str(library.parent / "cache")}
    child = subprocess.Popen(
        [AIMV2, "browse", "--no-open", "--library", str(library)],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        yield Served(child.stdout.readline().strip(), child.pid, library)
    finally:
        child.terminate()
        child.wait(_ENDING_S)


def _stand_in(number: int) -> bytes:
    image = np.asarray(draw(HELD_OUT + number, 320).image.crop((0, 40, 320, 280)), np.int16)
    grain = np.random.default_rng(number).integers(-_GRAIN, _GRAIN + 1, image.shape)
    return to_jpeg(Picture.of(Image.fromarray(np.clip(image + grain, 0, 255).astype(np.uint8))))
