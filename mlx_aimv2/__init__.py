"""Apple's AIMv2 vision encoders on a Mac, with MLX."""

from . import blas

blas.preload()
