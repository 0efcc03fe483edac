"""Pictures that are the same on every machine, drawn from a hash and integer arithmetic."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Pixels = NDArray[np.uint8]


def noise(count: int, name: str) -> Pixels:
    """So many bytes that look random and are always the same for a name. Shapes: (count,)."""
    return np.frombuffer(hashlib.shake_256(name.encode()).digest(count), np.uint8)


def picture(width_px: int, height_px: int, turn: int = 0) -> Pixels:
    """Four quarters, turned ``turn`` steps: slopes, noise, stripes, one grey.

    Shapes: (H, W, 3) uint8.
    """
    rows, columns = np.indices((height_px, width_px))
    slopes = np.stack(
        [columns * 255 // width_px, rows * 255 // height_px, (rows + columns) % 256], axis=-1
    )
    grains = noise(height_px * width_px * 3, "grains").reshape(slopes.shape)
    stripes = np.broadcast_to(((columns // 3 + rows // 5) % 2 * 255)[..., None], slopes.shape)
    kinds = [slopes, grains, stripes, np.full_like(slopes, 93)]
    quarter = (rows * 2 // height_px * 2 + columns * 2 // width_px + turn) % len(kinds)
    drawn = np.select([(quarter == k)[..., None] for k in range(len(kinds))], kinds)
    return np.ascontiguousarray(drawn, np.uint8)


@dataclass(frozen=True)
class Case:
    """A picture in a file: how it is written, and its size in pixels."""

    name: str
    write: Callable[[Path, Pixels], None]
    width_px: int
    height_px: int

    def write_to(self, folder: Path) -> Path:
        """Write it as a file, whose name gives its format away to nobody."""
        file = folder / self.name
        self.write(file, picture(self.width_px, self.height_px))
        return file


def _in_mode(mode: str, format: str = "PNG") -> Callable[[Path, Pixels], None]:
    def write(file: Path, pixels: Pixels) -> None:
        Image.fromarray(pixels).convert(mode).save(file, format)

    return write


def _alpha(file: Path, pixels: Pixels) -> None:
    clear = picture(pixels.shape[1], pixels.shape[0], turn=1)[..., :1]
    Image.fromarray(np.concatenate([pixels, clear], axis=-1)).save(file, "PNG")


def _palette(file: Path, pixels: Pixels) -> None:
    image = Image.fromarray(pixels[..., 0] // 2).convert("L")
    indexed = Image.frombytes("P", image.size, image.tobytes())
    indexed.putpalette(noise(128 * 3, "palette").tobytes())
    indexed.save(file, "PNG", transparency=bytes(range(0, 256, 2)))


def _sixteen_bits(file: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(file, "PNG")


def _turned(orientation: int) -> Callable[[Path, Pixels], None]:
    def write(file: Path, pixels: Pixels) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        Image.fromarray(pixels).save(file, "PNG", exif=exif)

    return write


CASES = (
    Case("wide", _in_mode("RGB"), 151, 83),
    Case("tall", _in_mode("RGB"), 61, 203),
    Case("tiny", _in_mode("RGB"), 7, 5),
    Case("large", _in_mode("RGB"), 1021, 769),
    Case("upright", _turned(6), 239, 187),
    Case("grey", _in_mode("L"), 97, 131),
    Case("one bit", _in_mode("1"), 131, 97),
    Case("cmyk", _in_mode("CMYK", "TIFF"), 103, 89),
    Case("alpha", _alpha, 127, 101),
    Case("clear palette", _palette, 113, 149),
    Case("16 bits", _sixteen_bits, 139, 107),
    *(Case(f"exif {number}", _turned(number), 109, 67) for number in range(2, 9)),
)
