"""How vehicles and large things outdoors are drawn, each in the unit square."""

import math

from .pen import INK, PAPER, Pen, arc, rounded, symmetric

GLASS = (190, 225, 240)
STEEL = (150, 155, 165)
TYRE = (45, 45, 50)


def _wheel(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.ellipse(x, y, radius, None, TYRE)
    pen.dot(x, y, radius * 0.45, (205, 205, 210))


def car(pen: Pen) -> None:
    """A car from the side: cabin with windows, two wheels."""
    roof = pen.vary(0.26, 0.34)
    pen.polygon([(0.22, 0.5), (0.32, roof), (0.64, roof), (0.78, 0.5)])
    pen.patch([(0.28, 0.49), (0.35, roof + 0.05), (0.47, roof + 0.05), (0.47, 0.49)], GLASS)
    pen.patch([(0.51, 0.49), (0.51, roof + 0.05), (0.62, roof + 0.05), (0.71, 0.49)], GLASS)
    pen.polygon([(0.02, 0.52), (0.1, 0.48), (0.86, 0.48), (0.98, 0.56), (0.98, 0.7), (0.02, 0.7)])
    for x in (0.23, 0.77):
        _wheel(pen, x, 0.71, pen.vary(0.1, 0.12))
    pen.dot(0.95, 0.58, 0.03, (255, 240, 150))


def bus(pen: Pen) -> None:
    """A bus from the side: a long box with a row of windows."""
    top = pen.vary(0.2, 0.27)
    pen.rectangle(0.02, top, 0.98, 0.76)
    for x in (0.06, 0.24, 0.42, 0.6, 0.78):
        pen.patch([(x, top + 0.07), (x + 0.14, top + 0.07), (x + 0.14, 0.46), (x, 0.46)], GLASS)
    pen.patch([(0.02, 0.56), (0.98, 0.56), (0.98, 0.6), (0.02, 0.6)], pen.light)
    for x in (0.22, 0.76):
        _wheel(pen, x, 0.77, 0.095)


def truck(pen: Pen) -> None:
    """A lorry from the side: cab in front, tall plain load behind."""
    pen.rectangle(0.62, 0.4, 0.84, 0.76)
    pen.polygon([(0.8, 0.4), (0.9, 0.42), (0.98, 0.58), (0.98, 0.76), (0.8, 0.76)])
    pen.patch([(0.74, 0.45), (0.87, 0.45), (0.93, 0.57), (0.74, 0.57)], GLASS)
    pen.rectangle(0.02, pen.vary(0.16, 0.26), 0.6, 0.72, pen.light)
    pen.rectangle(0.02, 0.7, 0.98, 0.77, STEEL)
    for x in (0.16, 0.32, 0.82):
        _wheel(pen, x, 0.79, 0.085)


def train(pen: Pen) -> None:
    """A steam engine: boiler, funnel with smoke, cab, several wheels."""
    for x, y, radius in ((0.7, 0.1, 0.07), (0.56, 0.06, 0.055), (0.44, 0.05, 0.045)):
        pen.dot(x, y, radius, (225, 225, 228))
    funnel = [(0.72, 0.44), (0.74, 0.24), (0.69, 0.16), (0.87, 0.16), (0.82, 0.24), (0.84, 0.44)]
    pen.polygon(funnel, TYRE)
    pen.rectangle(0.06, pen.vary(0.22, 0.28), 0.4, 0.72)
    pen.patch([(0.13, 0.34), (0.32, 0.34), (0.32, 0.5), (0.13, 0.5)], GLASS)
    pen.polygon([(0.38, 0.42), (0.9, 0.42), (0.94, 0.48), (0.94, 0.72), (0.38, 0.72)])
    pen.rectangle(0.03, 0.2, 0.43, 0.27, pen.dark)
    pen.polygon([(0.9, 0.72), (1.0, 0.88), (0.84, 0.88)], STEEL)
    pen.ellipse(0.22, 0.77, 0.14, None, TYRE)
    pen.dot(0.22, 0.77, 0.06, (200, 60, 50))
    for x in (0.5, 0.66, 0.81):
        _wheel(pen, x, 0.82, 0.08)


def bicycle(pen: Pen) -> None:
    """A bicycle: two open wheels joined by a thin frame."""
    radius = pen.vary(0.2, 0.23)
    for x in (0.23, 0.77):
        pen.stroke(arc(x, 0.66, radius, radius, 0, 360), 0.035, TYRE)
        pen.dot(x, 0.66, 0.03)
    frame = [(0.23, 0.66), (0.38, 0.36), (0.68, 0.36), (0.47, 0.68), (0.23, 0.66)]
    pen.stroke(frame, 0.045)
    pen.stroke([(0.47, 0.68), (0.36, 0.3)], 0.04)
    pen.stroke([(0.77, 0.66), (0.66, 0.24), (0.78, 0.2)], 0.04)
    pen.stroke([(0.28, 0.28), (0.44, 0.28)], 0.05, INK)


def boat(pen: Pen) -> None:
    """A sailing boat: hull, mast, two triangular sails."""
    pen.rectangle(0.48, 0.04, 0.52, 0.72, (130, 90, 55))
    top = pen.vary(0.06, 0.12)
    pen.polygon([(0.54, top), (0.94, 0.64), (0.54, 0.64)], PAPER)
    pen.polygon([(0.46, top + 0.08), (0.46, 0.64), (0.14, 0.64)], PAPER)
    pen.polygon([(0.03, 0.7), (0.97, 0.7), (0.82, 0.94), (0.2, 0.94)])


def airplane(pen: Pen) -> None:
    """An aeroplane from the side: long body, swept wing, tail fin."""
    pen.polygon([(0.04, 0.2), (0.14, 0.2), (0.26, 0.44), (0.1, 0.48)], pen.dark)
    pen.polygon([(0.5, 0.44), (0.38, 0.18), (0.46, 0.18), (0.68, 0.44)], pen.dark)
    pen.polygon([(0.06, 0.46), *arc(0.8, 0.5, 0.18, 0.1, -90, 90), (0.2, 0.6)])
    for x in (0.3, 0.4, 0.5, 0.6, 0.7):
        pen.dot(x, 0.47, 0.025, GLASS)
    pen.patch([(0.86, 0.42), (0.93, 0.46), (0.84, 0.48)], GLASS)
    sweep = pen.vary(0.2, 0.3)
    pen.polygon([(0.46, 0.54), (0.66, 0.54), (0.56 - sweep, 0.86), (0.46 - sweep, 0.86)], pen.light)


def rocket(pen: Pen) -> None:
    """A rocket: pointed body, porthole, fins, flame."""
    pen.polygon([(0.38, 0.78), (0.5, pen.vary(0.94, 1.0)), (0.62, 0.78)], (250, 160, 40))
    pen.patch([(0.44, 0.78), (0.5, 0.9), (0.56, 0.78)], (255, 230, 90))
    for side in (-1, 1):
        upper, tip, lower = (0.5 + side * distance for distance in (0.17, 0.34, 0.13))
        pen.polygon([(upper, 0.52), (tip, 0.84), (lower, 0.76)], pen.dark)
    pen.polygon(rounded(symmetric((0, 0.0), (0.16, 0.24), (0.18, 0.55), (0.1, 0.8))))
    pen.ellipse(0.5, 0.36, 0.09, None, GLASS)


def helicopter(pen: Pen) -> None:
    """A helicopter: bubble cabin, tail boom, rotor above, skids below."""
    blade = pen.vary(0.4, 0.48)
    pen.stroke([(0.6 - blade, 0.14), (0.6 + blade * 0.8, 0.14)], 0.03, TYRE)
    pen.rectangle(0.58, 0.14, 0.62, 0.3, STEEL)
    pen.polygon([(0.5, 0.4), (0.06, 0.36), (0.06, 0.44), (0.5, 0.58)])
    pen.polygon([(0.08, 0.44), (0.0, 0.22), (0.1, 0.24), (0.14, 0.42)], pen.dark)
    for x in (0.5, 0.72):
        pen.stroke([(x, 0.66), (x, 0.84)], 0.025, TYRE)
    pen.stroke([(0.36, 0.85), (0.88, 0.85)], 0.03, TYRE)
    pen.ellipse(0.63, 0.5, 0.25, 0.21)
    pen.patch([(0.66, 0.36), *arc(0.66, 0.5, 0.18, 0.14, -80, 5), (0.66, 0.52)], GLASS)


def balloon(pen: Pen) -> None:
    """A hot-air balloon: striped envelope, ropes, basket."""
    for x in (0.36, 0.5, 0.64):
        pen.stroke([(x, 0.6), (0.5 + (x - 0.5) * 0.6, 0.84)], 0.015, (110, 80, 50))
    pen.polygon([*arc(0.5, 0.36, pen.vary(0.32, 0.36), 0.35, 150, 390), (0.58, 0.72), (0.42, 0.72)])
    for offset in (-0.13, 0.13):
        outer = arc(0.5 + offset, 0.36, 0.055, 0.31, 180, 360)
        pen.patch([*outer, *arc(0.5 + offset * 0.6, 0.4, 0.03, 0.28, 0, 180)], pen.light)
    pen.rectangle(0.41, 0.83, 0.59, 0.98, (160, 110, 60))


def house(pen: Pen) -> None:
    """A house: pitched roof, door, two windows, chimney."""
    eaves = pen.vary(0.4, 0.46)
    pen.rectangle(0.7, 0.1, 0.8, eaves, (150, 80, 65))
    pen.rectangle(0.13, eaves, 0.87, 0.97)
    pen.polygon([(0.03, eaves + 0.02), (0.5, 0.04), (0.97, eaves + 0.02)], pen.dark)
    pen.rectangle(0.42, 0.68, 0.58, 0.97, (110, 70, 45))
    for x in (0.2, 0.66):
        pen.rectangle(x, 0.54, x + 0.14, 0.68, GLASS)


def castle(pen: Pen) -> None:
    """A castle: wall and two towers with battlements, a gate, a pennant."""
    for left, right, top in ((0.22, 0.78, 0.5), (0.04, 0.3, 0.26), (0.7, 0.96, 0.26)):
        step = (right - left) / 5
        points = [(left, 0.97)]
        for tooth in range(5):
            x = left + tooth * step
            y = top if tooth % 2 == 0 else top + 0.08
            points += [(x, y), (x + step, y)]
        pen.polygon([*points, (right, 0.97)])
    pen.patch([(0.4, 0.97), *arc(0.5, 0.78, 0.1, 0.12, 180, 360), (0.6, 0.97)], INK)
    for x in (0.17, 0.83):
        pen.patch([(x - 0.03, 0.44), (x + 0.03, 0.44), (x + 0.03, 0.58), (x - 0.03, 0.58)], INK)
    pen.stroke([(0.17, 0.26), (0.17, 0.04)], 0.018, INK)
    pen.polygon([(0.18, 0.04), (pen.vary(0.3, 0.38), 0.09), (0.18, 0.14)], (220, 50, 50))


def tent(pen: Pen) -> None:
    """A ridge tent: open triangular front, sloping side."""
    apex = pen.vary(0.12, 0.2)
    pen.polygon([(0.36, apex), (0.78, apex + 0.04), (0.99, 0.88), (0.7, 0.88)], pen.dark)
    pen.polygon([(0.36, apex), (0.7, 0.88), (0.02, 0.88)])
    pen.polygon([(0.36, apex + 0.2), (0.5, 0.88), (0.22, 0.88)], INK)
    pen.polygon([(0.36, apex + 0.2), (0.22, 0.88), (0.14, 0.88)], pen.light)
    pen.stroke([(0.36, apex + 0.02), (0.38, apex - 0.08)], 0.02, (120, 85, 50))


def windmill(pen: Pen) -> None:
    """A windmill: tapered tower, four lattice sails."""
    pen.polygon([(0.38, 0.34), (0.62, 0.34), (0.7, 0.98), (0.3, 0.98)])
    pen.polygon(arc(0.5, 0.35, 0.13, 0.13, 180, 360), pen.dark)
    pen.rectangle(0.45, 0.8, 0.55, 0.98, (110, 70, 45))
    start = pen.vary(20, 70)
    for quarter in range(4):
        angle = math.radians(start + 90 * quarter)
        along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        sail = [
            (0.5 + a * along[0] + b * across[0], 0.34 + a * along[1] + b * across[1])
            for a, b in ((0.06, 0.0), (0.42, 0.0), (0.42, 0.1), (0.12, 0.1))
        ]
        pen.polygon(sail, PAPER)
    pen.dot(0.5, 0.34, 0.04)


def lighthouse(pen: Pen) -> None:
    """A lighthouse: banded tower, lantern, light to both sides."""
    for side in (-1, 1):
        end = 0.5 + side * 0.48
        pen.patch([(0.5, 0.14), (end, 0.04), (end, 0.24)], (255, 240, 150))
    half = pen.vary(0.18, 0.22)
    pen.polygon([(0.4, 0.24), (0.6, 0.24), (0.5 + half, 0.97), (0.5 - half, 0.97)], PAPER)
    for low, high in ((0.3, 0.44), (0.58, 0.72), (0.86, 0.97)):
        low_half, high_half = (0.1 + (half - 0.1) * (y - 0.24) / 0.73 for y in (low, high))
        pen.patch(symmetric((low_half, low), (high_half, high)), pen.body)
    pen.rectangle(0.42, 0.1, 0.58, 0.22, (255, 235, 120))
    pen.rectangle(0.34, 0.21, 0.66, 0.26, INK)
    pen.polygon([(0.39, 0.11), (0.5, 0.0), (0.61, 0.11)], pen.body)
