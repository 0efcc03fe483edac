"""Where words are in drawings whose boxes are known: how often the map's maximum lies in the box.

    python -m benchmarks.locating [--number 150] [--first 4000000] [--model demo] [--blocks 24]

The pointing game (Zhang et al., ECCV 2016) at tolerance 0: a hit is a maximum inside the box of the
word that was asked for; beside it the share that the picture's centre hits, and a random point.
Drawings of one object leave out those whose box covers the centre; those of several have two to
four different ones, and each is asked for; tiny objects fill 4% and 2% of the picture, anywhere.
Scores: of words that are drawn and of as many that are not. Constants (the edge of a box, sizes of
tiles, what is seen around a box that is judged) were chosen on other drawings: ``--first 3000000``.
The contribution map is summed on a LiT of published size with random weights (``--blocks`` of it).
Exits with 1 where a limit is missed.
"""

import argparse
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

import mlx_aimv2 as aimv2
from benchmarks.checks import Check, positive, run, share
from mlx_aimv2.bench.figure import Figure
from mlx_aimv2.bench.subject import find_published, make_checkpoint, with_demo_words
from mlx_aimv2.inference.locating.locator import Located
from mlx_aimv2.models.aimv2.config import LiTConfig
from mlx_aimv2.models.aimv2.cost import published_config
from mlx_aimv2.training.drawings.nouns import NOUNS
from mlx_aimv2.training.drawings.scene import HELD_OUT, Box, Kind, Scene, draw, paint, plan

SIDE_PX = 448
REPORTED = 4_000_000  # first of the seeds that figures are reported of
AREAS = (0.04, 0.02)
SUM = 1e-5
LEAST = {"one": 0.95, "several": 0.90, 0.04: 0.78, 0.02: 0.60}
TIMES = {0.04: 1.25, 0.02: 1.5}  # what tiles find, against the whole picture's map
_SMALL_PX = 112  # boxes are measured on it: the same at every size but for rounding


@dataclass(frozen=True)
class Picture:
    """A drawing and its objects, each of another noun."""

    image: Image.Image
    objects: tuple[tuple[str, Box], ...]

    @classmethod
    def of(cls, scene: Scene, width_px: int = SIDE_PX) -> "Picture":
        """A scene, painted."""
        image, boxes = paint(scene, width_px, SIDE_PX)
        return cls(image, tuple(zip((thing.noun for thing in scene.things), boxes, strict=True)))


def covers(box: Box, point: tuple[float, float]) -> bool:
    """Whether a point lies in a box."""
    return box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]


def off_centre(seed: int, number: int) -> Iterator[Picture]:
    """Drawings of one object whose box does not cover the centre."""
    while number:
        scene = plan(seed, kind="single")
        seed += 1
        box = paint(scene, _SMALL_PX, _SMALL_PX)[1][0]
        if covers(box, (_SMALL_PX / 2, _SMALL_PX / 2)):
            continue
        picture = Picture.of(scene)
        if not covers(picture.objects[0][1], (SIDE_PX / 2, SIDE_PX / 2)):
            number -= 1
            yield picture


def of_kind(kind: Kind, seed: int, number: int) -> Iterator[Picture]:
    """Drawings of a kind."""
    for each in range(seed, seed + number):
        yield Picture.of(plan(each, kind=kind))


def tiny(area: float, seed: int, number: int) -> Iterator[Picture]:
    """Drawings of one object whose box has this share of the picture."""
    for each in range(seed, seed + number):
        scene = plan(each, kind="single")
        for _ in range(3):
            left, top, right, bottom = paint(scene, _SMALL_PX, _SMALL_PX)[1][0]
            times = (area * _SMALL_PX**2 / ((right - left) * (bottom - top))) ** 0.5
            thing = scene.things[0]
            scene = replace(scene, things=(replace(thing, size=thing.size * times),))
        yield Picture.of(scene)


def beside_the_middle(seed: int, number: int) -> Iterator[Picture]:
    """Drawings twice as wide as high, of one object that their middle square does not show."""
    for each in range(seed, seed + number):
        scene = plan(each, kind="single", aspect=2)
        left = 0.75 * (each % 2)
        thing = replace(scene.things[0], cell=(left, 0, left + 0.25, 1))
        yield Picture.of(replace(scene, things=(thing,)), 2 * SIDE_PX)


@dataclass
class Tally:
    """What was found in one kind of drawings: a row for each object that was asked for."""

    hits: list[bool]
    centre: list[bool]
    area: list[float]
    overlap: list[float]
    scores: list[float]
    absent: list[float]

    @classmethod
    def of(cls, model: aimv2.Model, pictures: Iterator[Picture], **how: int) -> "Tally":
        """Each object of each picture, and as many words that are not there."""
        tally = cls([], [], [], [], [], [])
        for number, picture in enumerate(pictures):
            nouns = [noun for noun, _ in picture.objects]
            others = [noun for noun in NOUNS if noun not in nouns]
            others = random.Random(number).sample(others, len(nouns))
            found = model.locate(picture.image, [*nouns, *others], **how)
            for each, (_, box) in zip(found, picture.objects, strict=False):
                tally.add(each, box)
            tally.absent += [each.score for each in found[len(nouns) :]]
        return tally

    def add(self, found: Located, box: Box) -> None:
        """Count one object."""
        width_px, height_px = found.size
        self.hits.append(covers(box, found.point))
        self.centre.append(covers(box, (width_px / 2, height_px / 2)))
        self.area.append((box[2] - box[0]) * (box[3] - box[1]) / (width_px * height_px))
        self.overlap.append(overlap(box, found.box))
        self.scores.append(found.score)


def overlap(one: Box, other: Box) -> float:
    """Intersection of two boxes over their union."""
    sides = [min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1)]
    if min(sides) <= 0:
        return 0.0
    shared = sides[0] * sides[1]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def shown(name: str, tally: Tally, at_least: float | None = None) -> Iterator[Check]:
    """A tally's figures."""
    yield share(f"{name}: maximum in the box", float(np.mean(tally.hits)), at_least)
    yield share(f"{name}: the centre in the box", float(np.mean(tally.centre)))
    yield share(f"{name}: a random point in the box", float(np.mean(tally.area)))
    yield share(f"{name}: IoU of the boxes, mean", float(np.mean(tally.overlap)))
    yield share(f"{name}: IoU of at least 0.5", float(np.mean(np.array(tally.overlap) >= 0.5)))


def scores(tally: Tally) -> Iterator[Check]:
    """How scores tell what is there from what is not."""
    there, absent = np.array(tally.scores), np.array(tally.absent)
    before = float(np.mean((there[:, None] > absent) + (there[:, None] == absent) / 2))
    yield share("scores: a word that is there before one that is not", before)
    yield share("scores: 0.5 and more of words that are there", float(np.mean(there >= 0.5)))
    yield share("scores: 0.5 and more of words that are not", float(np.mean(absent >= 0.5)))


def contributions(blocks: int) -> Check:
    """How far the parts of a cosine are from it, on random weights of LiT's published sizes."""
    config = cast(LiTConfig, with_demo_words(published_config(find_published("lit"))))
    vision = replace(config.vision_config, num_hidden_layers=blocks)
    text = replace(config.text_config, num_hidden_layers=min(blocks, 12))
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint(replace(config, vision_config=vision, text_config=text), Path(folder))
        model = aimv2.load(folder, dtype="float32")
        picture, texts = draw(HELD_OUT, SIDE_PX).image, ["a dog", "a red house", "something"]
        parts, rest = (np.array(each) for each in model.contributions(picture, texts))
        cosines = np.array(model.embed_texts(texts)) @ np.array(model.embed_images(picture))[0]
    most = float(np.abs(parts.sum(axis=(1, 2)) + rest - cosines).max())
    name = f"contributions against the cosine, LiT of {blocks} blocks, most"
    return Check(Figure("quality", name, most, ""), at_most=SUM)


def measure(options: argparse.Namespace) -> Iterator[Check]:
    """Every figure."""
    number, first = options.number, HELD_OUT + options.first
    model = aimv2.load(options.model, dtype="float32")
    one = Tally.of(model, off_centre(first, number))
    yield from shown("one object off the centre", one, LEAST["one"])
    several = Tally.of(model, of_kind("several", first, number))
    yield from shown("two to four objects", several, LEAST["several"])
    yield from scores(several)
    cut_off = Tally.of(model, beside_the_middle(first, number))
    yield from shown("one object beside the middle square", cut_off)
    for area in AREAS:
        name = f"an object of {area:.0%}"
        whole = Tally.of(model, tiny(area, first, number), tiles=1)
        tiled = Tally.of(model, tiny(area, first, number))
        yield from shown(f"{name}, tiles", tiled, LEAST[area])
        yield share(f"{name}, the whole only: maximum in the box", float(np.mean(whole.hits)))
        times = sum(tiled.hits) / max(1, sum(whole.hits))
        yield share(f"{name}: tiles against the whole", times, TIMES[area])
    yield contributions(options.blocks)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=positive, default=150, help="drawings of each kind")
    parser.add_argument("--first", type=int, default=REPORTED, help="number of the first drawing")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--blocks", type=positive, default=24, help="of the random LiT's encoder")
    return run(parser, measure, digits)


def digits(value: float, unit: str) -> str:
    """A share with three digits behind the point, an error as a power of ten."""
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
