"""How animals are drawn, each in the unit square."""

from .pen import INK, PAPER, Pen, arc, curve


def dog(pen: Pen) -> None:
    """A dog from the side: long muzzle, hanging ear, raised tail."""
    leg = pen.vary(0.88, 0.96)
    pen.stroke(curve((0.14, 0.5), (0.06, 0.38), (0.06, 0.22)), 0.06)
    for x in (0.2, 0.3, 0.58, 0.67):
        pen.rectangle(x, 0.6, x + 0.075, leg)
    pen.ellipse(0.43, 0.55, 0.32, pen.vary(0.13, 0.17))
    pen.polygon([(0.6, 0.5), (0.66, 0.3), (0.82, 0.34), (0.74, 0.6)])
    pen.ellipse(0.76, 0.27, 0.13, 0.12)
    pen.polygon(arc(0.88, 0.31, 0.12, 0.07, 0, 360))
    pen.ellipse(0.68, 0.3, 0.05, pen.vary(0.1, 0.14), pen.dark, turn_degrees=15)
    pen.dot(0.98, 0.29, 0.03)
    pen.dot(0.8, 0.24, 0.022)


def cat(pen: Pen) -> None:
    """A sitting cat from the front: pointed ears, whiskers, tail curled round."""
    pen.stroke(curve((0.6, 0.9), (0.88, 0.88), (0.92, 0.66), (0.84, 0.52)), 0.07)
    pen.ellipse(0.48, 0.72, pen.vary(0.2, 0.26), 0.24)
    pen.polygon([(0.26, 0.3), (0.26, 0.02), (0.46, 0.16)])
    pen.polygon([(0.7, 0.3), (0.7, 0.02), (0.5, 0.16)])
    pen.ellipse(0.48, 0.33, 0.26, 0.21)
    for x in (0.38, 0.58):
        pen.dot(x, 0.3, 0.05, (150, 220, 90))
        pen.patch(arc(x, 0.3, 0.015, 0.045, 0, 360), INK)
    pen.patch([(0.45, 0.38), (0.51, 0.38), (0.48, 0.42)], (240, 130, 150))
    for side in (-1, 1):
        for lift in (-0.03, 0.03):
            near, far, y = 0.48 + side * 0.1, 0.48 + side * 0.4, 0.39 + 2 * lift
            pen.patch([(near, 0.4), (far, y), (far, y + 0.015), (near, 0.42)], pen.dark)
    for x in (0.4, 0.56):
        pen.ellipse(x, 0.92, 0.07, 0.05)


def fish(pen: Pen) -> None:
    """A fish swimming: oval body, forked tail, fin."""
    tail = pen.vary(0.16, 0.24)
    pen.polygon([(0.28, 0.5), (0.02, 0.5 - tail), (0.1, 0.5), (0.02, 0.5 + tail)], pen.dark)
    pen.polygon([(0.45, 0.32), (0.55, 0.18), (0.7, 0.33)], pen.dark)
    pen.ellipse(0.58, 0.5, 0.38, pen.vary(0.17, 0.23))
    for x in (0.42, 0.54, 0.66):
        pen.stroke(arc(x, 0.5, 0.05, 0.1, -70, 70), 0.015, pen.light)
    pen.dot(0.83, 0.45, 0.04, PAPER)
    pen.dot(0.84, 0.45, 0.02)


def bird(pen: Pen) -> None:
    """A small bird standing: round body, beak, wing, thin legs."""
    for x in (0.44, 0.54):
        pen.stroke([(x, 0.68), (x, 0.94), (x + 0.08, 0.95)], 0.02, (220, 140, 40))
    pen.polygon([(0.25, 0.5), (0.0, 0.52), (0.02, 0.64), (0.3, 0.62)], pen.dark)
    pen.ellipse(0.46, 0.54, 0.28, 0.2, turn_degrees=-18)
    pen.ellipse(0.68, 0.32, 0.15)
    pen.polygon([(0.8, 0.27), (0.99, 0.34), (0.81, 0.38)], (240, 160, 40))
    pen.polygon([(0.6, 0.46), (0.2, pen.vary(0.44, 0.6)), (0.48, 0.64)], pen.dark)
    pen.dot(0.72, 0.29, 0.026)


def butterfly(pen: Pen) -> None:
    """A butterfly from above: four spotted wings, thin body."""
    for side in (-1, 1):
        pen.ellipse(0.5 + side * 0.25, 0.34, 0.23, 0.2, turn_degrees=side * -35)
        pen.ellipse(0.5 + side * 0.19, 0.7, 0.17, pen.vary(0.13, 0.17), turn_degrees=side * 35)
        pen.dot(0.5 + side * 0.28, 0.32, 0.075, pen.light)
        pen.dot(0.5 + side * 0.2, 0.7, 0.05, pen.dark)
        pen.stroke(
            curve((0.5, 0.26), (0.5 + side * 0.06, 0.12), (0.5 + side * 0.14, 0.05)), 0.015, INK
        )
    pen.ellipse(0.5, 0.52, 0.04, 0.28, INK)


def elephant(pen: Pen) -> None:
    """An elephant from the side: trunk, large ear, pillar legs."""
    for x in (0.12, 0.26, 0.46, 0.57):
        pen.rectangle(x, 0.6, x + 0.11, pen.vary(0.9, 0.95))
    pen.stroke(curve((0.06, 0.45), (0.02, 0.58), (0.03, 0.68)), 0.025)
    pen.ellipse(0.38, 0.47, 0.33, 0.25)
    pen.stroke(curve((0.86, 0.4), (0.95, 0.55), (0.93, 0.74), (0.99, 0.82)), 0.085)
    pen.ellipse(0.76, 0.36, 0.18, 0.19)
    pen.polygon([(0.82, 0.5), (0.94, 0.6), (0.84, 0.56)], PAPER)
    pen.ellipse(0.64, 0.38, 0.13, 0.2, pen.dark, turn_degrees=-8)
    pen.dot(0.83, 0.32, 0.022)


def giraffe(pen: Pen) -> None:
    """A giraffe from the side: very long neck, spots, horns."""
    for x in (0.2, 0.3, 0.48, 0.57):
        pen.rectangle(x, 0.68, x + 0.055, 0.98)
    pen.ellipse(0.4, 0.64, 0.25, 0.12)
    top = pen.vary(0.12, 0.18)
    pen.polygon([(0.48, 0.6), (0.68, top), (0.78, top + 0.03), (0.65, 0.66)])
    for x in (0.7, 0.76):
        pen.stroke([(x, top), (x, top - 0.09)], 0.02)
    pen.ellipse(0.8, top + 0.03, 0.13, 0.065, turn_degrees=15)
    for x, y in ((0.26, 0.62), (0.38, 0.58), (0.36, 0.69), (0.5, 0.64), (0.59, 0.5), (0.65, 0.34)):
        pen.dot(x, y, 0.035, pen.dark)
    pen.dot(0.8, top, 0.018)


def penguin(pen: Pen) -> None:
    """A penguin upright: white belly, beak, flippers, flat feet."""
    for side in (-1, 1):
        pen.ellipse(0.5 + side * 0.12, 0.94, 0.1, 0.04, (245, 160, 40))
        pen.ellipse(0.5 + side * pen.vary(0.24, 0.3), 0.54, 0.06, 0.2, turn_degrees=side * -18)
    pen.ellipse(0.5, 0.58, 0.25, 0.36)
    pen.ellipse(0.5, 0.22, 0.17, 0.18)
    pen.patch(arc(0.5, 0.64, 0.17, 0.27, 0, 360), PAPER)
    for x in (0.44, 0.56):
        pen.dot(x, 0.2, 0.045, PAPER)
        pen.dot(x, 0.2, 0.02)
    pen.polygon([(0.45, 0.27), (0.55, 0.27), (0.5, 0.36)], (245, 160, 40))


def pig(pen: Pen) -> None:
    """A pig's face: large snout with two nostrils, folded ears."""
    for side in (-1, 1):
        near, tip, far = (0.5 + side * distance for distance in (0.18, 0.42, 0.36))
        pen.polygon([(near, 0.24), (tip, pen.vary(0.04, 0.12)), (far, 0.38)], pen.dark)
    pen.ellipse(0.5, 0.54, 0.4, 0.38)
    pen.ellipse(0.5, 0.64, 0.18, 0.13, pen.light)
    for side in (-1, 1):
        pen.patch(arc(0.5 + side * 0.07, 0.64, 0.03, 0.055, 0, 360), INK)
        pen.dot(0.5 + side * 0.18, 0.42, 0.035)


def owl(pen: Pen) -> None:
    """An owl: tufted head, two huge round eyes, speckled belly."""
    for side in (-1, 1):
        pen.polygon([(0.5 + side * 0.1, 0.12), (0.5 + side * 0.32, 0.0), (0.5 + side * 0.31, 0.3)])
        pen.stroke([(0.5 + side * 0.1, 0.9), (0.5 + side * 0.1, 0.98)], 0.03, (230, 160, 50))
    pen.ellipse(0.5, 0.54, 0.33, 0.4)
    for side in (-1, 1):
        pen.ellipse(0.5 + side * 0.29, 0.62, 0.09, 0.24, pen.dark, turn_degrees=side * -8)
        pen.ellipse(0.5 + side * 0.15, 0.34, pen.vary(0.14, 0.16), None, PAPER)
        pen.dot(0.5 + side * 0.14, 0.34, 0.06)
    pen.polygon([(0.45, 0.42), (0.55, 0.42), (0.5, 0.54)], (240, 160, 40))
    for y in (0.64, 0.73, 0.82):
        for x in (0.4, 0.5, 0.6):
            pen.dot(x, y, 0.018, pen.dark)
