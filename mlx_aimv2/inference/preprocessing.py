"""Image options settled for one checkpoint: how its pixels are made, how many make a batch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images import fit, patches
from mlx_aimv2.images.decode import Picture, Shrink, open_picture
from mlx_aimv2.images.presets import Preset, read_preset
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.models.aimv2.config import VisionConfig

from .image_options import ImageOptions, Pooling
from .records import Sample

_COUNTS = ("tiles", "max_patches", "max_pixels", "batch_size", "threads")

# Tokens in a batch: enough to keep a GPU busy, few enough for 8 GB of memory.
BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Plan:
    """Options settled for one checkpoint: its sizes, and what the options left to it."""

    options: ImageOptions
    vision: VisionConfig
    pooling: Pooling
    preset: Preset
    max_patches: int

    @property
    def normalize(self) -> bool:
        """Whether embeddings have unit length: patch grids never do."""
        return self.options.normalize and self.pooling != "none"

    @property
    def side_px(self) -> int:
        """The side of a picture with all its tiles, for a fixed-size checkpoint."""
        return (self.vision.image_size or 0) * self.options.tiles

    @property
    def shrink(self) -> Shrink | None:
        """How many times smaller a picture becomes, where its decoder may use that."""
        return self._shrink if self.options.decode == "fast" else None

    def images_per_batch(self, tokens: int) -> int:
        """Number of images in a batch, where each has so many tokens."""
        images = max(1, BATCH_TOKENS // tokens)
        if self.vision.is_native:
            images = 1 << (images.bit_length() - 1)  # few shapes: see patches.bucket
        return self.options.batch_size or images

    def open(self, source: ImageSource) -> Picture:
        """The picture of a source. Errors: ImageError for what cannot be read."""
        return open_picture(
            source,
            max_pixels=self.options.max_pixels,
            shrink=self.shrink,
            as_stored=self.options.as_stored,
        )

    def fit(self, picture: Picture) -> tuple[NDArray[np.uint8], str | None]:
        """A picture as the checkpoint takes it, and what there is to say of it.

        Shapes: (S, S, 3) for a fixed-size checkpoint, (H, W, 3) of whole patches for a native one.
        """
        width_px, height_px = picture.size
        if self.vision.is_native:
            sizes = self.vision.patch_size, self.max_patches
            pixels = patches.fit(picture, *sizes)
            is_strip = patches.crops_strip(width_px, height_px, *sizes)
        else:
            pixels = fit.fit(picture, self.side_px, self.preset)
            is_strip = fit.crops_strip(width_px, height_px)
        strip = f"of this {width_px}×{height_px} strip only the middle is seen"
        return pixels, "; ".join(filter(None, (picture.note, strip * is_strip))) or None

    def read(self, sample: Sample) -> None:
        """Write the pixels of a sample's source, and what there is to say of them, into it."""
        sample.pixels, sample.note = self.fit(self.open(sample.source))

    def _shrink(self, width_px: int, height_px: int) -> float:
        if self.vision.is_native:
            return patches.shrink(width_px, height_px, self.vision.patch_size, self.max_patches)
        return fit.shrink(width_px, height_px, self.side_px, self.preset)


def make_plan(options: ImageOptions, vision: VisionConfig, folder: Path) -> Plan:
    """Check options against a checkpoint in ``folder`` and settle what was left open.

    Errors: UsageError for options that do not fit the checkpoint or each other.
    """
    pooling = options.pooling or ("head" if vision.use_head else "mean")
    _check(options, pooling, vision)
    max_patches = options.max_patches or patches.MAX_PATCHES
    if vision.is_native:  # the limits of max_patches, checked where nothing has been read yet
        patches.grid_of(vision.patch_size, vision.patch_size, vision.patch_size, max_patches)
    return Plan(options, vision, pooling, read_preset(folder, options.preset), max_patches)


def check_count(name: str, value: object) -> None:
    """Errors: UsageError for what is not a whole number above 0."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < 1:  # type: ignore[operator]
        raise UsageError(f"{name} is {value!r}", hint="give a whole number above 0")


def _check(options: ImageOptions, pooling: str, vision: VisionConfig) -> None:
    if pooling not in ("head", "mean", "none"):
        raise UsageError(f"unknown pooling {pooling!r}", hint="one of: head, mean, none")
    if pooling == "head" and not vision.use_head:
        raise UsageError(
            "this checkpoint has no pooling head", hint="pooling: mean, or none for the patch grid"
        )
    if options.decode not in ("exact", "fast"):
        raise UsageError(f"decode is {options.decode!r}", hint="one of: exact, fast")
    for name in _COUNTS:
        value = getattr(options, name)
        if value is not None:
            check_count(name, value)
    if options.tiles not in (1, 2, 3):
        raise UsageError(f"cannot tile {options.tiles} times", hint="tiles: 1, 2 or 3")
    if options.tiles > 1 and vision.is_native:
        raise UsageError(
            "a native checkpoint takes large images whole: it needs no tiles",
            hint="leave tiles out",
        )
    if options.tiles > 1 and pooling == "head":
        raise UsageError(
            "the pooling head was trained on one tile, not on several",
            hint="with tiles choose pooling: mean, or none for the patch grid",
        )
    if options.max_patches is not None and not vision.is_native:
        raise UsageError(
            f"max_patches is for native checkpoints; this one takes {vision.image_size} px",
            hint="leave max_patches out, or load: native",
        )
