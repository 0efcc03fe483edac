"""``.parquet``: columns ``path`` and ``embedding`` (D floats), ``metadata`` in the schema's own."""

import json
from itertools import islice
from pathlib import Path

import numpy as np

from mlx_aimv2.files.path_text import escape

from ..embeddings import Table, kind_of
from . import Contents, blocks


def write(table: Table, file: Path) -> None:
    """Write a table in groups of rows."""
    import pyarrow  # noqa: PLC0415  (an extra)
    import pyarrow.parquet  # noqa: PLC0415

    width = table.summary.width
    schema = pyarrow.schema(
        {table.kind: pyarrow.string(), "embedding": pyarrow.list_(pyarrow.float32(), width)},
        metadata={"metadata": table.summary.metadata},
    )
    rows = table.rows()
    group_rows = max(1, 4 * blocks.BLOCK_BYTES // (blocks.FLOAT_BYTES * width))
    with (
        file.open("wb") as raw,  # PyArrow itself takes no name that is not UTF-8
        pyarrow.parquet.ParquetWriter(raw, schema, use_dictionary=False) as out,
    ):
        while group := list(islice(rows, group_rows)):
            names = pyarrow.array([escape(entry.name) for entry in group], pyarrow.string())
            values = np.frombuffer(b"".join(map(blocks.row_bytes, group)), "<f4")
            vectors = pyarrow.FixedSizeListArray.from_arrays(values, width)
            out.write_table(pyarrow.table([names, vectors], schema=schema))


def read(file: Path) -> Contents:
    """The metadata and the names of a finished file."""
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415  (an extra)

    with file.open("rb") as raw, ParquetFile(raw) as parquet:
        metadata = json.loads(parquet.schema_arrow.metadata[b"metadata"])
        kind = kind_of(metadata)
        return metadata, parquet.read([kind])[kind].to_pylist()
