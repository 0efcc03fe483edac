"""What of a picture enters the encoder: a random part of a fixed size, or all of it as patches."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.images import fit, patches
from mlx_aimv2.images.decode import Picture, Shrink, open_picture
from mlx_aimv2.images.presets import Preset
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.image_options import Decoding

from ..pretraining.prefix import draw_prefix
from .crop import TRIES, Span, random_crop

Floats = NDArray[np.float32]

DRAWS = 4 * TRIES + 1
"""Random numbers that a view takes: those of the crop, and of the flip."""


@dataclass(frozen=True)
class View:
    """How pictures are cropped, flipped, sized and normalised.

    ``side_px`` is the side of the square that is seen; None for native resolution, where nothing is
    cropped. ``augments`` False: the middle of each picture, never flipped, as at inference.
    ``decode`` "fast" leaves out what is finer than half a pixel of the result (large JPEGs).
    Source: AIMv2 paper, appendix A; apple/ml-l3m, 001_aimv2_hfdata.yaml.
    """

    preset: Preset
    side_px: int | None
    patch_size: int = 14
    scale: Span = (0.4, 1.0)
    ratio: Span = (3 / 4, 4 / 3)
    flip: float = 0.5
    augments: bool = True
    decode: Decoding = "exact"

    def room(self, count: int, area: int | None) -> dict[str, NDArray[Any]]:
        """Arrays for so many pictures; zeros, which is what padding is."""
        arrays: dict[str, NDArray[Any]] = {"prefix": np.zeros(count, np.int32)}
        if area is None:
            arrays["pixels"] = np.zeros((count, self._side_px, self._side_px, 3), np.float32)
        else:
            arrays["patches"] = np.zeros((count, area, 3 * self.patch_size**2), np.float32)
            arrays["grids"] = np.zeros((count, 2), np.int32)
        return arrays

    def see(
        self,
        source: ImageSource,
        draws: NDArray[np.float64],
        rng: np.random.Generator,
        area: int | None,
        rows: dict[str, NDArray[Any]],
    ) -> None:
        """Write a picture and its prefix length, uniformly from 1 to I - 1, into the first of rows.

        Errors: ImageError.
        """
        if area is None:
            rows["prefix"][0] = draw_prefix(rng, (self._side_px // self.patch_size) ** 2)
            rows["pixels"][0] = self.pixels(source, draws)
        else:
            seen, grid = self.patches(source, draws, area)
            rows["prefix"][0] = draw_prefix(rng, len(seen))
            rows["patches"][0, : len(seen)] = seen  # last: what failed leaves no patch behind
            rows["grids"][0] = grid

    def pixels(self, source: ImageSource, draws: NDArray[np.float64]) -> Floats:
        """A picture as a checkpoint of a fixed side sees it.

        Shapes: draws (41,) from 0 to 1 -> (S, S, 3), normalised.
        Errors: ImageError.
        """
        side_px = self._side_px
        if not self.augments:
            picture = self._open(source, lambda w, h: fit.shrink(w, h, side_px, self.preset))
            return self._normalized(fit.fit(picture, side_px, self.preset))
        size, tries = (side_px, side_px), draws[1:].reshape(TRIES, 4)

        def shrink(width: int, height: int) -> float:  # whether the file is upright is not known
            boxes = (random_crop(*sides, tries, self.scale, self.ratio)
                     for sides in ((width, height), (height, width)))  # fmt: skip
            return min(fit.shrinking(box, size) for box in boxes)

        picture = self._open(source, shrink)
        box = random_crop(*picture.size, tries, self.scale, self.ratio)
        if picture.reduction > 1:
            seen = picture.resize(size, box)
        else:  # cropped first: no pixel beside the box has a part in it
            seen = picture.image.crop(box).resize(size, Image.Resampling.BICUBIC)
            seen = picture.to_srgb(seen)
        return self._normalized(self._flipped(np.asarray(seen), draws[0]))

    def patches(
        self, source: ImageSource, draws: NDArray[np.float64], area: int
    ) -> tuple[Floats, tuple[int, int]]:
        """A whole picture of at most ``area`` patches, and its grid (rows, columns).

        Its aspect is kept as well as whole patches can; one longer than ``area`` times its width
        shows its middle.
        Shapes: draws (41,) -> (rows * columns, P * P * 3), normalised.
        Errors: ImageError.
        """

        def sized(width: int, height: int) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
            rows, columns = patches.grid_within(width, height, area)
            box = fit.middle_box(width, height, area)
            return box, (columns * self.patch_size, rows * self.patch_size)

        picture = self._open(source, lambda w, h: fit.shrinking(*sized(w, h)))
        box, size = sized(*picture.size)
        pixels = self._flipped(np.asarray(picture.resize(size, box)), draws[0])
        grid = size[1] // self.patch_size, size[0] // self.patch_size
        cut = patches.patchify(pixels, self.patch_size)
        return self._normalized(cut.reshape(len(cut), -1, 3)).reshape(cut.shape), grid

    @property
    def _side_px(self) -> int:
        return self.side_px or 0  # which nobody asks of native resolution

    def _open(self, source: ImageSource, shrink: Shrink) -> Picture:
        return open_picture(source, shrink=shrink if self.decode == "fast" else None)

    def _flipped(self, pixels: NDArray[np.uint8], draw: float) -> NDArray[np.uint8]:
        return pixels[:, ::-1] if self.augments and draw < self.flip else pixels

    def _normalized(self, pixels: NDArray[np.uint8]) -> Floats:
        mean, std = (np.array(each, np.float32) for each in (self.preset.mean, self.preset.std))
        return (pixels.astype(np.float32) / np.float32(255) - mean) / std
