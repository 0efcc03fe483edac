"""The vision encoder: pixels or patches to features, and features to one vector."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal, overload

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from mlx_aimv2.errors import ImageError

from ..network import ImageEncoder, check_array, check_floats
from .config import VisionConfig
from .layers import (
    AttentionPoolingHead,
    EncoderOutput,
    Mask,
    PatchEmbed,
    Transformer,
    grid_positions,
    patchify,
)
from .published import for_side


class VisionPreprocessor(nn.Module):
    """Patches to tokens; holds the learned position table of a fixed-size encoder."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patchifier = PatchEmbed(
            config.patch_size, config.num_channels, config.hidden_size, config.rms_norm_eps
        )
        if not config.is_native:
            self.pos_embed = mx.zeros((1, config.grid_side**2, config.hidden_size))


class VisionEncoder(ImageEncoder):
    """An AIMv2 vision encoder, fixed-size or native, with or without its pooling head."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config: VisionConfig = config
        self.preprocessor = VisionPreprocessor(config)
        self.trunk = Transformer(config)
        self.head = (
            AttentionPoolingHead(config.hidden_size, config.num_attention_heads)
            if config.use_head
            else None
        )

    @property
    def dtype(self) -> mx.Dtype:
        """The dtype it computes in, and the dtype of every result."""
        return self.preprocessor.patchifier.norm.weight.dtype

    @overload
    def __call__(self, pixels_nhwc: mx.array) -> mx.array: ...
    @overload
    def __call__(
        self,
        pixels_nhwc: mx.array,
        *,
        hidden_states: Literal[True] | Collection[int],
        attentions: bool | Collection[int] = False,
        stop_after: int | None = None,
    ) -> EncoderOutput: ...
    @overload
    def __call__(
        self,
        pixels_nhwc: mx.array,
        *,
        hidden_states: bool | Collection[int] = False,
        attentions: Literal[True] | Collection[int],
        stop_after: int | None = None,
    ) -> EncoderOutput: ...
    @overload
    def __call__(
        self,
        pixels_nhwc: mx.array,
        *,
        hidden_states: bool | Collection[int] = False,
        attentions: bool | Collection[int] = False,
        stop_after: int,
    ) -> EncoderOutput: ...
    @overload
    def __call__(
        self,
        pixels_nhwc: mx.array,
        *,
        hidden_states: bool | Collection[int] = False,
        attentions: bool | Collection[int] = False,
        stop_after: int | None = None,
    ) -> mx.array | EncoderOutput: ...
    def __call__(
        self,
        pixels_nhwc: mx.array,
        *,
        hidden_states: bool | Collection[int] = False,
        attentions: bool | Collection[int] = False,
        stop_after: int | None = None,
    ) -> mx.array | EncoderOutput:
        """Patch features after the final norm; an EncoderOutput if more is asked for.

        ``hidden_states`` and ``attentions`` choose blocks (True: all; negative numbers count from
        the end); ``stop_after`` runs the blocks up to and including that one and leaves out the
        final norm and the pooling.
        Shapes: (B, H, W, 3) -> (B, N, D), N = (H // P) * (W // P).
        Units: normalised RGB (see ``Model.preprocess``), not 0-255.
        Errors: ImageError for another side than the checkpoint's, or integer pixels;
        ValueError for a block that is not run.
        """
        if hidden_states is False and attentions is False and stop_after is None:
            return self.features(pixels_nhwc)
        tokens = self._embed(pixels_nhwc)
        output = self.trunk.trace(tokens, None, hidden_states, attentions, stop_after)
        if stop_after is not None:
            return output
        return replace(output, pooler_output=self.pool(output.last_hidden_state))

    def features(self, pixels_nhwc: mx.array, mask: Mask = None) -> mx.array:
        """Patch features after the final norm, and nothing else: see :meth:`__call__`.

        ``mask`` is of attention, as in training; without one each patch sees all.
        """
        return self.trunk(self._embed(pixels_nhwc), mask)

    def encode_patches(
        self, patches: mx.array, grids: Sequence[tuple[int, int]], mask: Mask = None
    ) -> tuple[mx.array, mx.array | None]:
        """See :meth:`ImageEncoder.encode_patches`; ``mask`` takes the place of that of padding."""
        if not self.config.is_native:
            return super().encode_patches(patches, grids)
        check_array(patches)
        check_floats(patches)
        tokens = [rows * columns for rows, columns in grids]
        if len(grids) != len(patches) or not all(0 < n <= patches.shape[1] for n in tokens):
            raise ImageError(f"patches of shape {patches.shape} do not hold the grids {grids}")
        positions, padding = grid_positions(grids, patches.shape[1], self.config.hidden_size)
        embedded = self.preprocessor.patchifier(patches.astype(self.dtype))
        placed = embedded + positions.astype(self.dtype)
        return self.trunk(placed, padding if mask is None else mask), padding

    def pool(
        self, features: mx.array, mask: mx.array | None = None, *, mean: bool = False
    ) -> mx.array:
        if self.head is not None and not mean:
            return self.head(features, mask)
        return super().pool(features, mask)

    def resample_positions(self, side_px: int) -> None:
        """Make this a ``side_px`` encoder by resampling its position table, in place.

        Accuracy drops: the 448 model at 224 px falls from 87.9 to 78.9 (AIMv2 paper, Table 6).
        Errors: ImageError for a native encoder, or a side below one patch.
        """
        config = self.config
        if config.is_native:
            raise ImageError("a native-resolution encoder has no position table to resample")
        if side_px < config.patch_size:
            raise ImageError(f"{side_px} px hold no patch of {config.patch_size} px")
        old = config.grid_side
        resize = mx.array(_bicubic_matrix(old, side_px // config.patch_size))
        table = self.preprocessor.pos_embed.astype(mx.float32).reshape(old, old, -1)
        table = mx.einsum("ri,cj,ijd->rcd", resize, resize, table)
        self.preprocessor.pos_embed = table.reshape(1, -1, config.hidden_size).astype(self.dtype)
        self.config = replace(config, image_size=side_px)

    def _embed(self, pixels_nhwc: mx.array) -> mx.array:
        config = self.config
        self.check(pixels_nhwc)
        height, width = pixels_nhwc.shape[1:3]
        if not config.is_native and (height, width) != (config.image_size, config.image_size):
            raise _wrong_side(config, height, width)
        patches = patchify(pixels_nhwc.astype(self.dtype), config.patch_size)
        tokens = self.preprocessor.patchifier(patches)
        if not config.is_native:
            return tokens + self.preprocessor.pos_embed
        grid = (height // config.patch_size, width // config.patch_size)
        positions, _ = grid_positions([grid], tokens.shape[1], config.hidden_size)
        return tokens + positions.astype(self.dtype)


def _wrong_side(config: VisionConfig, height: int, width: int) -> ImageError:
    better = for_side(config.hidden_size, height) if height == width else None
    hint = (
        f"load {better.name}"
        if better
        else "let model.preprocess fit the image, or use aimv2-large-patch14-native"
    )
    side = min(height, width)
    if side % config.patch_size == 0:
        hint += f"; load(…, side_px={side}) resamples the position table instead"
    return ImageError(
        f"this checkpoint takes {config.image_size} x {config.image_size} px: "
        f"got {height} x {width}",
        hint=hint,
    )


def _bicubic_matrix(old: int, new: int) -> NDArray[np.float32]:
    """Antialiased bicubic resampling along one axis, a = -0.5. Shapes: (new, old) float32.

    Source: the filter of Pillow's BICUBIC and of torch's with ``antialias=True`` (timm's choice).
    """
    scale = old / new
    support = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs((np.arange(old) + 0.5 - centres[:, None]) / support)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
