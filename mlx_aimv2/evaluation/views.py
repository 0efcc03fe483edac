"""Patch features of pictures, view by view: augmented anew each time, or kept of the middle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.images.decode import Picture
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model
from mlx_aimv2.inference.prefetch import Read
from mlx_aimv2.inference.preprocessing import Plan
from mlx_aimv2.inference.records import Sample
from mlx_aimv2.training.data.crop import TRIES, random_crop
from mlx_aimv2.training.data.rand_augment import rand_augment

from .data_sets.part import Part
from .features import Floats, Kept, Tell, pictures_at

# Source: AIMv2 paper, table A2.
_SCALE, _RATIO, _FLIP = (0.08, 1.0), (0.75, 1.33), 0.5
MIRRORED = b"\0mirrored"

Seen = tuple[int, Floats]
"""A picture's place in its part, and the features of its patches, (N, D)."""


@dataclass
class Views:
    """The patch features of a part's pictures; ``errors`` are of those that cannot be read.

    With ``kept`` they are those of the middle of each picture and of its mirror image, made once;
    without, they are made each time, and augmented for training.
    """

    part: Part
    model: Model
    options: ImageOptions
    kept: Kept | None = None
    errors: dict[int, Aimv2Error] = field(default_factory=dict)

    def fill(self, tell: Tell, *, is_for_training: bool) -> None:
        """Make what is to be kept, before it is asked for."""
        if self.kept is None:
            return
        self.errors |= self.kept.fill(self.model, self.options, tell)
        if is_for_training:
            read = _mirrored(self.model.plan(self.options))
            self.errors |= self.kept.fill(self.model, self.options, tell, read, MIRRORED)

    def plain(self, places: Sequence[int]) -> Iterator[Seen | None]:
        """Each picture's middle, as in measuring; None for one that cannot be read."""
        if self.kept is not None:
            return (self._from(self.kept, place, b"") for place in places)
        return self._made(places, self.model.plan(self.options), None)

    def for_training(self, places: Sequence[int], seed: int, first: int) -> Iterator[Seen | None]:
        """A random view of each picture, by the seed and its position: ``first`` and on."""
        if self.kept is not None:
            flips = [
                np.random.default_rng((seed, first + number)).random() < _FLIP
                for number in range(len(places))
            ]
            return (
                self._from(self.kept, place, MIRRORED if is_flipped else b"")
                for place, is_flipped in zip(places, flips, strict=True)
            )
        plan = self.model.plan(self.options)
        return self._made(places, plan, _augmented(plan, seed, first))

    def _from(self, kept: Kept, place: int, suffix: bytes) -> Seen | None:
        if place in self.errors:
            return None
        width = self.model.vision.config.hidden_size
        return place, kept.get(place, suffix).reshape(-1, width)

    def _made(self, places: Sequence[int], plan: Plan, read: Read | None) -> Iterator[Seen | None]:
        samples = self.model.samples(plan, pictures_at(self.part, places), read)
        for place, sample in zip(places, samples, strict=True):
            if sample.embedding is not None:
                yield place, sample.embedding.reshape(-1, sample.embedding.shape[-1])
                continue
            if sample.error is not None:
                self.errors[place] = sample.error
            yield None


def together(seen: Sequence[Seen]) -> tuple[NDArray[np.int64], mx.array, mx.array | None]:
    """Pictures as one batch: their places, features padded to one length, and a mask if need be.

    Shapes: B of (N, D) -> (B,), (B, N, D) float32, (B, 1, 1, N) bool or None.
    """
    lengths = [len(features) for _, features in seen]
    places = np.array([place for place, _ in seen])
    batch = np.zeros((len(seen), max(lengths), seen[0][1].shape[-1]), np.float32)
    for row, (_, features) in zip(batch, seen, strict=True):
        row[: len(features)] = features
    if min(lengths) == max(lengths):
        return places, mx.array(batch), None
    real = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return places, mx.array(batch), mx.array(real[:, None, None])


def _augmented(plan: Plan, seed: int, first: int) -> Read:
    """Reads a random part of a picture, perhaps mirrored and changed by RandAugment."""

    def read(sample: Sample) -> None:
        rng = np.random.default_rng((seed, first + sample.index))
        picture = plan.open(sample.source)
        image = picture.to_srgb(picture.image)
        part = image.crop(random_crop(*image.size, rng.random((TRIES, 4)), _SCALE, _RATIO))
        if not plan.vision.is_native:  # which takes a part in its own proportions
            part = part.resize((plan.side_px, plan.side_px), Image.Resampling.BICUBIC)
        if rng.random() < _FLIP:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        part = rand_augment(part, rng, plan.preset.mean)
        if plan.vision.is_native:
            sample.pixels, sample.note = plan.fit(Picture.of(part))
        else:
            sample.pixels = np.array(part)

    return read


def _mirrored(plan: Plan) -> Read:
    def read(sample: Sample) -> None:
        plan.read(sample)
        if sample.pixels is not None:
            sample.pixels = np.ascontiguousarray(sample.pixels[:, ::-1])

    return read
