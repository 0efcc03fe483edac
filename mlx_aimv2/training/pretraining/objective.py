"""The loss of pre-training: patches after the prefix and captions, pooled over a whole batch."""

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from mlx_aimv2.cpu import kernels
from mlx_aimv2.errors import TextError, UsageError
from mlx_aimv2.models.aimv2.layers import patchify
from mlx_aimv2.models.aimv2.vision import VisionEncoder

from .decoder import Decoder
from .prefix import prefix_mask
from .targets import patch_targets, target_mask

Batch = Mapping[str, Any]

PIXEL_WEIGHT = 0.4  # alpha. Source: AIMv2 paper, section 2.1


class Pretraining(nn.Module):
    """An encoder and its decoder, and what they lose on a batch.

    A batch has ``pixels`` (B, S, S, 3), or for a native encoder ``patches`` (B, I, P*P*3) and
    ``grids`` (B, 2) of rows and columns, both normalised float32; ``prefix`` (B,), the patches of
    each prefix; ``tokens`` (B, T) ids and ``token_mask`` (B, T), those that are predicted. Where
    the prefix is the whole image, attention is full and no patch is predicted. A loss of no weight
    is not computed.
    """

    def __init__(
        self,
        encoder: VisionEncoder,
        decoder: Decoder,
        *,
        pixel_weight: float = PIXEL_WEIGHT,
        text_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.pixel_weight = pixel_weight
        self.text_weight = text_weight

    def recompute_blocks(self) -> None:
        """Keep no activations inside blocks: the backward pass computes them again."""
        self.encoder.trunk.is_recomputed = self.decoder.trunk.is_recomputed = True

    def counts(self, batch: Batch) -> dict[str, float]:
        """How many patches and how many words of a batch are predicted.

        Errors: UsageError for a prefix that is no part of its image; TextError for an id outside
        the vocabulary.
        """
        prefix, lengths = np.asarray(batch["prefix"]), self._lengths(batch)
        if not ((prefix >= 1) & (prefix <= lengths)).all():
            raise UsageError(
                f"prefixes of {prefix.min()} to {prefix.max()} patches, in images of "
                f"{lengths.min()} to {lengths.max()}"
            )
        tokens, words = np.asarray(batch["tokens"]), self.decoder.config.vocab_size
        if not ((tokens >= 0) & (tokens < words)).all():
            raise TextError(f"an id lies outside the vocabulary of {words}")
        predicted = np.asarray(batch["token_mask"])
        return {"pixel": float((lengths - prefix).sum()), "text": float(predicted.sum())}

    def loss(
        self, batch: Batch, counts: Mapping[str, float | mx.array]
    ) -> tuple[mx.array, dict[str, mx.array]]:
        """What these samples add to the loss of the batch that ``counts`` are of.

        Each predicted patch counts the same, and so does each word, whichever sample it is of: over
        the parts of a batch, losses and gradients are sums. The logs are ``pixel`` and ``text``,
        parts of the batch's means, and ``pixel_per_sample`` and ``text_per_sample`` (B,), means.
        Source: pooled as in apple/ml-l3m (``RasterPixelLoss``, ``LLMCrossEntropyLoss``).
        """
        patches, features, lengths = self._encoded(batch)
        tokens = mx.array(batch["tokens"]) if self.text_weight else None
        image, text = self.decoder(features, tokens, lengths)
        total = mx.array(0.0)
        logs: dict[str, mx.array] = {}
        if self.pixel_weight:
            errors = patch_errors(self.decoder.image_head(image[:, :-1]), patches[:, 1:])
            scored = target_mask(mx.array(batch["prefix"]), patches.shape[1], lengths)[:, 1:]
            logs |= _pooled("pixel", errors, scored, counts)
            total = total + self.pixel_weight * logs["pixel"]
        if tokens is not None and text is not None:
            errors = token_errors(self.decoder.text_head(text), tokens)
            logs |= _pooled("text", errors, mx.array(batch["token_mask"]), counts)
            total = total + self.text_weight * logs["text"]
        return total, logs

    def _encoded(self, batch: Batch) -> tuple[mx.array, mx.array, mx.array | None]:
        """Patches (B, I, P*P*3), features (B, I, D) and, where images are padded, lengths (B,)."""
        prefix, config = mx.array(batch["prefix"]), self.encoder.config
        if not config.is_native:
            pixels = mx.array(batch["pixels"])
            patches = patchify(pixels, config.patch_size)
            mask = prefix_mask(prefix, patches.shape[1])
            return patches, self.encoder.features(pixels, mask), None
        patches, lengths = mx.array(batch["patches"]), mx.array(self._lengths(batch))
        mask = prefix_mask(prefix, patches.shape[1], lengths)
        grids = [(rows, columns) for rows, columns in np.asarray(batch["grids"]).tolist()]
        features, _ = self.encoder.encode_patches(patches, grids, mask)
        return patches, features, lengths

    def _lengths(self, batch: Batch) -> NDArray[np.int64]:
        """Patches of each image, without padding."""
        if self.encoder.config.is_native:
            return np.asarray(batch["grids"]).prod(axis=1)
        return np.full(len(batch["prefix"]), self.encoder.config.grid_side**2)


def patch_errors(predictions: mx.array, patches: mx.array) -> mx.array:
    """Mean squared error of each patch's normalised values, in float32.

    Shapes: (B, N, P*P*3), kept -> (B, N).
    """
    return mx.square(predictions.astype(mx.float32) - patch_targets(patches)).mean(axis=-1)


def token_errors(logits: mx.array, tokens: mx.array) -> mx.array:
    """Cross-entropy of each id, in float32. Shapes: (B, T, V), (B, T) -> (B, T)."""
    each = kernels.cross_entropy(logits.astype(mx.float32).flatten(0, 1), tokens.flatten())
    return each.reshape(tokens.shape)


def _pooled(
    name: str, errors: mx.array, scored: mx.array, counts: Mapping[str, float | mx.array]
) -> dict[str, mx.array]:
    """Errors where they count, over all of the batch and over each sample."""
    sums = mx.where(scored, errors, 0).sum(axis=1)
    own = scored.sum(axis=1)
    return {
        name: sums.sum() / mx.maximum(counts[name], 1),
        f"{name}_per_sample": sums / mx.maximum(own, 1),
    }
