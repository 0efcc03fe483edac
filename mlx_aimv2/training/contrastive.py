"""The objective: pictures and texts that belong together get similar vectors.

CLIP's and LiT's symmetric contrastive loss, with the truth of every caption known: in a batch
of drawings the same caption is true of several pictures and several captions of one picture, so
each true pair is set against the false pairs of its row and column only. Objects' boxes are
known too: a picture's patches inside a box, pooled by the same head, are one more picture.
"""

import math
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx import nn

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images.presets import PRESETS
from mlx_aimv2.models.aimv2.layers import AttentionPoolingHead, grid_positions
from mlx_aimv2.models.aimv2.lit import LiT, normalize
from mlx_aimv2.texts.tokenizer import Tokenizer

from .examples import Batch

_NEVER = -1e9
_GENERIC_SHARE = 0.25
_MATRIX_RATE, _RATE = 0.01, 6e-4


def contrastive_loss(logits: mx.array, truth: mx.array) -> mx.array:
    """Mean over true pairs of -log softmax of the pair among itself and its row's false pairs.

    A row without a true pair counts nothing. Applied to the transpose, it is the other direction.
    Shapes: (A, T) logits, (A, T) bool -> ().
    Source: InfoNCE as in CLIP and LiT; true pairs left out of each other's denominators.
    """
    false = mx.logsumexp(mx.where(truth, _NEVER, logits), axis=1, keepdims=True)
    losses = mx.where(truth, nn.softplus(false - logits), 0)
    each_row = losses.sum(axis=1) / mx.maximum(truth.sum(axis=1), 1)
    return each_row.sum() / mx.maximum(truth.any(axis=1).sum(), 1)


def symmetric_loss(logits: mx.array, truth: mx.array) -> mx.array:
    """The mean of both directions. Shapes: (A, T), (A, T) bool -> ()."""
    return (contrastive_loss(logits, truth) + contrastive_loss(logits.T, truth.T)) / 2


def batch_loss(
    model: LiT,
    pixels: mx.array,
    region_masks: mx.array,
    region_rows: mx.array,
    texts: list[mx.array],
    generic: mx.array,
    truth: mx.array,
) -> mx.array:
    """The loss of whole pictures plus that of the regions in them.

    Shapes: as in ``Batch``; pixels normalised floats; texts are ids in groups (T', N) -> ().
    """
    features = model.image_encoder(pixels)  # (B, N, D)
    whole = mx.ones((*features.shape[:1], 1, features.shape[1]), mx.bool_)
    pooled = pool_masks(_head_of(model), features, mx.concatenate([whole, region_masks], axis=1))
    regions = pooled[:, 1:].reshape(-1, pooled.shape[-1])[region_rows]
    images = normalize(model.image_projector(mx.concatenate([pooled[:, 0], regions])))
    labels = mx.concatenate([model.encode_text(input_ids) for input_ids in texts])
    logits = model.logit_scale * (images @ labels.T)
    split = len(pixels)
    return (
        symmetric_loss(logits[:split], truth[:split])
        + symmetric_loss(logits[split:], truth[split:])
        + _GENERIC_SHARE * generic_loss(logits, generic, truth)
    )


def generic_loss(logits: mx.array, generic: mx.array, truth: mx.array) -> mx.array:
    """Texts that fit anything must fit better than false ones; true ones are left out.

    ``contrastive_loss`` sets them below the true ones, so they end between the two: a line to
    judge one label by.
    Shapes: (A, T), (T,) bool, (A, T) bool -> ().
    """
    fits = mx.broadcast_to(generic, truth.shape)
    return contrastive_loss(mx.where(truth, _NEVER, logits), fits)


def pool_masks(head: AttentionPoolingHead, features: mx.array, masks: mx.array) -> mx.array:
    """The pooling head applied once per mask, its keys and values computed once per picture.

    Shapes: (B, N, D), (B, M, N) bool -> (B, M, D).
    """
    batch, count, _ = masks.shape
    width = features.shape[-1]
    query, key, value = (
        x.reshape(len(x), -1, head.num_heads, width // head.num_heads).swapaxes(1, 2)
        for x in (head.cls_token, head.k(features), head.v(features))
    )  # each (B or 1, H, tokens, D/H)
    query = mx.broadcast_to(query, (batch, head.num_heads, count, query.shape[-1]))
    pooled = mx.fast.scaled_dot_product_attention(
        query, key, value, scale=query.shape[-1] ** -0.5, mask=masks[:, None]
    )
    return head.linear(pooled.swapaxes(1, 2).reshape(batch, count, width))


def to_arrays(batch: Batch, tokenizer: Tokenizer) -> tuple[object, ...]:
    """The arguments of ``batch_loss`` after the model; texts are grouped by length."""
    texts = batch.texts
    order = sorted(range(len(texts)), key=lambda index: tokenizer.count(texts[index]))
    cut = len(order) * 2 // 3
    return (
        normalize_pixels(batch.pixels),
        mx.array(batch.region_masks).astype(mx.bool_),
        mx.array(batch.region_rows),
        [
            mx.array(tokenizer.encode([texts[index] for index in part]))
            for part in (order[:cut], order[cut:])
        ],
        mx.array(batch.generic[order]).astype(mx.bool_),
        mx.array(batch.truth[:, order]).astype(mx.bool_),
    )


def normalize_pixels(pixels: np.ndarray) -> mx.array:
    """uint8 RGB to the model's units, by the Hub preset. Shapes: (B, S, S, 3), kept."""
    preset = PRESETS["hub"]
    scaled = mx.array(pixels).astype(mx.float32) / 255
    return (scaled - mx.array(preset.mean)) / mx.array(preset.std)


def initialise(model: LiT, seed: int) -> None:
    """Random weights for training: small tables, residual products scaled by depth."""
    mx.random.seed(seed)
    model.apply_to_modules(_initialise_linear)
    for encoder in (model.image_encoder, model.text_encoder):
        shrink = 1 / math.sqrt(2 * len(encoder.trunk.blocks))
        for block in encoder.trunk.blocks:
            block.attn.proj.weight = block.attn.proj.weight * shrink
            block.mlp.fc2.weight = block.mlp.fc2.weight * shrink
    preprocessor = model.image_encoder.preprocessor
    projection = preprocessor.patchifier.proj
    projection.weight = mx.random.normal(projection.weight.shape) * 0.02
    grid = (model.image_encoder.config.grid_side,) * 2
    positions, _ = grid_positions([grid], grid[0] ** 2, preprocessor.pos_embed.shape[-1])
    preprocessor.pos_embed = 0.5 * positions
    head = _head_of(model)
    head.cls_token = mx.random.normal(head.cls_token.shape)
    table = model.text_encoder.preprocessor.positional_embedding
    model.text_encoder.preprocessor.positional_embedding = mx.random.normal(table.shape) * 0.05
    embedding = model.text_encoder.preprocessor.text_embedding
    embedding.weight = mx.random.normal(embedding.weight.shape) * 0.2
    mx.eval(model.parameters())


def _head_of(model: LiT) -> AttentionPoolingHead:
    head = model.image_encoder.head
    if head is None:
        raise UsageError("contrastive training needs an image encoder with a pooling head")
    return head


def _initialise_linear(_name: str, module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        out, width = module.weight.shape
        module.weight = mx.random.normal(module.weight.shape) * math.sqrt(2 / (out + width))
        if "bias" in module:
            module.bias = mx.zeros_like(module.bias)


class Trainer:
    """Muon for the blocks' matrices and AdamW for the rest, over a known number of steps.

    Both warm up linearly and fall to zero by a cosine. After 200 steps the model names 63% of
    large objects with it, 25% with AdamW alone.
    """

    def __init__(self, model: LiT, steps: int) -> None:
        self._model = model
        self._optimizer = optim.MultiOptimizer(
            [
                optim.Muon(_schedule(_MATRIX_RATE, steps), weight_decay=0.0),
                optim.AdamW(_schedule(_RATE, steps), betas=[0.9, 0.98], weight_decay=0.05),
            ],
            [lambda name, value: ".blocks." in name and value.ndim == 2],
        )
        self._loss_and_gradient: Callable[..., tuple[mx.array, dict[str, Any]]] = nn.value_and_grad(
            model, batch_loss
        )

    def step(self, arrays: tuple[object, ...]) -> float:
        """One update; returns the loss before it."""
        loss, gradient = self._loss_and_gradient(self._model, *arrays)
        gradient, _ = optim.clip_grad_norm(gradient, 1.0)
        self._optimizer.update(self._model, gradient)
        mx.eval(self._model.parameters(), self._optimizer.state, loss)
        return float(np.array(loss))


def _schedule(rate: float, steps: int) -> Callable[[mx.array], mx.array]:
    warm_up = min(100, max(1, steps // 10))
    rise = optim.linear_schedule(rate / warm_up, rate, warm_up)
    fall = optim.cosine_decay(rate, max(1, steps - warm_up))
    return optim.join_schedules([rise, fall], [warm_up])
