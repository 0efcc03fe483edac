"""The golden files: tensors that Apple's own modules made; they are part of the package."""

from mlx_aimv2.verification.golden import load_golden, nhwc

__all__ = ["load_golden", "nhwc"]
