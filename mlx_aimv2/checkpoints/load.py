"""A folder to a ready network: sizes from its tensors, strict names, one dtype."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx

from mlx_aimv2 import device
from mlx_aimv2.cpu import blas, compile_cache
from mlx_aimv2.errors import CheckpointError, NumericsError, UsageError
from mlx_aimv2.models.aria.cost import PUBLISHED
from mlx_aimv2.models.aria.family import ARIA
from mlx_aimv2.models.aria.published import Checkpoint as AriaCheckpoint
from mlx_aimv2.models.network import Network, Tower
from mlx_aimv2.models.published import find
from mlx_aimv2.models.registry import build, embedding_network

from . import quantize
from .memory import check_room
from .weights import Weights, read_weights

DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
_UNPACKED_NOTE = (
    "{bits}-bit weights are unpacked on the CPU, where quantised products are slower than dense"
)
_MAX_GRID_SIDE = 128  # of patches: 16,384 an image, four times what any checkpoint was made for


@dataclass(frozen=True)
class Loaded:
    """A network ready to run, and what is known of where it came from."""

    network: Network
    weights: Weights
    tower: Tower | None
    dtype: str
    side_px: int | None
    notes: tuple[str, ...]


def load_checkpoint(
    folder: Path,
    *,
    tower: Tower | None = None,
    dtype: str | None = None,
    side_px: int | None = None,
    is_dense: bool = False,
) -> Loaded:
    """Load a checkpoint folder of any layout, or one tower of it.

    ``dtype`` is one of float32, float16, bfloat16 (default: what suits the device);
    ``side_px`` resamples the position table for another side than the checkpoint's, a multiple
    of its patch; ``is_dense`` unpacks quantised weights on every device.
    Errors: CheckpointError for anything missing, left over or mis-shaped, by name; UsageError
    for a tower or an option that this checkpoint does not have.
    """
    if tower not in (None, "image", "text"):
        raise UsageError(f"unknown tower {tower!r}", hint="image, text, or leave it out for both")
    blas.warn_once()
    compile_cache.protect()
    weights = read_weights(folder)
    network = build(weights.config, tower)
    chosen = dtype or device.default_dtype(weights.family.half)
    if chosen not in DTYPES:
        raise UsageError(f"unknown dtype {chosen}", hint=f"one of: {', '.join(DTYPES)}")
    notes = _fill(network, weights, DTYPES[chosen], tower, is_dense=is_dense)
    if side_px is not None:
        notes = (*notes, *_resample(network, side_px))
    network.eval()
    return Loaded(network, weights, tower, chosen, side_px, notes)


def check_published(source: object, dtype: str | None) -> None:
    """Errors: CheckpointError for the name of a published Aria that is larger than memory.

    It need not be here: nothing is fetched for this.
    """
    published = find(source.partition("@")[0]) if isinstance(source, str) else None
    if isinstance(published, AriaCheckpoint):
        chosen = DTYPES.get(dtype or device.default_dtype(ARIA.half), mx.float32)
        check_room(published.alias, PUBLISHED, chosen)


def empty_network(weights: Weights) -> Network:
    """The whole network that the tensors are for, its weights not set yet.

    Errors: CheckpointError naming the tensors that are missing, left over or mis-shaped.
    """
    network = build(weights.config)
    _check_coverage(network, weights.logical_shapes())
    return network


def _fill(
    network: Network, weights: Weights, dtype: mx.Dtype, tower: Tower | None, *, is_dense: bool
) -> tuple[str, ...]:
    """Read the tensors this network has into it, one by one; returns what a user should know."""
    family, recorded = weights.family, weights.quantization
    is_on_cpu = device.is_cpu() and not family.is_large
    unpacks = is_on_cpu or is_dense
    if family.is_large:
        check_room(str(weights.folder), weights.config, dtype, recorded)
    others = tuple(start for name, start in family.towers.items() if tower not in (None, name))
    names = [name for name in weights.sources if not name.startswith(others)]
    if recorded and not unpacks:
        quantize.prepare(network, recorded, names)
    found = weights.logical_shapes() if unpacks else weights.shapes
    _check_coverage(network, {name: found[name] for name in names if name in found})
    stays_narrow = device.is_cpu() and dtype == mx.float32
    is_narrow = dtype == mx.float16 and family.half != "float16"
    arrays = weights.read_dense(names) if unpacks else weights.read(names)

    def cast(name: str, array: mx.array) -> mx.array:
        # Evaluated one by one: the array read from disk goes as soon as its cast is there.
        is_kept = stays_narrow and name.startswith(family.narrow) and name.endswith(".weight")
        if array.dtype != mx.uint32 and not is_kept:
            array = array.astype(mx.float32 if name in family.float32 else dtype)
        if is_narrow and not mx.isfinite(array).all():
            raise NumericsError(
                f"the tensor {name} has values that do not fit float16",
                options={"dtype bfloat16": "keep their range"},
            )
        mx.eval(array)
        return array

    network.load_weights([(name, cast(name, array)) for name, array in arrays])
    return (_UNPACKED_NOTE.format(**recorded),) if recorded and is_on_cpu else ()


def _check_coverage(network: Network, found: Mapping[str, tuple[int, ...]]) -> None:
    expected = {name: array.shape for name, array in network.flat_parameters().items()}
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    if missing or extra:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += [f"not part of this model: {', '.join(extra)}"] if extra else []
        raise CheckpointError(f"tensors {'; '.join(parts)}", hint="fetch the checkpoint again")
    for name, shape in found.items():
        if shape != expected[name]:
            raise CheckpointError(
                f"the tensor {name} has the shape {shape}, this model needs {expected[name]}"
            )


def check_side(side_px: int, patch_size: int) -> None:
    """Errors: UsageError for a side that is too large, or no multiple of the patch."""
    largest_px = _MAX_GRID_SIDE * patch_size
    if side_px > largest_px:
        raise UsageError(
            f"a side of {side_px} px is too large: at most {largest_px}",
            hint="tile the images, or load native, which takes large images as they are",
        )
    if side_px % patch_size:
        # The patches of such a side leave out a rim of the picture.
        below = side_px // patch_size * patch_size
        sides = [side for side in (below, below + patch_size) if side > 0]
        raise UsageError(
            f"a side of {side_px} px is no multiple of the patch, {patch_size} px",
            hint=f"nearest are {' and '.join(map(str, sides))}",
        )


def _resample(network: Network, side_px: int) -> tuple[str, ...]:
    embedding = embedding_network(network)
    encoder = embedding.vision
    if encoder is None or encoder.config.is_native:
        raise UsageError(
            "only an image tower of a fixed side can be given another one",
            hint="leave the side out: a native checkpoint takes any, a text tower none",
        )
    published = encoder.config.image_size
    if side_px == published:
        return ()
    check_side(side_px, encoder.config.patch_size)
    embedding.resample_positions(side_px)
    mx.eval(network.parameters())
    return (
        f"a {published} px checkpoint at {side_px} px: expect worse features (AIMv2 paper, "
        "Table 6: the 448 model at 224 px falls from 87.9 to 78.9)",
    )
