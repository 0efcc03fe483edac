"""Pixels equal transformers' CLIPImageProcessorPil, byte for byte, before normalisation."""

from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.images import decode, fit, presets
from tests.support import pictures

transformers = pytest.importorskip("transformers")

HUB = presets.PRESETS["hub"]
ROUNDS = 10  # of every encoding: 310 pictures
SIDES = (13, 56, 97, 112, 224)


def reference(picture: Any, side_px: int) -> NDArray[np.uint8]:
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": side_px},
        crop_size={"height": side_px, "width": side_px},
        do_rescale=False,
        do_normalize=False,
    )
    return processor(picture)["pixel_values"][0].transpose(1, 2, 0)


def open_with_pillow(file: Path) -> Image.Image:
    if file.name.startswith("heif"):
        return pillow_heif.open_heif(file).to_pillow()
    return Image.open(file)


def some_size(rng: np.random.Generator, turn: int) -> tuple[int, int]:
    short, long = {
        0: (rng.integers(1, 14), rng.integers(1, 14)),  # tiny, enlarged a lot
        1: (rng.integers(1, 20), rng.integers(100, 600)),  # up to the longest there is
        2: (rng.integers(224, 226), rng.integers(224, 260)),  # next to nothing to do
    }.get(turn, (rng.integers(20, 300), rng.integers(20, 500)))
    long = min(long, fit.MAX_ASPECT * short)
    return (int(long), int(short)) if rng.random() < 0.5 else (int(short), int(long))


@pytest.mark.parametrize("encoding", pictures.ENCODINGS)
def test_files(encoding: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(list(encoding.encode()))
    for turn in range(ROUNDS):
        width, height = some_size(rng, turn)
        side_px = SIDES[turn % len(SIDES)]
        file = pictures.write(tmp_path, encoding, width, height, seed=turn)
        ours = fit.fit(decode.open_rgb(file), side_px, HUB)
        with open_with_pillow(file) as picture:
            theirs = reference(picture, side_px)
        np.testing.assert_array_equal(ours, theirs, f"{file.name} to {side_px}", strict=True)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr", "HSV"])
def test_pil_images(mode: str) -> None:
    picture = pictures.photo_in(mode, 151, 83)
    ours = fit.fit(decode.open_rgb(picture), 61, HUB)
    np.testing.assert_array_equal(ours, reference(picture, 61))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_arrays(mode: str) -> None:
    picture = np.asarray(pictures.photo_in(mode, 83, 151))
    ours = fit.fit(decode.open_rgb(picture), 61, HUB)
    np.testing.assert_array_equal(ours, reference(picture, 61))


def test_the_long_side_rounds_alike() -> None:
    """A slope shows where truncation and floats could part ways."""
    for short in range(1, 40, 2):
        for long in (short, short + 1, 3 * short // 2 + 1, 7 * short - 1, 32 * short):
            slope = np.linspace(0, 255, long).astype(np.uint8)
            pixels = np.broadcast_to(slope[:, None, None], (long, short, 3))
            picture = Image.fromarray(np.ascontiguousarray(pixels))
            ours = fit.fit(decode.open_rgb(picture), 29, HUB)
            np.testing.assert_array_equal(ours, reference(picture, 29), f"{short} x {long}")
