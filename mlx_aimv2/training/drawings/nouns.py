"""The table of everything that can be drawn: nouns, how each is drawn, and the colours."""

from collections.abc import Callable
from dataclasses import dataclass

from . import animals, belongings, food, household, vehicles
from .pen import Pen, Rgb


@dataclass(frozen=True)
class Glyph:
    """One noun: its plural, its drawer, how far it may be tilted, the colours it usually has."""

    plural: str
    draw: Callable[[Pen], None]
    tilt_degrees: float = 12.0
    usual: tuple[str, ...] = ()


COLOURS: dict[str, Rgb] = {
    "red": (212, 40, 44),
    "orange": (243, 138, 28),
    "yellow": (248, 216, 58),
    "green": (66, 162, 72),
    "blue": (48, 98, 216),
    "purple": (128, 62, 176),
    "pink": (246, 140, 182),
    "brown": (128, 82, 46),
    "black": (40, 39, 44),
    "white": (246, 246, 243),
    "grey": (142, 144, 150),
}

GLYPHS: dict[str, Glyph] = {
    "dog": Glyph("dogs", animals.dog, 10, ("brown", "black", "white", "grey")),
    "cat": Glyph("cats", animals.cat, 10, ("orange", "black", "white", "grey")),
    "fish": Glyph("fish", animals.fish, 30, ("orange", "blue", "yellow")),
    "bird": Glyph("birds", animals.bird, 12, ("blue", "red", "yellow")),
    "butterfly": Glyph("butterflies", animals.butterfly, 40, ("orange", "blue", "yellow")),
    "elephant": Glyph("elephants", animals.elephant, 8, ("grey",)),
    "giraffe": Glyph("giraffes", animals.giraffe, 8, ("yellow", "orange")),
    "penguin": Glyph("penguins", animals.penguin, 12, ("black", "grey", "blue")),
    "pig": Glyph("pigs", animals.pig, 12, ("pink",)),
    "owl": Glyph("owls", animals.owl, 10, ("brown", "grey")),
    "apple": Glyph("apples", food.apple, 20, ("red", "green")),
    "banana": Glyph("bananas", food.banana, 40, ("yellow",)),
    "cherry": Glyph("cherries", food.cherry, 20, ("red",)),
    "strawberry": Glyph("strawberries", food.strawberry, 25, ("red",)),
    "flower": Glyph("flowers", food.flower, 20, ("red", "pink", "yellow", "purple")),
    "pumpkin": Glyph("pumpkins", food.pumpkin, 10, ("orange",)),
    "pizza": Glyph("pizzas", food.pizza, 35, ("red",)),
    "cake": Glyph("cakes", food.cake, 8, ("pink", "brown")),
    "ice cream": Glyph("ice creams", food.ice_cream, 20, ("pink", "white", "brown")),
    "egg": Glyph("eggs", food.egg, 8, ("blue", "white")),
    "car": Glyph("cars", vehicles.car, 10, ("red", "blue", "grey")),
    "bus": Glyph("buses", vehicles.bus, 10, ("red", "yellow")),
    "truck": Glyph("trucks", vehicles.truck, 10, ("blue", "red")),
    "train": Glyph("trains", vehicles.train, 8, ("black", "green", "red")),
    "bicycle": Glyph("bicycles", vehicles.bicycle, 10, ("red", "blue")),
    "boat": Glyph("boats", vehicles.boat, 12, ("red", "blue", "brown")),
    "airplane": Glyph("airplanes", vehicles.airplane, 25, ("white", "grey", "blue")),
    "rocket": Glyph("rockets", vehicles.rocket, 40, ("white", "red")),
    "helicopter": Glyph("helicopters", vehicles.helicopter, 15, ("red", "blue")),
    "balloon": Glyph("balloons", vehicles.balloon, 10, ("red", "orange", "purple")),
    "house": Glyph("houses", vehicles.house, 6, ("white", "yellow", "red")),
    "castle": Glyph("castles", vehicles.castle, 6, ("grey", "brown")),
    "tent": Glyph("tents", vehicles.tent, 8, ("orange", "green", "blue")),
    "windmill": Glyph("windmills", vehicles.windmill, 6, ("brown", "red")),
    "lighthouse": Glyph("lighthouses", vehicles.lighthouse, 6, ("red",)),
    "bed": Glyph("beds", household.bed, 6, ("blue", "red")),
    "book": Glyph("books", household.book, 20, ("red", "blue")),
    "clock": Glyph("clocks", household.clock, 15, ("red", "black")),
    "umbrella": Glyph("umbrellas", belongings.umbrella, 25, ("red", "purple", "black")),
    "guitar": Glyph("guitars", belongings.guitar, 45, ("orange", "brown")),
    "ball": Glyph("balls", belongings.ball, 40, ("red", "blue", "green")),
    "kite": Glyph("kites", belongings.kite, 25, ("red", "blue", "purple")),
    "flag": Glyph("flags", belongings.flag, 12, ("red", "blue", "green")),
    "crown": Glyph("crowns", belongings.crown, 15, ("yellow",)),
    "person": Glyph("people", belongings.person, 8, ("red", "blue", "green")),
    "camera": Glyph("cameras", belongings.camera, 20, ("black", "grey")),
}

NOUNS: tuple[str, ...] = tuple(GLYPHS)
