"""``.safetensors``: the tensor ``embeddings``; ``metadata`` and ``paths`` in the file's metadata.

Both are JSON there. Patch grids are one tensor (rows, columns, D) each, named by their paths.
"""

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path

from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.path_text import escape

from ..embeddings import Entry, Table, kind_of
from . import FORMATS, Contents
from .blocks import FLOAT_BYTES, row_bytes, write_blocks

_MOST_BYTES = FORMATS[".safetensors"].max_names_bytes or 0
_RESERVED = "__metadata__"  # no tensor can have this name: it is written ./__metadata__


def write(table: Table, file: Path) -> None:
    """Write a table row by row. Errors: OutputError for more names than readers take."""
    with file.open("wb") as out:
        out.write(bytes(8))  # the header's length, which is known afterwards
        header = _grids_header(table) if table.holds_grids else _matrix_header(table)
        write_blocks(out, (piece.encode() for piece in header))
        out.write(b" " * (-out.tell() % 8))
        length = out.tell() - 8
        FORMATS[".safetensors"].check_names(0, length)
        write_blocks(out, map(row_bytes, _grids(table) if table.holds_grids else table.rows()))
        out.seek(0)
        out.write(length.to_bytes(8, "little"))


def read(file: Path) -> Contents:
    """The metadata and the names of a finished file."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        tensors = json.loads(opened.read(min(length, _MOST_BYTES)))
    facts = tensors.pop(_RESERVED)
    metadata = json.loads(facts["metadata"])
    names = facts.get(f"{kind_of(metadata)}s")
    return metadata, list(tensors) if names is None else json.loads(names)


def _matrix_header(table: Table) -> Iterator[str]:
    summary = table.summary
    yield f'{{"__metadata__": {{"metadata": {to_json(summary.metadata)}, "{table.kind}s": "['
    for number, name in enumerate(table.names()):
        yield ", " * bool(number) + to_json(to_json(name))[1:-1]  # JSON in a string of JSON
    yield f']"}}, {_tensor("embeddings", (summary.count, summary.width), 0)}}}'


def _grids_header(table: Table) -> Iterator[str]:
    yield f'{{"__metadata__": {{"metadata": {to_json(table.summary.metadata)}}}'
    offset = 0
    for entry in _grids(table):
        name = escape(entry.name)
        yield f", {_tensor('./' * (name == _RESERVED) + name, entry.shape, offset)}"
        offset += FLOAT_BYTES * prod(entry.shape)
    yield "}"


def _grids(table: Table) -> Iterator[Entry]:
    """The rows, but each name once, however often its image was named."""
    seen = set()
    for entry in table.rows():
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


def _tensor(name: str, shape: tuple[int, ...], offset: int) -> str:
    offsets = [offset, offset + FLOAT_BYTES * prod(shape)]
    value = to_json({"dtype": "F32", "shape": shape, "data_offsets": offsets})
    return f"{to_json(name)}: {value}"
