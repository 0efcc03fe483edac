"""Small random networks in memory, every kind and dtype, and what tests ask of them."""

import mlx.core as mx
import numpy as np
from mlx import nn

from mlx_aimv2.checkpoints import quantize
from mlx_aimv2.checkpoints.load import DTYPES
from mlx_aimv2.models.aimv2.config import complete_config
from mlx_aimv2.models.aimv2.layers import patchify
from mlx_aimv2.models.aimv2.lit import LiT
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.models.registry import build
from tests.support.makers import (
    VISION,
    Tensors,
    lit_config,
    random_lit,
    random_vision,
    to_apple_mlx,
    vision_config,
)

SIDE, PATCH, WIDTH = VISION["side"], VISION["patch"], VISION["width"]
BLOCKS = VISION["blocks"]
GRIDS = [(2, 7), (1, 1), (5, 3), (3, 4)]


def filled(tensors: Tensors, config: dict[str, object], dtype: str) -> VisionEncoder | LiT:
    """A network of these tensors (Apple's torch layout), without a file in between."""
    ours = to_apple_mlx(tensors)
    network = build(complete_config({name: array.shape for name, array in ours.items()}, config))
    arrays = {name: mx.array(array).astype(DTYPES[dtype]) for name, array in ours.items()}
    if isinstance(network, LiT):  # as the loader keeps it
        arrays["log_logit_scale"] = mx.array(ours["log_logit_scale"])
    network.load_weights(list(arrays.items()))
    return network


def quantized(network: nn.Module, bits: int, group_size: int) -> dict[str, int]:
    """Quantise a network in place, all at once; returns what ``config.json`` records."""
    chosen = quantize.chosen_layers(network, bits, group_size)
    nn.quantize(network, group_size, bits, class_predicate=lambda path, _module: path in chosen)
    return quantize.record(bits, group_size)


def vision(*, native: bool = False, head: bool = False, dtype: str = "float32") -> VisionEncoder:
    return filled(random_vision(native=native, head=head), vision_config(native=native), dtype)


def lit(dtype: str = "float32") -> LiT:
    return filled(random_lit(), lit_config(), dtype)


def pixels(*shape: int, seed: int = 0) -> mx.array:
    """Normalised float32 images. Shapes: (B, H, W) -> (B, H, W, 3)."""
    return mx.array(np.random.default_rng(seed).standard_normal((*shape, 3)).astype(np.float32))


def images_of(grids, seed: int = 0) -> list[mx.array]:
    """An image for each grid of patches. Shapes: each (1, rows * PATCH, columns * PATCH, 3)."""
    return [
        pixels(1, rows * PATCH, columns * PATCH, seed=seed + i)
        for i, (rows, columns) in enumerate(grids)
    ]


def padded(images: list[mx.array], length: int, filler: float = 0.0) -> mx.array:
    """Images as one batch of patches, each filled up. Shapes: (images, length, 3 * PATCH**2)."""
    rows = [patchify(image, PATCH) for image in images]
    pads = [[(0, 0), (0, length - row.shape[1]), (0, 0)] for row in rows]
    return mx.concatenate(
        [mx.pad(row, pad, constant_values=filler) for row, pad in zip(rows, pads, strict=True)]
    )


def to_numpy(array: mx.array) -> np.ndarray:
    return np.array(array.astype(mx.float32))


def assert_close(actual: mx.array, expected: mx.array | np.ndarray, tolerance: float) -> None:
    expected = to_numpy(expected) if isinstance(expected, mx.array) else expected
    np.testing.assert_allclose(to_numpy(actual), expected, rtol=0, atol=tolerance)


def assert_same(actual: mx.array, expected: mx.array) -> None:
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(to_numpy(actual), to_numpy(expected))


def product_dtypes(function, *inputs: mx.array) -> set[mx.Dtype]:
    """Dtypes of everything that goes into or comes out of the matrix products of a function."""
    primitives: list[dict] = []
    mx.export_function(primitives.append, function, *inputs)
    return {
        dtype
        for primitive in primitives
        if primitive.get("name") in ("Matmul", "AddMM", "Softmax", "ScaledDotProductAttention")
        for _, _, dtype in primitive["inputs"] + primitive["outputs"]
    }
