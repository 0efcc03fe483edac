"""How people and what they carry, play and work with are drawn, each in the unit square."""

import math

from .pen import INK, PAPER, WOOD, Pen, arc, curve

STEEL = (165, 170, 180)


def umbrella(pen: Pen) -> None:
    """An open umbrella: scalloped dome, hooked handle."""
    pen.stroke([(0.5, 0.4), (0.5, 0.86), *arc(0.42, 0.86, 0.08, 0.09, 0, 180)], 0.035, WOOD)
    points = arc(0.5, 0.48, 0.48, pen.vary(0.4, 0.46), 180, 360)
    for x in (0.86, 0.62, 0.38, 0.14):
        points += arc(x, 0.48, 0.12, 0.07, 0, -180)
    pen.polygon(points)
    for x in (0.26, 0.74):
        pen.stroke(
            curve((0.5, 0.07), ((x + 0.5) / 2 + (x - 0.5) * 0.35, 0.2), (x, 0.46)), 0.018, pen.dark
        )
    pen.stroke([(0.5, 0.08), (0.5, 0.0)], 0.025, INK)


def hat(pen: Pen) -> None:
    """A hat with a brim and a band."""
    crown = pen.vary(0.16, 0.24)
    pen.ellipse(0.5, 0.74, 0.49, 0.12)
    pen.polygon([(0.24, 0.74), (0.27, crown), *arc(0.5, crown, 0.23, 0.07, 180, 360), (0.76, 0.74)])
    pen.polygon(
        [(0.245, 0.6), (0.755, 0.6), (0.76, 0.73), (0.24, 0.73)],
        INK if sum(pen.body) > 200 else (200, 50, 50),
    )


def shoe(pen: Pen) -> None:
    """A sports shoe from the side: laces, thick pale sole."""
    ankle = pen.vary(0.2, 0.28)
    pen.polygon(
        [
            (0.06, ankle),
            (0.36, ankle + 0.02),
            (0.46, 0.42),
            (0.84, 0.56),
            (0.97, 0.7),
            (0.97, 0.76),
            (0.05, 0.76),
        ]
    )
    pen.polygon([(0.03, 0.74), (0.98, 0.74), (0.96, 0.87), (0.05, 0.87)], PAPER)
    for x in (0.42, 0.5, 0.58):
        pen.stroke([(x - 0.05, 0.2 + x * 0.62), (x + 0.06, 0.1 + x * 0.68)], 0.028, PAPER)
    pen.patch([(0.1, 0.52), (0.3, 0.56), (0.3, 0.66), (0.1, 0.66)], pen.dark)


def key(pen: Pen) -> None:
    """A key: ring, shaft, two teeth."""
    pen.stroke([(0.4, 0.5), (0.98, 0.5)], 0.075)
    for x in (0.76, 0.92):
        pen.stroke([(x, 0.5), (x, pen.vary(0.64, 0.7))], 0.065)
    pen.stroke(arc(0.22, 0.5, 0.16, 0.16, 0, 360), 0.09)


def scissors(pen: Pen) -> None:
    """Open scissors: two blades crossing, two ring handles."""
    spread = pen.vary(0.12, 0.2)
    for side in (-1, 1):
        pen.polygon(
            [
                (0.5 - side * 0.03, 0.62),
                (0.5 + side * spread - 0.03, 0.02),
                (0.5 + side * spread + 0.04, 0.06),
                (0.5 + side * 0.06, 0.62),
            ],
            STEEL,
        )
    for side in (-1, 1):
        pen.stroke([(0.5 - side * 0.02, 0.56), (0.5 + side * 0.14, 0.72)], 0.06)
        pen.stroke(arc(0.5 + side * 0.19, 0.82, 0.11, 0.13, 0, 360), 0.06)
    pen.dot(0.5, 0.56, 0.03)


def guitar(pen: Pen) -> None:
    """A guitar: waisted body with a sound hole, long neck."""
    pen.rectangle(0.46, 0.08, 0.54, 0.56, (90, 60, 40))
    pen.rectangle(0.43, 0.0, 0.57, 0.1, (90, 60, 40))
    pen.ellipse(0.5, 0.56, pen.vary(0.17, 0.21), 0.15)
    pen.ellipse(0.5, 0.79, 0.27, 0.2)
    pen.patch(arc(0.5, 0.58, 0.14, 0.12, 0, 360), pen.body)
    pen.dot(0.5, 0.66, 0.085)
    pen.patch([(0.38, 0.85), (0.62, 0.85), (0.62, 0.89), (0.38, 0.89)], INK)
    pen.stroke([(0.5, 0.06), (0.5, 0.86)], 0.012, (235, 230, 210))


def ball(pen: Pen) -> None:
    """A beach ball: a disc in curved stripes."""
    pen.ellipse(0.5, 0.5, 0.48)
    turn = pen.vary(0, 180)
    for squeeze in (0.18, -0.18):
        start, end = (-90, 90) if squeeze > 0 else (90, 270)
        outer = arc(0.5, 0.5, 0.47, 0.47, start + 22, end - 22, turn)
        inner = arc(0.5, 0.5, abs(squeeze), 0.44, end - 5, start + 5, turn)
        pen.patch([*outer, *inner], PAPER if sum(pen.body) < 640 else (90, 170, 225))
    pen.dot(0.5, 0.5, 0.06, pen.dark)


def kite(pen: Pen) -> None:
    """A kite: a diamond with a cross and a tail of bows."""
    tail = curve((0.46, 0.62), (0.34, 0.74), (0.5, 0.84), (0.38, 0.98))
    pen.stroke(tail, 0.015, INK)
    for x, y in tail[5::6]:
        pen.patch(
            [
                (x - 0.07, y - 0.035),
                (x + 0.07, y + 0.035),
                (x + 0.07, y - 0.035),
                (x - 0.07, y + 0.035),
            ],
            (230, 70, 90),
        )
    side = pen.vary(0.22, 0.28)
    pen.polygon([(0.56, 0.01), (0.86, side), (0.46, 0.64), (0.2, side - 0.02)])
    pen.patch([(0.56, 0.01), (0.86, side), (0.53, side)], pen.light)
    pen.patch([(0.46, 0.64), (0.2, side - 0.02), (0.53, side)], pen.dark)


def ladder(pen: Pen) -> None:
    """A ladder: two rails, many rungs."""
    top, rungs = pen.vary(0.02, 0.1), round(pen.vary(5, 7))
    for rung in range(rungs):
        y = 0.1 + 0.8 * rung / (rungs - 1)
        half = 0.14 + 0.1 * y
        pen.stroke([(0.5 - half, y), (0.5 + half, y)], 0.045)
    for side in (-1, 1):
        pen.stroke([(0.5 + side * (0.14 + top * 0.1), 0.01), (0.5 + side * 0.24, 0.99)], 0.055)


def hammer(pen: Pen) -> None:
    """A hammer: steel head across a handle of its colour."""
    pen.polygon([(0.46, 0.2), (0.56, 0.2), (0.58, 0.98), (0.44, 0.98)])
    claw = pen.vary(0.1, 0.2)
    pen.polygon(
        [
            (0.2, 0.08),
            (0.26, 0.12),
            (0.62, 0.12),
            (0.8, 0.1),
            (0.97, claw + 0.14),
            (0.76, 0.24),
            (0.62, 0.3),
            (0.26, 0.3),
            (0.2, 0.34),
        ],
        (110, 115, 125),
    )


def star(pen: Pen) -> None:
    """A five-pointed star."""
    inner = pen.vary(0.2, 0.26)
    points = []
    for corner in range(10):
        angle = math.radians(-90 + 36 * corner)
        radius = 0.5 if corner % 2 == 0 else inner
        points.append((0.5 + radius * math.cos(angle), 0.53 + radius * math.sin(angle)))
    pen.polygon(points)


def heart(pen: Pen) -> None:
    """A heart."""
    notch = pen.vary(0.2, 0.28)
    pen.polygon(
        curve(
            (0.5, notch),
            (0.64, 0.09),
            (0.86, 0.1),
            (0.97, 0.32),
            (0.82, 0.62),
            (0.5, 0.96),
            (0.18, 0.62),
            (0.03, 0.32),
            (0.14, 0.1),
            (0.36, 0.09),
            (0.5, notch),
        )
    )
    pen.patch(arc(0.25, 0.3, 0.06, 0.1, 0, 360, 30), pen.light)


def glasses(pen: Pen) -> None:
    """A pair of glasses: two rims, bridge, temples."""
    radius = pen.vary(0.16, 0.2)
    for side in (-1, 1):
        pen.ellipse(0.5 + side * 0.25, 0.52, radius, None, (215, 235, 245))
        pen.stroke(arc(0.5 + side * 0.25, 0.52, radius, radius, 0, 360), 0.06)
        pen.stroke([(0.5 + side * 0.43, 0.48), (0.5 + side * 0.49, 0.3)], 0.045)
    pen.stroke(arc(0.5, 0.5, 0.08, 0.07, 180, 360), 0.055)


def flag(pen: Pen) -> None:
    """A waving flag on a pole."""
    wave = pen.vary(0.05, 0.1)
    pen.stroke([(0.12, 0.03), (0.12, 0.99)], 0.045, WOOD)
    upper = curve((0.14, 0.08), (0.36, 0.08 - wave), (0.66, 0.08 + wave), (0.97, 0.08))
    lower = curve((0.14, 0.56), (0.36, 0.56 - wave), (0.66, 0.56 + wave), (0.97, 0.56))
    pen.polygon([*upper, *reversed(lower)])
    middle = [(x, y + 0.17) for x, y in upper]
    pen.patch([*middle, *reversed([(x, y + 0.14) for x, y in middle])], pen.light)


def crown(pen: Pen) -> None:
    """A crown: five points with balls, a band with jewels."""
    dip = pen.vary(0.44, 0.54)
    pen.polygon(
        [
            (0.1, 0.9),
            (0.02, 0.28),
            (0.26, dip),
            (0.34, 0.18),
            (0.5, dip - 0.04),
            (0.66, 0.18),
            (0.74, dip),
            (0.98, 0.28),
            (0.9, 0.9),
        ]
    )
    for x, y in ((0.03, 0.26), (0.34, 0.17), (0.66, 0.17), (0.97, 0.26)):
        pen.dot(x, y, 0.045, pen.dark)
    pen.patch([(0.11, 0.76), (0.89, 0.76), (0.9, 0.88), (0.1, 0.88)], pen.dark)
    for x in (0.28, 0.5, 0.72):
        pen.dot(x, 0.82, 0.035, (110, 220, 235))


def bell(pen: Pen) -> None:
    """A hand bell: flared body, clapper below, loop above."""
    pen.stroke(arc(0.5, 0.1, 0.07, 0.07, 0, 360), 0.04)
    pen.ellipse(0.5, 0.88, 0.09, None, pen.dark)
    flare = pen.vary(0.36, 0.42)
    pen.polygon(
        curve(
            (0.5, 0.14),
            (0.68, 0.26),
            (0.74, 0.56),
            (0.5 + flare, 0.84),
            (0.5 - flare, 0.84),
            (0.26, 0.56),
            (0.32, 0.26),
            (0.5, 0.14),
        )
    )
    pen.stroke([(0.53 - flare, 0.76), (0.47 + flare, 0.76)], 0.025, pen.dark)


def robot(pen: Pen) -> None:
    """A robot: square head with an aerial, boxy body, jointed limbs."""
    pen.stroke([(0.5, 0.14), (0.5, 0.02)], 0.025, INK)
    pen.dot(0.5, 0.03, 0.035, (230, 60, 60))
    for side in (-1, 1):
        pen.stroke([(0.5 + side * 0.24, 0.5), (0.5 + side * 0.4, pen.vary(0.4, 0.66))], 0.07, STEEL)
        pen.rectangle(0.46 + side * 0.12, 0.74, 0.54 + side * 0.12, 0.97, STEEL)
    pen.rectangle(0.28, 0.12, 0.72, 0.4)
    pen.rectangle(0.24, 0.43, 0.76, 0.77)
    for x in (0.4, 0.6):
        pen.dot(x, 0.24, 0.06, (250, 245, 160))
        pen.dot(x, 0.24, 0.025)
    pen.patch([(0.38, 0.33), (0.62, 0.33), (0.62, 0.36), (0.38, 0.36)], INK)
    pen.patch([(0.36, 0.52), (0.64, 0.52), (0.64, 0.66), (0.36, 0.66)], pen.light)


def person(pen: Pen) -> None:
    """A standing person: head with hair, coloured top, trousers, arms."""
    skin = ((245, 205, 170), (200, 150, 110), (130, 90, 65))[int(pen.vary(0, 2.99))]
    raised = pen.vary(0.3, 0.62)
    for side, hand in ((-1, raised), (1, 0.6)):
        pen.stroke([(0.5 + side * 0.13, 0.32), (0.5 + side * 0.28, hand)], 0.065)
        pen.dot(0.5 + side * 0.29, hand + 0.01, 0.04, skin)
    for side in (-1, 1):
        pen.polygon(
            [
                (0.5, 0.58),
                (0.5 + side * 0.14, 0.58),
                (0.5 + side * 0.15, 0.96),
                (0.5 + side * 0.04, 0.96),
            ],
            (60, 70, 110),
        )
        pen.ellipse(0.5 + side * 0.12, 0.965, 0.09, 0.03, INK)
    pen.polygon([(0.35, 0.28), (0.65, 0.28), (0.65, 0.62), (0.35, 0.62)])
    pen.ellipse(0.5, 0.16, 0.12, 0.13, skin)
    pen.patch(arc(0.5, 0.13, 0.125, 0.11, 180, 360), (70, 45, 30))
    for x in (0.46, 0.54):
        pen.dot(x, 0.16, 0.015)


def camera(pen: Pen) -> None:
    """A camera: box with a round lens and a flash."""
    pen.rectangle(0.36, pen.vary(0.16, 0.22), 0.64, 0.34, pen.dark)
    pen.rectangle(0.02, 0.3, 0.98, 0.84)
    pen.ellipse(0.5, 0.57, 0.21, None, STEEL)
    pen.ellipse(0.5, 0.57, 0.14, None, (40, 45, 70))
    pen.dot(0.45, 0.52, 0.04, (200, 225, 245))
    pen.patch([(0.78, 0.36), (0.92, 0.36), (0.92, 0.46), (0.78, 0.46)], (255, 245, 190))


def anchor(pen: Pen) -> None:
    """An anchor: ring, stock, shank, two flukes."""
    pen.stroke(arc(0.5, 0.1, 0.075, 0.075, 0, 360), 0.05)
    pen.stroke([(0.5, 0.18), (0.5, 0.94)], 0.08)
    pen.stroke([(0.3, 0.3), (0.7, 0.3)], 0.07)
    depth = pen.vary(0.32, 0.38)
    pen.stroke(arc(0.5, 0.58, 0.38, depth, 5, 175), 0.085)
    for side in (-1, 1):
        pen.polygon(
            [(0.5 + side * 0.28, 0.66), (0.5 + side * 0.42, 0.48), (0.5 + side * 0.49, 0.72)]
        )


def drum(pen: Pen) -> None:
    """A drum: cylinder with zigzag lacing and two sticks."""
    pen.polygon([(0.06, 0.4), *arc(0.5, 0.8, 0.44, 0.15, 180, 0), (0.94, 0.4)])
    zigzag = [(0.07 + 0.86 * step / 8, 0.5 if step % 2 == 0 else 0.84) for step in range(9)]
    pen.stroke(zigzag, 0.025, pen.light if sum(pen.body) < 500 else pen.dark)
    pen.ellipse(0.5, 0.4, 0.44, 0.13, PAPER)
    lift = pen.vary(0.02, 0.12)
    for side in (-1, 1):
        pen.stroke([(0.5 + side * 0.08, 0.4), (0.5 + side * 0.42, lift)], 0.03, WOOD)
        pen.dot(0.5 + side * 0.08, 0.4, 0.035, WOOD)
