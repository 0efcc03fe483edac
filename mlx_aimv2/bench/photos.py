"""Photographs of 12 megapixels: made here, decoded, and embedded from end to end.

They are the same each time, and as hard to decode as those of a telephone. In a whole folder
overlap leaves the slower of decoding and the model as the only cost, where these have processors of
their own. On a CPU they share them: there the most that can be is 1 / (1 / decode + 1 / model).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.device import available_cores, backend
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.embedder import Embedder
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.prefetch import prefetch
from mlx_aimv2.inference.preprocessing import Plan

from .figure import Figure, clock, interleave, measure, rate

Mode = Literal["exact", "fast"]
MODES: tuple[Mode, ...] = ("exact", "fast")
SLOWER = "the slower of decoding alone and the model alone"
SHARED = "decoding and the model on the same cores, 1 / (1 / decode + 1 / model)"

PHOTO_PX = (4032, 3024)  # 12 megapixels, as telephones take them
_QUALITY = 90
_OCTAVES = (8, 32, 128, 512)  # cells along the width; each is half as strong as the one before
_COARSER = 4  # times: what shapes are drawn at, for speed
_GRAIN, _TILE_PX = 4.0, 509
_SMALL = 24
_SMALL_SUFFIXES = ("jpg", "png", "webp")


def make_photo(seed: int, size_px: tuple[int, int] = PHOTO_PX) -> Image.Image:
    """Large shapes with finer and finer ones on them, and a sensor's grain."""
    width, height = size_px
    rng = np.random.default_rng((seed, width, height))
    small = (width // _COARSER + 1, height // _COARSER + 1)
    shapes = sum(_layer(rng, cells, small) / 2**number for number, cells in enumerate(_OCTAVES))
    shapes = shapes / sum(2.0**-number for number in range(len(_OCTAVES)))
    image = Image.fromarray(np.asarray(shapes).astype(np.uint8))
    pixels = np.asarray(image.resize(size_px, Image.Resampling.BICUBIC), np.int16)
    grain = rng.normal(0, _GRAIN, (_TILE_PX, _TILE_PX, 1)).astype(np.int16)
    tiles = (height // _TILE_PX + 1, width // _TILE_PX + 1, 1)
    noisy = pixels + np.tile(grain, tiles)[:height, :width]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def make_photos(folder: Path, count: int, size_px: tuple[int, int] = PHOTO_PX) -> list[Path]:
    """So many JPEGs in a folder; those that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            make_photo(number, size_px).save(path, quality=_QUALITY)
    return paths


def make_small_pictures(folder: Path) -> list[Path]:
    """Small pictures of several formats and shapes."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = []
    for number in range(_SMALL):
        width, height = (int(side) for side in rng.integers(80, 320, 2))
        path = folder / f"{number:04}.{_SMALL_SUFFIXES[number % len(_SMALL_SUFFIXES)]}"
        make_photo(number, (width, height)).save(path)
        paths.append(path)
    return paths


def _layer(rng: np.random.Generator, cells: int, size_px: tuple[int, int]) -> NDArray[np.float32]:
    width, height = size_px
    rows = max(2, cells * height // width)
    coarse = rng.integers(0, 256, (rows, cells, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size_px, Image.Resampling.BICUBIC), np.float32)


def decoding_figures(
    model: Embedder, photos: Sequence[Path], runs: int, threads: int | None = None
) -> Iterator[Figure]:
    """Photographs to pixels a second, from the page cache: on one thread, and on all of them."""
    threads = threads or available_cores()
    plans = {mode: model.plan(ImageOptions(decode=mode)) for mode in MODES}
    alone: dict[Mode, float] = {}
    for mode, plan in plans.items():
        timing = measure(partial(_fit_each, photos, plan), repeats=max(runs, 3))
        figure = rate("decoding", f"{mode}, 1 thread", len(photos), "photos/s", timing,
                      limit="decode", about={"mode": mode, "threads": 1})  # fmt: skip
        alone[mode] = figure.value
        yield figure
    yield Figure("decoding", "fast against exact", alone["fast"] / alone["exact"], "×")
    if threads > 1:
        many = list(islice(cycle(photos), max(len(photos), 2 * threads)))
        for mode, plan in plans.items():
            timing = measure(partial(_decode, many, plan, threads=threads), repeats=max(runs, 2))
            yield rate("decoding", f"{mode}, {threads} threads", len(many), "photos/s", timing,
                       ceiling=threads * alone[mode],
                       ceiling_name=f"{threads} times one thread", limit="decode",
                       about={"mode": mode, "threads": threads})  # fmt: skip


def folder_figures(
    model: Embedder, photos: Sequence[Path], runs: int, *, batch_size: int, mode: Mode = "exact"
) -> Iterator[Figure]:
    """Photographs to embeddings a second, in turns with decoding alone and the model alone."""
    options = ImageOptions(decode=mode, batch_size=batch_size)
    plan = model.plan(options)
    pixels = [plan.fit(plan.open(photo))[0] for photo in photos]
    works = {
        "together": partial(_embed, model, options, photos),
        "decode": partial(_decode, photos, plan, ahead=2 * batch_size),
        "model": partial(_embed, model, options, pixels),
    }
    timings = interleave(
        {name: partial(clock, work) for name, work in works.items()},
        repeats=runs,
        warmups=int(runs > 1),
    )
    count = len(photos)
    together, decoding, computing = (count / timings[name].median_s for name in works)
    slower, shared = min(decoding, computing), 1 / (1 / decoding + 1 / computing)
    on_cpu = backend() == "CPU"
    yield rate(
        "folder",
        f"12 MP JPEGs, {mode}, batch {batch_size}",
        count,
        "photos/s",
        timings["together"],
        ceiling=shared if on_cpu else slower,
        ceiling_name=SHARED if on_cpu else SLOWER,
        limit="decode" if decoding < computing else "compute",
        about={
            "photos": count,
            "batch": batch_size,
            "decode_rate": decoding,
            "model_rate": computing,
            "slower_rate": slower,
            "shared_rate": shared,
            "of_slower": together / slower,
            "of_shared": together / shared,
        },
    )
    how = "" if mode == "exact" else f", {mode}"
    for part, name in (("decode", "decoding alone, all threads"), ("model", "the model alone")):
        yield rate("folder", name + how, count, "photos/s", timings[part], about={"mode": mode})


def _fit_each(photos: Sequence[Path], plan: Plan) -> None:
    for photo in photos:
        plan.fit(plan.open(photo))


def _decode(
    photos: Sequence[Path], plan: Plan, *, threads: int | None = None, ahead: int = 32
) -> None:
    for sample in prefetch(photos, plan.read, threads=threads, ahead=ahead):
        if sample.error is not None:
            raise sample.error


def _embed(model: Embedder, options: ImageOptions, images: Sequence[ImageSource]) -> None:
    for item in model.stream_with(options, images):
        if item.error is not None:
            raise item.error
