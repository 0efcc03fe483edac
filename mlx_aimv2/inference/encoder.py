"""A checkpoint's network on the MLX thread: batches of pixels or of ids to rows that are finite."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import cast

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.checkpoints.load import Loaded, load_checkpoint
from mlx_aimv2.device import is_cpu
from mlx_aimv2.errors import Aimv2Warning, NumericsError, UsageError
from mlx_aimv2.images import patches
from mlx_aimv2.images.presets import Preset
from mlx_aimv2.models.aimv2.layers import AttentionPoolingHead
from mlx_aimv2.models.aimv2.lit import normalize
from mlx_aimv2.models.aimv2.text import TextEncoder
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.models.network import EmbeddingConfig, Network
from mlx_aimv2.models.registry import embedding_network

from . import mlx_thread
from .batching import Floats, Pixels, Rows
from .parallel import in_shares, one_by_one
from .preprocessing import Plan


class Encoder:
    """A loaded network, its dtype, and what is computed by it.

    Where a row is not finite in a narrow dtype, the network goes on in float32.
    """

    def __init__(self, loaded: Loaded, folder: Path) -> None:
        self.folder = folder
        self.network = embedding_network(loaded.network)
        self.weights = loaded.weights
        self.fingerprint = loaded.weights.fingerprint()
        self.dtype = loaded.dtype
        self.widened_from: str | None = None
        self._loaded = loaded
        self._made_of = _parts_of(self.network)

    @property
    def config(self) -> EmbeddingConfig:
        """The sizes of the network, with transformers' names."""
        return self.network.config

    @property
    def has_text(self) -> bool:
        """Whether texts can be embedded."""
        return self.network.text is not None

    @property
    def vision(self) -> VisionEncoder:
        """The vision encoder. Errors: UsageError where only the text tower was loaded."""
        if self.network.vision is None:
            raise UsageError("only the text tower is loaded", hint='load it without tower="text"')
        return cast(VisionEncoder, self.network.vision)  # of another family: an ImageEncoder

    @property
    def text(self) -> TextEncoder:
        """The text encoder. Errors: UsageError where there is none, or it was not loaded."""
        if self.network.text is None:
            raise self._no_text()
        return self.network.text

    @property
    def logit_scale(self) -> float:
        """The factor on cosine similarities. Errors: UsageError for a checkpoint without texts."""
        network = self.network
        if self.config.text_config is None:
            raise self._no_text()
        self._evaluate()
        return mlx_thread.run(lambda: cast(float, cast(mx.array, network.logit_scale).item()))

    def _start(self, pixels: Pixels, shape: int, plan: Plan) -> Rows:
        """Begin to embed images padded to ``shape`` images (fixed size) or tokens (native)."""
        encode = self._encode_native if plan.vision.is_native else self._encode_fixed
        begun = mlx_thread.submit(encode, pixels, shape, plan)

        def rows() -> list[Floats | None]:
            mlx_thread.check()
            return begun.result()()

        return rows

    def patch_vectors(self, features: Floats) -> Floats | None:
        """Each patch as a picture of its own: the pooling head's vector of it alone, projected.

        None where one is not finite in float32 either.
        Shapes: (rows, columns, D) -> (rows, columns, P), unit vectors.
        """

        def compute() -> mx.array:
            head, tokens = self._head_and_tokens(features)
            vectors = self.network.project_image(head.each(tokens)).astype(mx.float32)
            return normalize(vectors).reshape(1, *features.shape[:2], -1)

        return mlx_thread.run(lambda: self._finite_rows(compute, 1))()[0]

    def patch_parts(self, features: Floats) -> Floats | None:
        """What each patch adds to the picture's unit vector, and last what is the same for all.

        None where one is not finite in float32 either.
        Shapes: (rows, columns, D) -> (rows * columns + 1, P); they sum to the unit vector.
        """

        def compute() -> mx.array:
            head, tokens = self._head_and_tokens(features)
            bias = mx.broadcast_to(head.linear.bias, (1, 1, tokens.shape[-1]))
            parts = self.network.project_image(mx.concatenate([head.parts(tokens), bias], axis=1))
            parts = parts.astype(mx.float32)
            length = mx.linalg.norm(parts.sum(axis=1, keepdims=True), axis=-1, keepdims=True)
            return parts / mx.maximum(length, mx.finfo(mx.float32).smallest_normal)

        return mlx_thread.run(lambda: self._finite_rows(compute, 1))()[0]

    def _evaluate(self) -> None:
        """Have weights that were changed, by training, ready for the MLX thread.

        Errors: UsageError where another thread has changed them and not evaluated them.
        """
        mlx_thread.check()
        try:
            mx.eval(self.network.parameters())
        except RuntimeError as error:
            raise UsageError(
                "the weights were changed on another thread and are not evaluated yet",
                hint="after the last step, on that thread: mx.eval(model.network.parameters())",
            ) from error

    def _no_text(self) -> UsageError:
        if self.config.text_config is not None:
            return UsageError(
                "only the image tower is loaded", hint='load it without tower="image"'
            )
        return UsageError(
            "this checkpoint reads no texts, only pictures",
            hint="texts need the LiT checkpoint: load lit",
        )

    # What follows runs on the MLX thread.

    def _encode_fixed(self, pixels: Pixels, shape: int, plan: Plan) -> Rows:
        batch = np.zeros((shape, *pixels[0].shape), np.uint8)
        batch[: len(pixels)] = pixels

        def compute(part: slice) -> mx.array:
            inputs = normalized(mx.array(batch[part]), plan.preset)
            if plan.options.tiles > 1:
                grid = self.vision.encode_tiles(inputs, plan.options.tiles)
            else:
                side = self.vision.config.grid_side
                grid = self.vision.features(inputs).reshape(len(inputs), side, side, -1)
            if plan.pooling == "none":
                return grid.astype(mx.float32)
            return self._pooled(grid.flatten(1, 2), plan)

        count = len(pixels)
        return self._finite_rows(lambda: one_by_one(compute, shape, count), count)

    def _encode_native(self, pixels: Pixels, tokens: int, plan: Plan) -> Rows:
        config = self.vision.config
        side = config.patch_size
        batch = patches.pad_batch(pixels, side, tokens)
        grids = [(image.shape[0] // side, image.shape[1] // side) for image in pixels]

        def compute(part: slice) -> mx.array:
            cells = mx.array(batch[part]).reshape(len(grids[part]), tokens, -1, config.num_channels)
            inputs = normalized(cells, plan.preset).flatten(2)
            features, mask = self.vision.encode_patches(inputs, grids[part])
            if plan.pooling == "none":
                return features.astype(mx.float32)
            return self._pooled(features, plan, mask)

        values = self._finite_rows(lambda: one_by_one(compute, len(grids)), len(grids))
        if plan.pooling != "none":
            return values
        return lambda: [
            None if value is None else value[: rows * columns].reshape(rows, columns, -1)
            for value, (rows, columns) in zip(values(), grids, strict=False)
        ]

    def _pooled(self, features: mx.array, plan: Plan, mask: mx.array | None = None) -> mx.array:
        vectors = self.vision.pool(features, mask, mean=plan.pooling == "mean")
        if plan.pooling == "head":
            vectors = self.network.project_image(vectors)
        vectors = vectors.astype(mx.float32)
        return normalize(vectors) if plan.normalize else vectors

    def _head_and_tokens(self, features: Floats) -> tuple[AttentionPoolingHead, mx.array]:
        """The pooling head and what it takes. Shapes: (rows, columns, D) -> (1, N, D)."""
        head = cast(AttentionPoolingHead, self.vision.head)
        tokens = mx.array(features.reshape(1, -1, features.shape[-1]))
        return head, tokens.astype(self.vision.dtype)

    def _encode_texts(self, ids: NDArray[np.int32], normalized: bool) -> list[Floats]:
        def compute(part: slice) -> mx.array:
            vectors = self.network.project_text(self.text.pooled(mx.array(ids[part])))
            vectors = vectors.astype(mx.float32)
            return normalize(vectors) if normalized else vectors

        finite = self._finite_rows(lambda: in_shares(compute, len(ids)), len(ids))
        rows = [row for row in finite() if row is not None]
        if len(rows) < len(ids):
            raise NumericsError("a text's embedding is not finite, in float32 too")
        return rows

    def _finite_rows(self, compute: Callable[[], mx.array], count: int) -> Rows:
        """Begin to compute; its first rows when they are asked for, from any thread.

        A row that is not finite in float32 either is None.
        """
        result, dtype = compute(), self.dtype
        mx.async_eval(result)

        def finish() -> list[Floats | None]:
            rows = np.array(result)[:count]
            if not np.isfinite(rows).all() and dtype != "float32":
                if self.dtype == dtype:  # else the batch before has done it
                    self._widen()
                rows = np.array(compute())[:count]
            return [row if np.isfinite(row).all() else None for row in rows]

        if is_cpu():  # it takes ten operations ahead: done before the next batch can begin
            done = finish()
            return lambda: done
        return lambda: mlx_thread.run(finish)

    def _widen(self) -> None:
        warnings.warn(
            f"an embedding is not finite in {self.dtype}: going on in float32",
            Aimv2Warning,
            stacklevel=2,
        )
        self.widened_from, self.dtype = self.dtype, "float32"
        if self._made_of != _parts_of(self.network):  # trained, or set: no file has these
            self.network.set_dtype(mx.float32)
            mx.eval(self.network.parameters())
            return
        # Read again: what overflowed in the narrow dtype is lost in the weights in memory.
        loaded = load_checkpoint(
            self.folder, tower=self._loaded.tower, dtype="float32", side_px=self._loaded.side_px
        )
        self.network = embedding_network(loaded.network)


def _parts_of(network: Network) -> list[int]:
    """Which arrays a network is made of: training puts others in their places."""
    return [id(array) for array in network.flat_parameters().values()]


def normalized(pixels: mx.array, preset: Preset) -> mx.array:
    """Pixels as the network takes them. Shapes: (..., 3) uint8 -> (..., 3) float32."""
    mean, std = mx.array(preset.mean), mx.array(preset.std)
    return (pixels.astype(mx.float32) / 255 - mean) / std
