"""One tensor: a fingerprint of its values, what is wrong with them, how those of a copy differ."""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.checkpoints import quantize
from mlx_aimv2.checkpoints.safetensors_file import DTYPE_NAMES, Spec, to_bits
from mlx_aimv2.checkpoints.weights import Weights

Floats = NDArray[np.float32]

_SAMPLE = 1 << 16  # values that tell a tensor's scale
_OUTLIER = 5000  # times the median: published weights stay far below, a flipped exponent far above
_HALVES = 2.0**-8  # of a value: float16 against bfloat16, each rounded from one value
_SMALLEST = 2.0**-24  # float16's step next to zero
_PARTS = ("packed words", "scales", "biases")
_STEPS = 1.02  # a quantised value is within a step of its scale, which is rounded itself
PACKED = "packed"
SAME = "all values are the same"

_NAME = re.compile(r"(?:(image|text)_encoder\.)?(?:trunk\.blocks\.(\d+)\.)?(.+)")


@dataclass(frozen=True)
class Tensor:
    """What is known of one tensor in our layout.

    ``sha256`` is that of its values as float32, little-endian, in rows: equal for the same
    weights in every layout, and in a wider precision than they were rounded to. ``dtype`` is what
    it is stored in, "packed" for quantised bits, whose own bits are hashed.
    """

    dtype: str
    shape: tuple[int, ...]
    sha256: str
    largest: float
    defects: tuple[str, ...] = ()


def examine(weights: Weights) -> Iterator[tuple[str, Tensor]]:
    """Every tensor on disk by our names, one in memory at a time; packed, in its dense shape."""
    logical = weights.logical_shapes()
    for name, array in weights.read(sorted(weights.sources)):
        bits, shape = to_bits(array), tuple(array.shape)
        if array.dtype == mx.uint32:
            yield name, Tensor(PACKED, logical[name], hashlib.sha256(bits.data).hexdigest(), 0.0)
        else:
            yield name, _of_values(stored_dtype(array), shape, bits)
        del array, bits  # before the next one is read


def dense(weights: Weights, name: str) -> mx.array:
    """One tensor, lazily, unpacked where it is quantised."""
    with mx.stream(mx.cpu):
        return next(weights.read_dense([name]))[1]


def widened(bits: NDArray[Any], dtype: str) -> Floats:
    """Stored bits as float32, without loss. Shapes: (n,) -> (n,)."""
    if dtype == "float32":
        return bits.view(np.float32)
    if dtype == "float16":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def stored_dtype(array: mx.array) -> str:
    """The name of an array's precision."""
    return DTYPE_NAMES[Spec.of(array).dtype]


def block_of(name: str) -> str | None:
    """The block a tensor belongs to: "block 7", or "image block 7" where there are two towers."""
    tower, number, _ = _parts(name)
    return None if number is None else " ".join(filter(None, (tower, "block", number)))


def placed(name: str) -> str:
    """A tensor as a person looks for it: "block 7: attn.proj.weight"."""
    tower, _, rest = _parts(name)
    return f"{block_of(name) or tower or 'model'}: {rest}"


def order(name: str) -> tuple[str, int, str]:
    """Sorts tensors as the model has them: by tower, block number and name."""
    tower, number, rest = _parts(name)
    return tower or "", -1 if number is None else int(number), rest


def at(shape: tuple[int, ...], index: int) -> str:
    """A place in a tensor: "[3, 17]"."""
    return str([int(i) for i in np.unravel_index(index, shape)])


def _parts(name: str) -> tuple[str | None, str | None, str]:
    match = _NAME.fullmatch(name)
    assert match  # any text fits
    return match[1], match[2], match[3]


def _of_values(dtype: str, shape: tuple[int, ...], bits: NDArray[Any]) -> Tensor:
    values = widened(bits, dtype)
    sizes = np.abs(values)
    is_finite = np.isfinite(sizes)
    digest = hashlib.sha256(values.astype("<f4", copy=False).data).hexdigest()
    del values
    sizes[~is_finite] = 0
    largest = float(sizes.max())
    defects = tuple(_defects(shape, bits, sizes, is_finite))
    return Tensor(dtype, shape, digest, largest, defects)


def _defects(
    shape: tuple[int, ...], bits: NDArray[Any], sizes: Floats, is_finite: NDArray[np.bool_]
) -> Iterator[str]:
    """``sizes`` are without signs, and 0 where they are not finite."""
    if count := int((~is_finite).sum()):
        first = at(shape, int(is_finite.argmin()))
        yield f"{count:,} of {len(bits):,} values are NaN or infinite, first at {first}"
    if len(bits) > 1 and (bits == bits[0]).all():
        yield SAME
        return
    if empty := _empty_rows(shape, bits):
        yield f"{empty:,} of {len(bits) // math.prod(_row(shape)):,} rows are all zero"
    step = max(1, len(bits) // _SAMPLE)
    sample = sizes[::step][is_finite[::step]]
    scale = float(np.median(sample)) if len(sample) else 0.0
    index = int(sizes.argmax())
    largest = float(sizes[index])
    if scale and largest > _OUTLIER * scale:
        where = at(shape, index)
        yield f"one value is {largest / scale:.3g} times the usual: {largest:.4g} at {where}"


def _empty_rows(shape: tuple[int, ...], bits: NDArray[Any]) -> int:
    if len(shape) < 2:
        return 0
    magnitudes = bits.reshape(-1, math.prod(_row(shape))) << 1  # without the sign
    return int((~magnitudes.any(axis=1)).sum())


def _row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row: of a convolution one filter, of anything else the last axis."""
    return shape[1:] if len(shape) == 4 else shape[-1:]


@np.errstate(invalid="ignore", over="ignore")  # NaN and infinity are values like any other here
def difference(ours: Weights, theirs: Weights, name: str) -> str | None:
    """How two checkpoints differ in a tensor, None where they do not.

    Values of different precisions are held against each other as far as the narrower one can
    tell: float32 is rounded to it, and a quantised weight may be a step of its scale away. Two
    that are quantised alike have to be equal bit by bit.
    """
    if _are_packed_alike(ours, theirs, name):
        return _packed_difference(ours, theirs, name)
    here, there = dense(ours, name), dense(theirs, name)
    steps = _steps(ours, name) + _steps(theirs, name)
    dtypes = {here.dtype, there.dtype}
    if not np.any(steps) and mx.float32 in dtypes:
        narrow = min(dtypes, key=lambda dtype: dtype.size)
        with mx.stream(mx.cpu):
            here, there = here.astype(narrow), there.astype(narrow)
    one, other = _values(here), _values(there)
    differs = one.view(np.uint32) != other.view(np.uint32)
    if here.dtype != there.dtype or np.any(steps):
        differs &= ~(np.abs(one - other) <= _STEPS * steps + _HALVES * np.abs(other) + _SMALLEST)
    indices = np.flatnonzero(differs)
    if not len(indices):
        return None
    first = int(indices[0])
    return (
        f"differs in {len(indices):,} of {one.size:,} values (first at {at(here.shape, first)}; "
        f"{other[first]:.6g} there, {one[first]:.6g} here)"
    )


def _are_packed_alike(ours: Weights, theirs: Weights, name: str) -> bool:
    """Whether both are packed, in the same bits, groups and precision of the scales."""
    groups = [quantize.group(name, weights.sources) for weights in (ours, theirs)]
    if ours.quantization != theirs.quantization or any(len(group) == 1 for group in groups):
        return False
    here, there = (_arrays(weights, name) for weights in (ours, theirs))
    return [(a.dtype, a.shape) for a in here] == [(a.dtype, a.shape) for a in there]


def _packed_difference(ours: Weights, theirs: Weights, name: str) -> str | None:
    found = []
    pairs = zip(_PARTS, _arrays(ours, name), _arrays(theirs, name), strict=True)
    for noun, here, there in pairs:
        indices = np.flatnonzero(to_bits(here) != to_bits(there))
        if len(indices):
            first = at(here.shape, int(indices[0]))
            found.append(f"{len(indices):,} of {here.size:,} {noun} (first at {first})")
    return f"is quantised alike and differs in {', '.join(found)}" if found else None


def _arrays(weights: Weights, name: str) -> list[mx.array]:
    """A packed weight, its scales and its biases, as they are stored."""
    return [array for _, array in weights.read(quantize.group(name, weights.sources))]


def _values(array: mx.array) -> Floats:
    """Shapes: any -> (number of values,)."""
    return widened(to_bits(array), stored_dtype(array))


def _steps(weights: Weights, name: str) -> NDArray[np.float32]:
    """The size of a quantised value's step, 0 for a dense tensor. Shapes: (number of values,)."""
    group = quantize.group(name, weights.sources)
    if len(group) == 1:
        return np.zeros(1, np.float32)
    (_, scales) = next(weights.read([group[1]]))
    recorded = weights.quantization or {}
    return np.abs(np.repeat(_values(scales), recorded["group_size"]))
