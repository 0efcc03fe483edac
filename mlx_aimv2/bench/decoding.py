"""Photographs to pixels: how many a second on one thread, exactly and fast, and on all threads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

from mlx_aimv2.device import available_cores
from mlx_aimv2.inference.embedder import Embedder
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.options import Plan
from mlx_aimv2.inference.prefetch import prefetch

from .figure import Figure, rate
from .timing import measure

Mode = Literal["exact", "fast"]
MODES: tuple[Mode, ...] = ("exact", "fast")


def plan_of(model: Embedder, mode: Mode, options: ImageOptions | None = None) -> Plan:
    """How a checkpoint's pixels are made in that mode."""
    return model.plan(replace(options or ImageOptions(), decode=mode))


def decoding_figures(
    model: Embedder, photos: Sequence[Path], runs: int, threads: int | None = None
) -> Iterator[Figure]:
    """Rates over photographs, which are in the page cache: the disk's part is not in them."""
    threads = threads or available_cores()
    alone: dict[Mode, float] = {}
    for mode in MODES:
        plan = plan_of(model, mode)
        timing = measure(partial(_one_by_one, plan, photos), repeats=max(runs, 3))
        figure = rate("decoding", f"{mode}, 1 thread", len(photos), "photos/s", timing,
                      limit="decode", about={"mode": mode, "threads": 1})  # fmt: skip
        alone[mode] = figure.value
        yield figure
    yield Figure("decoding", "fast against exact", alone["fast"] / alone["exact"], "×")
    if threads > 1:
        many = list(islice(cycle(photos), max(len(photos), 2 * threads)))
        for mode in MODES:
            plan = plan_of(model, mode)
            timing = measure(partial(_through_threads, plan, many, threads), repeats=max(runs, 2))
            yield rate("decoding", f"{mode}, {threads} threads", len(many), "photos/s", timing,
                       ceiling=threads * alone[mode],
                       ceiling_name=f"{threads} times one thread", limit="decode",
                       about={"mode": mode, "threads": threads})  # fmt: skip


def _one_by_one(plan: Plan, photos: Sequence[Path]) -> None:
    for photo in photos:
        plan.fit(plan.open(photo))


def _through_threads(plan: Plan, photos: Sequence[Path], threads: int) -> None:
    for sample in prefetch(photos, plan.read, threads=threads):
        if sample.error is not None:
            raise sample.error
