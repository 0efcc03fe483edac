"""A published checkpoint that is not here, as random weights of its shape: to measure its speed."""

import os
from pathlib import Path

import mlx.core as mx

from mlx_aimv2 import device
from mlx_aimv2.checkpoints.hub import Resolved
from mlx_aimv2.checkpoints.load import DTYPES, Loaded
from mlx_aimv2.checkpoints.weights import Weights
from mlx_aimv2.cpu import blas, compile_cache
from mlx_aimv2.inference import mlx_thread
from mlx_aimv2.inference.model import Model
from mlx_aimv2.models.aimv2.cost import published_config
from mlx_aimv2.models.aimv2.family import AIMV2
from mlx_aimv2.models.aimv2.published import Checkpoint
from mlx_aimv2.models.network import Tower


def stand_in(checkpoint: Checkpoint, dtype: str | None = None) -> Model:
    """Its image tower; nothing is fetched, nothing is written."""
    nowhere = Path(os.devnull) / checkpoint.name
    chosen = dtype or device.default_dtype()
    tower: Tower | None = "image" if checkpoint.has_text else None

    def make() -> Loaded:
        blas.warn_once()
        compile_cache.protect()
        network = AIMV2.network(published_config(checkpoint), tower)
        network.set_dtype(DTYPES[chosen])
        network.eval()
        mx.eval(network.parameters())
        weights = Weights(nowhere, AIMV2, "random", sources={}, stated={})
        return Loaded(network, weights, tower, chosen, None, ())

    return Model(mlx_thread.run(make), Resolved(checkpoint.alias, nowhere, checkpoint.name))
