"""Pictures with what was found in them drawn on: a word's heat, its box and its point."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mlx_aimv2.files.paths import printable
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.locating.locator import Located

SIDE_PX = 1024  # of the longest side of a drawn picture

_MOST_OPACITY = 0.75
# From cold to hot, even in lightness, so that it reads in grey and to colour-blind eyes as well.
# Source: five points of matplotlib's inferno.
_COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])
_COLUMNS = 3
_GAP = 12
_WHITE, _DARK = (255, 255, 255), (20, 20, 22)


def draw(picture: Image.Image, found: Located) -> Image.Image:
    """A picture with a word's heat over it, and the box and the point; it may have been made small.

    Shapes: RGB, its size kept.
    """
    heat = Image.fromarray(np.array(found.heat)).resize(picture.size, Image.Resampling.BILINEAR)
    values = np.clip(np.asarray(heat), 0, 1)[..., None]
    steps = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack(
        [np.interp(values[..., 0], steps, channel) for channel in _COLOURS.T], axis=-1
    )
    opacity = _MOST_OPACITY * values
    mixed = np.asarray(picture) * (1 - opacity) + colours * opacity
    drawn = Image.fromarray(np.round(mixed).astype(np.uint8))
    _mark(drawn, found)
    return drawn


def panels(image: ImageSource, found: Sequence[Located]) -> bytes:
    """The PNG of a picture: for each word one with its heat, and the word and its score below.

    Errors: ImageError for a picture that cannot be read.
    """
    picture = open_rgb(image)
    small = picture.copy()
    small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    height = max(16, min(28, small.height // 12))
    font = ImageFont.load_default(height)
    cell = small.width + _GAP, small.height + 2 * height + _GAP
    columns = min(_COLUMNS, len(found))
    rows = -(-len(found) // columns)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), _WHITE)
    canvas = ImageDraw.Draw(sheet)
    for number, each in enumerate(found):
        row, column = divmod(number, columns)
        left, top = _GAP + column * cell[0], _GAP + row * cell[1]
        sheet.paste(draw(small, each), (left, top))
        text = f"{printable(each.text)}  {each.score:.2f}"
        canvas.text((left, top + small.height + height // 3), text, _DARK, font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _mark(drawn: Image.Image, found: Located) -> None:
    """Draw the box and the point, white in dark, which shows on anything."""
    across, down = (side / whole for side, whole in zip(drawn.size, found.size, strict=True))
    left, top, right, bottom = found.box
    box = [left * across, top * down, right * across - 1, bottom * down - 1]
    canvas = ImageDraw.Draw(drawn)
    line = max(1, round(max(drawn.size) / 300))
    x, y = found.point[0] * across, found.point[1] * down
    for colour, width in ((_DARK, 3 * line), (_WHITE, line)):
        canvas.rectangle(box, outline=colour, width=width)
        reach = 4 * line + (width - line) / 2
        canvas.line((x - reach, y, x + reach, y), colour, width)
        canvas.line((x, y - reach, x, y + reach), colour, width)
