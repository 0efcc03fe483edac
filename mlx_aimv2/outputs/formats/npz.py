"""``.npz``: ``embeddings`` (N, D) float32, ``paths`` (N,), ``metadata`` (JSON); nothing pickled."""

import json
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from ..embeddings import Table, kind_of
from . import Contents
from .blocks import write_blocks
from .npy import write_header, write_matrix


def write(table: Table, file: Path) -> None:
    """Write a table row by row."""
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, "embeddings.npy", zipfile.ZIP_STORED) as out:
            write_matrix(table, out)
        # Names of one width are mostly padding, which deflating takes away again.
        with _member(archive, f"{table.kind}s.npy", zipfile.ZIP_DEFLATED) as out:
            width = max(table.summary.longest, 1)
            write_header(out, f"<U{width}", (table.summary.count,))
            names = (name.encode("utf-32-le") for name in table.names())
            write_blocks(out, (name.ljust(4 * width, b"\0") for name in names))
        with _member(archive, "metadata.npy", zipfile.ZIP_DEFLATED) as out:
            write_header(out, f"<U{len(table.summary.metadata)}", ())
            out.write(table.summary.metadata.encode("utf-32-le"))


def read(file: Path) -> Contents:
    """The metadata and the names of a finished file."""
    with np.load(file, allow_pickle=False) as arrays:
        metadata = json.loads(arrays["metadata"].item())
        return metadata, arrays[f"{kind_of(metadata)}s"].tolist()


def _member(archive: zipfile.ZipFile, name: str, compression: int) -> IO[bytes]:
    member = zipfile.ZipInfo(name)  # dated 1980, not now
    member.compress_type = compression
    member.external_attr = 0o644 << 16
    return archive.open(member, "w", force_zip64=True)
