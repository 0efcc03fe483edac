"""A folder of photographs from end to end, against decoding alone and the model alone.

Overlap leaves the slower of the two as the only cost, where they have processors of their own. On
a CPU they share them: there the most that can be is 1 / (1 / decode + 1 / model).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlx_aimv2.device import backend
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.embedder import Embedder
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.prefetch import prefetch

from .decoding import Mode, plan_of
from .figure import Figure, rate
from .timing import Timing, clock, interleave

SLOWER = "the slower of decoding alone and the model alone"
SHARED = "decoding and the model on the same cores, 1 / (1 / decode + 1 / model)"


@dataclass(frozen=True)
class Rates:
    """Photographs a second: both together, and each alone."""

    together: float
    decode: float
    model: float

    @property
    def slower(self) -> float:
        """What perfect overlap leaves."""
        return min(self.decode, self.model)

    @property
    def shared(self) -> float:
        """What can be where both compute on the same cores."""
        return 1 / (1 / self.decode + 1 / self.model)


def pipeline_figures(
    model: Embedder,
    photos: Sequence[Path],
    runs: int,
    *,
    batch_size: int,
    mode: Mode = "exact",
) -> Iterator[Figure]:
    """The rate of a folder, timed in turns with its parts."""
    timings = time_parts(model, photos, runs, batch_size=batch_size, mode=mode)
    count = len(photos)
    rates = Rates(*(count / timings[part].median_s for part in ("together", "decode", "model")))
    on_cpu = backend() == "CPU"
    limit = "decode" if rates.decode < rates.model else "compute"
    about = {
        "photos": count,
        "batch": batch_size,
        "decode_rate": rates.decode,
        "model_rate": rates.model,
        "slower_rate": rates.slower,
        "shared_rate": rates.shared,
        "of_slower": rates.together / rates.slower,
        "of_shared": rates.together / rates.shared,
    }
    yield rate(
        "folder",
        f"12 MP JPEGs, {mode}, batch {batch_size}",
        count,
        "photos/s",
        timings["together"],
        ceiling=rates.shared if on_cpu else rates.slower,
        ceiling_name=SHARED if on_cpu else SLOWER,
        limit=limit,
        about=about,
    )
    for part, name in (("decode", "decoding alone, all threads"), ("model", "the model alone")):
        yield rate("folder", name, count, "photos/s", timings[part], about={"mode": mode})


def time_parts(
    model: Embedder, photos: Sequence[Path], runs: int, *, batch_size: int, mode: Mode
) -> dict[str, Timing]:
    """Seconds of a folder, of its decoding and of the model on its pixels, timed in turns."""
    options = ImageOptions(decode=mode, batch_size=batch_size)
    plan = plan_of(model, mode, options)
    pixels = [plan.fit(plan.open(photo))[0] for photo in photos]

    def together() -> None:
        _consume(model, options, photos)

    def decode_alone() -> None:
        for _ in prefetch(photos, plan.read, ahead=2 * batch_size):
            pass

    def model_alone() -> None:
        _consume(model, options, pixels)

    warmups = int(runs > 1)
    works = {"together": together, "decode": decode_alone, "model": model_alone}
    return interleave(
        {name: partial(clock, work) for name, work in works.items()},
        repeats=runs,
        warmups=warmups,
    )


def _consume(model: Embedder, options: ImageOptions, images: Sequence[ImageSource]) -> None:
    for item in model.stream_with(options, images):
        if item.error is not None:
            raise item.error
