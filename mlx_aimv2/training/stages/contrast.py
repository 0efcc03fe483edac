"""The objective of LiT: of a batch's captions and images, those that belong together are alike.

It is no sum over samples: every caption is set against every image, also those of other chunks
and of other processes.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol, cast

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_map

from mlx_aimv2.models.aimv2.layers import AttentionPoolingHead
from mlx_aimv2.models.aimv2.lit import LiT, normalize

from ..runs.gradients import OF_SAMPLES, Batch, Logs, Slope, narrowed
from ..runs.ranks import Ranks

PARTS = ("image_to_text", "text_to_image", "accuracy")
_NEVER = -1e9
_SCALE = "log_logit_scale"


class PairObjective(Protocol):
    """What gives a batch's images and captions one space."""

    image_projector: nn.Linear

    def vectors(self, batch: Batch) -> tuple[mx.array, mx.array]:
        """Unit vectors of images and captions. Shapes: (B, P) each."""

    def trainable_parameters(self) -> Any:
        """What is trained, ``log_logit_scale`` with it."""

    def update(self, parameters: Any) -> Any:
        """Set parameters."""


class Contrast(nn.Module):
    """What LiT trains: pooling head, both projections, text tower and scale; not the encoder.

    It shares its modules with the model. A batch has ``features`` (B, N, D), of a native encoder
    ``mask`` (B, 1, 1, N) too, and ``tokens`` (B, T), each row with its end token.
    Source: AIMv2 paper, section 4.1; Zhai et al., "LiT".
    """

    def __init__(self, lit: LiT) -> None:
        super().__init__()
        self.head = cast(AttentionPoolingHead, lit.image_encoder.head)
        self.image_projector = lit.image_projector
        self.text_encoder = lit.text_encoder
        self.text_projector = lit.text_projector
        self.log_logit_scale = lit.log_logit_scale

    def vectors(self, batch: Batch) -> tuple[mx.array, mx.array]:
        """Unit vectors of images and captions, in float32. Shapes: (B, P) each."""
        features = mx.array(batch["features"]).astype(self.text_encoder.dtype)
        mask = mx.array(batch["mask"]) if "mask" in batch else None
        images = self.image_projector(self.head(features, mask))
        texts = self.text_projector(self.text_encoder.pooled(mx.array(batch["tokens"])))
        return normalize(images.astype(mx.float32)), normalize(texts.astype(mx.float32))


def contrast(
    images: mx.array, texts: mx.array, is_there: mx.array, scale: mx.array
) -> tuple[mx.array, Logs]:
    """Softmax cross-entropy both ways, their mean; rows that are not there count nothing.

    Shapes: (B, P), (B, P), (B,) bool, () -> ().
    Source: InfoNCE as in CLIP and LiT.
    """
    logits = scale * (images @ texts.T)
    own, count = mx.diagonal(logits), mx.maximum(is_there.sum(), 1)
    is_own_fault = ~mx.isfinite(images.sum(axis=1) + texts.sum(axis=1))
    logs = {}
    for name, scores in (("image_to_text", logits), ("text_to_image", logits.T)):
        errors = mx.logsumexp(mx.where(is_there, scores, _NEVER), axis=1) - own
        errors = mx.where(is_there, errors, 0.0)
        logs[name] = errors.sum() / count
        # One vector that is not finite spoils every row: only its own shall be told.
        is_told = is_own_fault | mx.isfinite(errors)
        logs[f"{name}{OF_SAMPLES}"] = mx.where(is_told, errors, 0.0)
    nearest = mx.where(is_there, logits, _NEVER).argmax(axis=1)
    logs["accuracy"] = ((nearest == mx.arange(len(logits))) & is_there).sum() / count
    return (logs["image_to_text"] + logs["text_to_image"]) / 2, logs


class ContrastGradient:
    """The gradient of ``Contrast`` over all chunks and processes, exactly that of one batch.

    Of several chunks the vectors are computed first, then the loss's gradient by them, and with it
    each chunk again: memory is that of one chunk. Source: Gao et al., "GradCache".
    ``rows`` is the number of samples of a process, at most.
    """

    def __init__(
        self,
        objective: PairObjective,
        rows: int,
        largest_scale: float,
        dtype: mx.Dtype,
        ranks: Ranks,
    ) -> None:
        self._objective, self._rows, self._ranks = objective, rows, ranks
        self._most = math.log(largest_scale)
        self._dtype = dtype

    def __call__(self, chunks: Sequence[Batch]) -> Slope:
        """The slope of a batch in chunks: a process whose samples are all broken has none."""
        parameters = self._objective.trainable_parameters()
        if len(chunks) == 1:
            (loss, logs), gradient = mx.value_and_grad(self._whole)(parameters, chunks[0])
        else:
            (loss, logs), gradient = self._by_chunks(parameters, chunks)
        self._objective.update(parameters)
        gradient = self._ranks.total(gradient)
        mx.eval(loss, logs, gradient)
        first = self._ranks.rank * self._rows
        own = slice(first, first + sum(len(chunk["tokens"]) for chunk in chunks))
        of_samples = {name: np.array(logs[name])[own] for name in logs if name.endswith(OF_SAMPLES)}
        return Slope(loss, {name: logs[name] for name in PARTS}, of_samples, gradient)

    def _by_chunks(
        self, parameters: Any, chunks: Sequence[Batch]
    ) -> tuple[tuple[mx.array, Logs], Any]:
        gradient = tree_map(mx.zeros_like, parameters)
        width = self._objective.image_projector.weight.shape[0]
        vectors = [[mx.zeros((0, width))], [mx.zeros((0, width))]]
        for chunk in chunks:
            for side, rows in zip(vectors, self._vectors(parameters, chunk), strict=True):
                side.append(rows)
            mx.eval(vectors)
        images, texts = map(mx.concatenate, vectors)
        slope_of = mx.value_and_grad(self._loss, argnums=(0, 1, 2))
        result, (image_slope, text_slope, scale_slope) = slope_of(images, texts, parameters[_SCALE])
        first = 0
        for chunk in chunks:
            part = slice(first, first + len(chunk["tokens"]))
            slopes = image_slope[part], text_slope[part]
            own = mx.grad(self._along)(parameters, chunk, slopes)
            gradient = tree_map(mx.add, gradient, own)
            mx.eval(gradient)
            first = part.stop
        gradient[_SCALE] = scale_slope
        return result, gradient

    def _whole(self, parameters: Any, chunk: Batch) -> tuple[mx.array, Logs]:
        return self._loss(*self._vectors(parameters, chunk), parameters[_SCALE])

    def _vectors(self, parameters: Any, chunk: Batch) -> tuple[mx.array, mx.array]:
        self._objective.update(narrowed(parameters, self._dtype))
        return self._objective.vectors(chunk)

    def _along(self, parameters: Any, chunk: Batch, slopes: Sequence[mx.array]) -> mx.array:
        images, texts = self._vectors(parameters, chunk)
        return (images * slopes[0]).sum() + (texts * slopes[1]).sum()

    def _loss(
        self, images: mx.array, texts: mx.array, log_scale: mx.array
    ) -> tuple[mx.array, Logs]:
        missing = mx.zeros((self._rows - len(images), images.shape[1]))
        is_there = mx.arange(self._rows) < len(images)
        sides = (mx.concatenate([side, missing]) for side in (images, texts))
        gathered = (self._ranks.gather(each) for each in (*sides, is_there))
        # Every process has the whole loss: of the scale's gradient each gives its share.
        own = log_scale / self._ranks.size
        scale = mx.exp(mx.clip(own + mx.stop_gradient(log_scale - own), 0.0, self._most))
        all_images, all_texts, are_there = gathered
        return contrast(all_images, all_texts, are_there, scale)
