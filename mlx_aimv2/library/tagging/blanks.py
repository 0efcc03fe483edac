"""Pictures that show nothing a tag could name: what a checkpoint makes of them does not depend on
anybody's library.

Noise, smooth surfaces, lines as of text, screens, and overlapping textured discs, which have the
statistics of photographs without their content (the "dead leaves" of Lee, Mumford and Huang, 2001).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.float64]

EACH = 40  # of every kind
NAME = "blank 1"  # other pictures get another number, so that none comes from the cache
_SIDE_PX = 112
_SEED = 2026
_ROWS, _COLUMNS = np.mgrid[0:_SIDE_PX, 0:_SIDE_PX] / _SIDE_PX


def make_blanks() -> list[Image.Image]:
    """The same pictures every time, ``EACH`` of each kind, kind after kind."""
    rng = np.random.default_rng(_SEED)
    pixels = [kind(rng) for kind in KINDS for _ in range(EACH)]
    return [Image.fromarray(np.clip(each, 0, 255).astype(np.uint8)) for each in pixels]


def _noise(rng: np.random.Generator) -> Pixels:
    """Noise of any softness, in colours that go together more or less."""
    softness, alike = rng.uniform(0, 2.5), rng.uniform(0, 1)
    common = _soft(rng, softness)
    channels = [alike * common + (1 - alike) * _soft(rng, softness) for _ in range(3)]
    waves = np.stack([each / each.std() for each in channels], axis=2)
    return np.asarray(rng.uniform(60, 200, 3) + rng.uniform(15, 80) * waves)


def _surface(rng: np.random.Generator) -> Pixels:
    """One colour, or one that becomes another."""
    turn, first, last = rng.uniform(0, 2 * np.pi), *rng.uniform(0, 255, (2, 3))
    along = np.clip(0.5 + (_COLUMNS - 0.5) * np.cos(turn) + (_ROWS - 0.5) * np.sin(turn), 0, 1)
    if rng.random() < 0.4:
        along = np.hypot(_COLUMNS - rng.random(), _ROWS - rng.random())
    return np.asarray(first + (last - first) * along[..., None] * rng.integers(0, 4) / 3)


def _lines(rng: np.random.Generator) -> Pixels:
    """Strokes in words, lines and columns."""
    dark = rng.random() < 0.2
    paper = rng.integers(0, 60, 3) if dark else rng.integers(225, 256, 3)
    ink = (235,) * 3 if dark else (20,) * 3
    side = 4 * _SIDE_PX
    image = Image.new("RGB", (side, side), tuple(map(int, paper)))
    pen, high = ImageDraw.Draw(image), int(rng.integers(8, 30))
    thick, columns = max(1, high // 8), int(rng.integers(1, 3))
    width = side // columns
    for column in range(columns):
        for top in range(int(rng.integers(8, 60)), side - high, round(1.5 * high)):
            left = column * width + 16
            while left < (column + 1) * width - 2 * high and rng.random() > 0.03:
                for _ in range(rng.integers(2, 9)):
                    up, right = top + int(rng.choice((0, 0.3)) * high), left + round(0.4 * high)
                    pen.line((left, up, left, top + high), ink, thick)
                    if rng.random() < 0.6:
                        start = int(rng.integers(0, 360))
                        end = start + int(rng.integers(120, 360))
                        pen.arc((left, top + high // 3, right, top + high), start, end, ink, thick)
                    left += round(0.55 * high)
                left += round(0.5 * high)
    return np.asarray(image.resize((_SIDE_PX,) * 2, Image.Resampling.LANCZOS), float)


def _screen(rng: np.random.Generator) -> Pixels:
    """Frames within frames, some with lines and dots, on a coloured ground or filling all."""
    side = 2 * _SIDE_PX
    image = Image.new("RGB", (side, side), _colour(rng))
    pen, dark = ImageDraw.Draw(image), rng.random() < 0.4
    frames = [(0, 0, side, side)]
    if rng.random() < 0.75:
        corners = np.sort(rng.integers(-40, side + 40, (rng.integers(1, 5), 2, 2)), axis=1)
        frames = [(left, top, right, bottom) for (left, top), (right, bottom) in corners.tolist()]
    while frames:
        left, top, right, bottom = frames.pop()
        grey = int(rng.integers(20, 70) if dark else rng.integers(225, 256))
        is_bar = rng.random() < 0.15
        fill = _colour(rng) if is_bar else (grey,) * 3
        pen.rectangle((left, top, right, bottom), fill, (128,) * 3)
        wide, high = right - left, bottom - top
        if min(wide, high) > 30 and rng.random() < 0.75:
            if rng.random() < 0.5:
                at = left + int(wide * rng.uniform(0.15, 0.85))
                frames += [(left, top, at, bottom), (at, top, right, bottom)]
            else:
                at = top + int(high * rng.uniform(0.1, 0.85))
                frames += [(left, top, right, at), (left, at, right, bottom)]
        elif wide > 16:
            for line in range(top + 5, bottom - 5, 8):
                if rng.random() < 0.7:
                    end = left + int(wide * rng.uniform(0.2, 0.95))
                    pen.line((left + 4, line, end, line), (130,) * 3, 2)
                else:
                    pen.ellipse((left + 4, line - 3, left + 10, line + 3), _colour(rng))
    return np.asarray(image.resize((_SIDE_PX,) * 2, Image.Resampling.LANCZOS), float)


def _leaves(rng: np.random.Generator) -> Pixels:
    """Discs of all sizes over each other, each lit and grained, as by a lens a little soft."""
    pixels = np.full((_SIDE_PX, _SIDE_PX, 3), 128.0)
    mood, strength = rng.uniform(40, 200, 3), rng.uniform(15, 70)
    grain = [_soft(rng, rng.uniform(0.8, 1.8)) for _ in range(3)]
    smallest = rng.uniform(0.03, 0.15)
    for _ in range(int(rng.integers(60, 250))):
        x, y = rng.uniform(-0.1, 1.1, 2)
        # Radii by the inverse cube, which looks the same at every scale.
        radius = min(0.6, smallest / np.sqrt(1 - 0.98 * rng.random()))
        wide = radius / rng.uniform(0.6, 1.6)
        part = (_pixels(y - radius, y + radius), _pixels(x - wide, x + wide))
        across, down = _COLUMNS[part] - x, _ROWS[part] - y
        shade = mood + strength * rng.normal(size=3) * rng.uniform(0.3, 1) + strength * rng.normal()
        light = 120 * (across * rng.normal() + down * rng.normal())
        lit = light + rng.uniform(5, 35) * grain[rng.integers(3)][part]
        inside = np.hypot(across * (radius / wide), down) < radius
        pixels[part][inside] = (shade + lit[..., None])[inside]
    return np.asarray(pixels)


def _pixels(first: float, last: float) -> slice:
    return slice(max(0, int(first * _SIDE_PX)), max(0, int(last * _SIDE_PX) + 1))


def _soft(rng: np.random.Generator, softness: float) -> Pixels:
    """Noise whose amplitude falls with this power of the frequency, of deviation 1."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(_SIDE_PX), np.fft.fftfreq(_SIDE_PX)))
    frequency[0, 0] = 1
    waves = np.fft.fft2(rng.normal(size=(_SIDE_PX, _SIDE_PX))) / frequency**softness
    waves[0, 0] = 0
    noise = np.fft.ifft2(waves).real
    return np.asarray(noise / noise.std())


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = map(int, rng.integers(0, 256, 3))
    return red, green, blue


KINDS: tuple[Callable[[np.random.Generator], Pixels], ...] = (
    _noise, _surface, _lines, _screen, _leaves,
)  # fmt: skip
NUMBER = EACH * len(KINDS)
