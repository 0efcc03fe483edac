"""Pixels and ids that come from elsewhere: transformers' own classes on the same inputs.

``expected.json`` holds what they made and their versions; ``tests/parity/reference_values.py``
makes it again, and a parity test holds the two against each other.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mlx_aimv2.images import decode, patches
from mlx_aimv2.texts.tokenizer import Tokenizer

from .pictures import CASES, Case, Pixels

FILE = Path(__file__).parent / "expected.json"
SIDES = (("hub", 112), ("hub", 97), ("ml-aim", 112), ("ml-aim", 97))  # of every case
NATIVE, PATCH = ("large", "upright"), 14  # cases of 112 to 4096 patches
NORMALIZED, SIDE, ROW = "wide", 112, 56  # the case, its side, and the row whose numbers are held

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


@cache
def expected() -> dict[str, Any]:
    """What transformers made: ``pixels``, ``normalized``, ``tokens``, and ``made_by``."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def digest(pixels: Pixels) -> str:
    """A hash of an array's shape and bytes."""
    content = f"{pixels.shape} ".encode() + np.ascontiguousarray(pixels).tobytes()
    return hashlib.sha256(content).hexdigest()


def pixels(folder: Path) -> Iterator[tuple[str, bool]]:
    """Every picture in every way, and whether its pixels are right; ``folder`` takes the files."""
    for case in CASES:
        opened = decode.open_rgb(case.write_to(folder))
        for preset, side_px in SIDES:
            made = decode.fit(opened, side_px, decode.PRESETS[preset])
            yield _is_expected(case, f"{preset} {side_px} px", made)
        if case.name in NATIVE:
            yield _is_expected(case, "native", patches.fit(opened, PATCH))


def normalized() -> list[list[float]]:
    """Twelve normalised numbers of one picture. Shapes: (4, 3)."""
    return list(expected()["normalized"])


def ids(tokenizer: Tokenizer) -> Iterator[tuple[str, bool]]:
    """Every text, and whether its ids are right for the tokenizer of ``demo``."""
    for text, row in zip(TEXTS, expected()["tokens"], strict=True):
        yield text, tokenizer.encode([text])[0].tolist() == row


def _is_expected(case: Case, way: str, made: Pixels) -> tuple[str, bool]:
    name = f"{case.name}, {way}"
    return name, digest(made) == expected()["pixels"][name]
