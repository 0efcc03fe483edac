"""Pictures that no tag of the drawings is true of, and libraries full of nearly the same picture.

Photographs are cut from those that come with scikit-image; the others are made here, by other means
than the blanks that tags are calibrated with.
"""

import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mlx_aimv2.training.drawings.scene import HELD_OUT, paint, plan

SIDE_PX = 112
_PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "moon.png",
    "motorcycle_left.png", "motorcycle_right.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
_FOLDER = Path(skimage.__file__).parent / "data"


def photographs(number: int, rng: random.Random) -> Iterator[Image.Image]:
    """Square parts of photographs, from a fifth of the shorter side up to all of it."""
    known = [Image.open(_FOLDER / name).convert("RGB") for name in _PHOTOGRAPHS]
    for index in range(number):
        photo = known[index % len(known)]
        side = round(min(photo.size) * rng.uniform(0.2, 1))
        left, top = (rng.randint(0, edge - side) for edge in photo.size)
        yield photo.resize((SIDE_PX, SIDE_PX), box=(left, top, left + side, top + side))


def text_pages(number: int, rng: random.Random) -> Iterator[Image.Image]:
    """Pages of made-up words, each of its own size of letters, margin, columns and paper."""
    for _ in range(number):
        light = rng.random() < 0.85
        paper = tuple(rng.randint(225, 255) if light else rng.randint(0, 60) for _ in range(3))
        size, columns = rng.randint(14, 36), rng.choice((1, 1, 2))
        yield _page(rng, paper, "black" if light else "white", size, columns, rng.randint(10, 50))


def near_equal_pages(number: int, rng: random.Random) -> Iterator[Image.Image]:
    """Pages of one book: other words, and nothing else."""
    for _ in range(number):
        yield _page(rng, (250, 248, 240), "black", 20, 1, 30)


def noise(number: int, rng: random.Random) -> Iterator[Image.Image]:
    """Random pixels round a colour, from single ones to soft clouds."""
    values = np.random.default_rng(rng.getrandbits(32))
    for _ in range(number):
        middle, spread = values.uniform(40, 215, 3), values.uniform(10, 90)
        side = int(values.choice((SIDE_PX, 56, 28, 14, 7)))
        grey = values.random() < 0.3
        pixels = middle + spread * values.normal(size=(side, side, 1 if grey else 3))
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        yield image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)


def screens(number: int, rng: random.Random) -> Iterator[Image.Image]:
    """Windows with bars, lists, buttons and lines on a plain desktop."""
    for _ in range(number):
        dark = rng.random() < 0.4
        image = Image.new("RGB", (4 * SIDE_PX, 4 * SIDE_PX), _colour(rng))
        pen = ImageDraw.Draw(image)
        for _ in range(rng.randint(1, 3)):
            left, top = rng.randint(0, 200), rng.randint(0, 200)
            right, bottom = left + rng.randint(180, 400), top + rng.randint(150, 400)
            inside, side = ("#1e2024", "#3c3e46") if dark else ("#f6f6f8", "#e4e6eb")
            pen.rounded_rectangle((left, top, right, bottom), 8, inside, outline=(120, 120, 120))
            pen.rectangle((left, top, right, top + 24), _colour(rng))
            split = left + rng.randint(40, 110)
            pen.rectangle((left, top + 24, split, bottom), side)
            for line in range(top + 40, bottom - 20, rng.randint(16, 30)):
                pen.line((split + 12, line, rng.randint(split + 20, right), line), (130,) * 3, 6)
                pen.ellipse((left + 8, line - 5, left + 18, line + 5), _colour(rng))
            button = (right - 70, bottom - 30, right - 10, bottom - 8)
            pen.rounded_rectangle(button, 6, _colour(rng))
        yield image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def gradients(number: int, rng: random.Random) -> Iterator[Image.Image]:
    """Two or three colours that run into each other, along a line or from a point."""
    rows, columns = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / (SIDE_PX - 1)
    for _ in range(number):
        if rng.random() < 0.5:
            turn = rng.uniform(0, 2 * np.pi)
            along = (columns - 0.5) * np.cos(turn) + (rows - 0.5) * np.sin(turn)
        else:
            along = np.hypot(columns - rng.random(), rows - rng.random())
        along = (along - along.min()) / (along.max() - along.min())
        stops = sorted({0.0, *(rng.random() for _ in range(rng.randint(0, 1))), 1.0})
        colours = np.array([_colour(rng) for _ in stops], float)
        pixels = [np.interp(along, stops, colours[:, channel]) for channel in range(3)]
        yield Image.fromarray(np.stack(pixels, axis=2).astype(np.uint8))


def one_scene(number: int, rng: random.Random) -> Iterator[Image.Image]:
    """One place without things, as a camera that is never quite still sees it."""
    scene = plan(HELD_OUT + rng.getrandbits(20), kind="empty")
    return _shaken(paint(scene, 120, 120)[0], number, rng)


def one_burst(number: int, rng: random.Random) -> Iterator[Image.Image]:
    """One thing, photographed again and again."""
    scene = plan(HELD_OUT + rng.getrandbits(20), kind="single", noun="truck")
    return _shaken(paint(scene, 120, 120)[0], number, rng)


Maker = Callable[[int, random.Random], Iterator[Image.Image]]

# The most tags that a picture of each kind may be given, on average.
FOREIGN: dict[Maker, float] = {
    photographs: 0.9,
    text_pages: 0.2,
    noise: 0.2,
    screens: 0.2,
    gradients: 0.3,
}
NEAR_EQUAL: tuple[Maker, ...] = (near_equal_pages, one_scene, one_burst)


def _page(
    rng: random.Random, paper: tuple[int, ...], ink: str, size: int, columns: int, margin: int
) -> Image.Image:
    side = 4 * SIDE_PX
    image = Image.new("RGB", (side, side), paper)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    width = (side - margin) // columns - margin
    for column in range(columns):
        left, top = margin + column * (width + margin), margin
        while top < side - margin - size:
            line = ""
            while pen.textlength(line, font) < width * 0.85:
                line += "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) + " "
            pen.text((left, top), line[: len(line) * 9 // 10], ink, font)
            top += round(1.4 * size) * (2 if rng.random() < 0.1 else 1)
    return image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def _shaken(image: Image.Image, number: int, rng: random.Random) -> Iterator[Image.Image]:
    values = np.random.default_rng(rng.getrandbits(32))
    for _ in range(number):
        left, top = (rng.uniform(0, 8) for _ in "xy")
        part = image.resize((SIDE_PX, SIDE_PX), box=(left, top, left + SIDE_PX, top + SIDE_PX))
        part = part.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
        pixels = np.asarray(part, float) * rng.uniform(0.9, 1.1)
        pixels += values.normal(0, 4, pixels.shape)
        yield Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255)
