"""How food and plants are drawn, each in the unit square."""

import math

from .pen import INK, PAPER, Pen, arc, curve, rounded, symmetric

STALK = (105, 75, 45)
LEAF = (70, 150, 60)
CRUST = (215, 165, 95)


def apple(pen: Pen) -> None:
    """An apple: two lobes, stalk, one leaf."""
    pen.stroke([(0.5, 0.3), (pen.vary(0.5, 0.58), 0.08)], 0.045, STALK)
    pen.ellipse(0.66, 0.14, 0.12, 0.055, LEAF, turn_degrees=-25)
    half = ((0, 0.27), (0.22, 0.2), (0.42, 0.42), (0.34, 0.76), (0.12, 0.95), (0, 0.91))
    pen.polygon(rounded(symmetric(*half)))
    pen.patch(arc(0.27, 0.42, 0.06, 0.12, 0, 360, 20), pen.light)


def banana(pen: Pen) -> None:
    """A banana: a fat crescent with dark ends."""
    inner = pen.vary(0.12, 0.2)
    outer = arc(0.5, 0.2, 0.46, 0.56, 5, 175)
    pen.polygon([*outer, *reversed(arc(0.5, 0.2, 0.36, 0.56 - 2 * inner, 10, 170))])
    for x, y in ((outer[0]), (outer[-1])):
        pen.rectangle(x - 0.05, y - 0.08, x + 0.05, y + 0.04, STALK)
    pen.stroke(arc(0.5, 0.2, 0.4, 0.56 - inner, 35, 145), 0.015, pen.dark)


def cherry(pen: Pen) -> None:
    """Two cherries hanging from joined stalks with a leaf."""
    spread = pen.vary(0.2, 0.25)
    for side in (-1, 1):
        stalk = curve((0.52, 0.06), (0.5 + side * 0.1, 0.3), (0.5 + side * spread, 0.6))
        pen.stroke(stalk, 0.025, (80, 120, 50))
    pen.ellipse(0.7, 0.1, 0.2, 0.075, LEAF, turn_degrees=12)
    for side in (-1, 1):
        pen.ellipse(0.5 + side * spread, 0.75, 0.2)
        pen.dot(0.44 + side * spread, 0.69, 0.045, pen.light)


def strawberry(pen: Pen) -> None:
    """A strawberry: a rounded cone full of seeds under a leafy crown."""
    pen.polygon(rounded(symmetric((0, 0.24), (0.32, 0.24), (0.34, 0.5), (0, 0.97))))
    for row, y in enumerate((0.4, 0.52, 0.64, 0.76)):
        for x in (-0.2, 0.0, 0.2) if row % 2 == 0 else (-0.11, 0.11):
            if abs(x) < 0.4 - 0.4 * (y - 0.3):
                pen.dot(0.5 + x, y, 0.022, PAPER if sum(pen.body) < 500 else INK)
    crown = pen.vary(0.02, 0.08)
    half = ((0, crown), (0.08, 0.16), (0.3, 0.12), (0.2, 0.2), (0.3, 0.3), (0, 0.26))
    pen.polygon(symmetric(*half), LEAF)


def flower(pen: Pen) -> None:
    """A flower: petals round a disc, stem, two leaves."""
    pen.stroke(curve((0.5, 0.4), (0.52, 0.7), (0.5, 0.99)), 0.04, LEAF)
    for side in (-1, 1):
        pen.ellipse(0.5 + side * 0.15, 0.8, 0.15, 0.055, LEAF, turn_degrees=side * -25)
    petals = round(pen.vary(5, 8))
    for petal in range(petals):
        angle = 360 * petal / petals
        x, y = 0.2 * math.cos(math.radians(angle)), 0.2 * math.sin(math.radians(angle))
        pen.ellipse(0.5 + x, 0.32 + y, 0.13, 0.085, turn_degrees=angle)
    is_pale = pen.body[2] >= 140 and pen.body[0] >= 200
    pen.ellipse(0.5, 0.32, 0.1, None, (150, 90, 40) if is_pale else (250, 205, 60))


def pumpkin(pen: Pen) -> None:
    """A pumpkin: wide ribs side by side, a thick stalk."""
    pen.polygon([(0.45, 0.3), (0.43, 0.1), (0.58, 0.08), (0.55, 0.3)], LEAF)
    tall = pen.vary(0.3, 0.36)
    for offset in (0.3, 0.16):
        for side in (-1, 1):
            x, outwards = 0.5 + side * offset, 90 + side * 90
            pen.ellipse(x, 0.58, 0.19, tall)
            rib = arc(x, 0.58, 0.17, tall - 0.03, outwards - 60, outwards + 60)
            pen.stroke(rib, 0.015, pen.dark)
    pen.ellipse(0.5, 0.58, 0.15, tall + 0.02)


def pizza(pen: Pen) -> None:
    """A slice of pizza: a wedge with a crust and round slices of topping in its colour."""
    pen.polygon([(0.06, 0.2), (0.94, 0.2), (0.5, 0.98)], (250, 215, 110))
    pen.stroke(curve((0.05, 0.18), (0.3, 0.1), (0.7, 0.1), (0.95, 0.18)), 0.12, CRUST)
    shift = pen.vary(-0.03, 0.03)
    for x, y in ((0.32, 0.36), (0.62, 0.34), (0.5, 0.56), (0.5, 0.78)):
        pen.ellipse(x + shift, y, 0.085 if y < 0.7 else 0.055)


def cake(pen: Pen) -> None:
    """A cake: two layers with dripping icing and candles on top."""
    for x in (0.34, 0.5, 0.66):
        pen.rectangle(x - 0.02, 0.16, x + 0.02, 0.34, PAPER)
        pen.ellipse(x, 0.1, 0.025, 0.05, (250, 170, 40))
    pen.rectangle(0.2, 0.33, 0.8, 0.6)
    pen.rectangle(0.06, 0.58, 0.94, 0.94)
    drops = pen.vary(0.08, 0.14)
    for left, right, top in ((0.2, 0.8, 0.33), (0.06, 0.94, 0.58)):
        points, half = [(left, top)], (right - left) / 6 / 2
        for step in range(6):
            middle = left + (right - left) * step / 6 + half
            points += arc(middle, top + 0.04, half, drops, 180, 0)
        points.append((right, top))
        pen.patch(points, PAPER if sum(pen.body) < 600 else (120, 70, 45))


def ice_cream(pen: Pen) -> None:
    """An ice cream: scoops on a waffle cone."""
    pen.polygon([(0.28, 0.46), (0.72, 0.46), (0.5, 0.99)], CRUST)
    for x, y in ((0.38, 0.52), (0.46, 0.52), (0.54, 0.52)):
        pen.stroke([(x, y - 0.04), (x + 0.1, y + 0.12)], 0.015, STALK)
    if pen.vary(0, 1) < 0.5:
        pen.ellipse(0.5, 0.2, 0.19)
        pen.ellipse(0.36, 0.38, 0.17)
        pen.ellipse(0.64, 0.38, 0.17)
    else:
        pen.ellipse(0.5, 0.32, 0.27, 0.25)
    pen.dot(0.44, 0.24, 0.05, pen.light)


def egg(pen: Pen) -> None:
    """An egg in an egg cup of its colour."""
    pen.ellipse(0.5, 0.36, 0.24, 0.33, (250, 235, 210))
    pen.patch(arc(0.42, 0.24, 0.04, 0.09, 0, 360, 20), (255, 255, 255))
    pen.polygon([(0.2, 0.44), (0.8, 0.44), *arc(0.5, 0.46, 0.3, 0.28, 0, 180)])
    pen.rectangle(0.45, 0.72, 0.55, 0.86)
    pen.ellipse(0.5, 0.91, pen.vary(0.2, 0.27), 0.06)
