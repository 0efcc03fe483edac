"""Peak memory of embedding, against the number of images: it must not grow with it.

    python -m benchmarks.memory [--source demo] [--few 300] [--images 3000] [--paths 1000000]

Prints JSON: the process's peak (VmHWM) after few mixed pictures of up to 2 megapixels and after
all of them, and after many paths that do not exist (what the paths themselves cost).
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import mlx_aimv2 as aimv2
from mlx_aimv2.bench import checks
from mlx_aimv2.bench.memory import peak_bytes

PICTURES = 60
MEGABYTE = 1e6


def make_pictures(folder: Path, count: int) -> list[Path]:
    """Pictures of mixed formats, sizes and shapes, the largest of 2 megapixels."""
    import numpy as np  # noqa: PLC0415
    import pillow_heif  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    pillow_heif.register_heif_opener()
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        width, height = rng.integers(100, 1414, 2)
        if number == 0:
            width, height = 1633, 1225
        coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((int(width), int(height)))
        suffix = ("jpg", "png", "webp", "heic", "avif", "tiff")[number % 6]
        paths.append(folder / f"{number}.{suffix}")
        image.save(paths[-1])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="demo")
    parser.add_argument("--few", type=checks.positive, default=300)
    parser.add_argument("--images", type=checks.positive, default=3000, help="more than few")
    parser.add_argument("--paths", type=checks.positive, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.images <= arguments.few:
        parser.error("--images has to be more than --few")
    model = aimv2.load(arguments.source)
    with tempfile.TemporaryDirectory() as folder:
        pictures = make_pictures(Path(folder), min(PICTURES, arguments.images))

        def embed(number: int) -> float:
            items = model.stream(islice(cycle(pictures), number))
            assert all(item.error is None for item in items)
            return peak_bytes() / MEGABYTE

        after_few, started = embed(arguments.few), time.perf_counter()
        after_all = embed(arguments.images - arguments.few)
        seconds = time.perf_counter() - started
    before = peak_bytes() / MEGABYTE
    paths: Iterator[str] = (f"no/such/{number:07}.jpg" for number in range(arguments.paths))
    missing = sum(1 for item in model.stream(paths) if item.error)
    print(
        json.dumps(
            {
                "checkpoint": model.name,
                "machine": platform.machine(),
                "system": platform.platform(),
                f"peak_mb_after_{arguments.few}": round(after_few, 1),
                f"peak_mb_after_{arguments.images}": round(after_all, 1),
                "growth_mb": round(after_all - after_few, 1),
                "images_per_second": round((arguments.images - arguments.few) / seconds, 1),
                "missing_paths": missing,
                "growth_mb_over_missing_paths": round(peak_bytes() / MEGABYTE - before, 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
