"""Entries with hard names and values; a table to a file in one step, as a journal in several."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.inference.records import Sample
from mlx_aimv2.outputs import output_file
from mlx_aimv2.outputs.embeddings import Entry, Table
from mlx_aimv2.outputs.formats import FORMATS

WIDTH = 13
NAMES = [
    "photos/a.jpg",
    os.fsdecode(b"photos/\xff\xe9t\xe9.png"),
    r"photos/\udcff.jpg",
    'a "quoted"\nname\\with\ttraps.webp',
    "Ελλάδα/日本/👩‍👩‍👧.heic",
    "<script>alert(1)</script>'; DROP TABLE.gif",
    "e\u0301.tif",  # NFD
]
# Values whose digits are the hardest to bring back.
HARD = [np.pi, 1e-45, 3.4028235e38, -0.0, 1 / 3, 16777217.0, 2**-126, -1e-7]
needs_pyarrow = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('pyarrow')", reason="needs pyarrow"
)
every_format = pytest.mark.parametrize(
    "extension",
    [pytest.param(name, marks=needs_pyarrow if name == ".parquet" else ()) for name in FORMATS],
)


def values_of(row: int) -> np.ndarray:
    """An embedding of a row's own. Shapes: (WIDTH,)."""
    values = np.random.default_rng(row).standard_normal(WIDTH).astype(np.float32)
    values[: len(HARD)] = np.array(HARD, np.float32)
    return values


def sample_of(entry: Entry) -> Sample:
    """An entry as it comes out of a model."""
    error = None if entry.error is None else Aimv2Error(entry.error)
    values = None if entry.read is None else entry.read()
    return Sample(0, entry.name, embedding=values, note=entry.note, error=error)


def write(table: Table, target: Path, *, overwrite: bool = False) -> None:
    output_file.check_target(target, overwrite=overwrite)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        output_file.stage(table, target, Path(folder) / "output")
        output_file.place(target, Path(folder) / "output")
