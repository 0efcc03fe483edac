"""The whole of Aria: pictures and tokens to logits of the next token."""

from collections.abc import Sequence

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from mlx_aimv2.errors import ImageError, TextError, UsageError

from ..network import Network, check_array, check_floats
from .cache import KVCache, QuantizedKVCache
from .config import AriaConfig
from .decoder import Decoder
from .projector import Projector
from .vision import VisionTower

_GROUP_SIZES = (64, 32)  # of a quantised cache: the first that divides a head


class AriaNetwork(Network):
    """Vision tower, projector and decoder.

    Source: transformers' AriaForConditionalGeneration.
    """

    def __init__(self, config: AriaConfig) -> None:
        super().__init__()
        self.config: AriaConfig = config
        self.vision = VisionTower(config.vision_config)
        self.projector = Projector(config)
        self.text = Decoder(config.text_config)

    def quantizes(self, path: str, module: nn.Module) -> bool:
        """The decoder's layers, but for the router; the tower and the projector stay as they are.

        They are small, and a width of the tower is no multiple of any group.
        """
        is_decoders = path.startswith("text.") and not path.endswith(".router")
        return is_decoders and super().quantizes(path, module)

    def encode_images(self, pixels_nhwc: mx.array, pixel_mask: mx.array | None = None) -> mx.array:
        """The tokens of crops, one crop after the other.

        ``pixel_mask`` is true where a crop has pixels, from its upper left corner; the rest is
        padding. All of it is picture without one.
        Shapes: (C, S, S, 3), (C, S, S) bool -> (C, Q, D); S is one of ``config.sides_px``.
        Units: normalised RGB, not 0-255.
        Errors: ImageError for another side, integer pixels, or a mask of another form.
        """
        side = self._check(pixels_nhwc)
        patch = self.config.vision_config.patch_size
        count = self.config.queries[(side // patch) ** 2]
        crops = []
        for crop, (rows, columns) in zip(
            pixels_nhwc, _sizes(pixels_nhwc, pixel_mask, patch), strict=True
        ):
            # Patches of padding are never looked at: they are left out.
            real = crop[None, : rows * patch, : columns * patch]
            crops.append(self.projector(self.vision(real), count))
            mx.eval(crops[-1])  # or what all crops need would be in memory at once
        return mx.concatenate(crops)

    def embed(self, input_ids: mx.array, image_features: mx.array | None = None) -> mx.array:
        """Embeddings of tokens, with those of pictures in the places that are theirs, in order.

        Without pictures the token that marks a place is one like any other.
        Shapes: (B, L), (places, D) or (C, Q, D) -> (B, L, D).
        Errors: TextError for an id that there is not; ImageError where there are more or fewer
        places than features.
        """
        ids: NDArray[np.int64] = np.array(input_ids)
        vocabulary = self.config.text_config.vocab_size
        if ids.size and (ids.min() < 0 or ids.max() >= vocabulary):
            raise TextError(f"there are token ids from 0 to {vocabulary - 1} only")
        embeddings = self.text.embed(input_ids)
        if image_features is None:
            return embeddings
        width = embeddings.shape[-1]
        places = np.flatnonzero(ids == self.config.image_token_index)
        given = image_features.size // width
        if len(places) != given:
            raise ImageError(
                f"the text has {len(places)} places for pictures, the pictures take {given}"
            )
        rows = embeddings.reshape(-1, width)
        rows[mx.array(places)] = image_features.reshape(-1, width).astype(rows.dtype)
        return rows.reshape(embeddings.shape)

    def decode(
        self,
        embeddings: mx.array,
        cache: Sequence[KVCache] | None = None,
        attention_mask: mx.array | None = None,
        *,
        last_only: bool = False,
    ) -> mx.array:
        """Logits of the token after each, or after the last; the cache is extended.

        ``attention_mask`` is 0 for padding, at the left or the right end of a row, of what is in
        the cache too.
        Shapes: (B, L, D), (B, cached + L) -> (B, L or 1, V).
        Errors: UsageError for a mask of another shape.
        """
        real = None
        if attention_mask is not None:
            whole = (len(embeddings), (cache[0].length if cache else 0) + embeddings.shape[1])
            if attention_mask.shape != whole:
                raise UsageError(f"attention_mask is {attention_mask.shape}, not {whole}")
            real = attention_mask.astype(mx.bool_)
        return self.text(embeddings, cache, real, last_only=last_only)

    def make_cache(self, bits: int | None = None) -> list[KVCache]:
        """An empty cache for each block; of 4 or 8 ``bits`` a number, or as computed.

        Errors: UsageError where a head has no whole groups of numbers.
        """
        blocks = range(self.config.text_config.num_hidden_layers)
        if bits is None:
            return [KVCache() for _ in blocks]
        head = self.config.text_config.head_dim
        group_size = next((size for size in _GROUP_SIZES if head % size == 0), None)
        if group_size is None:
            raise UsageError(f"a cache of heads of {head} numbers cannot be quantised")
        return [QuantizedKVCache(bits, group_size) for _ in blocks]

    def forward(
        self,
        input_ids: mx.array,
        pixel_values: mx.array | None = None,
        pixel_mask: mx.array | None = None,
        attention_mask: mx.array | None = None,
    ) -> mx.array:
        """Logits after each token, with transformers' names and order of axes.

        Shapes: (B, L), (C, 3, S, S), (C, S, S) bool, (B, L) -> (B, L, V).
        Errors: as of :meth:`encode_images`, :meth:`embed` and :meth:`decode`.
        """
        features = None
        if pixel_values is not None:
            features = self.encode_images(pixel_values.transpose(0, 2, 3, 1), pixel_mask)
        return self.decode(self.embed(input_ids, features), None, attention_mask)

    def _check(self, pixels_nhwc: mx.array) -> int:
        """The side of crops. Errors: ImageError for what are no crops."""
        check_array(pixels_nhwc)
        check_floats(pixels_nhwc)
        shape, sides = pixels_nhwc.shape, self.config.sides_px
        if len(shape) != 4 or shape[0] < 1 or shape[1:] not in [(side, side, 3) for side in sides]:
            known = " or ".join(f"(crops, {side}, {side}, 3)" for side in sides)
            raise ImageError(f"pixels must be {known}: got {shape}")
        return shape[1]


def _sizes(pixels_nhwc: mx.array, pixel_mask: mx.array | None, patch: int) -> NDArray[np.int64]:
    """Rows and columns of the patches of each crop in which there is any picture.

    Shapes: (C, S, S, 3), (C, S, S) -> (C, 2).
    Errors: ImageError for a mask that is no rectangle from the upper left corner.
    """
    whole = pixels_nhwc.shape[:3]
    if pixel_mask is None:
        return np.full((whole[0], 2), whole[1] // patch)
    if pixel_mask.shape != whole:
        raise ImageError(f"pixel_mask is {pixel_mask.shape}, not {whole}")
    mask = np.array(pixel_mask).astype(bool)
    heights, widths = mask[:, :, 0].sum(axis=1), mask[:, 0].sum(axis=1)
    places = np.arange(whole[1])
    rectangles = (places[:, None] < heights[:, None, None]) & (places < widths[:, None, None])
    if not heights.all() or (mask != rectangles).any():
        raise ImageError("pixel_mask must be a rectangle from the upper left corner of each crop")
    return np.stack([-(-heights // patch), -(-widths // patch)], axis=1)
