"""Checkpoints in this process, for tests of what is done with vectors: no encoder runs.

A vector is drawn at random for each content and each text, and is another one for each checkpoint.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.images import MAX_PIXELS
from mlx_aimv2.inference.records import Sample
from mlx_aimv2.library.indexing import preparation
from mlx_aimv2.library.search_model import SearchModel
from mlx_aimv2.models.aimv2.cost import published_config
from mlx_aimv2.models.aimv2.published import find

Floats = NDArray[np.float32]

WIDTH = 16


class StandIn:
    """A checkpoint by any name, as far as an index asks it."""

    logit_scale = 100.0

    def __init__(self, source: str, **options: object) -> None:
        self.source = source
        self.config = published_config(found) if (found := find("lit")) else None

    def plan(self, options: object) -> Any:
        return SimpleNamespace(
            options=SimpleNamespace(max_pixels=MAX_PIXELS), shrink=None, fit=lambda each: (None, "")
        )

    def samples(
        self, plan: object, paths: Iterable[str], read: Callable[[Sample], None]
    ) -> Iterator[Sample]:
        for number, path in enumerate(paths):
            sample = Sample(number, path)
            try:
                read(sample)
            except Aimv2Error as error:
                sample.error = error
            else:
                sample.embedding = _drawn(self.source, [sample.facts.hash])[0]
            yield sample

    def metadata(self, options: object) -> dict[str, object]:
        preprocessing = {"preset": "hub", "max_patches": None, "decode": "exact"}
        made_by = {"checkpoint": self.source, "width": WIDTH, "preprocessing": preprocessing}
        return made_by | {"fingerprint": self.source, "kind": "image"}


def use_stand_ins(patch: pytest.MonkeyPatch) -> None:
    """From now on the names of checkpoints mean stand-ins."""

    def identify(source: str, *arguments: object) -> tuple[str, object]:
        return json.dumps({"checkpoint": source}), StandIn(source).config

    def texts(self: SearchModel, texts: list[str]) -> Floats:
        return _drawn(self._vectors.source, [text.encode() for text in texts])

    def drawn(self: SearchModel, name: str, number: int, draw: object) -> Floats:
        return texts(self, [f"{name} {at}" for at in range(number)])

    patch.setattr(preparation, "identify", identify)
    patch.setattr("mlx_aimv2.inference.model.load", StandIn)
    patch.setattr(SearchModel, "texts", texts)
    patch.setattr(SearchModel, "drawn", drawn)


def _drawn(source: str, contents: list[bytes]) -> Floats:
    """Unit vectors. Shapes: n -> (n, WIDTH)."""
    seeds = (zlib.crc32(source.encode() + each) for each in contents)
    rows = np.stack([np.random.default_rng(seed).standard_normal(WIDTH) for seed in seeds])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
