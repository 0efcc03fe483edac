"""The checkpoint behind a set of vectors: told apart without loading it, loaded when needed."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.files.checkpoint_files import TAGS_FILE
from mlx_aimv2.files.paths import absolute
from mlx_aimv2.files.stamp import stamp_of
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference.image_options import Decoding, Dtype
from mlx_aimv2.models.aimv2.published import Checkpoint
from mlx_aimv2.models.published import find
from mlx_aimv2.texts.truncation import Cut

from .database.folders import known_path
from .database.store import Store
from .database.vectors import VectorSet
from .text_cache import TextCache

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Confirm
    from mlx_aimv2.inference.model import Model
    from mlx_aimv2.models.network import EmbeddingConfig

Floats = NDArray[np.float32]


def source_of(source: str) -> str:
    """A source that means the same from every folder."""
    if source == "demo" or find(source.partition("@")[0]) or not os.path.isdir(source):  # noqa: PTH112  (no error for a long text)
        return source
    return absolute(source)


def tags_of(source: str) -> Path | None:
    """The list of tags that a checkpoint comes with: the demo's, or one in a folder of yours."""
    from mlx_aimv2.checkpoints.hub import DEMO, resolve  # noqa: PLC0415

    folder = resolve(DEMO).folder if source == DEMO else Path(source)
    if not folder.is_absolute():
        return None  # a name on the hub: published checkpoints have no tags
    file = folder / TAGS_FILE
    return file if file.is_file() else None


def identify(
    source: str,
    preset: str,
    max_patches: int | None,
    decode: Decoding = "exact",
    confirm: "Confirm | None" = None,
) -> "tuple[str, EmbeddingConfig]":
    """The key of vectors made by a checkpoint with these options, and its config.

    Told from the headers of its files. ``max_patches`` counts for a native checkpoint only.
    """
    from mlx_aimv2.checkpoints.embedders import resolve_embedder  # noqa: PLC0415
    from mlx_aimv2.checkpoints.weights import read_weights  # noqa: PLC0415  (MLX)
    from mlx_aimv2.models.registry import embedding_config  # noqa: PLC0415

    resolved = resolve_embedder(source, confirm=confirm)
    weights = read_weights(resolved.folder)
    config = embedding_config(weights.config)
    key: dict[str, object] = {
        "checkpoint": resolved.name,
        "revision": resolved.revision,
        "fingerprint": weights.fingerprint(),
        "preset": preset,
        "max_patches": max_patches if config.vision_config.is_native else None,
    }
    if decode != "exact":  # the key of exact vectors is older than the choice
        key["decode"] = decode
    return json.dumps(key, sort_keys=True), config


def absent(source: str) -> Checkpoint | None:
    """The published checkpoint of that name, at a revision if one is said, that is not cached."""
    from mlx_aimv2.checkpoints.hub import cached  # noqa: PLC0415

    name, _, revision = source.partition("@")
    checkpoint = find(name)
    if not isinstance(checkpoint, Checkpoint):
        return None
    asked = replace(checkpoint, revision=revision or checkpoint.revision)
    return asked if cached(asked) is None else None


# Searches of several threads would each have a model of gigabytes in memory.
_one_at_a_time = threading.RLock()


Towers = dict[str | None, "Model"]


class SearchModel:
    """Vectors of queries by a set's checkpoint; loaded when the first one is not known yet.

    ``towers`` are those that are loaded already; those that will be are added.
    """

    def __init__(
        self,
        store: Store,
        vectors: VectorSet,
        *,
        cache: TextCache | None = None,
        dtype: Dtype | None = None,
        confirm: "Confirm | None" = None,
        towers: Towers | None = None,
    ) -> None:
        self._store = store
        self._vectors = vectors
        self._cache = cache or TextCache()
        self._dtype = dtype
        self._confirm = confirm
        self._towers = {} if towers is None else towers
        self.cuts: list[Cut] = []

    def texts(self, texts: list[str]) -> Floats:
        """Unit vectors, from the cache where it has them; ``cuts`` gets the texts that were cut.

        Shapes: n -> (n, P).
        """

        def embed(missing: list[str]) -> Floats:
            with _one_at_a_time:
                vectors, cuts = self._tower("text").embed_and_cut(missing)
            kept = [[0 if cut is None else cut.kept] for cut in cuts]
            return np.concatenate([np.array(vectors), np.array(kept, np.float32)], axis=1)

        # Behind each vector stands how many characters it was made of, 0 for all: a text from the
        # cache is told to be cut as well, without its tokenizer.
        width = self._vectors.width + 1
        rows = self._cache.embed(texts, self._vectors.fingerprint, embed, width)
        kept = rows[:, -1].astype(int).tolist()
        self.cuts += [Cut(text, at) for text, at in zip(texts, kept, strict=True) if at]
        return rows[:, :-1]

    def images(self, images: Sequence[ImageSource]) -> Floats:
        """Unit vectors, the library's own of a path where it has them. Shapes: n -> (n, P)."""
        known = [self._known(each) if isinstance(each, str) else None for each in images]
        unknown = [each for each, row in zip(images, known, strict=True) if row is None]
        made: Iterator[Floats] = iter(())
        if unknown:
            preprocessing = self._vectors.settings["preprocessing"]
            with _one_at_a_time:
                vectors = self._tower("image").embed_images(
                    unknown,
                    preset=preprocessing["preset"],
                    max_patches=preprocessing.get("max_patches"),
                    decode=preprocessing.get("decode", "exact"),
                )
            made = iter(np.array(vectors))
        return np.stack([next(made) if row is None else row for row in known])

    def drawn(self, name: str, number: int, draw: Callable[[], list[Image.Image]]) -> Floats:
        """Unit vectors of pictures that are the same every time, from the cache where it has them.

        Shapes: (number, P).
        """

        def embed(missing: list[str]) -> Floats:
            pictures = dict(zip(names, draw(), strict=True))
            return self.images([pictures[each] for each in missing])

        names = [f"{name} {at}" for at in range(number)]
        how = json.dumps(self._vectors.settings["preprocessing"], sort_keys=True)
        made_by = f"pictures {self._vectors.fingerprint} {how}"
        return self._cache.embed(names, made_by, embed, self._vectors.width)

    def load(self, tower: Literal["image", "text"]) -> None:
        """Load a tower before it is needed. Errors: those of ``load``, and CheckpointError."""
        with _one_at_a_time:
            self._tower(tower)

    def whole(self) -> "Model":
        """The checkpoint with both towers. Errors: those of ``load``, and CheckpointError."""
        with _one_at_a_time:
            return self._tower(None)

    def _known(self, path: str) -> Floats | None:
        file = self._store.file_at(known_path(self._store, path))
        if file is None or stamp_of(file.path) != file.stamp:
            return None
        row = self._store.row_of(self._vectors.id, file.id)
        if row is None:
            return None
        taken = self._store.segments(self._vectors).take(np.array([row]))
        return np.asarray(taken[0], np.float32)

    def _tower(self, tower: Literal["image", "text"] | None) -> "Model":
        """A tower of the checkpoint, or both; CheckpointError if that is another by now."""
        from mlx_aimv2.inference.model import load  # noqa: PLC0415  (MLX)

        if None in self._towers:  # with both each is there
            return self._towers[None]
        if tower not in self._towers:
            vectors = self._vectors
            model = load(vectors.source, tower=tower, dtype=self._dtype, confirm=self._confirm)
            if model.fingerprint != vectors.fingerprint:
                raise CheckpointError(
                    f"{vectors.source} is not the checkpoint that this library was indexed with",
                    hint=f"index again: aimv2 index --model {vectors.source}",
                )
            if tower is None:
                self._towers.clear()
            self._towers[tower] = model
        return self._towers[tower]
