"""Tensors on disk: find the files, check their headers, name every tensor, read and write.

Nothing is read until it is asked for, and each tensor is converted by itself, so that loading
one tower reads only that tower and a change of dtype needs no second copy of the file.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.files.checkpoint_files import (
    CONFIG_FILE,
    INDEX_FILE,
    SINGLE_FILE,
    Copy,
    first_copy,
    read_index,
    shards_of,
)
from mlx_aimv2.files.mistaken import unfit
from mlx_aimv2.models.aimv2 import layouts

from . import quantize

_SAMPLES, _SAMPLE_BYTES = 64, 4096
SHARD_BYTES = 5 * 1000**3

_PATCH_PROJECTION = "preprocessor.patchifier.proj.weight"
DTYPE_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_FLOATS = {"F32": 4, "F16": 2, "BF16": 2}  # MLX reads no F64
_DTYPE_BYTES = _FLOATS | {"U32": 4}
_WRITTEN = {mx.float32: "F32", mx.float16: "F16", mx.bfloat16: "BF16", mx.uint32: "U32"}
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_OTHER = (".gguf", ".npz", ".npy", ".h5", ".msgpack", ".onnx", ".mlpackage", ".incomplete", ".part")
_METADATA = {"format": "mlx"}


@dataclass(frozen=True)
class Spec:
    """What a tensor is, without its values; the dtype as safetensors spells it."""

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: mx.array) -> "Spec":
        """That of an array, which need not be evaluated."""
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


@dataclass(frozen=True)
class Weights:
    """A checkpoint's tensors by our names, not read yet.

    ``sources`` are the tensors on disk that make one of ours (three where q, k and v are apart).
    ``shapes`` are those after conversion to our layout; ``config`` is the ``config.json``.
    """

    folder: Path
    layout: str
    sources: Mapping[str, tuple[Header, ...]]
    shapes: Mapping[str, tuple[int, ...]]
    config: Mapping[str, Any]

    @property
    def quantization(self) -> Mapping[str, Any] | None:
        """Bits and group size where the weights are quantised."""
        return self.config.get("quantization")

    @property
    def dtype(self) -> str:
        """The dtype most bytes of the floating-point tensors have, as safetensors spells it."""
        sizes: dict[str, int] = {}
        for header in self.headers():
            if header.dtype in _FLOATS:
                sizes[header.dtype] = sizes.get(header.dtype, 0) + header.size_bytes
        return max(sizes, key=lambda dtype: sizes[dtype])

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors on disk."""
        return sum(header.size_bytes for header in self.headers())

    def headers(self) -> Iterator[Header]:
        """Every tensor on disk."""
        return (header for group in self.sources.values() for header in group)

    def fingerprint(self) -> str:
        """A hash of samples of the files: tells apart weights of one name and shape.

        A hub's revision says the same; a local folder has none.
        """
        digest = hashlib.sha256()
        for file in sorted({header.file for header in self.headers()}):
            step = max(_SAMPLE_BYTES, file.stat().st_size // _SAMPLES)
            with file.open("rb") as opened:
                for offset in range(0, file.stat().st_size, step):
                    opened.seek(offset)
                    digest.update(opened.read(_SAMPLE_BYTES))
        return digest.hexdigest()[:16]

    def logical_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes before quantisation, without the scales: what a configuration is read from."""
        bits = self.quantization["bits"] if self.quantization else 32
        return {
            name: (*shape[:-1], shape[-1] * 32 // bits)
            if self.sources[name][0].dtype == "U32"
            else shape
            for name, shape in self.shapes.items()
            if not quantize.is_scale(name)
        }

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, mx.array]]:
        """Our tensors, lazily; one that is not evaluated is not read from disk."""
        files: dict[Path, dict[str, mx.array]] = {}
        for name in names:
            parts = []
            for header in self.sources[name]:
                if header.file not in files:
                    files[header.file] = _load_lazily(header.file)
                # pop: what has been handed over must not be kept alive here
                parts.append(files[header.file].pop(header.name))
            array = parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=0)
            yield name, _to_ours(name, array, self.shapes[name])


def read_config_file(folder: Path) -> dict[str, Any]:
    """``config.json`` of a folder; empty where there is none.

    Errors: CheckpointError where it is not a JSON object.
    """
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise unfit(path, "readable JSON", error) from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is not a JSON object")
    quantization = config.get("quantization")
    if quantization is not None and not quantize.is_record(quantization):
        raise CheckpointError(
            f"{path}: quantization is {quantization!r}",
            hint='expected like {"group_size": 64, "bits": 4}',
        )
    return config


def read_weights(folder: Path) -> Weights:
    """Every tensor of a checkpoint folder, named and accounted for, none of them read.

    Errors: CheckpointError for a folder without safetensors, a malformed header, an index that
    leads out of the folder, a tensor that no rule of the layout names, or a quantised one
    without its scales.
    """
    config = read_config_file(folder)
    recorded = config.get("quantization")
    headers = [header for file in weight_files(folder) for header in _read_header(file)]
    layout = layouts.recognise(header.name for header in headers)
    sources = _match(headers, layout, quantized=recorded is not None)
    shapes = {name: _our_shape(name, group) for name, group in sources.items()}
    if recorded is not None:
        packed = [name for name, (first, *_) in sources.items() if first.dtype == "U32"]
        quantize.check_packed(shapes, packed, recorded)
    return Weights(folder, _layout_name(layout, folder, sources), sources, shapes, config)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold one copy of the weights."""
    there = {path.name: path for path in folder.glob("*.safetensors*") if os.access(path, os.F_OK)}
    if copy := first_copy(there.get):
        _check_promises(copy)
        return list(copy.files)
    if index := there.get(INDEX_FILE):
        absent = next(shard for shard in shards_of(read_index(index)) if shard not in there)
        raise CheckpointError(
            f"{index} names {absent!r}, which is not there", hint="fetch the checkpoint again"
        )
    others = sorted(folder.glob("*.safetensors"))
    if len(others) == 1:
        return others
    found = ", ".join(path.name for path in others) or "none"
    hint = "give a folder with config.json and model.safetensors, or a name: aimv2 models"
    names = sorted(path.name for path in folder.iterdir())
    if pickled := [name for name in names if name.endswith(_PICKLED)]:
        hint = f"{pickled[0]} is not read, as unpickling can run code: convert it to safetensors"
    elif others_there := [name for name in names if name.endswith(_OTHER)]:
        hint = f"{others_there[0]} is not read: take the checkpoint's {SINGLE_FILE}"
    raise CheckpointError(
        f"{folder} has no {SINGLE_FILE} (safetensors files there: {found})", hint=hint
    )


def write_weights(
    folder: Path, specs: Mapping[str, Spec], arrays: Iterable[tuple[str, mx.array]]
) -> None:
    """Write tensors in our layout, in shards above 5 GB, one tensor in memory at a time.

    ``arrays`` are those of ``specs``, in its order.
    """
    remaining = iter(arrays)
    shards = _split(specs)
    for file, names in shards.items():
        shard = {name: specs[name] for name in names}
        _write_shard(folder / file, shard, islice(remaining, len(names)))
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
    """Tensor names by file name."""
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
    file: Path, specs: Mapping[str, Spec], arrays: Iterable[tuple[str, mx.array]]
) -> None:
    # By hand, because mx.save_safetensors holds every tensor of the file in memory at once.
    # Format: 8 bytes of header length, the header as JSON padded to 8 bytes, then the tensors.
    header: dict[str, object] = {"__metadata__": _METADATA}
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


def _load_lazily(file: Path) -> dict[str, mx.array]:
    path = str(file)
    try:
        path.encode()
    except UnicodeEncodeError:  # MLX takes UTF-8 only; it opens the file again before it returns
        with file.open("rb") as opened:
            path = f"/dev/fd/{opened.fileno()}"
            return cast("dict[str, mx.array]", mx.load(path, format="safetensors"))
    return cast("dict[str, mx.array]", mx.load(path, format="safetensors"))


def _check_promises(copy: Copy) -> None:
    """Every tensor is in the shard where the index has it."""
    if not copy.promised:
        return
    present = {h.name: file.name for file in copy.files for h in _read_header(file)}
    for tensor, name in copy.promised.items():
        if present.get(tensor) != name:
            raise CheckpointError(
                f"{copy.files[0].parent / INDEX_FILE} promises {tensor} in {name}: it is not there"
            )


def _read_header(file: Path) -> list[Header]:
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


def _match(
    headers: list[Header], layout: layouts.Layout, *, quantized: bool
) -> dict[str, tuple[Header, ...]]:
    found: dict[str, dict[int | None, Header]] = {}
    for header in headers:
        match = _match_one(header, layout, quantized)
        taken = found.setdefault(match.target, {})
        if match.part in taken:
            raise CheckpointError(
                f"{header.name} and {taken[match.part].name} are both {match.target}"
            )
        taken[match.part] = header
    for target, parts in found.items():
        if None not in parts and len(parts) < len("qkv"):
            missing = " and ".join(p for i, p in enumerate("qkv") if i not in parts)
            there = ", ".join(header.name for header in parts.values())
            raise CheckpointError(f"{target} lacks its {missing}: there is only {there}")
    return {
        target: tuple(parts[key] for key in sorted(parts, key=lambda part: part or 0))
        for target, parts in found.items()
    }


def _match_one(header: Header, layout: layouts.Layout, quantized: bool) -> layouts.Match:
    name, suffix = header.name, ""
    if quantized and quantize.is_scale(name):
        name, _, suffix = name.rpartition(".")
        name, suffix = f"{name}.weight", f".{suffix}"
    match = layout.match(name)
    if match is None:
        raise CheckpointError(
            f"{header.file.name}: the tensor {header.name} is not one of an AIMv2 checkpoint "
            f"in the {layout.name} layout"
        )
    packed = quantized and header.dtype == "U32" and len(header.shape) == 2 and not suffix
    if (header.dtype not in _FLOATS and not packed) or 0 in header.shape:
        raise CheckpointError(
            f"{header.file.name}: the tensor {header.name} is {header.dtype} of {header.shape}: "
            "not what an AIMv2 checkpoint holds"
        )
    if suffix:
        return layouts.Match(match.target.removesuffix(".weight") + suffix, match.part)
    return match


def _our_shape(name: str, group: tuple[Header, ...]) -> tuple[int, ...]:
    shape = group[0].shape
    if len(group) > 1:
        for header in group[1:]:
            if header.shape[1:] != shape[1:] or header.shape[0] != shape[0]:
                raise CheckpointError(
                    f"the tensor {header.name} has the shape {header.shape}, "
                    f"{group[0].name} has {shape}"
                )
        return (len(group) * shape[0], *shape[1:])
    if name.endswith(_PATCH_PROJECTION) and _is_torch_convolution(shape):
        return (shape[0], shape[2], shape[3], shape[1])
    if name.endswith("preprocessor.pos_embed") and len(shape) == 2:
        return (1, *shape)
    return shape


def _is_torch_convolution(shape: tuple[int, ...]) -> bool:
    # (O, I, P, P) in torch, (O, P, P, I) in MLX: names are the same, only the square tells.
    return len(shape) == 4 and shape[2] == shape[3] and shape[1] != shape[2]


def _to_ours(name: str, array: mx.array, shape: tuple[int, ...]) -> mx.array:
    if name.endswith(_PATCH_PROJECTION) and tuple(array.shape) != shape:
        return array.transpose(0, 2, 3, 1)
    return array.reshape(shape)


def _layout_name(
    layout: layouts.Layout, folder: Path, sources: Mapping[str, tuple[Header, ...]]
) -> str:
    if layout is not layouts.APPLE:
        return layout.name
    projection = next((h for n, (h, *_) in sources.items() if n.endswith(_PATCH_PROJECTION)), None)
    if projection is not None and _is_torch_convolution(projection.shape):
        return "Apple torch"
    first = next(iter(sources.values()))[0].file
    with safe_open(str(first), framework="np") as tensors:
        ours = (tensors.metadata() or {}).get("format") == "mlx" and first.name.startswith("model")
    return "mlx-aimv2" if ours else "Apple MLX"
