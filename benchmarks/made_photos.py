"""12-megapixel JPEGs as hard as photographs are, made of scikit-image's, and some that are harder.

Photographs of half a megapixel are enlarged and given what that leaves out: detail at all scales
(1/f noise) and a sensor's grain. Their files are as large as telephones write them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw, ImageFont

from mlx_aimv2.images.colour import coded_profile

Size = tuple[int, int]
SIZE_PX: Size = (4032, 3024)
NAMES = (
    "astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "retina.jpg",
)  # fmt: skip
_FOLDER = Path(skimage.__file__).parent / "data"
_TILE_PX = 1024
_DETAIL, _GRAIN = 8.0, 2.0  # levels of 255
_CAMERA: dict[str, Any] = {"quality": 90, "subsampling": "4:2:0"}
_DISPLAY_P3 = coded_profile(12, 13)


@dataclass(frozen=True)
class Made:
    """A file, and whether it is a photograph as cameras write them, which limits are meant for."""

    name: str
    path: Path
    is_camera: bool = True
    size_mb: float = 0.0


def make_photos(folder: Path, size_px: Size = SIZE_PX) -> Iterator[Made]:
    """Photographs first; then other encodings of one, and what photographs rarely are."""
    photos = {
        name.partition(".")[0]: _photograph(name, seed, size_px) for seed, name in enumerate(NAMES)
    }
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for name, photo in photos.items():
        yield _saved(folder, name, photo, _CAMERA)
    first = photos["astronaut"]
    yield _saved(folder, "upright", first, {**_CAMERA, "exif": turned.tobytes()})
    yield _saved(folder, "in Display P3", first, {**_CAMERA, "icc_profile": _DISPLAY_P3})
    for name, picture, how in (
        ("without chroma subsampling", first, {**_CAMERA, "subsampling": 0}),
        ("progressive", first, {**_CAMERA, "progressive": True}),
        ("many small pictures", _mosaic(size_px), _CAMERA),
        ("noise", _noise(size_px), _CAMERA),
        ("text", _text(size_px), _CAMERA),
        ("rings", _rings(size_px), _CAMERA),
    ):
        yield _saved(folder, name, picture, how, is_camera=False)


def _saved(
    folder: Path, name: str, image: Image.Image, how: dict[str, Any], *, is_camera: bool = True
) -> Made:
    path = folder / f"{name}.jpg"
    image.save(path, **how)
    return Made(name, path, is_camera, path.stat().st_size / 1e6)


def _photograph(name: str, seed: int, size_px: Size) -> Image.Image:
    with Image.open(_FOLDER / name) as small:
        scale = max(size_px[0] / small.width, size_px[1] / small.height)
        seen = size_px[0] / scale, size_px[1] / scale
        box = ((small.width - seen[0]) / 2, (small.height - seen[1]) / 2)
        large = small.convert("RGB").resize(
            size_px, Image.Resampling.BICUBIC, (*box, box[0] + seen[0], box[1] + seen[1])
        )
    return _with_noise(np.asarray(large, np.int16), seed, _DETAIL)


def _with_noise(pixels: NDArray[np.int16], seed: int, detail: float) -> Image.Image:
    height, width, _ = pixels.shape
    rng = np.random.default_rng(seed)
    grain = rng.normal(0, _GRAIN, (_TILE_PX, _TILE_PX, 3))
    tile = (detail * _pink(rng)[..., None] + grain).astype(np.int16)
    tiles = (-(-height // _TILE_PX), -(-width // _TILE_PX), 1)
    noisy = pixels + np.tile(tile, tiles)[:height, :width]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _pink(rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of as much contrast at each scale, as photographs have. Shapes: (T, T)."""
    down, across = np.fft.fftfreq(_TILE_PX)[:, None], np.fft.rfftfreq(_TILE_PX)[None]
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((_TILE_PX, _TILE_PX))) / frequency)
    return noise / noise.std()


def _mosaic(size_px: Size) -> Image.Image:
    """Photographs side by side, with edges as sharp as can be."""
    whole, cell = Image.new("RGB", size_px), (size_px[0] // 8, size_px[1] // 8)
    for number in range(64):
        with Image.open(_FOLDER / NAMES[number % len(NAMES)]) as small:
            place = (number % 8 * cell[0], number // 8 * cell[1])
            whole.paste(small.convert("RGB").resize(cell, Image.Resampling.LANCZOS), place)
    return whole


def _noise(size_px: Size) -> Image.Image:
    grey = np.full((size_px[1], size_px[0], 3), 128, np.int16)
    return _with_noise(grey, 99, 40.0)


def _text(size_px: Size) -> Image.Image:
    """A page of small print: the finest detail there is."""
    page = Image.new("RGB", size_px, "white")
    draw = ImageDraw.Draw(page)
    line = "Sphinx of black quartz, judge my vow. 0123456789 " * 6
    for top in range(0, size_px[1], 42):
        draw.text((20, top), line, fill="black", font=ImageFont.load_default(32))
    return page


def _rings(size_px: Size) -> Image.Image:
    """Gratings of every direction and fineness, to two pixels a line."""
    down, across = np.ogrid[: size_px[1], : size_px[0]]
    squares = (across - size_px[0] / 2.0) ** 2 + (down - size_px[1] / 2.0) ** 2
    rings = 127.5 + 127.5 * np.cos(np.pi * squares / (2 * size_px[0]))
    return Image.fromarray(rings.astype(np.uint8)).convert("RGB")
