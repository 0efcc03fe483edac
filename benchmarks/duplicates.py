"""Near-duplicates: how many pairs of copies are found, how many found pairs are none, how fast.

    python -m benchmarks.duplicates [--json] [--source demo] [--drawings 500] [--rows 100000]
                                    [--width 192] [--skip-quality] [--skip-scale]

Quality: each of the drawings with copies at 50% and 75%, JPEG quality 50 and 80, and 5% cropped
(at each side, and by chance up to that), mixed with look-alikes: the same scene with one thing
redrawn, replaced, recoloured or moved. A look-alike that does not visibly differ from the
original and the others (by 24 levels in 0.5% of the pixels) is left out. The comparison's numbers
were chosen on other seeds (``--first 510000``).
Scale: random unit rows with planted copies, signatures of drawings.
"""

import argparse
import io
import json
import os
import platform
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mlx_aimv2 as aimv2
from mlx_aimv2.bench.checks import positive
from mlx_aimv2.bench.memory import peak_bytes
from mlx_aimv2.device import available_cores
from mlx_aimv2.library.duplicates.groups import (
    DEFAULT_THRESHOLD,
    DuplicateInput,
    Group,
    find_groups,
)
from mlx_aimv2.library.duplicates.signature import make_signature
from mlx_aimv2.training.drawings.nouns import COLOURS, NOUNS
from mlx_aimv2.training.drawings.scene import HELD_OUT, Scene, Thing, paint, plan

SIDE_PX = 400
REPORTED = 700_000  # first of the seeds that figures are reported of
VISIBLE_LEVELS, VISIBLE_SHARE = 24, 0.005
LARGE = (4000, 3000)


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
    low, high = ([round(rng.uniform(0, edge)) for _ in "xy"] for _ in range(2))
    box = (*low, *(side - margin for margin in high))
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
    return DuplicateInput(
        ids=range(len(pictures)),
        paths=[b"%06d" % number for number in range(len(pictures))],
        hashes=[None] * len(pictures),
        signatures=signatures,
        formats=[picture.format for picture in pictures],
        width_px=np.array([picture.image.width for picture in pictures]),
        height_px=np.array([picture.image.height for picture in pictures]),
        size_bytes=np.array([picture.size_bytes for picture in pictures]),
        rows=np.arange(len(pictures)),
        take=lambda rows: vectors[rows],
    )


def figures(pictures: Sequence[Picture], groups: Sequence[Group]) -> dict[str, float]:
    """Precision and recall of pairs in one group; of each kind, the share that went wrong."""
    found = {pair for group in groups for pair in combinations(sorted(group.files), 2)}
    shows: dict[tuple[int, str], list[int]] = {}
    for number, picture in enumerate(pictures):
        shows.setdefault(picture.shows, []).append(number)
    true = {pair for same in shows.values() for pair in combinations(same, 2)}
    right = len(found & true)
    report = {
        "pairs": len(true),
        "found": len(found),
        "precision": round(right / max(1, len(found)), 4),
        "recall": round(right / len(true), 4),
    }
    with_original = {pictures[b].kind: [] for a, b in true if pictures[a].kind == "original"}  # type: dict[str, list[bool]]
    for a, b in true:
        if pictures[a].kind == "original":
            with_original[pictures[b].kind].append((a, b) in found)
    report |= {f"recall, {kind}": round(np.mean(hits), 4) for kind, hits in with_original.items()}
    wrong = {number for pair in found - true for number in pair}
    for kind in sorted({picture.kind for picture in pictures if picture.shows[1]}):
        numbers = [k for k, picture in enumerate(pictures) if picture.kind == kind]
        report[f"taken for a copy, {kind}"] = round(np.mean([k in wrong for k in numbers]), 4)
    return report


def measure_quality(source: str, first: int, count: int, thresholds: Sequence[float]) -> dict:
    """Figures at each threshold."""
    pictures = make_pictures(first, count)
    model = aimv2.load(source)
    started = time.perf_counter()
    embedded = model.embed_images([picture.image for picture in pictures])
    vectors = np.asarray(embedded).astype(np.float16)
    embedding_s = time.perf_counter() - started
    started = time.perf_counter()
    signatures = [make_signature(picture.image) for picture in pictures]
    signing_ms = 1000 * (time.perf_counter() - started) / len(pictures)
    files = as_input(pictures, vectors, signatures)
    report = {"first_seed": first, "drawings": count, "pictures": len(pictures)}
    for threshold in thresholds:
        started = time.perf_counter()
        found = figures(pictures, find_groups(files, threshold))
        found["seconds"] = round(time.perf_counter() - started, 2)
        report[f"threshold {threshold}"] = found
    return report | {
        "embedding_s": round(embedding_s, 1),
        f"signature_{SIDE_PX}px_ms": round(signing_ms, 2),
        "signature_12mp_ms": round(large_signature_ms(), 1),
    }


def large_signature_ms() -> float:
    """Milliseconds of processor time for a 12-megapixel picture's signature, the best of five."""
    noise = np.random.default_rng(0).integers(0, 256, (*LARGE[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    elapsed = []
    for _ in range(5):
        started = time.process_time()
        make_signature(image)
        elapsed.append(1000 * (time.process_time() - started))
    return min(elapsed)


def measure_scale(rows: int, width: int, copied: int) -> dict:
    """Seconds and peak memory over random unit rows, so many of them copied with a little noise."""
    rng = np.random.default_rng(0)
    vectors = np.empty((rows, width), np.float16)
    for start in range(0, rows, 10_000):
        part = rng.standard_normal((min(10_000, rows - start), width), dtype=np.float32)
        vectors[start : start + 10_000] = part / np.linalg.norm(part, axis=1, keepdims=True)
    chosen = rng.permutation(rows)
    originals, twins = chosen[:copied], chosen[copied : 2 * copied]
    noisy = vectors[originals] + rng.standard_normal((copied, width)) * 0.2 / width**0.5
    vectors[twins] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    known = [make_signature(paint(plan(HELD_OUT + k), 96, 96)[0]) for k in range(100)]
    of = np.arange(rows)
    of[twins] = originals
    files = DuplicateInput(
        ids=range(rows),
        paths=[b"%07d" % number for number in range(rows)],
        hashes=[None] * rows,
        signatures=[known[number % len(known)] for number in of.tolist()],
        formats=["JPEG"] * rows,
        width_px=np.full(rows, 4000),
        height_px=np.full(rows, 3000),
        size_bytes=np.full(rows, 1),
        rows=np.arange(rows),
        take=lambda wanted: vectors[wanted],
    )
    before_mb, started = peak_mb(), time.perf_counter()
    groups = find_groups(files)
    elapsed_s = time.perf_counter() - started
    pairs = {tuple(sorted(group.files)) for group in groups}
    planted = {tuple(sorted(pair)) for pair in zip(originals.tolist(), twins.tolist(), strict=True)}
    return {
        "rows": rows,
        "width": width,
        "planted": copied,
        "found": len(pairs & planted),
        "others": len(pairs - planted),
        "seconds": round(elapsed_s, 1),
        "peak_mb": round(peak_mb(), 1),
        "grown_by_mb": round(peak_mb() - before_mb, 1),
    }


def peak_mb() -> float:
    """Units: megabytes, of this process since its start."""
    return peak_bytes() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--drawings", type=positive, default=500)
    parser.add_argument("--first", type=positive, default=REPORTED)
    parser.add_argument("--threshold", type=float, nargs="+", default=[DEFAULT_THRESHOLD])
    parser.add_argument("--rows", type=positive, default=100_000)
    parser.add_argument("--width", type=positive, nargs="+", default=[192, 768])
    parser.add_argument("--skip-quality", action="store_true")
    parser.add_argument("--skip-scale", action="store_true")
    options = parser.parse_args()
    report: dict[str, object] = {
        "checkpoint": options.source,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": available_cores(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "pillow": version("pillow"),
    }
    if not options.skip_scale:
        copied = options.rows // 100
        report["scale"] = [measure_scale(options.rows, width, copied) for width in options.width]
    if not options.skip_quality:
        report["quality"] = measure_quality(
            options.source, options.first, options.drawings, options.threshold
        )
    print(json.dumps(report, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
