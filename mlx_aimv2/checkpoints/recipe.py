"""What is done to each weight on its way from one folder to another.

Each is read and converted by itself, on the CPU: every machine makes the same bytes, and memory
stays at two to three times the largest weight. Measured above what the program itself takes:
40 to 60 MB for 310 MB of L blocks, 250 MB for the published token table (151 MB) to float16.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import mlx.core as mx

from mlx_aimv2.errors import CheckpointError, NumericsError, UsageError
from mlx_aimv2.models.family import Family

from . import quantize
from .load import DTYPES, empty_network
from .safetensors_file import DTYPE_NAMES, Spec, to_bits
from .weights import Weights

Arrays = dict[str, mx.array]

_EXPONENT_BITS = {mx.float32: 0x7F800000, mx.bfloat16: 0x7F80, mx.float16: 0x7C00}
_SLICE = 2**18  # values tested at once: a copy that stays in the cache


@dataclass(frozen=True)
class Recipe:
    """What to do; ``dtype`` is that of whatever is not packed, None as it is on disk.

    ``layout`` is the one to write, ours where it is None.
    Errors: UsageError where it contradicts itself.
    """

    quantize_bits: int | None = None
    group_size: int = 64
    dtype: str | None = None
    dequantize: bool = False
    layout: str | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise UsageError(f"unknown dtype {self.dtype}", hint=f"one of: {', '.join(DTYPES)}")
        if self.quantize_bits is not None:
            quantize.check_sizes(self.quantize_bits, self.group_size)
            if self.dequantize:
                raise UsageError("quantise or dequantise: not both", hint="leave out -q or -d")
            if self.layout is not None:
                raise UsageError(
                    f"{self.layout} reads no weights that MLX has quantised", hint="leave out -q"
                )

    def check(self, family: Family, recorded: Mapping[str, Any] | None) -> None:
        """Errors: UsageError where it does not suit a source, ``recorded`` as quantised."""
        if self.layout is not None and self.layout not in family.written:
            known = ", ".join(family.written) or "none"
            raise UsageError(
                f"{family.with_article} checkpoint is not written for {self.layout}",
                hint=f"there is this project's own layout; others: {known}",
            )
        if recorded and self.layout is not None and not self.dequantize:
            raise UsageError(
                f"the source is quantised, and {self.layout} reads no such weights",
                hint="unpack it: add -d",
            )
        if recorded and self.quantize_bits is not None:
            raise UsageError(
                f"the source is quantised already, to {recorded['bits']} bits",
                hint="convert the original, or undo it first: -d",
            )
        if self.dequantize and not recorded:
            raise UsageError("the source is not quantised", hint="leave out -d")


@dataclass(frozen=True)
class Conversion:
    """A recipe for one checkpoint; ``chosen`` are the weights that get quantised."""

    weights: Weights
    recipe: Recipe
    quantization: Mapping[str, Any] | None
    chosen: frozenset[str]

    @classmethod
    def of(cls, weights: Weights, recipe: Recipe) -> "Conversion":
        """The conversion, once all tensors are known to be there and the recipe to suit them.

        Errors: UsageError for the recipe, CheckpointError for the tensors, by name.
        """
        recorded = weights.quantization
        recipe.check(weights.family, recorded)
        network = empty_network(weights)
        if recipe.quantize_bits is None:
            kept = None if recipe.dequantize else recorded
            return cls(weights, recipe, kept, frozenset())
        layers = quantize.chosen_layers(network, recipe.quantize_bits, recipe.group_size)
        record = quantize.record(recipe.quantize_bits, recipe.group_size)
        return cls(weights, recipe, record, frozenset(f"{path}.weight" for path in layers))

    @cached_property
    def specs(self) -> dict[str, Spec]:
        """What will be written, in its order, known without reading any value."""
        return {
            name: Spec.of(array)
            for _, converted in self._steps()
            for name, array in converted.items()
        }

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors that will be written."""
        return sum(spec.size_bytes for spec in self.specs.values())

    def arrays(
        self, on_weight: Callable[[int, int], None] | None = None
    ) -> Iterator[tuple[str, mx.array]]:
        """The tensors to write, one by one; ``on_weight`` is told how many weights are done.

        Errors: CheckpointError or NumericsError for a weight with a value that is not finite.
        """
        total = len(self._groups)
        for done, (stored, converted) in enumerate(self._steps(), 1):
            _check_finite(stored, converted)
            yield from converted.items()
            if on_weight is not None:
                on_weight(done, total)

    @cached_property
    def _groups(self) -> list[tuple[str, ...]]:
        sources = self.weights.sources
        names = sorted(name for name in sources if not quantize.is_scale(name))
        return [quantize.group(name, sources) for name in names]

    def _steps(self) -> Iterator[tuple[Arrays, Arrays]]:
        """Every weight with its scales, as stored and as written; nothing is evaluated yet."""
        arrays = self.weights.read(name for group in self._groups for name in group)
        for group in self._groups:
            with mx.stream(mx.cpu):
                stored = dict(islice(arrays, len(group)))
                converted = self._convert(group[0], stored)
                converted = self._renamed(converted)
            yield stored, converted

    def _convert(self, name: str, stored: Arrays) -> Arrays:
        if self.recipe.dequantize and len(stored) > 1:
            weight, scales, biases = stored.values()
            recorded = self.weights.quantization or {}
            stored = {name: quantize.dequantize(weight, scales, biases, recorded)}
        cast = {part: self._cast(part, array) for part, array in stored.items()}
        if name in self.chosen and self.quantization:
            return quantize.pack(name, cast[name], self.quantization)
        return cast

    def _renamed(self, arrays: Arrays) -> Arrays:
        """Arrays by the names that the recipe's layout has for them, cut and turned as there."""
        if self.recipe.layout is None:
            return arrays
        layout = self.weights.family.written[self.recipe.layout]
        renamed: Arrays = {}
        for name, array in arrays.items():
            match = layout.match(name)
            assert match is not None, f"{layout.name} has no name for {name}"
            renamed |= {
                target: match.rule.tensor([array], piece)
                for piece, target in enumerate(match.targets)
            }
        return renamed

    def _cast(self, name: str, array: mx.array) -> mx.array:
        if self.recipe.dtype is None or array.dtype == mx.uint32:
            return array
        keeps_float32 = name in self.weights.family.float32
        return array.astype(mx.float32 if keeps_float32 else DTYPES[self.recipe.dtype])


def _check_finite(stored: Arrays, converted: Arrays) -> None:
    for name, array in stored.items():
        if not _is_finite(array):
            raise CheckpointError(
                f"the tensor {name} of the source holds NaN or infinity",
                hint="fetch the checkpoint again",
            )
    for name, array in converted.items():
        if not _is_finite(array):
            dtype = DTYPE_NAMES[Spec.of(array).dtype]
            raise NumericsError(
                f"the tensor {name} has values that do not fit {dtype}",
                hint="--dtype bfloat16 has the range of float32",
            )


def _is_finite(array: mx.array) -> bool:
    """Whether no exponent is all ones; ten times as fast as MLX's own test on a CPU."""
    if array.dtype == mx.uint32:
        return True
    mask, bits = _EXPONENT_BITS[array.dtype], to_bits(array)
    slices = (bits[start : start + _SLICE] for start in range(0, len(bits), _SLICE))
    return all((part & mask).max() != mask for part in slices)
