"""A library of drawings and copies of them, without files: exact and near ones, known before."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.signature import make_signature
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from tests.support.copies import recompressed, resized
from tests.support.synthetic import add_set, facts, fill, unit

_WIDTH = 61
_COUNT = 7

# The near groups, the best first, by path; exact copies are 4-full and 4-twin.
NEAR = [["0-full", "0-half"], ["1-full", "1-half"], ["2-full", "2-half"],
        ["3-full", "3-half", "3-small"]]  # fmt: skip


def make_copied_library(path: Path) -> None:
    """Seven pictures: of 0 to 3 there is a smaller copy, of 3 two; 4 is there twice.

    They are ``/p/0-full.jpg`` and so on; each is a byte larger than the one before, from 10, but
    the twin, and has the content ``0full``.
    """
    random = np.random.default_rng(5)
    motifs, rows, ids = unit(random.standard_normal((_COUNT, _WIDTH))), [], []
    with Store(path, can_write=True) as store, store.transaction():
        for number, motif in enumerate(motifs):
            for name, (signature, size) in _pictures(number).items():
                ids.append(
                    store.add_file(
                        f"/p/{number}-{name}.jpg".encode(),
                        Stamp(10 + len(rows) - (name == "twin"), 1),
                        hash=f"{number}{name.replace('twin', 'full')}".encode(),
                        facts=facts(width_px=size[0], height_px=size[1]),
                        signature=signature,
                    )
                )
                rows.append(motif + 0.02 * unit(random.standard_normal(_WIDTH)))
        fill(store, add_set(store, _WIDTH), unit(rows), ids)


@cache
def _pictures(number: int) -> dict[str, tuple[bytes, tuple[int, int]]]:
    image: Image.Image = draw(HELD_OUT + number, 389, kind="single").image
    pictures = {"full": image}
    if number < 4:
        pictures["half"] = resized(image, 0.5)
    if number == 3:
        pictures["small"] = recompressed(resized(image, 0.4), 60)
    if number == 4:
        pictures["twin"] = image
    return {name: (make_signature(each), each.size) for name, each in pictures.items()}
