"""How furniture and things of the house are drawn, each in the unit square."""

import math

from .pen import INK, PAPER, WOOD, Pen, arc, curve

BRASS = (225, 180, 70)


def chair(pen: Pen) -> None:
    """A chair: high slatted back, seat, four legs."""
    pen.rectangle(0.2, 0.04, 0.28, 0.96)
    pen.rectangle(0.2, 0.04, 0.28, 0.56)
    seat = pen.vary(0.52, 0.58)
    for x, foot in ((0.36, 0.88), (0.76, 0.96), (0.66, 0.88)):
        pen.rectangle(x, seat, x + 0.06, foot, pen.dark)
    for y in (0.08, 0.22, 0.36):
        pen.polygon([(0.26, y), (0.42, y - 0.03), (0.42, y + 0.05), (0.26, y + 0.08)])
    pen.rectangle(0.4, 0.03, 0.46, 0.54)
    pen.polygon(
        [
            (0.18, seat + 0.04),
            (0.4, seat - 0.05),
            (0.84, seat - 0.05),
            (0.82, seat + 0.07),
            (0.18, seat + 0.1),
        ]
    )


def table(pen: Pen) -> None:
    """A table: a wide top on four legs."""
    top = pen.vary(0.32, 0.4)
    for x, foot in ((0.08, 0.9), (0.24, 0.78), (0.68, 0.78), (0.85, 0.9)):
        pen.rectangle(x, top, x + 0.07, foot, pen.dark)
    pen.polygon([(0.18, top - 0.12), (0.82, top - 0.12), (0.99, top), (0.01, top)])
    pen.rectangle(0.01, top, 0.99, top + 0.07)


def bed(pen: Pen) -> None:
    """A bed from the side: headboard, pillow, blanket."""
    pen.rectangle(0.02, 0.24, 0.09, 0.9, WOOD)
    pen.rectangle(0.92, pen.vary(0.4, 0.5), 0.98, 0.9, WOOD)
    pen.rectangle(0.09, 0.62, 0.92, 0.78, PAPER)
    pen.ellipse(0.22, 0.55, 0.13, 0.085, PAPER)
    pen.polygon([(0.34, 0.78), (0.34, 0.54), (0.42, 0.5), (0.86, 0.5), (0.92, 0.56), (0.92, 0.78)])
    pen.rectangle(0.09, 0.77, 0.92, 0.83, WOOD)


def lamp(pen: Pen) -> None:
    """A table lamp: shade shaped like a cone, thin stem, round foot."""
    pen.rectangle(0.47, 0.4, 0.53, 0.9, BRASS)
    pen.ellipse(0.5, 0.92, pen.vary(0.17, 0.23), 0.06, BRASS)
    pen.polygon([(0.36, 0.04), (0.64, 0.04), (0.86, 0.48), (0.14, 0.48)])
    pen.patch([(0.42, 0.49), (0.58, 0.49), (0.55, 0.56), (0.45, 0.56)], (255, 240, 150))


def cup(pen: Pen) -> None:
    """A cup with a handle and steam above."""
    for x in (0.3, 0.46):
        pen.stroke(
            curve((x, 0.28), (x + 0.05, 0.2), (x - 0.03, 0.12), (x + 0.02, 0.03)),
            0.025,
            (215, 215, 220),
        )
    pen.stroke(arc(0.74, 0.56, 0.16, 0.15, -90, 90), 0.07)
    foot = pen.vary(0.1, 0.2)
    pen.polygon([(0.08, 0.36), (0.74, 0.36), (0.74 - foot, 0.94), (0.08 + foot, 0.94)])
    pen.ellipse(0.41, 0.37, 0.33, 0.06, (95, 60, 40))


def bottle(pen: Pen) -> None:
    """A bottle: narrow neck, sloping shoulder, label."""
    shoulder = pen.vary(0.36, 0.44)
    pen.rectangle(0.43, 0.01, 0.57, 0.08, (190, 140, 90))
    pen.polygon(
        [
            (0.43, 0.08),
            (0.57, 0.08),
            (0.57, shoulder - 0.12),
            (0.68, shoulder),
            (0.68, 0.98),
            (0.32, 0.98),
            (0.32, shoulder),
            (0.43, shoulder - 0.12),
        ]
    )
    pen.patch([(0.33, 0.56), (0.67, 0.56), (0.67, 0.78), (0.33, 0.78)], PAPER)
    pen.patch([(0.38, 0.62), (0.62, 0.62), (0.62, 0.65), (0.38, 0.65)], pen.dark)


def book(pen: Pen) -> None:
    """An open book: two pages of lines over a cover."""
    lift = pen.vary(0.06, 0.12)
    pen.polygon(
        [(0.0, 0.26), (0.5, 0.26 + lift), (1.0, 0.26), (1.0, 0.84), (0.5, 0.88 + lift), (0.0, 0.84)]
    )
    for side in (-1, 1):
        pen.polygon(
            [
                (0.5, 0.24 + lift),
                (0.5 + side * 0.44, 0.2),
                (0.5 + side * 0.44, 0.76),
                (0.5, 0.82 + lift),
            ],
            PAPER,
        )
        for y in (0.36, 0.46, 0.56, 0.66):
            pen.stroke(
                [(0.5 + side * 0.08, y + 0.04), (0.5 + side * 0.38, y)], 0.012, (120, 120, 125)
            )


def clock(pen: Pen) -> None:
    """A round clock: rim, marks, two hands."""
    pen.ellipse(0.5, 0.5, 0.48)
    pen.ellipse(0.5, 0.5, 0.38, None, PAPER)
    for hour in range(12):
        angle = math.radians(30 * hour)
        pen.dot(0.5 + 0.32 * math.cos(angle), 0.5 + 0.32 * math.sin(angle), 0.022)
    for length, width in ((0.19, 0.045), (0.28, 0.03)):
        angle = pen.vary(0, 2 * math.pi)
        pen.patch(
            [
                (0.5 - width * math.sin(angle), 0.5 + width * math.cos(angle)),
                (0.5 + width * math.sin(angle), 0.5 - width * math.cos(angle)),
                (0.5 + length * math.cos(angle), 0.5 + length * math.sin(angle)),
            ],
            INK,
        )


def candle(pen: Pen) -> None:
    """A burning candle in a saucer with a handle."""
    pen.ellipse(0.5, 0.09, 0.07, 0.1, (255, 190, 50))
    pen.dot(0.5, 0.12, 0.035, (255, 245, 170))
    pen.stroke([(0.5, 0.18), (0.5, 0.28)], 0.02, INK)
    half = pen.vary(0.09, 0.13)
    pen.rectangle(0.5 - half, 0.27, 0.5 + half, 0.84)
    pen.stroke(arc(0.82, 0.84, 0.09, 0.08, 0, 360), 0.035, BRASS)
    pen.polygon([(0.18, 0.82), (0.82, 0.82), (0.7, 0.95), (0.3, 0.95)], BRASS)


def envelope(pen: Pen) -> None:
    """A letter in its envelope: rectangle with a V-shaped flap and a seal."""
    top = pen.vary(0.22, 0.28)
    pen.rectangle(0.01, top, 0.99, 0.82)
    for x in (0.01, 0.99):
        pen.stroke([(x, 0.82), (0.5, 0.5)], 0.02, pen.dark)
    pen.polygon([(0.01, top), (0.5, 0.58), (0.99, top)], pen.light)
    pen.dot(0.5, 0.56, 0.07, (200, 40, 50) if pen.body[1] > 90 else BRASS)


def television(pen: Pen) -> None:
    """An old television: screen, knobs, two aerials, feet."""
    for x in (0.3, 0.7):
        pen.stroke([(0.5, 0.26), (x, 0.02)], 0.025, INK)
    for x in (0.2, 0.72):
        pen.polygon([(x, 0.88), (x + 0.08, 0.88), (x + 0.06, 0.98), (x + 0.02, 0.98)], INK)
    pen.rectangle(0.04, 0.24, 0.96, 0.9)
    pen.rectangle(0.1, 0.32, 0.74, 0.82, (185, 210, 215))
    pen.patch([(0.16, 0.38), (0.34, 0.38), (0.2, 0.6)], PAPER)
    for y in (0.42, pen.vary(0.56, 0.66)):
        pen.dot(0.85, y, 0.055, INK if sum(pen.body) > 200 else PAPER)


def sofa(pen: Pen) -> None:
    """A sofa: long back, two cushions, two arms."""
    back = pen.vary(0.26, 0.34)
    for x in (0.1, 0.84):
        pen.rectangle(x, 0.8, x + 0.06, 0.92, WOOD)
    pen.rectangle(0.12, back, 0.88, 0.66)
    for left in (0.17, 0.5):
        pen.rectangle(left, 0.52, left + 0.33, 0.68, pen.light)
    pen.rectangle(0.08, 0.66, 0.92, 0.84)
    for x in (0.02, 0.83):
        pen.polygon(
            [(x, 0.84), (x, 0.5), *arc(x + 0.075, 0.5, 0.075, 0.07, 180, 360), (x + 0.15, 0.84)]
        )
