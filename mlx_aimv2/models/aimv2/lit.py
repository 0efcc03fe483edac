"""LiT: a vision and a text tower whose projections share one space."""

import math
from collections.abc import Collection
from dataclasses import replace
from typing import cast

import mlx.core as mx
from mlx import nn

from ..network import EmbeddingNetwork, Tower
from .config import LiTConfig
from .text import TextEncoder
from .vision import VisionEncoder


class LiT(EmbeddingNetwork):
    """Both towers of the LiT checkpoint, or one of them.

    Source: Apple's ``AIMv2LiT``; AIMv2 paper, section 4.1 (zero-shot via LiT tuning).
    """

    def __init__(self, config: LiTConfig, towers: Collection[Tower] = ("image", "text")) -> None:
        super().__init__()
        self.config: LiTConfig = config
        if "image" in towers:
            self.image_encoder = VisionEncoder(config.vision_config)
            self.image_projector = nn.Linear(
                config.vision_config.hidden_size, config.projection_dim, bias=False
            )
        if "text" in towers:
            self.text_encoder = TextEncoder(config.text_config)
            self.text_projector = nn.Linear(
                config.text_config.hidden_size, config.projection_dim, bias=False
            )
        self.log_logit_scale = mx.array(config.logit_scale_init_value)

    @property
    def vision(self) -> VisionEncoder | None:
        return cast("VisionEncoder | None", self.get("image_encoder"))

    @property
    def text(self) -> TextEncoder | None:
        return cast("TextEncoder | None", self.get("text_encoder"))

    @property
    def logit_scale(self) -> mx.array:
        """The factor on cosine similarities, clipped as published. Shapes: ()."""
        limit = math.log(self.config.max_logit_scale)
        return mx.exp(mx.clip(self.log_logit_scale.astype(mx.float32), 0.0, limit))

    def project_image(self, pooled: mx.array) -> mx.array:
        return self.image_projector(pooled)

    def project_text(self, pooled: mx.array) -> mx.array:
        return self.text_projector(pooled)

    def resample_positions(self, side_px: int) -> None:
        self.image_encoder.resample_positions(side_px)
        self.config = replace(self.config, vision_config=self.image_encoder.config)

    def encode_image(self, pixels_nhwc: mx.array) -> mx.array:
        """Unit-length image embeddings.

        Shapes: (B, S, S, 3) -> (B, P); S is the checkpoint's side in pixels.
        Units: normalised RGB (see ``Model.preprocess``), not 0-255.
        Errors: ImageError if S is another size.
        """
        features = self.image_encoder.features(pixels_nhwc)
        return normalize(self.project_image(self.image_encoder.pool(features)))

    def encode_text(self, input_ids: mx.array) -> mx.array:
        """Unit-length text embeddings.

        Shapes: (B, N) integers -> (B, P).
        Errors: TextError for a row without its end token.
        """
        return normalize(self.project_text(self.text_encoder.pooled(input_ids)))

    def __call__(self, pixels_nhwc: mx.array, input_ids: mx.array) -> tuple[mx.array, mx.array]:
        """Logits both ways. Shapes: (B, S, S, 3), (T, N) -> (B, T), (T, B)."""
        images = self.encode_image(pixels_nhwc)
        texts = self.encode_text(input_ids)
        logits_per_image = self.logit_scale.astype(images.dtype) * (images @ texts.T)
        return logits_per_image, logits_per_image.T


def normalize(vectors: mx.array) -> mx.array:
    """Unit length along the last axis, computed in float32; a zero vector stays zero."""
    # In float16 a sum of squares overflows from a norm of 256 on.
    wide = vectors.astype(mx.float32)
    norms = mx.linalg.norm(wide, axis=-1, keepdims=True)
    return (wide / mx.maximum(norms, mx.finfo(mx.float32).smallest_normal)).astype(vectors.dtype)
