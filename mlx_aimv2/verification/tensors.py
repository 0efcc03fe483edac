"""One tensor: a fingerprint of its values, what is wrong with them, and where it belongs."""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.checkpoints.safetensors_file import DTYPE_NAMES, Spec, to_bits
from mlx_aimv2.checkpoints.weights import Weights

Floats = NDArray[np.float32]

_SLICE = 1 << 20  # values made float32 at once
_SAMPLE = 1 << 16  # values that tell a tensor's scale
_OUTLIER = 5000  # times the median: published weights stay far below, a flipped exponent far above
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
    slices = (widened(bits[i : i + _SLICE], dtype) for i in range(0, len(bits), _SLICE))
    digest, largest, at_most, bad = hashlib.sha256(), 0.0, 0, []
    for number, values in enumerate(slices):
        digest.update(values.astype("<f4", copy=False).data)
        sizes = np.abs(values)
        finite = np.isfinite(sizes)
        if not finite.all():
            bad.append((number * _SLICE + int(finite.argmin()), int((~finite).sum())))
            sizes = np.where(finite, sizes, 0)
        if sizes.max() > largest:
            largest, at_most = float(sizes.max()), number * _SLICE + int(sizes.argmax())
    sample = np.abs(widened(bits[:: max(1, len(bits) // _SAMPLE)].copy(), dtype))
    defects = tuple(_defects(shape, bits, sample, largest, at_most, bad))
    return Tensor(dtype, tuple(shape), digest.hexdigest(), largest, defects)


def _defects(
    shape: tuple[int, ...],
    bits: NDArray[Any],
    sample: Floats,
    largest: float,
    at_most: int,
    bad: list[tuple[int, int]],
) -> Iterator[str]:
    if bad:
        count, first = sum(number for _, number in bad), at(shape, bad[0][0])
        yield f"{count:,} of {len(bits):,} values are NaN or infinite, first at {first}"
    if len(bits) > 1 and (bits == bits[0]).all():
        yield SAME
        return
    if empty := _empty_rows(shape, bits):
        yield f"{empty:,} of {len(bits) // math.prod(_row(shape)):,} rows are all zero"
    finite = sample[np.isfinite(sample)]
    scale = float(np.median(finite)) if len(finite) else 0.0
    if scale and largest > _OUTLIER * scale:
        where = at(shape, at_most)
        yield f"one value is {largest / scale:.3g} times the usual: {largest:.4g} at {where}"


def _empty_rows(shape: tuple[int, ...], bits: NDArray[Any]) -> int:
    if len(shape) < 2:
        return 0
    magnitudes = bits.reshape(-1, math.prod(_row(shape))) << 1  # without the sign
    return int((~magnitudes.any(axis=1)).sum())


def _row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row: of a convolution one filter, of anything else the last axis."""
    return shape[1:] if len(shape) == 4 else shape[-1:]
