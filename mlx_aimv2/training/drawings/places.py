"""The places a drawing can be set in, and how each is painted as its background."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .pen import PAPER, Rgb, mix


class Ground:
    """A background being painted; positions are fractions of its width and height."""

    def __init__(self, image: Image.Image, rng: random.Random) -> None:
        self.rng = rng
        self._image = image
        self._draw = ImageDraw.Draw(image)
        self._width, self._height = image.size

    def band(self, top: float, bottom: float, upper: Rgb, lower: Rgb) -> None:
        """A horizontal band whose colour runs from the upper to the lower one."""
        first, last = round(top * self._height), round(bottom * self._height)
        if last <= first:
            return
        column = Image.new("RGB", (1, 16))
        column.putdata([mix(upper, lower, row / 15) for row in range(16)])
        self._image.paste(column.resize((self._width, last - first)), (0, first))

    def polygon(self, points: list[tuple[float, float]], fill: Rgb) -> None:
        """A filled shape."""
        self._draw.polygon([(x * self._width, y * self._height) for x, y in points], fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Rgb) -> None:
        """A filled rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def disc(self, x: float, y: float, radius: float, fill: Rgb) -> None:
        """A filled circle; its radius is a fraction of the shorter side."""
        span = radius * min(self._width, self._height)
        centre_x, centre_y = x * self._width, y * self._height
        self._draw.circle((centre_x, centre_y), span, fill)

    def near(self, colour: Rgb, spread: int = 12) -> Rgb:
        """The colour, shifted a little at random."""
        red, green, blue = (
            min(255, max(0, part + self.rng.randint(-spread, spread))) for part in colour
        )
        return red, green, blue


def _day_sky(ground: Ground, horizon: float) -> None:
    top = ground.near((118, 186, 236), 18)
    ground.band(0, horizon, top, mix(top, PAPER, 0.5))
    for _ in range(ground.rng.randint(0, 2)):
        x, y = ground.rng.uniform(0.05, 0.95), ground.rng.uniform(0.06, horizon * 0.5)
        for step in (-0.06, 0.0, 0.06):
            ground.disc(x + step, y, 0.045, (252, 252, 252))


def beach(ground: Ground) -> None:
    """Sky, a strip of sea, sand."""
    horizon = ground.rng.uniform(0.3, 0.4)
    shore = horizon + ground.rng.uniform(0.14, 0.22)
    _day_sky(ground, horizon)
    ground.disc(ground.rng.uniform(0.1, 0.9), 0.12, 0.08, (255, 228, 110))
    ground.band(horizon, shore, (42, 132, 190), (94, 190, 212))
    ground.band(shore, 1, ground.near((240, 216, 158)), ground.near((224, 190, 126)))
    ground.box(0, shore - 0.01, 1, shore + 0.015, (246, 250, 250))


def snow(ground: Ground) -> None:
    """Pale sky, white ground, falling flakes."""
    horizon = ground.rng.uniform(0.4, 0.55)
    ground.band(0, horizon, ground.near((162, 184, 208)), (206, 218, 230))
    ground.band(horizon, 1, (246, 249, 253), (222, 232, 244))
    drift = [(0, horizon + 0.02), (0.3, horizon - 0.07), (0.7, horizon + 0.03)]
    ground.polygon(drift, (240, 245, 250))
    for _ in range(26):
        ground.disc(ground.rng.random(), ground.rng.random(), 0.013, (255, 255, 255))


def forest(ground: Ground) -> None:
    """Rows of firs, dark ground."""
    ground.band(0, 1, ground.near((150, 190, 160)), (120, 165, 125))
    for shade, base, rows in (((62, 112, 78), 0.62, 9), ((34, 82, 52), 0.78, 7)):
        green = ground.near(shade)
        shift = ground.rng.uniform(-0.1, 0.1)
        for row in range(rows + 1):
            x, top = shift + row / rows, base - ground.rng.uniform(0.45, 0.6)
            for tier in range(3):
                y = top + (base - top) * tier / 3.6
                half = 0.035 + 0.02 * tier
                ground.polygon([(x, y), (x + half, y + 0.22), (x - half, y + 0.22)], green)
    ground.band(0.76, 1, ground.near((64, 84, 48)), (46, 62, 36))


def desert(ground: Ground) -> None:
    """Hot sky, dunes."""
    horizon = ground.rng.uniform(0.42, 0.52)
    ground.band(0, horizon, ground.near((250, 196, 120)), (254, 230, 176))
    ground.disc(ground.rng.uniform(0.15, 0.85), 0.14, 0.09, (255, 246, 190))
    ground.band(horizon, 1, (226, 160, 84), (206, 132, 64))
    for y, shade in ((horizon, (232, 170, 96)), (horizon + 0.2, (214, 144, 72))):
        peak = ground.rng.uniform(0.2, 0.8)
        ground.polygon([(-0.1, y + 0.14), (peak, y - 0.1), (1.1, y + 0.14)], ground.near(shade, 8))


def city(ground: Ground) -> None:
    """Tower blocks with lit windows, a road."""
    ground.band(0, 0.75, ground.near((188, 204, 220)), (222, 226, 230))
    x = -0.02
    while x < 1:
        width = ground.rng.uniform(0.13, 0.22)
        top = ground.rng.uniform(0.08, 0.42)
        ground.box(x, top, x + width - 0.015, 0.78, ground.near((116, 122, 138), 18))
        for row in range(6):
            for column in range(3):
                left = x + 0.015 + column * (width - 0.03) / 3
                y = top + 0.04 + row * 0.075
                if y < 0.7 and ground.rng.random() < 0.75:
                    ground.box(left, y, left + 0.025, y + 0.04, (250, 232, 150))
        x += width
    ground.band(0.76, 1, (92, 94, 102), (74, 76, 84))
    for step in range(4):
        ground.box(0.05 + 0.26 * step, 0.87, 0.18 + 0.26 * step, 0.895, (236, 236, 228))


def night(ground: Ground) -> None:
    """Dark sky with points of light and a crescent moon, dark hills."""
    sky = ground.near((18, 24, 62), 8)
    ground.band(0, 1, sky, (52, 60, 112))
    for _ in range(34):
        ground.disc(ground.rng.random(), ground.rng.uniform(0, 0.72), 0.009, (252, 250, 220))
    x, y = ground.rng.uniform(0.1, 0.9), ground.rng.uniform(0.1, 0.2)
    ground.disc(x, y, 0.075, (252, 246, 208))
    ground.disc(x + 0.035, y - 0.015, 0.065, sky)
    hills = [(-0.1, 1), (-0.1, 0.86), (0.3, 0.76), (0.62, 0.84), (1.1, 0.78), (1.1, 1)]
    ground.polygon(hills, (22, 34, 40))


def sea(ground: Ground) -> None:
    """Open water with rows of waves under a strip of sky."""
    horizon = ground.rng.uniform(0.16, 0.28)
    _day_sky(ground, horizon)
    ground.band(horizon, 1, ground.near((44, 142, 196)), ground.near((18, 84, 152)))
    for row in range(6):
        y = horizon + 0.07 + row * 0.12
        shift = ground.rng.uniform(0, 0.2)
        for step in range(-1, 5):
            x = shift + step * 0.25
            wave = [(x, y), (x + 0.05, y - 0.03), (x + 0.11, y), (x + 0.05, y - 0.012)]
            ground.polygon(wave, (166, 216, 236))


def meadow(ground: Ground) -> None:
    """Blue sky over green grass with dots of colour."""
    horizon = ground.rng.uniform(0.36, 0.5)
    _day_sky(ground, horizon)
    ground.band(horizon, 1, ground.near((142, 204, 92)), ground.near((92, 168, 62)))
    for _ in range(22):
        x, y = ground.rng.random(), ground.rng.uniform(horizon + 0.05, 1)
        ground.disc(x, y, 0.01, ground.rng.choice([PAPER, (250, 220, 80), (240, 130, 150)]))
        ground.polygon([(x + 0.03, y), (x + 0.04, y - 0.04), (x + 0.05, y)], (66, 140, 50))


def mountains(ground: Ground) -> None:
    """Grey peaks with white tops above a dark green foot."""
    _day_sky(ground, 0.8)
    for _ in range(4):
        x, top = ground.rng.uniform(0, 1), ground.rng.uniform(0.1, 0.34)
        half, grey = ground.rng.uniform(0.3, 0.45), ground.near((122, 126, 142), 14)
        ground.polygon([(x - half, 0.84), (x, top), (x + half, 0.84)], grey)
        cap = ((-0.28, 0.28), (0, 0), (0.28, 0.28), (0.08, 0.2), (-0.06, 0.3))
        edge = [(x + half * across, top + (0.84 - top) * down) for across, down in cap]
        ground.polygon(edge, (248, 250, 252))
    ground.band(0.8, 1, ground.near((86, 124, 84)), (66, 100, 66))


def room(ground: Ground) -> None:
    """A papered wall with a window, a floor of boards."""
    floor = ground.rng.uniform(0.66, 0.76)
    wall = ground.near(ground.rng.choice([(228, 208, 190), (206, 216, 200), (224, 206, 216)]), 8)
    ground.band(0, floor, wall, mix(wall, (0, 0, 0), 0.06))
    for step in range(9):
        ground.box(step / 8.5, 0, step / 8.5 + 0.02, floor, mix(wall, PAPER, 0.45))
    left = ground.rng.uniform(0.06, 0.62)
    ground.box(left, 0.08, left + 0.32, 0.44, PAPER)
    for x in (left + 0.025, left + 0.17):
        for y in (0.1, 0.275):
            ground.box(x, y, x + 0.125, y + 0.145, (160, 208, 236))
    ground.band(floor, 1, (178, 128, 84), (156, 106, 66))
    for y in (floor + 0.01, floor + 0.09, floor + 0.18):
        ground.box(0, y, 1, y + 0.012, (128, 86, 52))


def kitchen(ground: Ground) -> None:
    """A tiled wall above a worktop and cupboards."""
    top = ground.rng.uniform(0.56, 0.64)
    tile = ground.near(ground.rng.choice([(226, 238, 240), (240, 236, 222), (222, 236, 224)]), 6)
    joint = mix(tile, (60, 80, 90), 0.32)
    ground.box(0, 0, 1, top, joint)
    for row in range(5):
        for column in range(8):
            x, y = column / 7 - 0.06, row * top / 5
            ground.box(x, y + 0.008, x + 0.13, y + top / 5 - 0.008, tile)
    ground.band(top, top + 0.07, (112, 104, 100), (92, 84, 82))
    cupboard = ground.near((196, 168, 132), 14)
    ground.box(0, top + 0.07, 1, 1, mix(cupboard, (0, 0, 0), 0.35))
    for column in range(3):
        x = column / 3 + 0.015
        ground.box(x, top + 0.1, x + 0.3, 0.99, cupboard)
        ground.disc(x + 0.26, top + 0.2, 0.016, (90, 80, 70))


@dataclass(frozen=True)
class Place:
    """One place: how it is painted, said with a thing in it, and said alone.

    ``hides`` are the colours that need an outline there; ``dark`` says that outlines are pale.
    """

    paint: Callable[[Ground], None]
    where: tuple[str, ...]
    alone: tuple[str, ...]
    hides: tuple[str, ...]
    dark: bool = False


# As a table: what is painted, said with a thing in it, said alone, and hidden.
PLACES: dict[str, Place] = {
    "beach": Place(beach, ("on a beach", "on the beach", "at the beach"),
                   ("a beach", "a sunny beach"), ("white", "yellow", "brown", "orange")),
    "snow": Place(snow, ("in the snow", "in snow"),
                  ("snow", "a snowy day", "a snowy field"), ("white", "grey")),
    "forest": Place(forest, ("in a forest", "in the forest", "in the woods"),
                    ("a forest", "a green forest"), ("green", "black", "brown"), dark=True),
    "desert": Place(desert, ("in a desert", "in the desert"),
                    ("a desert", "a hot desert"), ("orange", "brown", "yellow")),
    "city": Place(city, ("in a city", "in the city", "in a city street"),
                  ("a city", "a city street"), ("grey", "black", "white")),
    "night": Place(night, ("at night", "in the night"),
                   ("night", "a night sky", "a dark night"),
                   ("black", "blue", "purple", "brown"), dark=True),
    "sea": Place(sea, ("on the sea", "at sea", "in the sea"),
                 ("the sea", "a blue sea"), ("blue", "grey")),
    "meadow": Place(meadow, ("in a meadow", "on the grass"),
                    ("a meadow", "a green meadow"), ("green", "blue")),
    "mountains": Place(mountains, ("in the mountains", "in front of mountains"),
                       ("mountains", "the mountains", "snowy mountains"),
                       ("grey", "white", "green")),
    "room": Place(room, ("in a room", "in the room"),
                  ("a room", "a room with a window"), ("white", "brown", "grey")),
    "kitchen": Place(kitchen, ("in a kitchen", "in the kitchen"),
                     ("a kitchen", "a tiled kitchen"), ("white", "brown", "grey")),
}  # fmt: skip
