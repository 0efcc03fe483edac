"""Where the values of one tensor are not those of another: how many, and the first of them."""

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.checkpoints import quantize
from mlx_aimv2.checkpoints.safetensors_file import to_bits
from mlx_aimv2.checkpoints.weights import Weights

from .tensors import Floats, at, dense, stored_dtype, widened

_HALVES = 2.0**-8  # of a value: float16 against bfloat16, each rounded from one value
_SMALLEST = 2.0**-24  # float16's step next to zero
_PARTS = ("packed words", "scales", "biases")
_STEPS = 1.02  # a quantised value is within a step of its scale, which is rounded itself


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
