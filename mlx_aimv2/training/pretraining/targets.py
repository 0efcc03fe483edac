"""What is to be predicted of a patch."""

import mlx.core as mx

_EPS = 1e-6


def patch_targets(patches: mx.array) -> mx.array:
    """Each patch less its mean and by its standard deviation, over all its values together.

    Computed in float32, whatever the model computes in: in a flat patch the epsilon decides.
    Shapes: (B, I, P*P*3), kept.
    Units: patches of the normalised pixels that enter the encoder.
    Source: AIMv2 paper, section 2.1 (He et al., 2022); the variance is unbiased, as in Apple's
    ``RasterPixelLoss`` (apple/ml-l3m).
    """
    wide = mx.stop_gradient(patches).astype(mx.float32)
    mean = wide.mean(axis=-1, keepdims=True)
    variance = wide.var(axis=-1, keepdims=True, ddof=1)
    return (wide - mean) * mx.rsqrt(variance + _EPS)


def target_mask(prefix: mx.array, num_patches: int, lengths: mx.array | None = None) -> mx.array:
    """Which patches are predicted: those after the prefix, of padded images the real ones.

    Shapes: (B,) patches of the prefix, (B,) patches of the image -> (B, I) bool.
    """
    patch = mx.arange(num_patches)
    scored = patch >= prefix[:, None]
    return scored if lengths is None else scored & (patch < lengths[:, None])
