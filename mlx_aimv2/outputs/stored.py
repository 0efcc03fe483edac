"""What a file of embeddings holds, read row by row: the other side of ``formats``.

Only files of this package are read here, in the very form in which it writes them. Of what is in
a file, its metadata is held in memory, and of ``.safetensors`` the header (100 MB at most).
"""

import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from mlx_aimv2.errors import Aimv2Error, OutputError
from mlx_aimv2.files.mistaken import START_BYTES, stand_in
from mlx_aimv2.files.path_text import unescape

from .embeddings import Entry, Floats
from .output_file import format_of
from .writers import MAX_HEADER_BYTES

_BLOCK_CHARS = 1 << 16
_BATCH_ROWS = 1024
_FLOAT_BYTES = 4
_DECODER = json.JSONDecoder()

Rows = Callable[[], Iterator[Entry]]


@dataclass(frozen=True)
class Stored:
    """An open file: its metadata, and its rows from the first whenever they are asked for.

    ``tells_failures``: inputs that failed are among the rows, in their places.
    """

    path: Path
    metadata: Mapping[str, Any]
    _rows: Rows
    tells_failures: bool = False

    def rows(self) -> Iterator[Entry]:
        """Rows in order. Errors: OutputError where the file is damaged."""
        with reading(self.path):
            yield from self._rows()


@contextmanager
def open_stored(path: Path) -> Iterator[Stored]:
    """A file of any of the formats, open until the block ends.

    Errors: OutputError for a file that is not there or damaged; as ``export.format_of``.
    """
    reader = _READERS[format_of(path).extension]
    with ExitStack() as opened:
        with reading(path):
            stored = reader(path, opened)
        yield stored


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong in the block is said of the file.

    Errors: OutputError.
    """
    try:
        yield
    except Aimv2Error:
        raise
    except FileNotFoundError as error:
        missing = path if error.filename is None else error.filename
        raise OutputError(
            f"{missing} does not exist", hint="check its name and the folder you are in"
        ) from error
    except OSError as error:
        if error.strerror is None:  # PyArrow's, of bytes that it does not understand
            raise _damaged(path, error) from error
        raise OutputError(
            f"{path} cannot be read: {error.strerror}", hint="look whether the disk is there"
        ) from error
    except Exception as error:  # bytes that are not what they should be fail in any way
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> OutputError:
    with suppress(OSError), path.open("rb") as file:
        if found := stand_in(file.read(START_BYTES)):
            return OutputError(f"{path} is {found[0]}", hint=found[1])
    return OutputError(
        f"{path} is damaged, or no file of embeddings: {type(error).__name__}: {error}",
        hint="make it again with the command that made it and --force",
    )


def _read_npz(path: Path, opened: ExitStack) -> Stored:
    file = opened.enter_context(path.open("rb"))
    archive = opened.enter_context(zipfile.ZipFile(file))
    with archive.open("metadata.npy") as member:
        metadata = json.loads(np.lib.format.read_array(member, allow_pickle=False).item())
    with archive.open("embeddings.npy") as member:
        shape = _npy_header(member)[0]
        start = _start_of(archive, "embeddings.npy", file) + member.tell()

    def names() -> Iterator[str]:
        with archive.open(f"{_kind(metadata)}s.npy") as member:
            (count,), dtype = _npy_header(member)
            for _ in range(count):
                yield _exactly(member, dtype.itemsize).decode("utf-32-le").rstrip("\0")

    return Stored(path, metadata, partial(_vectors, names, file, start, shape))


def _read_npy(path: Path, opened: ExitStack) -> Stored:
    file = opened.enter_context(path.open("rb"))
    shape, _ = _npy_header(file)
    beside = path.with_name(f"{path.name}.json")
    with beside.open(encoding="utf-8") as text:
        metadata = _Json(text).skip('{"metadata": ').value()

    def names() -> Iterator[str]:
        with beside.open(encoding="utf-8") as text:
            json = _Json(text).skip('{"metadata": ')
            json.value()
            json.skip(f', "{_kind(metadata)}s": [')
            for row in range(shape[0]):
                yield json.skip(", " * bool(row)).value()
            json.skip("]}\n")

    return Stored(path, metadata, partial(_vectors, names, file, file.tell(), shape))


def _read_safetensors(path: Path, opened: ExitStack) -> Stored:
    file = opened.enter_context(path.open("rb"))
    length = int.from_bytes(_exactly(file, 8), "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(_exactly(file, length))
    facts = header.pop("__metadata__")
    metadata = json.loads(facts["metadata"])
    start = file.tell()

    def grids() -> Iterator[Entry]:
        tensors = list(header.items())
        order = metadata.get("shard", {}).get("order") or range(len(tensors))
        for name, tensor in (tensors[index] for index in order):
            shape = tuple(tensor["shape"])
            read = _reader(file, start + tensor["data_offsets"][0], shape)
            yield Entry(unescape(name), shape, read)

    names_of = f"{_kind(metadata)}s"
    if names_of not in facts:
        return Stored(path, metadata, grids)
    shape = tuple(header["embeddings"]["shape"])
    return Stored(
        path,
        metadata,
        partial(_vectors, lambda: iter(json.loads(facts[names_of])), file, start, shape),
    )


def _read_jsonl(path: Path, opened: ExitStack) -> Stored:
    with path.open("rb") as file:
        metadata = json.loads(file.readline())["metadata"]
    kind = _kind(metadata)

    def rows() -> Iterator[Entry]:
        with path.open("rb") as file:
            file.readline()
            for line in file:
                fields = json.loads(line, parse_int=float)  # else -0 would lose its sign
                name = unescape(fields[kind])
                if "embedding" not in fields:
                    yield Entry(name, error=fields["error"])
                    continue
                values = np.array(fields["embedding"], np.float32)
                yield Entry(name, values.shape, partial(_same, values), fields.get("note"))

    return Stored(path, metadata, rows, tells_failures=True)


def _read_parquet(path: Path, opened: ExitStack) -> Stored:
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415  (an extra)

    file = opened.enter_context(path.open("rb"))  # PyArrow itself takes no name that is not UTF-8
    # Not ahead of what is asked for: that would be the whole file.
    parquet = opened.enter_context(ParquetFile(file, pre_buffer=False))
    schema = parquet.schema_arrow
    metadata = json.loads(schema.metadata[b"metadata"])
    width = schema.field("embedding").type.list_size
    columns = [_kind(metadata), "embedding"]

    def rows() -> Iterator[Entry]:
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns):
            values = batch.column(1).flatten().to_numpy().reshape(batch.num_rows, width)
            for name, row in zip(batch.column(0).to_pylist(), values, strict=True):
                yield Entry(unescape(name), (width,), partial(_same, row))

    return Stored(path, metadata, rows)


_READERS: dict[str, Callable[[Path, ExitStack], Stored]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".safetensors": _read_safetensors,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


class _Json:
    """Values out of a long text, one after the other, so that it need not be held whole."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ""

    def skip(self, text: str) -> "_Json":
        """Go over what has to be here. Errors: ValueError where it is not."""
        while len(self._text) < len(text) and self._read_on():
            pass
        if not self._text.startswith(text):
            raise ValueError(f"{text!r} is missing before {self._text[:20]!r}")
        self._text = self._text[len(text) :]
        return self

    def value(self) -> Any:
        """The next value, which is a string, an array or an object."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text)
            except ValueError:
                if not self._read_on():
                    raise
            else:
                self._text = self._text[end:]
                return value

    def _read_on(self) -> bool:
        # As much again as is there: a long value is tried a few times only.
        more = self._file.read(max(_BLOCK_CHARS, len(self._text)))
        self._text += more
        return bool(more)


def _vectors(
    names: Callable[[], Iterator[str]], file: IO[bytes], start: int, shape: tuple[int, ...]
) -> Iterator[Entry]:
    count, width = shape
    size = _FLOAT_BYTES * width
    if os.fstat(file.fileno()).st_size < start + count * size:
        raise ValueError("its end is missing")
    for row, name in zip(range(count), names(), strict=True):
        yield Entry(unescape(name), (width,), _reader(file, start + row * size, (width,)))


def _reader(file: IO[bytes], start: int, shape: tuple[int, ...]) -> Callable[[], Floats]:
    return partial(_floats_at, file.fileno(), start, shape)


def _floats_at(descriptor: int, start: int, shape: tuple[int, ...]) -> Floats:
    size = _FLOAT_BYTES
    for length in shape:
        size *= length
    return np.frombuffer(os.pread(descriptor, size, start), "<f4").reshape(shape)


def _same(values: Floats) -> Floats:
    return values


def _kind(metadata: Mapping[str, Any]) -> str:
    return "text" if metadata["kind"] == "text" else "path"


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype


def _start_of(archive: zipfile.ZipFile, name: str, file: IO[bytes]) -> int:
    """Where a member's bytes start in its archive, which must not have compressed them."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    header = os.pread(file.fileno(), 30, info.header_offset)
    name_bytes, extra_bytes = struct.unpack("<26xHH", header)
    return info.header_offset + len(header) + name_bytes + extra_bytes


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise ValueError("its end is missing")
    return data
