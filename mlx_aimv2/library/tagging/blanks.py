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

NAME = "blank 2"  # other pictures get another number, so that none comes from the cache
_SIDE_PX = 112
_SCREEN_PX = 3 * _SIDE_PX
_SEED = 2026
_ROWS, _COLUMNS = np.mgrid[0:_SIDE_PX, 0:_SIDE_PX] / _SIDE_PX


def make_blanks() -> list[Image.Image]:
    """The same ``NUMBER`` pictures every time, kind after kind."""
    rng = np.random.default_rng(_SEED)
    pixels = [kind(rng) for kind, number in KINDS.items() for _ in range(number)]
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
    """Windows on a desktop, or an app that fills all."""
    image = Image.new("RGB", (_SCREEN_PX,) * 2, _colour(rng))
    pen, is_dark = ImageDraw.Draw(image), rng.random() < 0.4
    if rng.random() < 0.3:
        _window(pen, rng, (-9, -9, _SCREEN_PX + 9, _SCREEN_PX + 9), is_dark)
    else:
        for _ in range(rng.integers(1, 5)):
            left, top, wide, high = rng.uniform((-0.15, -0.15, 0.3, 0.3), (0.6, 0.6, 0.95, 0.95))
            corners = np.array((left, top, left + wide, top + high)) * _SCREEN_PX
            _window(pen, rng, tuple(corners.astype(int).tolist()), is_dark)
    return np.asarray(image.resize((_SIDE_PX,) * 2, Image.Resampling.LANCZOS), float)


def _window(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, box: tuple[int, ...], is_dark: bool
) -> None:
    """A bar, a list at the side, rows of text, cards and buttons; some are missing."""
    left, top, right, bottom = box
    face = int(rng.integers(15, 60) if is_dark else rng.integers(228, 256))
    beside = face + int(rng.integers(10, 35)) * (1 if is_dark else -1)
    ink = (int(rng.integers(110, 230) if is_dark else rng.integers(60, 190)),) * 3
    pen.rounded_rectangle(box, int(rng.choice((0, 6, 12))), (face,) * 3, ink)
    under = min(bottom, top + int(rng.integers(10, 34)))
    if rng.random() < 0.85:
        fill = _colour(rng) if rng.random() < 0.6 else (beside,) * 3
        pen.rectangle((left, top, right, under), fill)
    split = left
    if rng.random() < 0.7 and right - left > 90:
        split += int((right - left) * rng.uniform(0.12, 0.45))
        pen.rectangle((left, under, split, bottom), (beside,) * 3)
    step, thick = int(rng.integers(10, 30)), int(rng.integers(2, 7))
    for line in range(under + step // 2, bottom - step // 2, step):
        if split - left > 20 and rng.random() < 0.9:
            dot = (left + 6, line - thick, left + 6 + 2 * thick, line + thick)
            pen.ellipse(dot, _colour(rng) if rng.random() < 0.7 else ink)
            if rng.random() < 0.5:
                pen.line((dot[2] + 6, line, split - 6, line), ink, thick // 2 + 1)
        if right - split > 24 and rng.random() < 0.9:
            end = split + 8 + int((right - split - 16) * rng.uniform(0.1, 1))
            pen.line((split + 8, line, end, line), ink, thick)
    for _ in range(rng.integers(0, 3)):
        wide, high = int(rng.integers(20, 80)), int(rng.integers(8, 26))
        x = int(rng.uniform(left, max(left + 1, right - wide)))
        y = int(rng.uniform(top, max(top + 1, bottom - high)))
        pen.rounded_rectangle((x, y, x + wide, y + high), 6, _colour(rng))


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


# How many of each: no two screens are alike.
KINDS: dict[Callable[[np.random.Generator], Pixels], int] = {
    _noise: 80,
    _surface: 80,
    _lines: 80,
    _screen: 240,
    _leaves: 80,
}
NUMBER = sum(KINDS.values())
