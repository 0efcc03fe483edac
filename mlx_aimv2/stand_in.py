"""A published checkpoint that is not here, as random weights of its shape: to measure its speed."""

import os
from pathlib import Path

import mlx.core as mx

from . import blas, jit, worker
from .checkpoints import Checkpoint
from .cost import published_config
from .hub import Resolved
from .lit import Tower
from .loader import DTYPES, Loaded, build, default_dtype
from .model import Model
from .weights import Weights


def stand_in(checkpoint: Checkpoint, dtype: str | None = None) -> Model:
    """Its image tower; nothing is fetched, nothing is written."""
    nowhere = Path(os.devnull) / checkpoint.name
    chosen = dtype or default_dtype()
    tower: Tower | None = "image" if checkpoint.has_text else None

    def make() -> Loaded:
        blas.warn_once()
        jit.protect()
        network = build(published_config(checkpoint), tower)
        network.set_dtype(DTYPES[chosen])
        network.eval()
        mx.eval(network.parameters())
        weights = Weights(nowhere, "random", sources={}, shapes={}, config={})
        return Loaded(network, weights, tower, chosen, None, ())

    return Model(worker.run(make), Resolved(checkpoint.alias, nowhere, checkpoint.name))
