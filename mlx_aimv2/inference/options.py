"""How images are embedded: options, checked once against a checkpoint, with nothing left open."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images import decode as image
from mlx_aimv2.images import patches
from mlx_aimv2.images.decode import Picture, Preset
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.models.aimv2.config import VisionConfig

from .image_options import ImageOptions, Pooling

Fit = Callable[[ImageSource], tuple[NDArray[np.uint8], str | None]]

_COUNTS = ("tiles", "max_patches", "max_pixels", "batch_size", "threads")

# Tokens in a batch: enough to keep a GPU busy, few enough for 8 GB of memory.
BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Plan:
    """Options settled for one checkpoint. ``fit`` makes the pixels of one image."""

    vision: VisionConfig
    pooling: Pooling
    preset: Preset
    tiles: int
    max_patches: int
    normalize: bool
    threads: int | None
    fit: Fit
    batch_size: int | None
    fills_batches: bool

    def images_per_batch(self, tokens: int) -> int:
        """Images of so many tokens that make a batch."""
        images = max(1, BATCH_TOKENS // tokens)
        if self.vision.is_native:
            images = 1 << (images.bit_length() - 1)  # few shapes: see buckets
        return self.batch_size or images


def make_plan(options: ImageOptions, vision: VisionConfig, folder: Path) -> Plan:
    """Check options against a checkpoint in ``folder`` and settle what was left open.

    Errors: UsageError for options that do not fit the checkpoint or each other.
    """
    pooling = options.pooling or ("head" if vision.use_head else "mean")
    _check(options, pooling, vision)
    preset = image.read_preset(folder, options.preset)
    max_patches = options.max_patches or patches.MAX_PATCHES
    return Plan(
        vision,
        pooling,
        preset,
        options.tiles,
        max_patches,
        options.normalize and pooling != "none",
        options.threads,
        _fit(options, preset, max_patches, vision),
        options.batch_size,
        options.fills_batches,
    )


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


def _fit(options: ImageOptions, preset: Preset, max_patches: int, vision: VisionConfig) -> Fit:
    patch_size = vision.patch_size
    side_px = (vision.image_size or 0) * options.tiles
    is_fast = options.decode == "fast"
    open_picture = options.open or image.open_picture

    def shrink_native(width_px: int, height_px: int) -> float:
        return patches.shrink(width_px, height_px, patch_size, max_patches)

    def shrink_fixed(width_px: int, height_px: int) -> float:
        return image.shrink(width_px, height_px, side_px, preset)

    shrink = (shrink_native if vision.is_native else shrink_fixed) if is_fast else None

    def fit_native(source: ImageSource) -> tuple[NDArray[np.uint8], str | None]:
        opened: Picture = open_picture(source, max_pixels=options.max_pixels, shrink=shrink)
        strip = patches.crops_strip(*opened.size, patch_size, max_patches)
        return patches.fit(opened, patch_size, max_patches), _note(opened, strip)

    def fit_fixed(source: ImageSource) -> tuple[NDArray[np.uint8], str | None]:
        opened: Picture = open_picture(source, max_pixels=options.max_pixels, shrink=shrink)
        strip = image.crops_strip(*opened.size)
        return image.fit(opened, side_px, preset), _note(opened, strip)

    if vision.is_native:
        # Checked here, where nothing has been read yet.
        patches.grid_of(patch_size, patch_size, patch_size, max_patches)
        return fit_native
    return fit_fixed


def _note(opened: Picture, is_strip: bool) -> str | None:
    width_px, height_px = opened.size
    strip = f"of this {width_px}×{height_px} strip only the middle is seen" if is_strip else None
    return "; ".join(filter(None, (opened.note, strip))) or None
