"""How furniture and things of the house are drawn, each in the unit square."""

import math

from .pen import INK, PAPER, WOOD, Pen, symmetric


def bed(pen: Pen) -> None:
    """A bed from the side: headboard, pillow, blanket."""
    pen.rectangle(0.02, 0.24, 0.09, 0.9, WOOD)
    pen.rectangle(0.92, pen.vary(0.4, 0.5), 0.98, 0.9, WOOD)
    pen.rectangle(0.09, 0.62, 0.92, 0.78, PAPER)
    pen.ellipse(0.22, 0.55, 0.13, 0.085, PAPER)
    pen.polygon([(0.34, 0.78), (0.34, 0.54), (0.42, 0.5), (0.86, 0.5), (0.92, 0.56), (0.92, 0.78)])
    pen.rectangle(0.09, 0.77, 0.92, 0.83, WOOD)


def book(pen: Pen) -> None:
    """An open book: two pages of lines over a cover."""
    lift = pen.vary(0.06, 0.12)
    pen.polygon(symmetric((0, 0.26 + lift), (0.5, 0.26), (0.5, 0.84), (0, 0.88 + lift)))
    for side in (-1, 1):
        edge, start, end = (0.5 + side * distance for distance in (0.44, 0.08, 0.38))
        pen.polygon([(0.5, 0.24 + lift), (edge, 0.2), (edge, 0.76), (0.5, 0.82 + lift)], PAPER)
        for y in (0.36, 0.46, 0.56, 0.66):
            pen.stroke([(start, y + 0.04), (end, y)], 0.012, (120, 120, 125))


def clock(pen: Pen) -> None:
    """A round clock: rim, marks, two hands."""
    pen.ellipse(0.5, 0.5, 0.48)
    pen.ellipse(0.5, 0.5, 0.38, None, PAPER)
    for hour in range(12):
        angle = math.radians(30 * hour)
        pen.dot(0.5 + 0.32 * math.cos(angle), 0.5 + 0.32 * math.sin(angle), 0.022)
    for length, width in ((0.19, 0.045), (0.28, 0.03)):
        angle = pen.vary(0, 2 * math.pi)
        x, y = math.cos(angle), math.sin(angle)
        sides = [(0.5 - width * y, 0.5 + width * x), (0.5 + width * y, 0.5 - width * x)]
        pen.patch([*sides, (0.5 + length * x, 0.5 + length * y)], INK)
