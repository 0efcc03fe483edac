"""PNGs that Pillow reads wrong or not at all: clear colours of few and many bits, long texts."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from mlx_aimv2.images import decode
from mlx_aimv2.images.metadata.exif import read_facts
from tests.support.pictures import chunk, encoded, photo
from tests.support.profiles import P3, icc

WIDTH, HEIGHT = 13, 7
GREY, COLOURED = 0, 2


def png(values: np.ndarray, bits: int, clear: list[int]) -> bytes:
    """A file of (H, W, C) values, one of them clear. Source: PNG, sections 7.2 and 11.3.1.1."""
    rows = b""
    for row in values.reshape(HEIGHT, -1):
        line = "".join(f"{value:0{bits}b}" for value in row)
        line += "0" * (-len(line) % 8)
        rows += b"\0" + int(line, 2).to_bytes(len(line) // 8, "big")
    kind = COLOURED if values.shape[2] == 3 else GREY
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, kind, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        )
    )


@pytest.mark.parametrize(
    ("bits", "channels"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 3), (16, 3)]
)
def test_one_clear_colour(bits: int, channels: int) -> None:
    most = (1 << bits) - 1
    values = np.random.default_rng(bits).integers(0, most + 1, (HEIGHT, WIDTH, channels))
    clear = values[3, 5]
    expected = np.where((values == clear).all(-1, keepdims=True), 255, values * 255 / most)
    found = decode.open_rgb(png(values, bits, clear.tolist()))
    assert abs(np.asarray(found, float) - expected).max() <= 1


LONG = b"a" * (2 << 20)  # more than Pillow reads
TEXTS = {
    "tEXt": b"about\0" + LONG * 33,
    "zTXt": b"about\0\0" + zlib.compress(LONG),
    "iTXt": b"about\0\1\0\0\0" + zlib.compress(LONG),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("is_behind", [False, True])
def test_a_long_text(name: str, is_behind: bool, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2024:05:31 12:00:00"
    exif[ExifTags.Base.Orientation] = 6
    plain = encoded(photo(31, 17), "PNG", exif=exif, icc_profile=icc(P3))
    at = plain.index(b"IEND" if is_behind else b"IDAT") - 4
    path = tmp_path / "a.png"
    path.write_bytes(plain[:at] + chunk(name.encode(), TEXTS[name]) + plain[at:])
    np.testing.assert_array_equal(decode.open_rgb(path), decode.open_rgb(plain))
    assert decode.open_picture(path).note is None
    facts = read_facts(path)
    assert (facts.taken_at, facts.width_px) == ("2024-05-31T12:00:00", 17)
