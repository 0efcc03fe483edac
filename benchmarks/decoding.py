"""Fast decoding against exact: its speed, what it does to embeddings, and a folder decoded so.

    python -m benchmarks.decoding [--runs 5] [--width 4032] [--photos 24] [--blocks 24] [--json]

- Processor time of one thread from a JPEG file in the page cache to pixels, which other processes
  hardly matter to: of photographs as cameras write them, one of them in Display P3, and of what
  else there can be. Limits are on photographs.
- Cosines of fast embeddings to exact ones: by the demo checkpoint (112 px) and by AIMv2-L with
  random weights (224 px), for published weights are not here.
- The folder of `aimv2 bench`, decoded fast for the demo.
- Random crops that training makes of photographs, and of small pictures as data sets have them:
  pictures a second on one core, beside Pillow alone (decoded, cropped, resized).

Needs scikit-image, the demo extra. Exits with 1 where a limit is missed.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.checks import Check, four_digits, positive, run
from benchmarks.made_photos import Made, make_photos
from mlx_aimv2.bench.figure import Figure
from mlx_aimv2.bench.photos import MODES, Mode, folder_figures
from mlx_aimv2.bench.subject import find_published, make_checkpoint
from mlx_aimv2.images.presets import PRESETS
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.preprocessing import make_plan
from mlx_aimv2.models.aimv2 import cost
from mlx_aimv2.models.aimv2.config import VisionConfig
from mlx_aimv2.training.data.crop import TRIES, random_crop
from mlx_aimv2.training.data.view import DRAWS, View

LEAST_RATIO = 4.0
MOST_FOR_A_PROFILE = 1.05
MEDIAN_COSINE, LEAST_COSINE = 0.999, 0.995
LARGE_PICTURES = 6  # that AIMv2-L embeds twice: a second each


def cpu_s(side_px: int | None, mode: Mode, path: Path, runs: int) -> float:
    """Processor time of one thread for one picture, the median; None is native, 1,024 patches."""
    config = VisionConfig(64, 64, 1, 1, image_size=side_px, is_native=side_px is None)
    options = ImageOptions(decode=mode, max_patches=None if side_px else 1024)
    plan = make_plan(options, config, Path("none"))
    found = []
    for _ in range(runs):
        before_s = time.thread_time()
        plan.fit(plan.open(path))
        found.append(time.thread_time() - before_s)
    return statistics.median(found)


def speeds(pictures: Sequence[Made], runs: int) -> Iterator[Check]:
    """How many times as fast as exact on one core; of photographs together, with a limit."""
    for side_px in (224, 112, None):
        target = f"{side_px} px" if side_px else "native, 1,024 patches"
        total = dict.fromkeys(MODES, 0.0)
        for picture in pictures:
            took = {
                mode: cpu_s(side_px, mode, picture.path, runs if picture.is_camera else 1)
                for mode in MODES
            }
            name = f"{target}: {picture.name}, {picture.size_mb:.1f} MB"
            yield Check(Figure("decoding", name, took["exact"] / took["fast"], "×"))
            if picture.is_camera:
                total = {mode: total[mode] + took[mode] for mode in MODES}
        ratio = Figure("decoding", f"{target}: PHOTOGRAPHS", total["exact"] / total["fast"], "×")
        # Native pictures keep more, for which a decoder may divide by 2 instead of 4.
        yield Check(ratio, at_least=LEAST_RATIO if side_px else None)


def profiles(pictures: Sequence[Made], runs: int) -> Iterator[Check]:
    """What a colour profile adds to a photograph's time: both are read in turn."""
    without, converted = (
        next(each.path for each in pictures if each.name == name)
        for name in ("astronaut", "in Display P3")
    )
    for mode in MODES:
        pairs = [
            (cpu_s(224, mode, without, 1), cpu_s(224, mode, converted, 1)) for _ in range(4 * runs)
        ]
        plain_s, with_profile_s = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = Figure("decoding", f"224 px, {mode}: a profile", with_profile_s / plain_s, "×")
        yield Check(ratio, at_most=MOST_FOR_A_PROFILE)


def crops(pictures: Sequence[Made], folder: Path, runs: int) -> Iterator[Check]:
    """Random crops of 224 px, with all that training makes of them, and by Pillow alone."""
    photo = next(each.path for each in pictures if each.name == "astronaut")
    small = folder / "small.jpg"
    with Image.open(photo) as image:
        image.resize((512, 384)).save(small, quality=90)
    for name, path in (("512×384 px", small), ("a photograph", photo)):
        for mode in MODES:
            view = View(PRESETS["ml-aim"], 224, decode=mode)
            took: dict[str, list[float]] = {"view": [], "pillow": []}
            for seed in range(4 * runs):
                draws = np.random.default_rng(seed).random(DRAWS)
                for kind, make in (("view", view.pixels), ("pillow", pillow_crop)):
                    before_s = time.thread_time()
                    make(path, draws)
                    took[kind].append(time.thread_time() - before_s)
            ours_s, pillow_s = (statistics.median(each) for each in took.values())
            case = f"training, {name} to a crop of 224 px, {mode}"
            yield Check(Figure("crops", f"{case}: pictures a second", 1 / ours_s, ""))
            yield Check(Figure("crops", f"{case}: of Pillow's speed", pillow_s / ours_s, "×"))


def pillow_crop(path: Path, draws: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The same crop by Pillow alone, as torchvision has it."""
    with Image.open(path) as image:
        tries = draws[1:].reshape(TRIES, 4)
        box = random_crop(*image.size, tries, (0.4, 1.0), (3 / 4, 4 / 3))
        rgb = image.convert("RGB")
    return np.asarray(rgb.crop(box).resize((224, 224), Image.Resampling.BICUBIC))


def cosines(pictures: Sequence[Made], folder: Path, blocks: int | None) -> Iterator[Check]:
    """Of fast embeddings to exact ones, over all pictures: the hard ones count too."""
    checkpoint = find_published("large")
    config = cost.published_config(checkpoint)
    assert isinstance(config, VisionConfig)
    large = folder / "large"
    large.mkdir()
    make_checkpoint(replace(config, num_hidden_layers=blocks or config.num_hidden_layers), large)
    few = [*pictures[:3], *pictures[-(LARGE_PICTURES - 3) :]]
    for name, source, some in (
        ("demo, 112 px", "demo", pictures),
        ("AIMv2-L of random weights, 224 px", str(large), few),
    ):
        model = aimv2.load(source)
        paths = [each.path for each in some]
        exact, fast = (np.array(model.embed_images(paths, decode=mode)) for mode in MODES)
        each = (exact * fast).sum(axis=1)
        between = np.median((exact @ exact.T)[np.triu_indices(len(exact), 1)])
        yield Check(Figure("cosine", f"{name}: of two different pictures", float(between), ""))
        median, least = float(np.median(each)), float(each.min())
        yield Check(Figure("cosine", f"{name}: median", median, ""), at_least=MEDIAN_COSINE)
        worst = some[int(each.argmin())].name
        yield Check(Figure("cosine", f"{name}: least, {worst}", least, ""), at_least=LEAST_COSINE)


def measure(options: argparse.Namespace) -> Iterator[Check]:
    """Everything, in the order in which it is printed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = list(make_photos(folder, (options.width, options.width * 3 // 4)))
        yield from speeds(pictures, options.runs)
        yield from profiles(pictures, options.runs)
        yield from crops(pictures, folder, options.runs)
        photos = list(
            islice(cycle([each.path for each in pictures if each.is_camera]), options.photos)
        )
        demo = aimv2.load("demo")
        found = folder_figures(demo, photos, options.runs, batch_size=8, mode="fast")
        yield from (Check(figure) for figure in found)
        yield from cosines(pictures, folder, options.blocks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=positive, default=5)
    parser.add_argument("--width", type=positive, default=4032, help="pixels of a photo")
    parser.add_argument("--photos", type=positive, default=24, help="of the folder")
    parser.add_argument("--blocks", type=positive, help="of AIMv2-L's 24")
    return run(parser, measure, four_digits)


if __name__ == "__main__":
    raise SystemExit(main())
