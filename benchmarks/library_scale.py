"""How long the photo library takes at 100,000 and at 1,000,000 photos, each figure with its limit.

    python -m benchmarks.library_scale [--rows 100000 1000000] [--runs 5] [--files 10000]
                                       [--keep FOLDER] [--json]

Libraries without pictures (``made_library``) in a temporary folder. A cold search is a new
process of the command, from its start to its end, with its files in the page cache and its
bytecode compiled; "new words" need the demo's text tower, "known words" are in the text cache.
Warm searches, tags and duplicates are at 768 wide, in a process of their own each, whose peak of
memory is given; ``aimv2 tag`` is timed as a cold search is, its words known, and how often a text
of the vocabulary is embedded is counted. Beside them what others do: a loop over blobs in SQLite,
and NumPy over float16. Tags and duplicates are measured on the smallest library. Figures are
medians. Exits with 1 where a limit is exceeded.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.checks import Check, positive, run
from benchmarks.made_library import (
    TAGS,
    WIDE,
    Checkpoint,
    Floats,
    demo_checkpoint,
    embed_words,
    make_library,
    unit,
    wide_checkpoint,
)
from mlx_aimv2.bench.figure import Figure, Timing, clock, measure, seconds
from mlx_aimv2.bench.search import search_blobs, search_numpy, write_blobs
from mlx_aimv2.bench.worker import peak_bytes
from mlx_aimv2.inference.zero_shot import BACKGROUND
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.tagging import calibration
from mlx_aimv2.library.tagging.blanks import NUMBER
from mlx_aimv2.library.tagging.in_use import Vocabulary
from mlx_aimv2.library.tagging.tagger import BLOCK_ROWS, LEARNT_ROWS, assign, in_chunks
from mlx_aimv2.library.tagging.vocabulary import (
    embed_vocabulary,
    parse_vocabulary,
    prompts_of,
    read_vocabulary,
    vocabulary_text,
)
from mlx_aimv2.library.text_cache import TextCache

AIMV2 = Path(sys.executable).with_name("aimv2")
WORDS = ("red", "bicycle", "in", "snow")
SHOWN = 20

COLD_S = {100_000: 1.0, 1_000_000: 2.0}
WARM_S = {100_000: 0.020, 1_000_000: 0.150}
PEAK_BYTES = {1_000_000: 2500e6}
TAGS_S, TAG_COMMAND_S, DUPLICATES_S, UNCHANGED_S = 3.0, 10.0, 120.0, 5.0


def timed(name: str, work: Callable[[], object], runs: int, at_most: float | None = None) -> Check:
    """The median of so many runs, after a first one that does not count."""
    return Check(seconds("library", name, measure(work, repeats=runs)), at_most=at_most)


def memory(rows: int, at_most: float | None = None) -> Check:
    """The peak of this process since its start; pages of mapped files count."""
    return Check(
        Figure("library", f"peak memory of it, {rows:,} rows", peak_bytes(), "B"), at_most=at_most
    )


def alone(work: Callable[..., list[Check]], *arguments: object) -> list[Check]:
    """The figures of some work in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


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


def cold_searches(library: Path, rows: int, runs: int) -> Iterator[Check]:
    """A new process of ``aimv2 search``, with and without words that the cache knows."""
    folder = library.parent

    def search(keeps_cache: bool) -> None:
        if not keeps_cache:
            for cache in folder.glob("**/texts.db*"):
                cache.unlink()
        found = command(["search", *WORDS, "--json", "--library", str(library)], folder)
        assert len(found.splitlines()) == SHOWN, found

    for words, keeps in (("new", False), ("known", True)):
        name = f"cold search, {words} words, {rows:,} rows"
        yield timed(name, partial(search, keeps), runs, COLD_S.get(rows))


# In one process


def warm_searches(library: Path, rows: int, runs: int) -> list[Check]:
    """``Library.search`` again and again, its words known."""
    cache = TextCache(library.with_suffix(".texts"))
    cache.embed([" ".join(WORDS), *BACKGROUND], "wide", as_kept, WIDE + 1)

    def work() -> None:
        assert len(opened.search(" ".join(WORDS), count=SHOWN).hits) == SHOWN

    with Library(library, cache=cache) as opened:
        found = timed(f"warm search, {rows:,} rows", work, max(runs, 15), WARM_S.get(rows))
    return [found, memory(rows, PEAK_BYTES.get(rows))]


def as_kept(texts: Sequence[str], width: int = WIDE) -> Floats:
    """As the library keeps texts: behind each vector 0, for a text that was not cut."""
    return np.pad(embed_words(texts, width), ((0, 0), (0, 1)))


def tag_arrays(library: Path, rows: int, runs: int) -> list[Check]:
    """What tagging computes: the calibration, and which tags each row is given; no database."""
    with Store(library) as store:
        vectors = store.serving()
        assert vectors is not None
        every = store.segments(vectors).take(np.arange(rows)).astype(np.float32)
    blocks = [unit(every[at : at + BLOCK_ROWS]) for at in range(0, rows, BLOCK_ROWS)]
    sample = every[np.linspace(0, rows - 1, min(rows, LEARNT_ROWS)).astype(np.int64)]
    learnt_on = [sample[at : at + BLOCK_ROWS] for at in range(0, len(sample), BLOCK_ROWS)]
    known = embed_vocabulary(parse_vocabulary(first_tags(), "everyday"), embed_words)
    every_tag = embed_vocabulary(read_vocabulary(), embed_words)
    background = embed_words(BACKGROUND)

    def work() -> None:
        learnt = calibration.fit(learnt_on, known, background, blanks(), every_tag)
        given = sum(int(calibration.choose(learnt.confidence(block)).sum()) for block in blocks)
        assert given > rows, f"{given} tags: rows have two each"

    return [timed(f"{TAGS} tags over {rows:,} rows, the arrays", work, runs, TAGS_S), memory(rows)]


def tags(library: Path, rows: int, runs: int) -> list[Check]:
    """Calibrating the tags on all rows and choosing each photo's, without writing them."""
    vocabulary = Vocabulary("everyday", first_tags())
    embed = cache(embed_words)  # their vectors are made the first time

    def work() -> None:
        with Store(library) as store:
            vectors = store.serving()
            assert vectors is not None
            found = assign(store, vectors, [vocabulary], lambda texts: embed(tuple(texts)), blanks)
            given = sum(len(each.tags) for each in found)
        assert given > rows, f"{given} tags: rows have two each"

    return [timed(f"{TAGS} tags over {rows:,} rows of a library", work, runs), memory(rows)]


@cache
def blanks() -> Floats:
    """For pictures that show nothing. Shapes: (NUMBER, WIDE)."""
    return embed_words([f"blank {at}" for at in range(NUMBER)])


def first_tags() -> str:
    """The lines of the vocabulary for as many tags as made libraries have."""
    lines = [line for line in vocabulary_text().splitlines() if line and line[0] != "#"]
    return "\n".join(lines[:TAGS])


def tag_commands(folder: Path, rows: int, runs: int) -> Iterator[Check]:
    """New processes of ``aimv2 tag`` that only look, and one that writes the first tags.

    The demo knows few of these words and has nearly one vector for the others, so that a photo
    would have hundreds of tags: random vectors stand for the texts, in rows and text cache.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        library, words = Path(scratch) / "library.db", Path(scratch) / "words.txt"
        words.write_text(first_tags(), encoding="utf-8")
        demo = demo_checkpoint()
        width = demo.settings["width"]
        assert isinstance(width, int)
        narrow = partial(embed_words, width=width)
        make_library(library, rows, replace(demo, embed_texts=narrow))
        texts = [text for tag in read_vocabulary() for text in prompts_of(tag, "ensemble")]
        with Store(library) as store:
            vectors = store.serving()
        assert vectors is not None
        cache = TextCache(Path(scratch) / "cache/mlx-aimv2/texts.db")
        known = partial(as_kept, width=width)
        cache.embed([*texts, *BACKGROUND], vectors.fingerprint, known, width + 1)
        arguments = ["tag", "--vocabulary", str(words), "--library", str(library)]
        at_most = TAG_COMMAND_S if rows <= min(COLD_S) else None

        def look() -> None:  # the first time, which does not count, its blanks become known
            command([*arguments, "--dry-run"], Path(scratch))

        yield timed(f"aimv2 tag --dry-run, {TAGS} tags, {rows:,} rows", look, runs, at_most)
        writing = Timing((clock(lambda: command(arguments, Path(scratch))),))
        with Store(library) as store:
            given = sum(1 for _ in store.tags("vocabulary words"))
        name = f"aimv2 tag that writes {given:,} of {TAGS} tags, {rows:,} rows"
        yield Check(seconds("library", name, writing), at_most=at_most)


def texts_embedded(library: Path) -> Iterator[Check]:
    """How often each text of the whole vocabulary is embedded, in a run and in the next one."""
    embedded: Counter[str] = Counter()

    def embed(texts: Sequence[str]) -> Floats:
        embedded.update(texts)
        return as_kept(texts)

    vocabulary = Vocabulary("everyday", vocabulary_text())
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch, Store(library) as store:
        vectors = store.serving()
        assert vectors is not None
        texts = TextCache(Path(scratch) / "texts.db")
        known = in_chunks(lambda each: texts.embed(each, "wide", embed, WIDE + 1)[:, :WIDE])
        for _ in range(2):
            assert sum(1 for _ in assign(store, vectors, [vocabulary], known, blanks))
    name = f"times that a text of {len(vocabulary.tags)} tags is embedded, two runs"
    yield Check(Figure("library", name, max(embedded.values()), "times"), at_most=1)


def duplicates(library: Path, rows: int, runs: int) -> list[Check]:
    """All near-duplicates; those that were planted must be found."""
    planted = rows // 100

    def work() -> None:
        found = len(opened.duplicates())
        assert found >= 0.95 * planted, f"{found} groups of {planted}"

    with Library(library) as opened:
        found = timed(f"near-duplicates over {rows:,} rows", work, runs, DUPLICATES_S)
    return [found, memory(rows)]


# What others do


def blob_loop(library: Path, rows: int, runs: int) -> list[Check]:
    """As rclip searches: every vector from SQLite as a blob, NumPy's product, Python's sort."""
    blobs = library.with_suffix(".blobs")
    with Store(library) as store:
        vectors = store.serving()
        assert vectors is not None
        write_blobs(blobs, store.segments(vectors).blocks())
    query = embed_words(WORDS[:1])[0]
    name = f"loop over blobs in SQLite, {rows:,} rows"
    found = timed(name, lambda: search_blobs(blobs, query, SHOWN), runs)
    blobs.unlink()
    return [found, memory(rows)]


def plain_numpy(library: Path, rows: int, runs: int) -> list[Check]:
    """Float16 rows mapped into memory, made float32, multiplied, partitioned."""
    query = embed_words(WORDS[:1])[0]
    with Store(library) as store:
        vectors = store.serving()
        assert vectors is not None
        blocks = [block for _, block in store.segments(vectors).blocks()]
        found = timed(f"NumPy, {rows:,} rows", lambda: search_numpy(blocks, query, SHOWN), runs)
    return [found, memory(rows)]


# Files


def unchanged_files(folder: Path, number: int, runs: int) -> Iterator[Check]:
    """An index of real files again, unchanged; then of a folder with another name."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    pictures, library = folder / "pictures", folder / "files.db"
    pixels = np.random.default_rng(0).integers(0, 256, (number, 8, 8, 3), np.uint8)
    for part in range(0, number, 100):
        (pictures / f"{part:06}").mkdir(parents=True)
        for at in range(part, min(part + 100, number)):
            Image.fromarray(pixels[at]).save(pictures / f"{part:06}" / f"{at:06}.png")
    embedded: list[int] = []

    def index() -> None:
        said = command(["index", str(pictures), "--json", "--model", "demo", "--library",
                        str(library), "--quiet"], folder)  # fmt: skip
        embedded.append(json.loads(said.splitlines()[-1])["embedded"])

    def once(name: str) -> Check:
        return Check(seconds("library", f"{name}, {number:,} files", Timing((clock(index),))))

    yield once("index")
    assert embedded == [number]
    yield timed(f"the same files again, unchanged, {number:,}", index, runs, UNCHANGED_S)
    pictures = pictures.rename(folder / "renamed")
    yield once("the folder renamed")
    yield Check(Figure("library", "embedded again after it", embedded[-1], "photos"), at_most=0)


def made(library: Path, rows: int, checkpoint: Checkpoint) -> Path:
    """The library, from an earlier run in the same folder where there was one."""
    if not library.exists():
        half = library.with_name(f"half-{library.name}")
        make_library(half, rows, checkpoint)
        half.with_name(f"{half.name}.vectors").rename(library.with_name(f"{library.name}.vectors"))
        half.rename(library)
    return library


def figures(options: argparse.Namespace) -> Iterator[Check]:
    """All of them, in the order in which they are printed."""
    demo, wide, runs = demo_checkpoint(), wide_checkpoint(), options.runs
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        for rows in options.rows:
            library = made(folder / f"demo{rows}.db", rows, demo)
            yield from cold_searches(library, rows, runs)
            library = made(folder / f"wide{rows}.db", rows, wide)
            ours, *others = alone(warm_searches, library, rows, runs)
            yield from (ours, *others)
            for peer in (blob_loop, plain_numpy):
                theirs, *others = alone(peer, library, rows, runs)
                yield from (theirs, *others)
                name = f"{theirs.figure.name}, against a warm search"
                yield Check(Figure("library", name, theirs.figure.value / ours.figure.value, "×"))
            if rows == min(options.rows):
                yield from alone(tag_arrays, library, rows, runs)
                yield from alone(tags, library, rows, runs)
                yield from texts_embedded(library)
                yield from tag_commands(folder, rows, runs)
                yield from alone(duplicates, library, rows, runs)
        if options.files:
            yield from unchanged_files(folder, options.files, runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=positive, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--runs", type=positive, default=5)
    parser.add_argument("--files", type=int, default=10_000, help="0 for none")
    parser.add_argument("--keep", type=Path, help="keep the libraries here for another run")
    return run(parser, figures)


if __name__ == "__main__":
    raise SystemExit(main())
