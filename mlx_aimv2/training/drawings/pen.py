"""A pen that draws shapes given in a unit square into a picture, turned, flipped and scaled."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Rgb = tuple[int, int, int]
Point = tuple[float, float]

INK: Rgb = (30, 28, 34)
PAPER: Rgb = (250, 248, 242)
WOOD: Rgb = (150, 105, 60)


@dataclass(frozen=True)
class Pose:
    """Where a thing stands: centre and size in pixels, turn in degrees, mirrored or not."""

    centre_px: Point
    width_px: float
    height_px: float
    turn_degrees: float
    mirrored: bool


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """The colour ``share`` of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


class Pen:
    """Draws in the unit square (x to the right, y down) through a pose, and keeps the extent.

    ``body`` is the thing's own colour, ``dark`` and ``light`` its shades, ``line`` its outline
    (None: no outline), ``vary(a, b)`` a number for this very thing between a and b.
    """

    def __init__(
        self,
        draw: ImageDraw.ImageDraw,
        pose: Pose,
        body: Rgb,
        line: Rgb | None,
        line_width: float,
        rng: random.Random,
    ) -> None:
        self.body = body
        self.dark = mix(body, (0, 0, 0), 0.35) if sum(body) > 150 else mix(body, PAPER, 0.3)
        self.light = mix(body, (255, 255, 255), 0.45)
        self.line = line
        self.vary = rng.uniform
        self._draw = draw
        self._line_px = max(1, round(line_width * pose.height_px))
        self._scale_px = (pose.width_px * pose.height_px) ** 0.5
        turn = math.radians(pose.turn_degrees)
        sign = -1 if pose.mirrored else 1
        self._xx = sign * pose.width_px * math.cos(turn)
        self._xy = -pose.height_px * math.sin(turn)
        self._yx = sign * pose.width_px * math.sin(turn)
        self._yy = pose.height_px * math.cos(turn)
        self._centre = pose.centre_px
        self._xs: list[float] = []
        self._ys: list[float] = []

    @property
    def extent_px(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of everything drawn so far."""
        return min(self._xs), min(self._ys), max(self._xs), max(self._ys)

    def polygon(self, points: Sequence[Point], fill: Rgb | None = None) -> None:
        """A closed shape, in the body's colour unless another is given."""
        corners = self._place(points)
        self._draw.polygon(corners, fill=fill or self.body)
        if self.line is not None:
            self._draw.line([*corners, corners[0], corners[1]], self.line, self._line_px)

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, fill: Rgb | None = None
    ) -> None:
        """A rectangle between two corners."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def ellipse(
        self,
        x: float,
        y: float,
        radius_x: float,
        radius_y: float | None = None,
        fill: Rgb | None = None,
        *,
        turn_degrees: float = 0.0,
    ) -> None:
        """An ellipse round (x, y); a circle when one radius is given."""
        radius_y = radius_x if radius_y is None else radius_y
        self.polygon(arc(x, y, radius_x, radius_y, 0, 360, turn_degrees)[:-1], fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Rgb | None = None) -> None:
        """A line of this width, joined roundly, outlined where the thing is."""
        width_px = max(2, round(width * self._scale_px))
        corners = self._place(points, width_px / 2)
        if self.line is not None:
            self._draw.line(corners, self.line, width_px + 2 * self._line_px, joint="curve")
        self._draw.line(corners, fill or self.body, width_px, joint="curve")

    def dot(self, x: float, y: float, radius: float, fill: Rgb = INK) -> None:
        """A small filled circle without an outline: eyes, buttons, spots."""
        self._draw.polygon(self._place(arc(x, y, radius, radius, 0, 360, 0)[:-1]), fill=fill)

    def patch(self, points: Sequence[Point], fill: Rgb) -> None:
        """A filled shape without an outline: markings on a body."""
        self._draw.polygon(self._place(points), fill=fill)

    def _place(self, points: Sequence[Point], margin_px: float = 0.0) -> list[Point]:
        centre_x, centre_y = self._centre
        placed = [
            (
                centre_x + self._xx * (x - 0.5) + self._xy * (y - 0.5),
                centre_y + self._yx * (x - 0.5) + self._yy * (y - 0.5),
            )
            for x, y in points
        ]
        for x, y in placed:
            self._xs += (x - margin_px, x + margin_px)
            self._ys += (y - margin_px, y + margin_px)
        return placed


def arc(
    x: float,
    y: float,
    radius_x: float,
    radius_y: float,
    start_degrees: float,
    end_degrees: float,
    turn_degrees: float = 0.0,
) -> list[Point]:
    """Points along an ellipse's edge, clockwise from the right (y points down)."""
    steps = max(4, round(abs(end_degrees - start_degrees) / 20))
    cosine, sine = math.cos(math.radians(turn_degrees)), math.sin(math.radians(turn_degrees))
    points = []
    for step in range(steps + 1):
        angle = math.radians(start_degrees + (end_degrees - start_degrees) * step / steps)
        across, down = radius_x * math.cos(angle), radius_y * math.sin(angle)
        points.append((x + across * cosine - down * sine, y + across * sine + down * cosine))
    return points


def symmetric(*right: Point) -> list[Point]:
    """An outline from its right half, where x is the distance from the middle."""
    return [(0.5 + x, y) for x, y in right] + [(0.5 - x, y) for x, y in reversed(right) if x]


def rounded(outline: Sequence[Point]) -> list[Point]:
    """An outline without corners."""
    return curve(*outline, outline[0])


def curve(*anchors: Point) -> list[Point]:
    """A smooth line through the anchors (Catmull-Rom, six steps a segment)."""
    padded = [anchors[0], *anchors, anchors[-1]]
    points = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(6):
            t = step / 6
            x, y = (_spline(*four, t) for four in zip(a, b, c, d, strict=True))
            points.append((x, y))
    points.append(anchors[-1])
    return points


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    linear, square, cube = c - a, 2 * a - 5 * b + 4 * c - d, 3 * b - a - 3 * c + d
    return b + 0.5 * t * (linear + t * (square + t * cube))
