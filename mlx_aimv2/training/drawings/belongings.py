"""How people and what they carry, play and work with are drawn, each in the unit square."""

from .pen import INK, PAPER, WOOD, Pen, arc, curve, symmetric

STEEL = (165, 170, 180)


def umbrella(pen: Pen) -> None:
    """An open umbrella: scalloped dome, hooked handle."""
    pen.stroke([(0.5, 0.4), (0.5, 0.86), *arc(0.42, 0.86, 0.08, 0.09, 0, 180)], 0.035, WOOD)
    points = arc(0.5, 0.48, 0.48, pen.vary(0.4, 0.46), 180, 360)
    for x in (0.86, 0.62, 0.38, 0.14):
        points += arc(x, 0.48, 0.12, 0.07, 0, -180)
    pen.polygon(points)
    for x in (0.26, 0.74):
        rib = curve((0.5, 0.07), ((x + 0.5) / 2 + (x - 0.5) * 0.35, 0.2), (x, 0.46))
        pen.stroke(rib, 0.018, pen.dark)
    pen.stroke([(0.5, 0.08), (0.5, 0.0)], 0.025, INK)


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
        left, right, top, bottom = x - 0.07, x + 0.07, y - 0.035, y + 0.035
        pen.patch([(left, top), (right, bottom), (right, top), (left, bottom)], (230, 70, 90))
    side = pen.vary(0.22, 0.28)
    pen.polygon([(0.56, 0.01), (0.86, side), (0.46, 0.64), (0.2, side - 0.02)])
    pen.patch([(0.56, 0.01), (0.86, side), (0.53, side)], pen.light)
    pen.patch([(0.46, 0.64), (0.2, side - 0.02), (0.53, side)], pen.dark)


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
    pen.polygon(symmetric((0, dip - 0.04), (0.16, 0.18), (0.24, dip), (0.48, 0.28), (0.4, 0.9)))
    for x, y in ((0.03, 0.26), (0.34, 0.17), (0.66, 0.17), (0.97, 0.26)):
        pen.dot(x, y, 0.045, pen.dark)
    pen.patch([(0.11, 0.76), (0.89, 0.76), (0.9, 0.88), (0.1, 0.88)], pen.dark)
    for x in (0.28, 0.5, 0.72):
        pen.dot(x, 0.82, 0.035, (110, 220, 235))


def person(pen: Pen) -> None:
    """A standing person: head with hair, coloured top, trousers, arms."""
    skin = ((245, 205, 170), (200, 150, 110), (130, 90, 65))[int(pen.vary(0, 2.99))]
    raised = pen.vary(0.3, 0.62)
    for side, hand in ((-1, raised), (1, 0.6)):
        pen.stroke([(0.5 + side * 0.13, 0.32), (0.5 + side * 0.28, hand)], 0.065)
        pen.dot(0.5 + side * 0.29, hand + 0.01, 0.04, skin)
    for side in (-1, 1):
        hip, foot, heel = (0.5 + side * distance for distance in (0.14, 0.15, 0.04))
        pen.polygon([(0.5, 0.58), (hip, 0.58), (foot, 0.96), (heel, 0.96)], (60, 70, 110))
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
