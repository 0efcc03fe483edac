"""Pictures that tests make for themselves; none is committed."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

# Every way a picture is stored that the package promises to read, with what makes it so.
ENCODINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    # name: (format, mode, options)
    "jpeg": ("JPEG", "RGB", {"quality": 91}),
    "jpeg-progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg-grey": ("JPEG", "L", {}),
    "jpeg-cmyk": ("JPEG", "CMYK", {}),  # Adobe's, inverted
    "mpo": ("MPO", "RGB", {}),
    "png": ("PNG", "RGB", {}),
    "png-grey": ("PNG", "L", {}),
    "png-bit": ("PNG", "1", {}),
    "png-palette": ("PNG", "P", {}),
    "png-palette-clear": ("PNG", "P", {"transparency": 3}),
    "png-palette-alpha": ("PNG", "P", {"transparency": bytes(range(0, 250, 2))}),
    "png-alpha": ("PNG", "RGBA", {}),
    "png-grey-alpha": ("PNG", "LA", {}),
    "png-clear-colour": ("PNG", "RGB", {"transparency": (128, 128, 128)}),
    "webp": ("WEBP", "RGB", {"quality": 80}),
    "webp-alpha": ("WEBP", "RGBA", {"lossless": True}),
    "gif": ("GIF", "P", {}),
    "gif-clear": ("GIF", "P", {"transparency": 5}),
    "bmp": ("BMP", "RGB", {}),
    "bmp-palette": ("BMP", "P", {}),
    "bmp-bit": ("BMP", "1", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff-lzw": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff-cmyk": ("TIFF", "CMYK", {}),
    "tiff-alpha": ("TIFF", "RGBA", {}),
    "tiff-fax": ("TIFF", "1", {"compression": "group4"}),
    "tiff-lab": ("TIFF", "LAB", {}),
    "avif": ("AVIF", "RGB", {"speed": 10}),
    "avif-alpha": ("AVIF", "RGBA", {"speed": 10}),
    "heif": ("HEIF", "RGB", {}),
    "heif-alpha": ("HEIF", "RGBA", {}),
}


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """An RGB picture with large shapes and some noise."""
    rng = np.random.default_rng((width, height, seed))
    coarse = rng.integers(0, 256, (height // 9 + 2, width // 9 + 2, 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.integers(-9, 10, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8))


def photo_in(mode: str, width: int, height: int, seed: int = 0) -> Image.Image:
    """The same in another 8-bit mode; where there is alpha, from clear to opaque."""
    image = photo(width, height, seed)
    if mode in {"RGBA", "LA", "PA"}:
        image.putalpha(photo(width, height, seed + 1).convert("L"))
    if mode == "LAB":
        return Image.frombytes("LAB", image.size, image.tobytes())
    return image.quantize(128) if mode == "P" else image.convert(mode)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """A picture as a file of that format holds it."""
    file = io.BytesIO()
    if format == "HEIF":
        pillow_heif.from_pillow(image).save(file, **options)
    elif format == "MPO":
        image.save(file, format, save_all=True, append_images=[image.rotate(180)], **options)
    else:
        image.save(file, format, **options)
    return file.getvalue()


def write(folder: Path, encoding: str, width: int, height: int, seed: int = 0) -> Path:
    """One of ``ENCODINGS`` as a file, without the extension that would give it away."""
    format, mode, options = ENCODINGS[encoding]
    image = photo_in(mode, width, height, seed)
    if isinstance(options.get("transparency"), tuple):
        image.putpixel((width // 2, height // 2), options["transparency"])
    file = folder / f"{encoding}-{width}x{height}-{seed}"
    file.write_bytes(encoded(image, format, **options))
    return file


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large and holds no pixel."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A piece of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
