"""The prefix of an image: patches that see each other both ways, while the later ones look back."""

import mlx.core as mx
import numpy as np

from mlx_aimv2.errors import ImageError


def draw_prefix(random: np.random.Generator, num_patches: int) -> int:
    """A sample's prefix length M, uniformly from 1 to I - 1: some patch remains to be predicted.

    Errors: ImageError for an image of one patch.
    Source: apple/ml-l3m, ``prefix_range: [1, 255]`` of 256 patches, drawn for each sample.
    """
    if num_patches < 2:
        raise ImageError(f"{num_patches} patch has none after it that it could predict")
    return int(random.integers(1, num_patches))


def prefix_mask(prefix: mx.array, num_patches: int, lengths: mx.array | None = None) -> mx.array:
    """Which patches see which: those before them, themselves, and all of the prefix.

    ``prefix`` = I is full attention. ``lengths`` is given for padded images: nobody sees padding.
    Shapes: (B,), (B,) -> (B, 1, I, I) bool, queries before keys.
    Source: AIMv2 paper, section 2.2.
    """
    patch = mx.arange(num_patches)
    causal = patch[:, None] >= patch
    seen = causal | (patch < prefix[:, None, None])
    if lengths is not None:
        seen = seen & (patch < lengths[:, None, None])
    return seen[:, None]
