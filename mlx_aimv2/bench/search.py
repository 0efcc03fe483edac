"""Search as this package does it, beside what others do with the same vectors.

As rclip does: every vector from SQLite as a blob, one product, Python's sort. As one writes it in
NumPy: float16 rows mapped into memory, made float32, multiplied, partitioned.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.library.database.segments import Halves, Segments
from mlx_aimv2.library.search.nearest import nearest

from .figure import Figure, clock, interleave, seconds

Floats = NDArray[np.float32]

WIDTH = 768  # LiT's
SHOWN = 20
_TOGETHER = 1 << 14


def write_blobs(file: Path, blocks: Iterable[tuple[int, Halves]]) -> None:
    """Write a database of one row a vector: a path and float32 values."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE images (path TEXT PRIMARY KEY, vector BLOB)")
        for first, block in blocks:
            rows = (
                (f"/home/somebody/Pictures/IMG_{first + at:07}.jpg", row.tobytes())
                for at, row in enumerate(block.astype(np.float32))
            )
            database.executemany("INSERT INTO images VALUES (?, ?)", rows)
            database.commit()


def search_blobs(file: Path, query: Floats, count: int) -> list[tuple[float, str]]:
    """Products and paths from a database of blobs, largest first."""
    with closing(sqlite3.connect(file)) as database:
        paths, features = [], []
        for path, vector in database.execute("SELECT path, vector FROM images"):
            paths.append(path)
            features.append(np.frombuffer(vector, np.float32))
    products = (np.stack(features) @ query).tolist()
    return sorted(zip(products, paths, strict=True), reverse=True)[:count]


def search_numpy(blocks: Sequence[Halves], query: Floats, count: int) -> NDArray[np.intp]:
    """The rows with the largest products, in order."""
    products = np.concatenate([block.astype(np.float32) @ query for block in blocks])
    best = np.argpartition(products, -count)[-count:]
    return np.asarray(best[np.argsort(-products[best])])


def search_figures(folder: Path, rows: int, runs: int) -> Iterator[Figure]:
    """Exact search over random vectors, and the others' times over ours, timed in turns."""
    segments, query = make_vectors(folder / "vectors", rows)
    blobs = folder / "blobs.db"
    write_blobs(blobs, segments.blocks())
    blocks = [block for _, block in segments.blocks()]
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: nearest(segments, query, SHOWN),
        "a loop over SQLite, as rclip's": lambda: search_blobs(blobs, query, SHOWN),
        "NumPy": lambda: search_numpy(blocks, query, SHOWN),
    }
    timings = interleave(
        {name: partial(clock, work) for name, work in works.items()},
        repeats=runs,
    )
    blobs.unlink()
    ours = timings.pop("ours")
    about = {"rows": rows, "width": WIDTH}
    yield seconds("search", f"{rows:,} vectors, exact", ours, limit="memory", about=about)
    for name, theirs in timings.items():
        value = theirs.median_s / ours.median_s
        each = {"theirs": theirs.summary(), "ours": ours.summary()}
        yield Figure("peers", f"search: against {name}", value, "×", about=each)


def make_vectors(folder: Path, rows: int) -> tuple[Segments, Floats]:
    """Random unit vectors on disk and a query. Shapes: (rows, 768), (768,)."""
    rng = np.random.default_rng(rows)
    segments = Segments(folder, WIDTH, 0)
    segments.cut()
    for first in range(0, rows, _TOGETHER):
        part = rng.standard_normal((min(_TOGETHER, rows - first), WIDTH), np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        segments.append(part.astype(np.float16))
    query = rng.standard_normal(WIDTH, np.float32)
    return segments, query / np.linalg.norm(query)
