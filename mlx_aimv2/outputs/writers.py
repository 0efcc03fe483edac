r"""The formats of output files: each is written row by row, and tells later what is in it.

``.npz``: ``embeddings`` (N, D) float32, ``paths`` (N,), ``metadata`` (a JSON string); no pickle.
``.npy``: the embeddings, and beside it ``FILE.npy.json``: ``{"metadata": {…}, "paths": […]}``.
``.safetensors``: the tensor ``embeddings``, and in the file's own metadata ``metadata`` and
``paths``, both JSON. Patch grids are one tensor (rows, columns, D) each, named by their paths.
``.jsonl``: first ``{"schema": 1, "metadata": {…}}``, then for each input, failed ones too,
``{"schema": 1, "path": …, "embedding": […]}`` or ``{"schema": 1, "path": …, "error": …}``; a
line may have a ``note``.
``.parquet``: columns ``path`` and ``embedding`` (D floats), ``metadata`` in the schema's metadata.

Embeddings of texts have ``texts`` for ``paths`` and ``text`` for ``path``. ``metadata`` says what
made the file and ends with ``failed``, the inputs left out with their reasons, and ``notes`` on
single rows (in ``.jsonl`` these two are in the lines). Paths are escaped, see ``path_text``.
Nothing is dated: equal inputs give equal bytes.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.path_text import escape

from .embeddings import Entry, Table, entry_line, kind_of, metadata_line

_BLOCK_BYTES = 1 << 20
_FLOAT_BYTES = 4
MAX_HEADER_BYTES = 100_000_000  # readers of safetensors refuse more
_QUOTES_BYTES = 6  # of a name in a list in a string of JSON: \\"…\\", and a comma
_RESERVED_TENSOR = "__metadata__"

Contents = tuple[dict[str, Any], list[str]]


@dataclass(frozen=True)
class Format:
    """One kind of file; ``companion`` is the extension of a second file beside it.

    ``read`` takes what a finished file says of itself: its metadata, and its rows' names, escaped.
    """

    extension: str
    write: Callable[[Table, Path], None]
    read: Callable[[Path], Contents]
    companion: str = ""
    holds_grids: bool = False
    module: str = ""
    max_names_bytes: int | None = None

    def parts(self, target: Path) -> list[Path]:
        """The files of an output, the one that was asked for last."""
        beside = target.with_name(target.name + self.companion)
        return [beside, target] if self.companion else [target]


def _write_npz(table: Table, file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, "embeddings.npy", zipfile.ZIP_STORED) as out:
            _write_matrix(table, out)
        # Names of one width are mostly padding, which deflating takes away again.
        with _member(archive, f"{table.kind}s.npy", zipfile.ZIP_DEFLATED) as out:
            width = max(table.summary.longest, 1)
            _write_npy_header(out, f"<U{width}", (table.summary.count,))
            names = (name.encode("utf-32-le") for name in table.names())
            _write_blocks(out, (name.ljust(4 * width, b"\0") for name in names))
        with _member(archive, "metadata.npy", zipfile.ZIP_DEFLATED) as out:
            _write_npy_header(out, f"<U{len(table.summary.metadata)}", ())
            out.write(table.summary.metadata.encode("utf-32-le"))


def _read_npz(file: Path) -> Contents:
    with np.load(file, allow_pickle=False) as arrays:
        metadata = json.loads(arrays["metadata"].item())
        return metadata, arrays[f"{kind_of(metadata)}s"].tolist()


def _write_npy(table: Table, file: Path) -> None:
    with file.open("wb") as out:
        _write_matrix(table, out)
    with file.with_name(f"{file.name}.json").open("wb") as out:
        out.write(f'{{"metadata": {table.summary.metadata}, "{table.kind}s": ['.encode())
        names = enumerate(table.names())
        _write_blocks(out, ((", " * bool(i) + to_json(name)).encode() for i, name in names))
        out.write(b"]}\n")


def _read_npy(file: Path) -> Contents:
    beside = json.loads(file.with_name(f"{file.name}.json").read_bytes())
    return beside["metadata"], beside[f"{kind_of(beside['metadata'])}s"]


def _write_safetensors(table: Table, file: Path) -> None:
    is_grid = table.holds_grids
    with file.open("wb") as out:
        out.write(bytes(8))  # the header's length, which is known afterwards
        header = _grids_header(table) if is_grid else _matrix_header(table)
        _write_blocks(out, (piece.encode() for piece in header))
        out.write(b" " * (-out.tell() % 8))
        length = out.tell() - 8
        check_names(FORMATS[".safetensors"], 0, length)
        _write_blocks(out, map(_row_bytes, _first_of_each(table) if is_grid else table.rows()))
        out.seek(0)
        out.write(length.to_bytes(8, "little"))


def _read_safetensors(file: Path) -> Contents:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        tensors = json.loads(opened.read(min(length, MAX_HEADER_BYTES)))
    facts = tensors.pop("__metadata__")
    metadata = json.loads(facts["metadata"])
    names = facts.get(f"{kind_of(metadata)}s")
    return metadata, list(tensors) if names is None else json.loads(names)


def _write_jsonl(table: Table, file: Path) -> None:
    with file.open("wb") as out:
        out.write(f"{metadata_line(table.made_by)}\n".encode())
        lines = (entry_line(table.kind, entry) for entry in table.entries())
        _write_blocks(out, (f"{line}\n".encode() for line in lines))


def _read_jsonl(file: Path) -> Contents:
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


def _write_parquet(table: Table, file: Path) -> None:
    import pyarrow  # noqa: PLC0415  (an extra)
    import pyarrow.parquet  # noqa: PLC0415

    width = table.summary.width
    schema = pyarrow.schema(
        {table.kind: pyarrow.string(), "embedding": pyarrow.list_(pyarrow.float32(), width)},
        metadata={"metadata": table.summary.metadata},
    )
    rows = table.rows()
    group_rows = max(1, 4 * _BLOCK_BYTES // (_FLOAT_BYTES * width))
    with (
        file.open("wb") as raw,  # PyArrow itself takes no name that is not UTF-8
        pyarrow.parquet.ParquetWriter(raw, schema, use_dictionary=False) as out,
    ):
        while group := list(islice(rows, group_rows)):
            names = pyarrow.array([escape(entry.name) for entry in group], pyarrow.string())
            values = np.empty((len(group), width), np.float32)
            for row, entry in zip(values, group, strict=True):
                row[:] = np.frombuffer(_row_bytes(entry), "<f4")
            vectors = pyarrow.FixedSizeListArray.from_arrays(values.ravel(), width)
            out.write_table(pyarrow.table([names, vectors], schema=schema))


def _read_parquet(file: Path) -> Contents:
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415  (an extra)

    with file.open("rb") as raw, ParquetFile(raw) as parquet:
        metadata = json.loads(parquet.schema_arrow.metadata[b"metadata"])
        kind = kind_of(metadata)
        return metadata, parquet.read([kind])[kind].to_pylist()


FORMATS = {
    format.extension: format
    for format in (
        Format(".npz", _write_npz, _read_npz),
        Format(".npy", _write_npy, _read_npy, companion=".json"),
        Format(
            ".safetensors",
            _write_safetensors,
            _read_safetensors,
            holds_grids=True,
            max_names_bytes=MAX_HEADER_BYTES,
        ),
        Format(".jsonl", _write_jsonl, _read_jsonl),
        Format(".parquet", _write_parquet, _read_parquet, module="pyarrow"),
    )
}


def check_names(format: Format, count: int, names_bytes: int) -> None:
    """Refuse more names than such a file has room for. Errors: OutputError."""
    names_bytes += count * _QUOTES_BYTES
    if format.max_names_bytes is not None and names_bytes > format.max_names_bytes:
        raise OutputError(
            f"a {format.extension} file has room for {format.max_names_bytes:,} bytes of names, "
            f"and there are {names_bytes:,}",
            hint=f"{', '.join(_unlimited())} have no such limit",
        )


def _unlimited() -> list[str]:
    return [name for name, format in FORMATS.items() if format.max_names_bytes is None]


def _matrix_header(table: Table) -> Iterator[str]:
    summary = table.summary
    yield f'{{"__metadata__": {{"metadata": {to_json(summary.metadata)}, "{table.kind}s": "['
    for number, name in enumerate(table.names()):
        yield ", " * bool(number) + to_json(to_json(name))[1:-1]  # JSON in a string of JSON
    yield f']"}}, {_tensor("embeddings", (summary.count, summary.width), 0)}}}'


def _grids_header(table: Table) -> Iterator[str]:
    yield f'{{"__metadata__": {{"metadata": {to_json(table.summary.metadata)}}}'
    offset = 0
    for entry in _first_of_each(table):
        name = escape(entry.name)
        yield f", {_tensor('./' * (name == _RESERVED_TENSOR) + name, entry.shape, offset)}"
        offset += _size_bytes(entry.shape)
    yield "}"


def _first_of_each(table: Table) -> Iterator[Entry]:
    # A tensor's name is there once, however often its image was named.
    seen = set()
    for entry in table.rows():
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


def _tensor(name: str, shape: tuple[int, ...], offset: int) -> str:
    offsets = [offset, offset + _size_bytes(shape)]
    value = to_json({"dtype": "F32", "shape": shape, "data_offsets": offsets})
    return f"{to_json(name)}: {value}"


def _write_matrix(table: Table, out: IO[bytes]) -> None:
    _write_npy_header(out, "<f4", (table.summary.count, table.summary.width))
    _write_blocks(out, map(_row_bytes, table.rows()))


def _write_npy_header(out: IO[bytes], descr: str, shape: tuple[int, ...]) -> None:
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)


def _member(archive: zipfile.ZipFile, name: str, compression: int) -> IO[bytes]:
    member = zipfile.ZipInfo(name)  # dated 1980, not now
    member.compress_type = compression
    member.external_attr = 0o644 << 16
    return archive.open(member, "w", force_zip64=True)


def _write_blocks(out: IO[bytes], pieces: Iterable[bytes]) -> None:
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= _BLOCK_BYTES:
            out.write(block)
            block.clear()
    out.write(block)


def _row_bytes(entry: Entry) -> bytes:
    assert entry.read is not None
    return entry.read().astype("<f4", copy=False).tobytes()


def _size_bytes(shape: tuple[int, ...]) -> int:
    size = _FLOAT_BYTES
    for length in shape:
        size *= length
    return size
