"""``.npy``: the embeddings; beside it ``FILE.npy.json``: ``{"metadata": {…}, "paths": […]}``."""

import json
from pathlib import Path
from typing import IO

import numpy as np

from mlx_aimv2.files.json_lines import to_json

from ..embeddings import Table, kind_of
from . import Contents
from .blocks import row_bytes, write_blocks


def write(table: Table, file: Path) -> None:
    """Write a table row by row."""
    with file.open("wb") as out:
        write_matrix(table, out)
    with file.with_name(f"{file.name}.json").open("wb") as out:
        out.write(f'{{"metadata": {table.summary.metadata}, "{table.kind}s": ['.encode())
        names = enumerate(table.names())
        write_blocks(out, ((", " * bool(i) + to_json(name)).encode() for i, name in names))
        out.write(b"]}\n")


def read(file: Path) -> Contents:
    """The metadata and the names of a finished file."""
    beside = json.loads(file.with_name(f"{file.name}.json").read_bytes())
    return beside["metadata"], beside[f"{kind_of(beside['metadata'])}s"]


def write_matrix(table: Table, out: IO[bytes]) -> None:
    """Write all embeddings as one array. Shapes: (N, D) float32."""
    write_header(out, "<f4", (table.summary.count, table.summary.width))
    write_blocks(out, map(row_bytes, table.rows()))


def write_header(out: IO[bytes], descr: str, shape: tuple[int, ...]) -> None:
    """Write what comes before an array's values."""
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)
