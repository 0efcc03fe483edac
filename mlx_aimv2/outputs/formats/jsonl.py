"""``.jsonl``: a line for each input, failed ones too.

First ``{"schema": 1, "metadata": {…}}``, then ``{"schema": 1, "path": …, "embedding": […]}`` or
``{"schema": 1, "path": …, "error": …}``; a line may have a ``note``, and the table's facts.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlx_aimv2.files.json_lines import SCHEMA, to_json
from mlx_aimv2.files.path_text import escape

from ..embeddings import Floats, Kind, Table, kind_of
from ..settings import Settings
from . import Contents
from .blocks import write_blocks


def write(table: Table, file: Path) -> None:
    """Write a table row by row."""
    with file.open("wb") as out:
        out.write(metadata_line(table.made_by))
        lines = (
            input_line(
                table.kind, each.name, each.read and each.read(), each.note, each.error, facts
            )
            for each, facts in zip(table.entries(), table.facts or repeat({}), strict=False)
        )
        write_blocks(out, lines)


def read(file: Path) -> Contents:
    """The metadata and the names of a finished file."""
    names, failed = [], []
    with file.open("rb") as lines:
        metadata = json.loads(next(lines))["metadata"]
        kind = kind_of(metadata)
        for line in map(json.loads, lines):
            if "error" in line:
                failed.append({kind: line[kind], "reason": line["error"]})
            else:
                names.append(line[kind])
    return {**metadata, "failed": failed, "notes": []}, names


def metadata_line(made_by: Settings) -> bytes:
    """The first line."""
    return f"{to_json({'schema': SCHEMA, 'metadata': made_by})}\n".encode()


def input_line(
    kind: Kind,
    name: str,
    embedding: Floats | None,
    note: str | None,
    error: object,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> bytes:
    """The line of an input, with its embedding or its error, and what else is known of it."""
    fields = {"schema": SCHEMA, kind: escape(name), **facts}
    if note is not None:
        fields["note"] = note
    if embedding is None:
        return f"{to_json(fields | {'error': str(error)})}\n".encode()
    values = embedding.tolist()
    line = f'{to_json(fields)[:-1]}, "embedding": {_floats(len(values)) % tuple(values)}}}\n'
    return line.encode()


@lru_cache(maxsize=4)
def _floats(count: int) -> str:
    # Nine digits bring every float32 back.
    return f"[{', '.join(['%.9g'] * count)}]"
