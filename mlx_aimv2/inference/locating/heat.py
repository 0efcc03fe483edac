"""A word's map over a picture: put together from windows, and the place that it points to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .windows import Box

Floats = NDArray[np.float32]

# Of the way from the map's mean to its maximum: what is above it, around the maximum, is the box.
# Chosen on other drawings than those that figures are reported of (benchmarks/locating.py).
_EDGE = 0.35
_CELLS = 4  # to the side of the smallest patch: finer than a box can be, coarse enough for a sheet
_MOST_CELLS, _MOST_ALONG = 256, 2048  # along the shorter and the longer side


@dataclass(frozen=True)
class Place:
    """Where a map points: the maximum, and the box around what is high beside it.

    Units: pixels of the upright picture; right and bottom are outside the box.
    """

    box: tuple[int, int, int, int]
    point: tuple[int, int]


def grid_of(size: tuple[int, int], window: Box, patches: int) -> tuple[int, int]:
    """Rows and columns of a map whose cells are a part of the smallest patch.

    ``window`` is one of the smallest, ``patches`` are those along its shorter side.
    """
    left, top, right, bottom = window
    cell_px = min(right - left, bottom - top) / patches / _CELLS
    cell_px = max(cell_px, min(size) / _MOST_CELLS, max(size) / _MOST_ALONG)
    return max(1, round(size[1] / cell_px)), max(1, round(size[0] / cell_px))


class Maps:
    """Maps of several words over one picture, the mean over all sizes of windows.

    Each size counts as much as another; where windows of one size overlap, their mean counts. What
    no window shows, outside the middle of a strip, has the lowest value.
    """

    def __init__(self, size: tuple[int, int], grid: tuple[int, int], words: int) -> None:
        self._scale = grid[1] / size[0], grid[0] / size[1]
        self._total = np.zeros((words, *grid), np.float32)
        self._sizes = 0

    def add(self, windows: Sequence[Box], values: Sequence[Floats]) -> None:
        """Add the values of all windows of one size. Shapes: each (rows, columns, T)."""
        words, rows, columns = self._total.shape
        total = np.zeros_like(self._total)
        count = np.zeros((rows, columns), np.float32)
        for box, of_window in zip(windows, values, strict=True):
            (x0, x1), (y0, y1) = self._cells(box, 0, columns), self._cells(box, 1, rows)
            for word in range(words):
                image = Image.fromarray(np.ascontiguousarray(of_window[:, :, word]))
                enlarged = image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)
                total[word, y0:y1, x0:x1] += np.asarray(enlarged)
            count[y0:y1, x0:x1] += 1
        seen = count > 0
        mean = total / np.maximum(count, 1)
        mean[:, ~seen] = mean[:, seen].min(axis=1, keepdims=True)
        self._total += mean
        self._sizes += 1

    def means(self) -> Floats:
        """The maps. Shapes: (T, rows, columns)."""
        return self._total / np.float32(self._sizes)

    def _cells(self, box: Box, axis: int, most: int) -> tuple[int, int]:
        start = min(most - 1, round(box[axis] * self._scale[axis]))
        return start, max(start + 1, min(most, round(box[axis + 2] * self._scale[axis])))


def heat_of(values: Floats) -> Floats:
    """A map from 0, its mean and below, to 1, its maximum. Shapes: kept."""
    above = np.maximum(values - values.mean(), 0)
    most = above.max()
    return above / most if most > 0 else above


def place_of(heat: Floats, size: tuple[int, int]) -> Place:
    """The place that a map points to, in a picture of this size. Shapes: (rows, columns)."""
    rows, columns = heat.shape
    row, column = divmod(int(heat.argmax()), columns)
    high = heat >= _EDGE
    high[row, column] = True
    held = np.zeros(heat.shape, bool)
    held[row, column] = True
    while True:  # from the maximum on to all high cells that touch
        wider = _along_rows(_along_rows(held, high).T, high.T).T
        if (wider == held).all():
            break
        held = wider
    ys, xs = (np.flatnonzero(held.any(axis=axis)) for axis in (1, 0))
    width_px, height_px = size
    x_px, y_px = width_px / columns, height_px / rows
    left, top = int(xs[0] * x_px), int(ys[0] * y_px)
    right = max(left + 1, min(width_px, round((xs[-1] + 1) * x_px)))
    bottom = max(top + 1, min(height_px, round((ys[-1] + 1) * y_px)))
    return Place((left, top, right, bottom), (int((column + 0.5) * x_px), int((row + 0.5) * y_px)))


def _along_rows(held: NDArray[np.bool_], high: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All of each row's runs of high cells of which one cell is held: shapes are kept."""
    begins = high.copy()
    begins[:, 1:] &= ~high[:, :-1]
    runs = np.cumsum(begins).reshape(high.shape)  # numbered from 1
    is_held = np.zeros(int(runs.max()) + 1, bool)
    is_held[runs[held]] = True
    return is_held[runs] & high
