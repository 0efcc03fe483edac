"""The drawings as pairs: each with four captions, painted when it is read."""

from ..data.pair import Pair
from .scene import HELD_OUT, draw

SIDE_PX = 224


class Drawings:
    """So many of the drawings that are for training, ``side_px`` wide and high."""

    notes = ()

    def __init__(self, count: int, side_px: int = SIDE_PX) -> None:
        self._count = min(count, HELD_OUT)
        self._side_px = side_px

    def __len__(self) -> int:
        return self._count

    def read(self, number: int) -> Pair:
        """The drawing of that number."""
        drawing = draw(number, self._side_px)
        captions = tuple(caption.text for caption in drawing.captions)
        return Pair(f"drawing {number}", drawing.image, captions)
