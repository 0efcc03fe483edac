"""Drawn pictures with known content: seeded scenes of things in places, with their boxes.

``draw(seed)`` is one picture; the same seed gives the same scene at every size.
Seeds below ``HELD_OUT`` are for training, the others for measuring and showing only.
Kinds: one object, several of one noun, several different, none; and "grid" (for training only):
four different on plain paper.
"""

import math
import random
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

from .captions import Caption, caption_of
from .nouns import COLOURS, GLYPHS, NOUNS
from .pen import INK, PAPER, Pen, Pose, Rgb, mix
from .places import PLACES, Ground

Box = tuple[int, int, int, int]
Kind = Literal["single", "counted", "several", "empty", "grid"]

HELD_OUT = 1_000_000_000
KINDS: dict[Kind, float] = {
    "single": 0.45,
    "counted": 0.15,
    "several": 0.36,
    "empty": 0.04,
    "grid": 0.0,
}
_OVERSAMPLING = 2
_CAPTIONS = 4


@dataclass(frozen=True)
class Thing:
    """One object of a scene. ``x`` and ``y`` are fractions of the free room, ``size`` of the
    shorter side; ``seed`` fixes its own shape."""

    noun: str
    colour: str
    cell: tuple[float, float, float, float]
    x: float
    y: float
    size: float
    stretch: float
    turn_degrees: float
    mirrored: bool
    outlined: bool
    pale_outline: bool
    seed: int


@dataclass(frozen=True)
class Scene:
    """What a picture shows, before it has a size in pixels."""

    seed: int
    kind: Kind
    place: str | None
    things: tuple[Thing, ...]

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Noun and colour of every object."""
        return tuple((thing.noun, thing.colour) for thing in self.things)


@dataclass(frozen=True)
class Drawing:
    """A picture and everything that is true of it: objects as (noun, colour, box).

    Units: boxes in pixels, left, top, right, bottom; right and bottom are outside the object.
    """

    image: Image.Image
    objects: tuple[tuple[str, str, Box], ...]
    place: str | None
    captions: tuple[Caption, ...]

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Noun and colour of every object."""
        return tuple((noun, colour) for noun, colour, _ in self.objects)


def draw(
    seed: int, side_px: int = 112, *, height_px: int | None = None, kind: Kind | None = None
) -> Drawing:
    """The drawing of this seed, ``side_px`` wide and as high unless a height is given."""
    scene = plan(seed, kind=kind, aspect=side_px / (height_px or side_px))
    image, boxes = paint(scene, side_px, height_px or side_px)
    rng = random.Random(f"captions {seed}")
    objects = [(*kind, box) for kind, box in zip(scene.kinds, boxes, strict=True)]
    captions = tuple(caption_of(scene, rng) for _ in range(_CAPTIONS))
    return Drawing(image, tuple(objects), scene.place, captions)


def plan(
    seed: int, *, kind: Kind | None = None, aspect: float = 1.0, noun: str | None = None
) -> Scene:
    """The scene of this seed; of one kind, or with this noun in it, when asked for."""
    rng = random.Random(seed)
    drawn: Kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    kind = kind or drawn
    place = rng.choice(list(PLACES)) if kind == "empty" or rng.random() < 0.6 else None
    if kind == "grid":
        place = None
    nouns = _nouns(kind, rng)
    if noun is not None:
        nouns = [noun, *(other for other in nouns[1:] if kind == "counted" or other != noun)]
    colours = [_colour(name, rng) for name in nouns]
    if kind == "counted":
        nouns = [nouns[0]] * len(nouns)
        if rng.random() < 0.7:
            colours = [colours[0]] * len(colours)
    cells = _cells(len(nouns), aspect, rng)
    style = rng.random()
    things = tuple(
        _thing(name, colour, cell, place, style, rng)
        for name, colour, cell in zip(nouns, colours, cells, strict=True)
    )
    return Scene(seed, kind, place, things)


def paint(
    scene: Scene, width_px: int, height_px: int, *, things: bool = True
) -> tuple[Image.Image, list[Box]]:
    """The scene as an RGB picture, and each thing's box; only its background if asked for."""
    rng = random.Random(f"background {scene.seed}")
    scale = _OVERSAMPLING
    image = Image.new("RGB", (width_px * scale, height_px * scale), PAPER)
    ground = Ground(image, rng)
    if scene.place is None:
        _paint_plain(ground, scene)
    else:
        PLACES[scene.place].paint(ground)
    boxes = []
    if things:
        canvas = ImageDraw.Draw(image)
        for thing in scene.things:
            left, top, right, bottom = _paint_thing(canvas, thing, image.size)
            begin = max(0, math.floor(left / scale)), max(0, math.floor(top / scale))
            end = math.ceil(right / scale), math.ceil(bottom / scale)
            boxes.append((*begin, min(width_px, end[0]), min(height_px, end[1])))
    return image.reduce(scale), boxes


def _nouns(kind: Kind, rng: random.Random) -> list[str]:
    if kind == "empty":
        return []
    if kind == "single":
        return [rng.choice(NOUNS)]
    if kind == "counted":
        return [rng.choice(NOUNS)] * rng.choice([2, 2, 3, 3, 4, 5])
    return rng.sample(NOUNS, 4 if kind == "grid" else rng.choice([2, 2, 3, 3, 4]))


def _colour(noun: str, rng: random.Random) -> str:
    usual = GLYPHS[noun].usual
    return rng.choice(usual if rng.random() < 0.4 else list(COLOURS))


def _cells(
    count: int, aspect: float, rng: random.Random
) -> list[tuple[float, float, float, float]]:
    """That many cells of a grid over the picture, in fractions, none used twice."""
    if count == 0:
        return []
    columns = min(count, max(1, round(math.sqrt(count * aspect) + rng.uniform(-0.3, 0.45))))
    rows = math.ceil(count / columns)
    cells = [
        (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        for row in range(rows)
        for column in range(columns)
    ]
    return rng.sample(cells, count)


def _thing(
    noun: str,
    colour: str,
    cell: tuple[float, float, float, float],
    place: str | None,
    style: float,
    rng: random.Random,
) -> Thing:
    glyph = GLYPHS[noun]
    alone = cell == (0.0, 0.0, 1.0, 1.0)
    hidden = colour in PLACES[place].hides if place is not None else colour == "white"
    dark = place is not None and PLACES[place].dark
    return Thing(
        noun=noun,
        colour=colour,
        cell=cell,
        x=rng.random(),
        y=rng.random(),
        size=rng.uniform(0.45, 0.94) if alone else rng.uniform(0.8, 1.05),
        stretch=rng.uniform(0.88, 1.14),
        turn_degrees=rng.uniform(-glyph.tilt_degrees, glyph.tilt_degrees),
        mirrored=rng.random() < 0.5,
        outlined=hidden or style < 0.75,
        pale_outline=dark and (hidden or style < 0.4),
        seed=rng.getrandbits(32),
    )


def _paint_plain(ground: Ground, scene: Scene) -> None:
    tint = ground.rng.choice(list(COLOURS.values()))
    upper = ground.near(mix(tint, (255, 255, 255), ground.rng.uniform(0.72, 1.0)), 4)
    lower = mix(upper, tint, 0.15) if ground.rng.random() < 0.5 else upper
    ground.band(0, 1, upper, lower)


def _paint_thing(
    canvas: ImageDraw.ImageDraw, thing: Thing, size_px: tuple[int, int]
) -> tuple[float, float, float, float]:
    width_px, height_px = size_px
    left, top, right, bottom = (
        edge * span for edge, span in zip(thing.cell, (width_px, height_px) * 2, strict=True)
    )
    side = thing.size * min(right - left, bottom - top)
    room_x, room_y = max(0.0, right - left - side), max(0.0, bottom - top - side)
    stretch = math.sqrt(thing.stretch)
    pose = Pose(
        centre_px=(left + side / 2 + thing.x * room_x, top + side / 2 + thing.y * room_y),
        width_px=side * min(1.0, stretch),
        height_px=side * min(1.0, 1 / stretch),
        turn_degrees=thing.turn_degrees,
        mirrored=thing.mirrored,
    )
    rng = random.Random(thing.seed)
    line = None
    if thing.outlined:
        line = PAPER if thing.pale_outline else INK
        if thing.colour == "black" and not thing.pale_outline:
            line = (120, 120, 126)
    pen = Pen(canvas, pose, _tinted(thing.colour, rng), line, rng.uniform(0.01, 0.022), rng)
    GLYPHS[thing.noun].draw(pen)
    return pen.extent_px


def _tinted(colour: str, rng: random.Random) -> Rgb:
    red, green, blue = (min(255, max(0, part + rng.randint(-12, 12))) for part in COLOURS[colour])
    return red, green, blue
