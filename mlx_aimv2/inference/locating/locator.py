"""Words found in pictures: the pooling head's values patch by patch, on windows of each picture.

Each patch is given all the attention of the pooling head, and its vector compared with the word's
(MaskCLIP, Zhou et al. 2022, does the same with CLIP's last attention). No training is needed, and
nothing about boxes was learnt: docs/locating.md has what that can do and what it cannot.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Warning, NumericsError, UsageError
from mlx_aimv2.images import MAX_PIXELS
from mlx_aimv2.images.decode import Picture
from mlx_aimv2.images.fit import crops_strip
from mlx_aimv2.images.source import ImageSource, describe

from .. import zero_shot
from ..embedder import Embedder
from ..image_options import ImageOptions
from ..preprocessing import Plan
from .heat import Floats, Maps, grid_of, heat_of, place_of
from .windows import Box, cut, windows_of

TILES = 2  # by default a picture is seen whole, and in tiles of half its shorter side
MOST_TILES = 3

_TOGETHER = 64  # words whose maps are put together at once: a map of lit is 64 kB
_Crops = Iterable[NDArray[np.uint8]]

_MARGIN = 0.5  # of a box's longer side: as much more is seen where the box is judged


@dataclass(frozen=True, eq=False, repr=False)
class Located:
    """A word and the place in a picture that fits it best, whether it is there or not.

    ``score`` says how well that place fits the word by itself: 0.5 is as well as any word, as in
    ``Model.classify(…, independent=True)``. ``heat`` lies over the whole picture, from 0 (the
    mean and below) to 1.
    Shapes: heat (rows, columns).
    Units: pixels of the upright picture; box (left, top, right, bottom), point (x, y), size
    (width, height).
    """

    text: str
    score: float
    box: tuple[int, int, int, int]
    point: tuple[int, int]
    size: tuple[int, int]
    heat: mx.array

    def __repr__(self) -> str:
        return f"Located({self.text!r}, {self.score:.3f}, box={self.box})"


class Locator:
    """Words that are looked for in one picture after another.

    Errors: UsageError for words that are none, tiles that are not 1, 2 or 3, and a checkpoint
    without a text tower or without a pooling head.
    """

    def __init__(
        self,
        model: Embedder,
        texts: Sequence[str] | str,
        *,
        tiles: int = TILES,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if tiles not in range(1, MOST_TILES + 1):
            raise UsageError(f"cannot tile {tiles!r} times", hint="tiles: 1, 2 or 3")
        self._texts = _checked(model, texts)
        vectors = np.array(model.embed_texts([*self._texts, *zero_shot.BACKGROUND]))
        self._words, self._background = np.split(vectors, [len(self._texts)])
        options = ImageOptions(pooling="none", max_pixels=max_pixels)
        self._model, self._tiles, self._plan = model, tiles, model.plan(options)
        self._judged = model.plan(ImageOptions(pooling="head"))

    def find(self, image: ImageSource) -> list[Located]:
        """The best place for each word, in the order of the words.

        Errors: ImageError for a picture that cannot be read.
        """
        picture = self._plan.open(image)
        width_px, height_px = picture.size
        strip = f"of this {width_px}×{height_px} strip only the middle is searched"
        for note in filter(None, (picture.note, strip * crops_strip(width_px, height_px))):
            warnings.warn(f"{describe(image)}: {note}", Aimv2Warning, stacklevel=3)
        heats = [heat_of(each) for each in self._maps(picture, describe(image))]
        places = [place_of(heat, picture.size) for heat in heats]
        scores = self._scores(picture, [place.box for place in places], describe(image))
        return [
            Located(text, score, place.box, place.point, picture.size, mx.array(heat))
            for text, score, place, heat in zip(self._texts, scores, places, heats, strict=True)
        ]

    def _maps(self, picture: Picture, name: str) -> Iterator[Floats]:
        """How well each place fits each word. Shapes: T of (rows, columns)."""
        sizes = windows_of(picture.size, self._plan, self._tiles)
        crops = (cut(picture, box, self._plan) for windows in sizes for box in windows)
        vectors = self._vectors(crops, name)
        found = [list(islice(vectors, len(windows))) for windows in sizes]
        grid = grid_of(picture.size, sizes[-1][0], min(found[-1][0].shape[:2]))
        for first in range(0, len(self._texts), _TOGETHER):
            words = self._words[first : first + _TOGETHER]
            maps = Maps(picture.size, grid, len(words))
            for windows, of_windows in zip(sizes, found, strict=True):
                maps.add(windows, [each @ words.T for each in of_windows])
            yield from maps.means()

    def _vectors(self, crops: _Crops, name: str) -> Iterator[Floats]:
        """Each patch of each crop in the space of words. Shapes: each (rows, columns, P)."""
        for features in self._embedded(self._plan, crops, name):
            vectors = self._model.patch_vectors(features)
            if vectors is None:
                raise _not_finite(name)
            yield vectors

    def _scores(self, picture: Picture, boxes: list[tuple[int, ...]], name: str) -> list[float]:
        """How well each box, with what is around it, fits its word by itself."""
        crops = (cut(picture, self._around(box, picture.size), self._judged) for box in boxes)
        vectors = np.stack(list(self._embedded(self._judged, crops, name)))
        scale = self._model.logit_scale
        scores = zero_shot.independent_scores(vectors, self._words, self._background, scale)
        return [float(score) for score in np.diagonal(scores)]

    def _embedded(self, plan: Plan, crops: _Crops, name: str) -> Iterator[Floats]:
        for sample in self._model.samples(plan, crops):
            if sample.embedding is None:
                raise _not_finite(name) from sample.error
            yield sample.embedding

    def _around(self, box: tuple[int, ...], size: tuple[int, int]) -> Box:
        """A box and what is around it, inside the picture: a square for a fixed-size checkpoint."""
        spans = [box[2] - box[0], box[3] - box[1]]
        wanted = [span + _MARGIN * max(spans) for span in spans]
        if not self._plan.vision.is_native:
            wanted = [min(max(wanted), *size)] * 2
        starts = []
        for axis in (0, 1):
            wanted[axis] = min(wanted[axis], size[axis])
            start = (box[axis] + box[axis + 2] - wanted[axis]) / 2
            starts.append(min(max(0.0, start), size[axis] - wanted[axis]))
        return (*starts, starts[0] + wanted[0], starts[1] + wanted[1])  # type: ignore[return-value]


def contributions(
    model: Embedder, image: ImageSource, texts: Sequence[str] | str
) -> tuple[mx.array, mx.array]:
    """``Model.contributions``."""
    words = _checked(model, texts)
    vectors = np.array(model.embed_texts(words))
    (sample,) = model.samples(model.plan(ImageOptions(pooling="none")), image)
    if sample.error is not None:
        raise sample.error
    features = cast(Floats, sample.embedding)
    parts = model.patch_parts(features)
    if parts is None:
        raise _not_finite(describe(image))
    shares = vectors @ parts.T  # (T, rows * columns + 1)
    grid = shares[:, :-1].reshape(-1, *features.shape[:2])
    return mx.array(grid), mx.array(shares[:, -1])


def _checked(model: Embedder, texts: Sequence[str] | str) -> list[str]:
    """Words that a checkpoint can look for, as a list. Errors: UsageError."""
    words = zero_shot.checked([texts] if isinstance(texts, str) else texts, "word")
    if model.has_text and not model.vision.config.use_head:
        raise UsageError(
            "this checkpoint has no pooling head, whose values tell where a word is",
            hint="load one with a pooling head: lit",
        )
    return words


def _not_finite(name: str) -> NumericsError:
    return NumericsError(f"{name}: its features are not finite, in float32 too")
