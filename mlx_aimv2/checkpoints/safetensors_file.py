"""Safetensors files: what their headers say, their tensors read lazily, and writing them."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.files.checkpoint_files import INDEX_FILE, SINGLE_FILE
from mlx_aimv2.files.file_diagnosis import unfit

SHARD_BYTES = 5 * 1000**3

DTYPE_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}  # MLX reads no F64
_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "U32": 4}
_WRITTEN = {mx.float32: "F32", mx.float16: "F16", mx.bfloat16: "BF16", mx.uint32: "U32"}
_MLX = "mlx"


@dataclass(frozen=True)
class Spec:
    """What a tensor is, without its values; the dtype as safetensors spells it."""

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: mx.array) -> "Spec":
        """Dtype and shape of an array, which is not evaluated for it."""
        return cls(_WRITTEN[array.dtype], tuple(array.shape))

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return math.prod(self.shape) * _DTYPE_BYTES[self.dtype]


@dataclass(frozen=True)
class Header(Spec):
    """What a safetensors header says of one tensor."""

    file: Path
    name: str


def read_header(file: Path) -> list[Header]:
    """Every tensor of a file. Errors: CheckpointError for a file that cannot be read."""
    try:
        with safe_open(str(file), framework="np") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            return [
                Header(part.get_dtype(), tuple(part.get_shape()), file, name)
                for name, part in slices.items()
            ]
    except (SafetensorError, OSError) as error:
        if os.access(file, os.F_OK) and not os.access(file, os.R_OK):
            raise CheckpointError(
                f"{file} may not be read (permission denied)", hint="allow it: chmod u+r FILE"
            ) from error
        raise unfit(file, "a readable safetensors file", error) from error


def is_written_for_mlx(file: Path) -> bool:
    """Whether a file's metadata says that its tensors have MLX's order of axes."""
    with safe_open(str(file), framework="np") as tensors:
        return (tensors.metadata() or {}).get("format") == _MLX


def load_lazily(file: Path) -> dict[str, mx.array]:
    """A file's tensors; one that is not evaluated is not read from disk."""
    path = str(file)
    try:
        path.encode()
    except UnicodeEncodeError:  # MLX takes UTF-8 only; it opens the file again before it returns
        with file.open("rb") as opened:
            path = f"/dev/fd/{opened.fileno()}"
            return cast("dict[str, mx.array]", mx.load(path, format="safetensors"))
    return cast("dict[str, mx.array]", mx.load(path, format="safetensors"))


def write_weights(
    folder: Path,
    specs: Mapping[str, Spec],
    arrays: Iterable[tuple[str, mx.array]],
    *,
    format: str = _MLX,
) -> None:
    """Write tensors, in shards above 5 GB, one tensor in memory at a time.

    ``arrays`` are those of ``specs``, in its order; ``format`` says in the files whose order of
    axes they have: "mlx" or "pt", torch's.
    """
    remaining = iter(arrays)
    shards = _split(specs)
    for file, names in shards.items():
        shard = {name: specs[name] for name in names}
        _write_shard(folder / file, shard, islice(remaining, len(names)), format)
    if extra := next(remaining, None):
        raise ValueError(f"{extra[0]} was not to be written")
    if len(shards) > 1:
        file_of = {name: file for file, names in shards.items() for name in names}
        total_size = sum(spec.size_bytes for spec in specs.values())
        index = {"metadata": {"total_size": total_size}, "weight_map": file_of}
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def to_bits(array: mx.array) -> NDArray[Any]:
    """The values of an array as unsigned integers of their width, without a copy.

    Shapes: any -> (number of values,). NumPy has no bfloat16, but it has its bits.
    """
    integer = mx.uint16 if array.itemsize == 2 else mx.uint32
    with mx.stream(mx.cpu):
        return np.asarray(mx.contiguous(array).reshape(-1).view(integer))


def _split(specs: Mapping[str, Spec]) -> dict[str, list[str]]:
    """Names of the tensors of each file, by the file's name."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, spec in specs.items():
        if filled and filled + spec.size_bytes > SHARD_BYTES:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += spec.size_bytes
    if len(shards) == 1:
        return {SINGLE_FILE: shards[0]}
    return {
        f"model-{number:05}-of-{len(shards):05}.safetensors": names
        for number, names in enumerate(shards, 1)
    }


def _write_shard(
    file: Path, specs: Mapping[str, Spec], arrays: Iterable[tuple[str, mx.array]], format: str
) -> None:
    # By hand, because mx.save_safetensors holds every tensor of the file in memory at once.
    # Format: 8 bytes of header length, the header as JSON padded to 8 bytes, then the tensors.
    header: dict[str, object] = {"__metadata__": {"format": format}}
    end = 0
    for name, spec in specs.items():
        start, end = end, end + spec.size_bytes
        header[name] = {"dtype": spec.dtype, "shape": spec.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("xb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for (name, spec), (found, array) in zip(specs.items(), arrays, strict=True):
            if (found, Spec.of(array)) != (name, spec):
                raise ValueError(f"{name} was to be {spec}: got {found}, {Spec.of(array)}")
            out.write(to_bits(array).data)
