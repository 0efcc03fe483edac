"""Pixels and ids held against what transformers' own classes made of the same inputs.

``expected.json`` holds what they made and their versions; ``tests/parity/reference_values.py``
makes it again, and a parity test holds the two against each other.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from mlx_aimv2.images import decode, fit, patches, presets
from mlx_aimv2.inference import model

from .check import NORMALIZED, Check, judged
from .probe import Pixels, noise, picture

FILE = Path(__file__).parent / "expected.json"
SIDES = (("hub", 112), ("hub", 97), ("ml-aim", 112), ("ml-aim", 97))  # of every case
NATIVE, PATCH = ("large", "upright"), 14  # cases of 112 to 4096 patches
WIDE, SIDE, ROW = "wide", 112, 56  # the case, its side, and the row whose numbers are held

TEXTS = (
    "",
    "a photo of a cat",
    "A  PHOTO\tof\na Cat ",
    "it's we'll they're DON'T i'm 'tis o'clock",
    "3.14 1999 ٣ Ⅷ ½ ²",
    "!!! ... ?! :-) <> </w> # @ ~",
    "café cafe\u0301 Å A\u030a \u1e9b\u0323",
    "İstanbul ISTANBUL ı ß ẞ ﬁ ΟΔΟΣ ǅ",
    "日本語の写真 한국어 صورة ירוק हिन्दी ไทย",
    "👩‍👩‍👧 😀 🏳️‍🌈 \U0001f1eb\U0001f1f7",
    "a\u00a0b\u3000c\u2028d\u0085e\u200bf\ufeffg",
    "\0 \x07 \x7f \U0010ffff \ufffe",
    "<|endoftext|> <|startoftext|> end_of_text <end_of_text",
    "two red boats and a dog on the beach " * 10,
    "x" * 200,
)
_HINT = "look at the versions with aimv2 doctor, and open an issue with this report"


@dataclass(frozen=True)
class Case:
    """A picture in a file: its size in pixels, and how it is written."""

    name: str
    width_px: int
    height_px: int
    make: Callable[[Pixels], Image.Image] = Image.fromarray
    format: str = "PNG"
    orientation: int = 1

    def write_to(self, folder: Path) -> Path:
        """Write it as a file, whose name gives its format away to nobody."""
        file, exif = folder / self.name, Image.Exif()
        if self.orientation > 1:
            exif[ExifTags.Base.Orientation] = self.orientation
        image = self.make(picture(self.width_px, self.height_px))
        image.save(file, self.format, exif=exif)
        return file


@cache
def expected() -> dict[str, Any]:
    """What transformers made: ``pixels``, ``normalized``, ``tokens``, and ``made_by``."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def digest(pixels: Pixels) -> str:
    """A hash of an array's shape and bytes."""
    content = f"{pixels.shape} ".encode() + np.ascontiguousarray(pixels).tobytes()
    return hashlib.sha256(content).hexdigest()


def pixels() -> Check:
    """Pictures of every kind, made into pixels as transformers makes them."""
    made: dict[str, Pixels] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            opened = decode.open_rgb(case.write_to(Path(folder)))
            for preset, side_px in SIDES:
                fitted = fit.fit(opened, side_px, presets.PRESETS[preset])
                made[f"{case.name}, {preset} {side_px} px"] = fitted
            if case.name in NATIVE:
                made[f"{case.name}, native"] = patches.fit(opened, PATCH)
        values = np.array(model.load("demo", tower="image").preprocess(Path(folder) / WIDE))
    results = {name: digest(each) == expected()["pixels"][name] for name, each in made.items()}
    far = np.abs(values[ROW, ROW : ROW + 4] - np.array(expected()["normalized"])).max()
    results[f"{WIDE}, normalised"] = bool(far <= NORMALIZED)
    versions = expected()["made_by"]
    source = f"transformers {versions['transformers']}, Pillow {versions['pillow']}"
    return _told("pixels", results, "pictures", f"CLIPImageProcessorPil ({source})")


def tokens() -> Check:
    """Hard texts, made into ids as transformers makes them."""
    encode = model.load("demo", tower="text").tokenizer.encode
    results = {
        ascii(text): encode([text])[0].tolist() == row
        for text, row in zip(TEXTS, expected()["tokens"], strict=True)
    }
    source = f"CLIPTokenizer (transformers {expected()['made_by']['transformers']})"
    return _told("tokens", results, "texts", source)


def _told(name: str, results: dict[str, bool], noun: str, source: str) -> Check:
    wrong = [f"{case}: not what is expected" for case, is_right in results.items() if not is_right]
    detail = f"{len(results) - len(wrong)} of {len(results)} {noun} as {source} makes them"
    return judged(name, not wrong, detail, _HINT, findings=wrong)


def _in_mode(mode: str, pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels).convert(mode)


def _alpha(pixels: Pixels) -> Image.Image:
    clear = picture(pixels.shape[1], pixels.shape[0], turn=1)[..., :1]
    return Image.fromarray(np.concatenate([pixels, clear], axis=-1))


def _palette(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels[..., 0] // 2)
    indexed = Image.frombytes("P", image.size, image.tobytes())
    indexed.putpalette(noise(128 * 3, "palette").tobytes())
    indexed.info["transparency"] = bytes(range(0, 256, 2))
    return indexed


def _sixteen_bits(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)


CASES = (
    Case("wide", 151, 83),
    Case("tall", 61, 203),
    Case("tiny", 7, 5),
    Case("large", 1021, 769),
    Case("upright", 239, 187, orientation=6),
    Case("grey", 97, 131, partial(_in_mode, "L")),
    Case("one bit", 131, 97, partial(_in_mode, "1")),
    Case("cmyk", 103, 89, partial(_in_mode, "CMYK"), "TIFF"),
    Case("alpha", 127, 101, _alpha),
    Case("clear palette", 113, 149, _palette),
    Case("16 bits", 139, 107, _sixteen_bits),
    *(Case(f"exif {number}", 109, 67, orientation=number) for number in range(2, 9)),
)
