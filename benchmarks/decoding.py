"""Exact and fast decoding, what fast does to embeddings, overlap with a model, padding of mixes.

    python -m benchmarks.decoding [--runs 5] [--width 4032] [--photos 120] [--blocks 24] [--json]

- Speed: processor time of one thread from a 12-megapixel JPEG file in the page cache to pixels,
  medians of the runs; other processes hardly matter to it. Limits are on photographs as cameras
  write them; what else there can be is shown beside them.
- Cosines of fast embeddings to exact ones: by the demo checkpoint (112 px) and by AIMv2-L with
  random weights (224 px), for published weights are not here. How near the embeddings of
  different pictures come to each other is said beside it.
- Overlap: a folder decoded for a stand-in that computes nothing and sleeps for 0.5, 1 and 2 times
  as long as decoding takes, against the slower of the two alone.
- Padding of shuffled photographs' shapes from 150 to 4,096 patches in a native stream.

Needs scikit-image, the demo extra. Exits with 1 where a limit is missed.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import json
import math
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from numpy.typing import NDArray
from PIL import features

from benchmarks.made_photos import Made, make_photos
from mlx_aimv2.bench import checks
from mlx_aimv2.device import available_cores
from mlx_aimv2.images.colour import coded_profile
from mlx_aimv2.images.decode import CLIP_MEAN, CLIP_STD
from mlx_aimv2.inference.batching import Pixels, Rows, stream_fixed
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.options import Plan, make_plan
from mlx_aimv2.inference.padding import batched, padded_share
from mlx_aimv2.inference.prefetch import prefetch
from mlx_aimv2.models.aimv2 import cost
from mlx_aimv2.models.aimv2.config import VisionConfig
from mlx_aimv2.models.aimv2.published import find
from mlx_aimv2.models.aimv2.vision import VisionEncoder

Floats = NDArray[np.float32]

LEAST_RATIO = 4.0
MEDIAN_COSINE, LEAST_COSINE = 0.999, 0.995
LEAST_OVERLAP = 0.95
MOST_PADDING = 0.10

MIX_SHAPES = ((3, 2), (4, 3), (16, 9), (1, 1), (9, 16), (3, 4), (2, 3))
MIX_TOKENS = (150, 4096)
OVERLAP_BATCH = 3  # the first batch and the last overlap with nothing
MOST_FOR_A_PROFILE = 1.05
LARGE_PICTURES = 6  # that AIMv2-L embeds twice: a second each


@dataclass(frozen=True)
class Line:
    """One figure, and its limit if it has one."""

    what: str
    value: float
    unit: str = ""
    limit: str = ""
    is_met: bool = True
    about: str = ""

    def __str__(self) -> str:
        verdict = f"{self.limit}: {'met' if self.is_met else 'MISSED'}" if self.limit else ""
        return f"{self.what:<44} {self.value:>9.5f} {self.unit:<7} {verdict:<18} {self.about}"


def at_least(what: str, value: float, limit: float, unit: str = "", about: str = "") -> Line:
    """A figure that must not be smaller."""
    return Line(what, value, unit, f"≥ {limit:g}", value >= limit, about)


def plans(side_px: int | None) -> dict[str, Plan]:
    """Exact and fast, for a side; None is native, at 1,024 patches."""
    large = VisionConfig(64, 64, 1, 1, image_size=side_px, is_native=side_px is None)
    options = ImageOptions(max_patches=1024 if side_px is None else None)
    return {
        how: make_plan(replace(options, decode=how), large, Path("none"))  # type: ignore[arg-type]
        for how in ("exact", "fast")
    }


def cpu_s(plan: Plan, path: Path, runs: int) -> float:
    """Processor time of one thread for one picture: the median."""
    found = []
    for _ in range(runs):
        before = time.thread_time()
        plan.fit(plan.open(path))
        found.append(time.thread_time() - before)
    return statistics.median(found)


def speeds(pictures: Sequence[Made], runs: int) -> Iterator[Line]:
    """Exact against fast on one core."""
    for side_px in (224, 112, None):
        target = f"{side_px} px" if side_px else "native, 1,024 patches"
        total = {"exact": 0.0, "fast": 0.0}
        for picture in pictures:
            took = {
                how: cpu_s(plan, picture.path, runs if picture.is_camera else 1)
                for how, plan in plans(side_px).items()
            }
            ratio = took["exact"] / took["fast"]
            about = f"{milliseconds(took)}, {picture.size_mb:.1f} MB"
            yield Line(f"{target}: {picture.name}", ratio, "times", about=about)
            if picture.is_camera:
                total = {how: total[how] + took[how] for how in total}
        count = sum(picture.is_camera for picture in pictures)
        each = {how: seconds / count for how, seconds in total.items()}
        about = f"{milliseconds(each)} a photograph"
        ratio = total["exact"] / total["fast"]
        what = f"{target}: PHOTOGRAPHS"
        if side_px:
            yield at_least(what, ratio, LEAST_RATIO, "times", about)
        else:  # a little more is asked for, and a decoder may divide by 2 instead of 4
            yield Line(what, ratio, "times", about=about)


def milliseconds(seconds: dict[str, float]) -> str:
    """Exact and fast."""
    return f"{1e3 * seconds['exact']:.0f} → {1e3 * seconds['fast']:.1f} ms"


def cosines(pictures: Sequence[Made], blocks: int | None) -> Iterator[Line]:
    """Fast embeddings against exact ones."""
    demo = aimv2.load("demo")
    found = {
        how: np.array(demo.embed_images([each.path for each in pictures], decode=how))  # type: ignore[arg-type]
        for how in ("exact", "fast")
    }
    yield from cosine_lines("demo, 112 px", pictures, found)
    some = [*pictures[:3], *pictures[-(LARGE_PICTURES - 3) :]]
    encoder = random_large(blocks)
    found = {
        how: np.stack([embed(encoder, plan.fit(plan.open(each.path))[0]) for each in some])
        for how, plan in plans(224).items()
    }
    yield from cosine_lines("AIMv2-L of random weights, 224 px", some, found)


def cosine_lines(model: str, pictures: Sequence[Made], found: dict[str, Floats]) -> Iterator[Line]:
    """Median and least, over all pictures: the hard ones count too."""
    exact, fast = found["exact"], found["fast"]
    each = (exact * fast).sum(axis=1)
    between = (exact @ exact.T)[np.triu_indices(len(exact), 1)]
    worst = pictures[int(each.argmin())].name
    about = f"{len(exact)} pictures; of two different ones {np.median(between):.3f} at the median"
    yield at_least(f"{model}: median cosine", float(np.median(each)), MEDIAN_COSINE, about=about)
    yield at_least(f"{model}: least cosine", float(each.min()), LEAST_COSINE, about=worst)


def random_large(blocks: int | None) -> VisionEncoder:
    """AIMv2-L at 224 px, or its first blocks, with weights that keep the size of activations."""
    checkpoint = find("large")
    assert checkpoint is not None
    config = cost.published_config(checkpoint)
    assert isinstance(config, VisionConfig)
    network = VisionEncoder(replace(config, num_hidden_layers=blocks or config.num_hidden_layers))
    rng = np.random.default_rng(0)
    weights = []
    for name, array in tree_flatten(network.parameters()):
        values = rng.standard_normal(array.shape, np.float32)
        if "norm" in name:
            values = 1 + values / 10
        elif "pos_embed" in name:
            values /= 3
        else:
            values /= math.sqrt(math.prod(array.shape[1:]) or 1)
        weights.append((name, mx.array(values)))
    network.update(tree_unflatten(weights))
    mx.eval(network.parameters())
    return network


def embed(encoder: VisionEncoder, pixels: NDArray[np.uint8]) -> Floats:
    """A unit vector: the mean over patches. Shapes: (S, S, 3) -> (D,)."""
    normalized = (pixels / np.float32(255) - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)
    features = encoder.features(mx.array(normalized.astype(np.float32)[None]))
    vector = np.array(encoder.pool(features))[0]
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def profiles(pictures: Sequence[Made], runs: int) -> Iterator[Line]:
    """What a colour profile adds to a photograph's time: both are read in turn."""
    first = pictures[0].path
    data = first.read_bytes()
    profile = b"ICC_PROFILE\0\1\1" + coded_profile(12, 13)  # Display P3
    with_profile = first.with_name("with a profile.jpg")
    segment = b"\xff\xe2" + (2 + len(profile)).to_bytes(2, "big") + profile
    with_profile.write_bytes(data[:2] + segment + data[2:])
    for how, plan in plans(224).items():
        took = [(cpu_s(plan, first, 1), cpu_s(plan, with_profile, 1)) for _ in range(4 * runs)]
        without, converted = map(statistics.median, zip(*took, strict=True))
        ratio = converted / without
        about = f"{1000 * without:.1f} and {1000 * converted:.1f} ms"
        limit = f"≤ {MOST_FOR_A_PROFILE:g}"
        what = f"224 px, {how}: with a colour profile"
        yield Line(what, ratio, "times", limit, ratio <= MOST_FOR_A_PROFILE, about)


def overlaps(pictures: Sequence[Made], number: int) -> Iterator[Line]:
    """A run with a stand-in for a device, against the slower of it and of decoding."""
    plan = plans(112)["fast"]
    plan = replace(plan, options=replace(plan.options, batch_size=OVERLAP_BATCH))
    camera = [each.path for each in pictures if each.is_camera]
    photos = list(islice(cycle(camera), number))
    batches = math.ceil(number / OVERLAP_BATCH)

    def decode_alone() -> None:
        for sample in prefetch(photos, plan.read, ahead=2 * OVERLAP_BATCH):
            assert sample.error is None

    before = clock(decode_alone)
    for times in (0.5, 1.0, 2.0):
        device_s = times * before / batches
        together = clock(lambda device_s=device_s: run_with(photos, plan, device_s))  # type: ignore[misc]
        after = clock(decode_alone)
        decode_s, before = (before + after) / 2, after
        slower = max(decode_s, device_s * batches)
        about = f"{together:.2f} s: decoding {decode_s:.2f}, device {device_s * batches:.2f}"
        what = f"overlap, device {times:g} times decoding"
        yield at_least(what, slower / together, LEAST_OVERLAP, about=about)


def run_with(photos: Sequence[Path], plan: Plan, device_s: float) -> None:
    """A run whose device is busy for so long with each batch, one after the other."""
    free_at = 0.0

    def start(pixels: Pixels, shape: int) -> Rows:
        nonlocal free_at
        free_at = done_at = max(free_at, time.perf_counter()) + device_s

        def rows() -> list[Floats | None]:
            time.sleep(max(0.0, done_at - time.perf_counter()))
            return [np.zeros(1, np.float32) for _ in pixels]

        return rows

    assert all(row.error is None for row in stream_fixed(photos, plan, plan.read, start))


def clock(work: Callable[[], None]) -> float:
    """Units: seconds."""
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def paddings() -> Iterator[Line]:
    """Streams of photographs' shapes, as many between 150 and 300 patches as from 2,000 on."""
    plan = plans(None)["exact"]
    for number in (200, 2000):
        tokens = mixed_tokens(number)
        found = list(batched(((each, each) for each in tokens), plan.images_per_batch))
        sizes = [length * len(each) for length, each in found]
        shapes = len({(length, len(each)) for length, each in found})
        about = (
            f"{len(found)} batches, median {statistics.median(sizes):,.0f} tokens, {shapes} shapes"
        )
        share = padded_share(found)
        what = f"native, {number:,} photographs: padded share"
        yield Line(what, share, "", f"≤ {MOST_PADDING:g}", share <= MOST_PADDING, about)


def mixed_tokens(number: int) -> list[int]:
    """Patches of photographs of common shapes, their logarithms spread evenly, shuffled."""
    rng = random.Random(number)
    low, high = MIX_TOKENS
    found: list[int] = []
    while len(found) < number:
        columns, rows = rng.choice(MIX_SHAPES)
        scale = math.sqrt(low * (high / low) ** rng.random() / (rows * columns))
        tokens = round(rows * scale) * round(columns * scale)
        if low <= tokens <= high:
            found.append(tokens)
    return found


def conditions() -> dict[str, object]:
    """What the figures depend on."""
    return {
        "machine": f"{platform.machine()}, {available_cores()} cores",
        "system": platform.platform(),
        "python": platform.python_version(),
        "mlx": f"{version('mlx')} on {mx.default_device()}",
        "pillow": f"{version('pillow')} with libjpeg-turbo {features.version('libjpeg_turbo')}",
        "mlx_data": version("mlx-data"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=checks.positive, default=5)
    parser.add_argument("--width", type=checks.positive, default=4032, help="pixels of a photo")
    parser.add_argument("--photos", type=checks.positive, default=120, help="of the overlap")
    parser.add_argument("--blocks", type=checks.positive, help="of AIMv2-L's 24")
    parser.add_argument("--json", action="store_true", dest="as_json")
    arguments = parser.parse_args()
    lines: list[Line] = []

    def tell(found: Iterator[Line]) -> None:
        for line in found:
            lines.append(line)
            if not arguments.as_json:
                print(line, flush=True)

    if not arguments.as_json:
        print("; ".join(f"{name} {value}" for name, value in conditions().items()))
    with tempfile.TemporaryDirectory() as folder:
        size_px = arguments.width, arguments.width * 3 // 4
        pictures = list(make_photos(Path(folder), size_px))
        tell(paddings())
        tell(speeds(pictures, arguments.runs))
        tell(profiles(pictures, arguments.runs))
        tell(overlaps(pictures, arguments.photos))
        tell(cosines(pictures, arguments.blocks))
    if arguments.as_json:
        found = {"conditions": conditions(), "figures": [asdict(line) for line in lines]}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    return 0 if all(line.is_met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
