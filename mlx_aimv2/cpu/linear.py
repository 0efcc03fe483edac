"""A linear layer that MLX's CPU backend computes fast for a single row, as of one token.

OpenBLAS copies a matrix into another order before it multiplies, which pays for many rows; for one
it takes longer than the product. It does not do so for products that are small, so a large one is
made of several.
"""

import mlx.core as mx
from mlx import nn

from .kernels import is_used

# Source: OpenBLAS, sgemm_small_kernel_permit: 100³ multiplications at most.
_LARGEST = 1_000_000
_LEAST_COLUMNS = 64  # of a part: below it there would be too many


class Linear(nn.Linear):
    """``nn.Linear``; with one row its columns are computed in parts."""

    def __call__(self, x: mx.array) -> mx.array:
        """Shapes: (..., in) -> (..., out)."""
        columns, width = self.weight.shape
        parts = -(-columns * width // _LARGEST)
        if x.size != width or parts == 1 or not is_used(x):
            return super().__call__(x)
        while columns % parts:
            parts += 1
        if columns // parts < _LEAST_COLUMNS:
            return super().__call__(x)
        weight = self.weight.reshape(parts, -1, width).swapaxes(1, 2)  # (parts, in, out / parts)
        out = (x.reshape(1, width) @ weight).reshape(*x.shape[:-1], columns)
        return out + self.bias if "bias" in self else out
