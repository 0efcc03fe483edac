"""How long the photo library takes at 100,000 and at 1,000,000 photos, each figure with its limit.

    python -m benchmarks.library_scale [--rows 100000 1000000] [--runs 5] [--files 10000]
                                       [--keep FOLDER] [--json]

Libraries without pictures (``made_library``) in a temporary folder. A cold search is a new
process of the command, from its start to its end, with its files in the page cache and its
bytecode compiled; "new words" need the demo's text tower, "known words" are in the text cache.
Warm searches, tags and duplicates are at 768 wide, in a process of their own each, whose peak of
memory is given. Beside them what others do: a loop over blobs in SQLite, and NumPy over float16.
Tags and duplicates are measured on the smallest library. Figures are medians. Exits with 1 where a
limit is exceeded.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.made_library import (
    TAGS,
    WIDE,
    Checkpoint,
    Floats,
    demo_checkpoint,
    embed_words,
    make_library,
    wide_checkpoint,
)
from mlx_aimv2.bench.checks import positive
from mlx_aimv2.bench.memory import peak_bytes
from mlx_aimv2.bench.search import search_blobs, search_numpy, write_blobs
from mlx_aimv2.device import available_cores
from mlx_aimv2.inference.zero_shot import BACKGROUND
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.database.text_cache import TextCache
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.tagging.tagger import assign
from mlx_aimv2.library.tagging.vocabulary import read_vocabulary

AIMV2 = Path(sys.executable).with_name("aimv2")
WORDS = ("red", "bicycle", "in", "snow")
SHOWN = 20

COLD_S = {100_000: 1.0, 1_000_000: 2.0}
WARM_MS = {100_000: 20.0, 1_000_000: 150.0}
PEAK_MB = {1_000_000: 2500.0}
TAGS_S, DUPLICATES_S, UNCHANGED_S = 10.0, 120.0, 5.0


@dataclass(frozen=True)
class Figure:
    """One figure: the median of its runs, the fastest and slowest, what it may be."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    runs: int = 1
    low: float | None = None
    high: float | None = None

    @property
    def is_within(self) -> bool:
        return self.limit is None or self.value <= self.limit


def figure(name: str, values: Sequence[float], unit: str, limit: float | None = None) -> Figure:
    """Of several runs."""
    digits = 1 if unit in ("ms", "MB") else 2
    low, middle, high = (
        round(value, digits) for value in (min(values), statistics.median(values), max(values))
    )
    return Figure(name, middle, unit, limit, len(values), low, high)


def times_s(work: Callable[[], object], runs: int) -> list[float]:
    """Seconds of each run after a first one that does not count."""
    work()
    elapsed = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        elapsed.append(time.perf_counter() - started)
    return elapsed


def peak_mb() -> float:
    """Units: megabytes, of this process since its start; pages of mapped files count."""
    return peak_bytes() / 1e6


def alone(work: Callable[..., list[Figure]], *arguments: object) -> list[Figure]:
    """The figures of some work in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def ms(values: Sequence[float]) -> list[float]:
    return [1000 * value for value in values]


# The command


def command(arguments: Sequence[str], folder: Path) -> str:
    """What the command prints; its caches are in the folder."""
    environment = dict(os.environ, PYTHONPYCACHEPREFIX=str(folder / "bytecode"))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder)}
    done = subprocess.run(
        [AIMV2, *arguments], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def cold_searches(library: Path, rows: int, runs: int) -> list[Figure]:
    """A new process of ``aimv2 search``, with and without words that the cache knows."""
    folder = library.parent

    def search(keeps_cache: bool) -> None:
        if not keeps_cache:
            for cache in folder.glob("**/texts.db*"):
                cache.unlink()
        found = command(["search", *WORDS, "--json", "--library", str(library)], folder)
        assert len(found.splitlines()) == SHOWN, found

    limit = COLD_S.get(rows)
    new, known = (times_s(partial(search, keeps), runs) for keeps in (False, True))
    return [
        figure(f"cold search, new words, {rows:,} rows", new, "s", limit),
        figure(f"cold search, known words, {rows:,} rows", known, "s", limit),
    ]


# In one process


def warm_searches(library: Path, rows: int, runs: int) -> list[Figure]:
    """``Library.search`` again and again, its words known."""
    cache = TextCache(library.with_suffix(".texts"))
    cache.embed([" ".join(WORDS), *BACKGROUND], "wide", as_kept, WIDE + 1)
    with Library(library, cache=cache) as opened:
        elapsed = times_s(lambda: opened.search(" ".join(WORDS), count=SHOWN), max(runs, 15))
        assert len(opened.search(" ".join(WORDS), count=SHOWN).hits) == SHOWN
    return [
        figure(f"warm search, {rows:,} rows", ms(elapsed), "ms", WARM_MS.get(rows)),
        figure(f"peak memory of it, {rows:,} rows", [peak_mb()], "MB", PEAK_MB.get(rows)),
    ]


def as_kept(texts: Sequence[str]) -> Floats:
    """As the library keeps texts: behind each vector 0, for a text that was not cut."""
    return np.pad(embed_words(texts), ((0, 0), (0, 1)))


def tags(library: Path, rows: int, runs: int) -> list[Figure]:
    """Calibrating the tags on all rows and choosing each photo's, without writing them."""
    vocabulary = read_vocabulary()[:TAGS]
    given = 0

    def work() -> None:
        nonlocal given
        with Store(library) as store:
            vectors = store.serving()
            assert vectors is not None
            found = assign(store, vectors, vocabulary, lambda texts: known[tuple(texts)])
            given = sum(len(each.tags) for each in found)

    known = _Once()
    elapsed = times_s(work, runs)
    assert given > rows, f"{given} tags: rows have two each"
    return [
        figure(f"{TAGS} tags over {rows:,} rows", elapsed, "s", TAGS_S),
        figure(f"peak memory of it, {rows:,} rows", [peak_mb()], "MB"),
    ]


class _Once(dict[tuple[str, ...], Floats]):
    """Vectors of texts, made the first time."""

    def __missing__(self, texts: tuple[str, ...]) -> Floats:
        self[texts] = embed_words(texts)
        return self[texts]


def duplicates(library: Path, rows: int, runs: int) -> list[Figure]:
    """All near-duplicates; those that were planted must be found."""
    with Library(library) as opened:
        found: list[int] = []
        elapsed = times_s(lambda: found.append(len(opened.duplicates())), runs)
    planted = rows // 100
    assert min(found) >= 0.95 * planted, f"{min(found)} groups of {planted}"
    return [
        figure(f"near-duplicates over {rows:,} rows", elapsed, "s", DUPLICATES_S),
        figure(f"peak memory of it, {rows:,} rows", [peak_mb()], "MB"),
    ]


# What others do


def blob_loop(library: Path, rows: int, runs: int) -> list[Figure]:
    """As rclip searches: every vector from SQLite as a blob, NumPy's product, Python's sort."""
    blobs = library.with_suffix(".blobs")
    with Store(library) as store:
        vectors = store.serving()
        assert vectors is not None
        write_blobs(blobs, store.segments(vectors).blocks())
    query = embed_words(WORDS[:1])[0]
    elapsed = times_s(lambda: search_blobs(blobs, query, SHOWN), runs)
    blobs.unlink()
    return [
        figure(f"loop over blobs in SQLite, {rows:,} rows", ms(elapsed), "ms"),
        figure(f"peak memory of it, {rows:,} rows", [peak_mb()], "MB"),
    ]


def plain_numpy(library: Path, rows: int, runs: int) -> list[Figure]:
    """Float16 rows mapped into memory, made float32, multiplied, partitioned."""
    query = embed_words(WORDS[:1])[0]
    with Store(library) as store:
        vectors = store.serving()
        assert vectors is not None
        blocks = [block for _, block in store.segments(vectors).blocks()]
        elapsed = times_s(lambda: search_numpy(blocks, query, SHOWN), runs)
    return [
        figure(f"NumPy, {rows:,} rows", ms(elapsed), "ms"),
        figure(f"peak memory of it, {rows:,} rows", [peak_mb()], "MB"),
    ]


# Files


def unchanged_files(folder: Path, number: int, runs: int) -> list[Figure]:
    """An index of real files again, unchanged; then of a folder with another name."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    pictures, library = folder / "pictures", folder / "files.db"
    pixels = np.random.default_rng(0).integers(0, 256, (number, 8, 8, 3), np.uint8)
    for part in range(0, number, 100):
        (pictures / f"{part:06}").mkdir(parents=True)
        for at in range(part, min(part + 100, number)):
            Image.fromarray(pixels[at]).save(pictures / f"{part:06}" / f"{at:06}.png")
    index = ["index", "--json", "--model", "demo", "--library", str(library), "--quiet"]

    def run() -> dict[str, int]:
        return json.loads(command([*index, str(pictures)], folder).splitlines()[-1])

    started = time.perf_counter()
    assert run()["embedded"] == number
    first_s = time.perf_counter() - started
    elapsed = times_s(run, runs)
    pictures = pictures.rename(folder / "renamed")
    started = time.perf_counter()
    moved = run()
    renamed_s = time.perf_counter() - started
    return [
        figure(f"index of {number:,} files", [first_s], "s"),
        figure(f"the same files again, unchanged, {number:,}", elapsed, "s", UNCHANGED_S),
        figure(f"the folder renamed, {number:,}", [renamed_s], "s"),
        Figure("photos embedded again after the renaming", moved["embedded"], "photos", 0),
    ]


def conditions(runs: int) -> dict[str, object]:
    names = ("mlx", "numpy", "numkong", "typer")
    return {
        "mlx_aimv2": version("mlx-aimv2"),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": available_cores(),
        "load": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "sqlite": sqlite3.sqlite_version,
        "runs": runs,
    }


def made(library: Path, rows: int, checkpoint: Checkpoint) -> Path:
    """The library, from an earlier run in the same folder where there was one."""
    if not library.exists():
        half = library.with_name(f"half-{library.name}")
        make_library(half, rows, checkpoint)
        half.with_name(f"{half.name}.vectors").rename(library.with_name(f"{library.name}.vectors"))
        half.rename(library)
    return library


def measure(folder: Path, rows: Sequence[int], files: int, runs: int) -> list[Figure]:
    """All figures, in the order in which they are printed."""
    found: list[Figure] = []

    def add(figures: Sequence[Figure]) -> None:
        found.extend(figures)
        for each in figures:
            print(line(each), file=sys.stderr, flush=True)

    demo, wide = demo_checkpoint(), wide_checkpoint()
    for number in rows:
        library = made(folder / f"demo{number}.db", number, demo)
        add(cold_searches(library, number, runs))
        library = made(folder / f"wide{number}.db", number, wide)
        ours = alone(warm_searches, library, number, runs)
        add(ours)
        for peer in (blob_loop, plain_numpy):
            theirs = alone(peer, library, number, runs)
            ratio = round(theirs[0].value / ours[0].value, 1)
            add([*theirs, Figure(f"{theirs[0].name}, against a warm search", ratio, "times")])
        if number == min(rows):
            add(alone(tags, library, number, runs))
            add(alone(duplicates, library, number, runs))
    if files:
        add(unchanged_files(folder, files, runs))
    return found


def line(each: Figure) -> str:
    """A figure as a row of a table."""
    limit = "" if each.limit is None else f"{each.limit:g} {each.unit}"
    spread = f"{each.low:g} to {each.high:g}" if each.runs > 1 else ""
    missed = "" if each.is_within else " (exceeded)"
    return f"| {each.name} | {each.value:g} {each.unit} | {spread} | {limit}{missed} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=positive, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--runs", type=positive, default=5)
    parser.add_argument("--files", type=int, default=10_000, help="0 for none")
    parser.add_argument("--json", action="store_true", help="one line instead of a table")
    parser.add_argument("--keep", type=Path, help="keep the libraries here for another run")
    options = parser.parse_args()
    known = conditions(options.runs)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        figures = measure(folder, options.rows, options.files, options.runs)
    if options.json:
        rows = [asdict(each) | {"is_within": each.is_within} for each in figures]
        print(json.dumps(known | {"figures": rows}))
    else:
        print(", ".join(f"{name} {value}" for name, value in known.items()) + "\n")
        print("| figure | median | fastest to slowest | limit |\n|---|---|---|---|")
        print("\n".join(map(line, figures)))
    return 0 if all(each.is_within for each in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
