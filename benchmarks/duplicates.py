"""Near-duplicates: how many pairs of copies are found, and how many found pairs are none.

    python -m benchmarks.duplicates [--source demo] [--drawings 500] [--threshold 0.5 …] [--json]

Each of the drawings with copies at 50% and 75%, JPEG quality 50 and 80, and 5% cropped
(at each side, and by chance up to that), mixed with look-alikes: the same scene with one thing
redrawn, replaced, recoloured or moved. A look-alike that does not visibly differ from the
original and the others (by 24 levels in 0.5% of the pixels) is left out. The comparison's numbers
were chosen on other seeds (``--first 510000``). Seconds and memory are in ``library_scale``.
Exits with 1 where a limit is missed.
"""

import argparse
import io
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mlx_aimv2 as aimv2
from benchmarks.checks import Check, four_digits, positive, run, share
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.images.metadata.exif import PhotoFacts
from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.duplicates.groups import (
    DEFAULT_THRESHOLD,
    DuplicateInput,
    Group,
    find_groups,
)
from mlx_aimv2.library.signature import make_signature
from mlx_aimv2.training.drawings.nouns import COLOURS, NOUNS
from mlx_aimv2.training.drawings.scene import HELD_OUT, Scene, Thing, paint, plan

SIDE_PX = 400
REPORTED = 700_000  # first of the seeds that figures are reported of
VISIBLE_LEVELS, VISIBLE_SHARE = 24, 0.005
LEAST = 0.95  # of pairs, their precision and their recall


@dataclass
class Picture:
    """One file that could be: ``shows`` is the same for copies only."""

    shows: tuple[int, str]
    kind: str
    image: Image.Image
    format: str
    size_bytes: int


def saved(image: Image.Image, format: str, quality: int = 90) -> tuple[Image.Image, int]:
    """The picture as it comes back from a file, and the file's size."""
    file = io.BytesIO()
    image.save(file, format, quality=quality)
    return Image.open(file).convert("RGB"), file.tell()


def copies(image: Image.Image, rng: random.Random) -> Iterator[tuple[str, Image.Image, str, int]]:
    """Name, picture, format and quality of an original and its copies."""
    side = SIDE_PX
    yield "original", image, "PNG", 0
    yield "50%", image.resize((side // 2,) * 2, Image.Resampling.LANCZOS), "JPEG", 90
    yield "75%", image.resize((side * 3 // 4,) * 2, Image.Resampling.BICUBIC), "JPEG", 90
    yield "quality 50", image, "JPEG", 50
    yield "quality 80", image, "JPEG", 80
    edge = side // 20
    yield "cropped", image.crop((edge, edge, side - edge, side - edge)), "JPEG", 90
    (left, top), (right, bottom) = ([round(rng.uniform(0, edge)) for _ in "xy"] for _ in range(2))
    box = (left, top, side - right, side - bottom)
    yield "cropped by chance", image.crop(box), "JPEG", 80


def look_alikes(scene: Scene, rng: random.Random) -> Iterator[tuple[str, Scene]]:
    """The scene with one thing changed, in four ways."""
    if not scene.things:
        return
    place = rng.randrange(len(scene.things))
    thing = scene.things[place]

    def changed(new: Thing) -> Scene:
        return replace(scene, things=(*scene.things[:place], new, *scene.things[place + 1 :]))

    noun = rng.choice([name for name in NOUNS if name != thing.noun])
    colour = rng.choice([name for name in COLOURS if name != thing.colour])
    turned = replace(thing, seed=rng.getrandbits(32), mirrored=not thing.mirrored)
    yield "redrawn", changed(turned)
    yield "other noun", changed(replace(thing, noun=noun))
    yield "other colour", changed(replace(thing, colour=colour))
    yield "moved", changed(replace(turned, x=1 - thing.x, size=0.9 * thing.size))


def is_visible(first: Image.Image, second: Image.Image) -> bool:
    """Whether anyone could tell them apart."""
    change = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).max(axis=2)
    return bool((change >= VISIBLE_LEVELS).mean() >= VISIBLE_SHARE)


def make_pictures(first: int, count: int) -> list[Picture]:
    """Originals, copies and look-alikes of so many held-out drawings."""
    pictures = []
    for seed in range(HELD_OUT + first, HELD_OUT + first + count):
        rng, scene = random.Random(f"copies {seed}"), plan(seed)
        image, _ = paint(scene, SIDE_PX, SIDE_PX)
        for name, copy, format, quality in copies(image, rng):
            decoded, size_bytes = saved(copy, format, quality)
            pictures.append(Picture((seed, ""), name, decoded, format, size_bytes))
        different = [image]
        for name, other in look_alikes(scene, rng):
            changed, _ = paint(other, SIDE_PX, SIDE_PX)
            if all(is_visible(known, changed) for known in different):
                different.append(changed)
                decoded, size_bytes = saved(changed, "JPEG")
                pictures.append(Picture((seed, name), name, decoded, "JPEG", size_bytes))
    return pictures


def as_input(
    pictures: Sequence[Picture], vectors: NDArray[np.float16], signatures: list[bytes]
) -> DuplicateInput:
    """The pictures as a library would give them."""
    files = []
    for id, (picture, signature) in enumerate(zip(pictures, signatures, strict=True)):
        facts = PhotoFacts(picture.format, *picture.image.size, None, None, None, None)
        stamp = Stamp(picture.size_bytes, 0)
        about = (None, None, None, False, False, facts)
        files.append(FileRow(id, b"%06d" % id, stamp, None, None, signature, *about))
    return DuplicateInput(files, np.arange(len(pictures)), take=lambda rows: vectors[rows])


def checks(pictures: Sequence[Picture], groups: Sequence[Group]) -> Iterator[Check]:
    """Precision and recall of pairs in one group; of each kind, the share that went wrong."""
    found = {pair for group in groups for pair in combinations(sorted(group.files), 2)}
    shows: dict[tuple[int, str], list[int]] = defaultdict(list)
    for number, picture in enumerate(pictures):
        shows[picture.shows].append(number)
    true = {pair for same in shows.values() for pair in combinations(same, 2)}
    right = len(found & true)
    yield share("duplicates, precision of pairs", right / max(1, len(found)), LEAST)
    yield share("duplicates, recall of pairs", right / len(true), LEAST)
    with_original: dict[str, list[bool]] = defaultdict(list)
    for a, b in sorted(true):
        if pictures[a].kind == "original":
            with_original[pictures[b].kind].append((a, b) in found)
    for kind, hits in with_original.items():
        yield share(f"duplicates, recall of {kind}", mean(hits))
    wrong = {number for pair in found - true for number in pair}
    for kind in sorted({picture.kind for picture in pictures if picture.shows[1]}):
        numbers = [k for k, picture in enumerate(pictures) if picture.kind == kind]
        yield share(f"duplicates, taken for a copy, {kind}", mean(k in wrong for k in numbers))


def measure(
    source: str,
    number: int,
    first: int = REPORTED,
    thresholds: Sequence[float] = (DEFAULT_THRESHOLD,),
) -> Iterator[Check]:
    """Figures at each threshold, of copies and look-alikes of so many drawings."""
    pictures = make_pictures(first, number)
    embedded = aimv2.load(source).embed_images([picture.image for picture in pictures])
    signatures = [make_signature(picture.image) for picture in pictures]
    files = as_input(pictures, np.asarray(embedded).astype(np.float16), signatures)
    for threshold in thresholds:
        if len(thresholds) > 1:
            yield share("duplicates, threshold", threshold)
        yield from checks(pictures, find_groups(files, threshold))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="demo")
    parser.add_argument("--drawings", type=positive, default=500)
    parser.add_argument("--first", type=positive, default=REPORTED)
    parser.add_argument("--threshold", type=float, nargs="+", default=[DEFAULT_THRESHOLD])

    def work(options: argparse.Namespace) -> Iterator[Check]:
        return measure(options.source, options.drawings, options.first, options.threshold)

    return run(parser, work, four_digits)


if __name__ == "__main__":
    raise SystemExit(main())
