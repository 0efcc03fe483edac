"""A checkpoint's tensors by the network's names: found, accounted for, and read when asked for.

Each tensor is converted by itself, so that loading one tower reads only that tower and a change of
dtype needs no second copy of the file.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import mlx.core as mx

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
from mlx_aimv2.files.file_diagnosis import unfit
from mlx_aimv2.models import registry
from mlx_aimv2.models.family import OWN_LAYOUT, Family
from mlx_aimv2.models.layout import Layout, Match, Rule
from mlx_aimv2.models.network import Config

from . import quantize
from .safetensors_file import (
    DTYPE_NAMES,
    Header,
    Spec,
    is_written_for_mlx,
    load_lazily,
    read_header,
)

_SAMPLES, _SAMPLE_BYTES = 64, 4096
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_OTHER = (".gguf", ".npz", ".npy", ".h5", ".msgpack", ".onnx", ".mlpackage", ".incomplete", ".part")


@dataclass(frozen=True)
class Source(Spec):
    """Where a tensor of the network comes from; dtype and shape are those that it will have.

    ``headers`` are all that its rule joins, ``piece`` is the number of the rule's target.
    """

    headers: tuple[Header, ...]
    rule: Rule
    piece: int


@dataclass(frozen=True)
class Weights:
    """A checkpoint's tensors by the network's names, not read yet; ``stated`` is config.json."""

    folder: Path
    family: Family
    layout: str
    sources: Mapping[str, Source]
    stated: Mapping[str, Any]

    @cached_property
    def config(self) -> Config:
        """The sizes of the network. Errors: CheckpointError where the tensors make none."""
        return self.family.complete_config(self.logical_shapes(), self.stated)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes in the network, packed where they are on disk."""
        return {name: source.shape for name, source in self.sources.items()}

    @property
    def quantization(self) -> Mapping[str, Any] | None:
        """Bits and group size where the weights are quantised."""
        return self.stated.get("quantization")

    @property
    def dtype(self) -> str:
        """The dtype most bytes of the floating-point tensors have, as safetensors spells it."""
        sizes = dict.fromkeys(DTYPE_NAMES, 0)
        for header in self.headers():
            if header.dtype in sizes:
                sizes[header.dtype] += header.size_bytes
        return max(sizes, key=lambda dtype: sizes[dtype])

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors on disk."""
        return sum(header.size_bytes for header in self.headers())

    def headers(self) -> Iterable[Header]:
        """Every tensor on disk that is part of the network."""
        return dict.fromkeys(h for source in self.sources.values() for h in source.headers)

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
            name: (*source.shape[:-1], source.shape[-1] * 32 // bits)
            if source.dtype == "U32"
            else source.shape
            for name, source in self.sources.items()
            if not quantize.is_scale(name)
        }

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, mx.array]]:
        """Tensors of the network, lazily; one that is not evaluated is not read from disk."""
        files: dict[Path, dict[str, mx.array]] = {}

        def take(header: Header) -> mx.array:
            # Nothing that was handed over is kept: for another piece it is read again.
            if header.name not in files.get(header.file, {}):
                files[header.file] = load_lazily(header.file)
            return files[header.file].pop(header.name)

        for name in names:
            source = self.sources[name]
            yield name, source.rule.tensor(list(map(take, source.headers)), source.piece)

    def read_dense(self, names: Iterable[str]) -> Iterator[tuple[str, mx.array]]:
        """Tensors of the network as :meth:`read` gives them, unpacked where they are quantised."""
        groups = [
            quantize.group(name, self.sources) for name in names if not quantize.is_scale(name)
        ]
        arrays = self.read(part for group in groups for part in group)
        for group in groups:
            (name, weight), *scales = islice(arrays, len(group))
            if scales:
                (_, scale), (_, bias) = scales
                weight = quantize.dequantize(weight, scale, bias, self.quantization or {})
            yield name, weight


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
    stated = read_config_file(folder)
    recorded = stated.get("quantization")
    headers = [header for file in weight_files(folder) for header in read_header(file)]
    family, layout = registry.recognise([header.name for header in headers], stated)
    sources = _sources(headers, family, layout, quantized=recorded is not None)
    if recorded is not None:
        packed = [name for name, source in sources.items() if source.dtype == "U32"]
        shapes = {name: source.shape for name, source in sources.items()}
        quantize.check_packed(shapes, packed, recorded)
    return Weights(folder, family, _layout_name(layout, sources), sources, stated)


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


def _check_promises(copy: Copy) -> None:
    """Every tensor is in the shard where the index has it."""
    if not copy.promised:
        return
    present = {h.name: file.name for file in copy.files for h in read_header(file)}
    for tensor, name in copy.promised.items():
        if present.get(tensor) != name:
            raise CheckpointError(
                f"{copy.files[0].parent / INDEX_FILE} promises {tensor} in {name}: it is not there"
            )


def _sources(
    headers: list[Header], family: Family, layout: Layout, *, quantized: bool
) -> dict[str, Source]:
    """Where each tensor of the network comes from, every header matched by one rule."""
    joined: dict[tuple[Rule, tuple[str, ...]], dict[int, tuple[Header, Match]]] = {}
    for header in headers:
        match = _match(header, family, layout, quantized)
        taken = joined.setdefault((match.rule, match.targets), {})
        if match.targets and match.place in taken:
            raise _both(header, taken[match.place][0], match.targets[0])
        taken[match.place] = header, match
    sources: dict[str, Source] = {}
    for (rule, targets), taken in joined.items():
        for piece, target in enumerate(targets):
            source = _source(rule, taken, piece, target)
            if target in sources:
                raise _both(source.headers[0], sources[target].headers[0], target)
            sources[target] = source
    return sources


def _both(header: Header, other: Header, target: str) -> CheckpointError:
    return CheckpointError(f"{header.name} and {other.name} are both {target}")


def _match(header: Header, family: Family, layout: Layout, quantized: bool) -> Match:
    name, suffix = header.name, ""
    if quantized and quantize.is_scale(name):
        stem, _, suffix = name.rpartition(".")
        name, suffix = f"{stem}.weight", f".{suffix}"
    match = layout.match(name)
    if match is None:
        raise CheckpointError(
            f"{header.file.name}: the tensor {header.name} is not one of "
            f"{family.with_article} checkpoint in the {layout.name} layout"
        )
    may_be_packed = quantized and not suffix and len(header.shape) > 1 and match.rule.keeps_rows
    is_known = header.dtype in DTYPE_NAMES or (header.dtype == "U32" and may_be_packed)
    if (match.targets and not is_known) or 0 in header.shape:
        raise CheckpointError(
            f"{header.file.name}: the tensor {header.name} is {header.dtype} of {header.shape}: "
            f"not what {family.with_article} checkpoint holds"
        )
    targets = tuple(f"{target.removesuffix('.weight')}{suffix}" for target in match.targets)
    return replace(match, targets=targets) if suffix else match


def _source(
    rule: Rule, taken: Mapping[int, tuple[Header, Match]], piece: int, target: str
) -> Source:
    """What a target of a rule is made of. Errors: CheckpointError where that is not all there."""
    first, match = next(iter(taken.values()))
    count = max(taken) + 1 if rule.is_stack else len(rule.sources)
    missing = next((place for place in range(count) if place not in taken), None)
    if missing is not None:
        raise CheckpointError(f"{target} lacks its {match.name_at(missing)}")
    headers = tuple(taken[place][0] for place in range(count))
    for header in headers:
        if header.shape != headers[0].shape:
            raise CheckpointError(
                f"the tensor {header.name} has the shape {header.shape}, "
                f"{headers[0].name} has {headers[0].shape}"
            )
    try:
        shape = rule.shape(first.shape, count)
    except (ValueError, IndexError) as error:
        raise CheckpointError(
            f"the tensor {first.name} has the shape {first.shape}, which makes no {target}"
        ) from error
    return Source(first.dtype, shape, headers, rule, piece)


def _layout_name(layout: Layout, sources: Mapping[str, Source]) -> str:
    if any(
        [(header.name, header.shape) for header in source.headers] != [(name, source.shape)]
        for name, source in sources.items()
    ):
        return layout.name
    first = next(iter(sources.values())).headers[0].file
    if first.name.startswith("model") and is_written_for_mlx(first):
        return OWN_LAYOUT
    return layout.name_in_mlx or layout.name
