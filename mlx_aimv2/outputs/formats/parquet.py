"""``.parquet``: columns ``path`` and ``embedding`` (D floats), ``metadata`` in the schema's own.

Facts of a table are columns too, of types that do not depend on what is in them.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mlx_aimv2.files.path_text import escape

from ..embeddings import Table, kind_of
from . import Contents, blocks


def write(table: Table, file: Path) -> None:
    """Write a table in groups of rows."""
    import pyarrow  # noqa: PLC0415  (an extra)
    import pyarrow.parquet  # noqa: PLC0415

    width = table.summary.width
    known = columns_of(table.facts)
    schema = pyarrow.schema(
        {
            table.kind: pyarrow.string(),
            "embedding": pyarrow.list_(pyarrow.float32(), width),
            **{name: column.type for name, column in known.items()},
        },
        metadata={"metadata": table.summary.metadata},
    )
    first, rows = 0, table.rows()
    group_rows = max(1, 4 * blocks.BLOCK_BYTES // (blocks.FLOAT_BYTES * width))
    with (
        file.open("wb") as raw,  # PyArrow itself takes no name that is not UTF-8
        pyarrow.parquet.ParquetWriter(raw, schema, use_dictionary=False) as out,
    ):
        while group := list(islice(rows, group_rows)):
            names = pyarrow.array([escape(entry.name) for entry in group], pyarrow.string())
            values = np.frombuffer(b"".join(map(blocks.row_bytes, group)), "<f4")
            vectors = pyarrow.FixedSizeListArray.from_arrays(values, width)
            facts = [column.slice(first, len(group)) for column in known.values()]
            out.write_table(pyarrow.table([names, vectors, *facts], schema=schema))
            first += len(group)


def columns_of(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Facts as columns, by the names of the first ones. Errors: KeyError for an unknown name."""
    import pyarrow  # noqa: PLC0415  (an extra)

    text, whole, number = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    types = {
        **dict.fromkeys(("uuid", "format", "taken_at", "caption", "caption_origin"), text),
        **dict.fromkeys(("size_bytes", "width_px", "height_px", "orientation"), whole),
        **dict.fromkeys(("latitude", "longitude"), number),
        "tags": pyarrow.list_(text),
        "origins": pyarrow.map_(text, pyarrow.list_(text)),
    }
    columns = {}
    for name in facts[0] if facts else ():
        values = [each[name] for each in facts]
        if name == "origins":
            values = [list(each.items()) for each in values]
        columns[name] = pyarrow.array(values, types[name])
    return columns


def read(file: Path) -> Contents:
    """The metadata and the names of a finished file."""
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415  (an extra)

    with file.open("rb") as raw, ParquetFile(raw) as parquet:
        metadata = json.loads(parquet.schema_arrow.metadata[b"metadata"])
        kind = kind_of(metadata)
        return metadata, parquet.read([kind])[kind].to_pylist()
