"""EXIF's eight orientations: how the pixels of a file become an upright picture."""

from dataclasses import dataclass

from PIL import Image

_Turn = Image.Transpose


@dataclass(frozen=True)
class Orientation:
    """What an orientation means for the picture when it is upright.

    ``turn`` makes it upright. Its first stored pixel is then at the right (``from_right``), at the
    bottom (``from_below``), or both. ``flips`` is the same in LibRaw's bits: 1 mirrors, 2 turns
    upside down, 4 swaps the sides.
    """

    number: int
    turn: Image.Transpose | None
    from_right: bool
    from_below: bool
    flips: int

    @property
    def swaps_sides(self) -> bool:
        """Whether stored rows are columns of the upright picture."""
        return bool(self.flips & 4)


ORIENTATIONS = {
    row.number: row
    for row in (
        Orientation(1, None, False, False, 0),
        Orientation(2, _Turn.FLIP_LEFT_RIGHT, True, False, 1),
        Orientation(3, _Turn.ROTATE_180, True, True, 3),
        Orientation(4, _Turn.FLIP_TOP_BOTTOM, False, True, 2),
        Orientation(5, _Turn.TRANSPOSE, False, False, 4),
        Orientation(6, _Turn.ROTATE_270, True, False, 6),
        Orientation(7, _Turn.TRANSVERSE, True, True, 7),
        Orientation(8, _Turn.ROTATE_90, False, True, 5),
    )
}
BY_FLIPS = {row.flips: row for row in ORIENTATIONS.values()}
