"""What every family's network does, whatever it is made of."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, cast, runtime_checkable

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten

from mlx_aimv2.errors import ImageError

from .aimv2.config import TextConfig, VisionConfig
from .aimv2.text import TextEncoder

Tower = Literal["image", "text"]


class Config(Protocol):
    """The sizes of a network.

    ``to_dict`` gives the ``config.json``, which the family's ``complete_config`` reads.
    """

    @property
    def model_type(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...


@runtime_checkable
class EmbeddingConfig(Config, Protocol):
    """The sizes of a network that embeds; ``text_config`` is None where it reads no texts.

    ``embedding_width`` is that of an embedding by the pooling head, and by the projection if any.
    """

    @property
    def vision_config(self) -> VisionConfig: ...
    @property
    def text_config(self) -> TextConfig | None: ...
    @property
    def embedding_width(self) -> int: ...


class Network(nn.Module):
    """What is loaded and quantised, whatever it computes."""

    config: Config

    def quantizes(self, path: str, module: nn.Module) -> bool:
        """Whether a module of this network may be quantised: linear layers and token tables."""
        return hasattr(module, "to_quantized")

    def flat_parameters(self) -> dict[str, mx.array]:
        """All parameters by their dotted names."""
        return dict(cast("list[tuple[str, mx.array]]", tree_flatten(self.parameters())))


class EmbeddingNetwork(Network):
    """Images to vectors, and texts where there is a text encoder."""

    config: EmbeddingConfig

    @property
    def vision(self) -> "ImageEncoder | None":
        """The image encoder; None where it was not loaded."""
        raise NotImplementedError

    @property
    def text(self) -> TextEncoder | None:
        """The text encoder; None where there is none, or it was not loaded."""
        return None

    @property
    def logit_scale(self) -> mx.array | None:
        """The factor on cosine similarities; None for a checkpoint without texts. Shapes: ()."""
        return None

    def project_image(self, pooled: mx.array) -> mx.array:
        """The pooling head's vectors in the space of the texts. Shapes: (B, D) -> (B, P)."""
        return pooled

    def project_text(self, pooled: mx.array) -> mx.array:
        """The text encoder's vectors in the space of the images. Shapes: (B, D) -> (B, P)."""
        return pooled

    def resample_positions(self, side_px: int) -> None:
        """Make its image encoder a ``side_px`` one by resampling the position table, in place.

        Errors: ImageError where there is no such table, or for a side below one patch.
        """
        raise ImageError(f"this checkpoint has no position table to resample to {side_px} px")


class ImageEncoder(EmbeddingNetwork):
    """Pixels to features of patches, and features to one vector.

    A family's own defines at least ``features``, and ``encode_patches`` where it takes images of
    any size.
    """

    config: VisionConfig

    @property
    def vision(self) -> "ImageEncoder":
        """This encoder."""
        return self

    def features(self, pixels_nhwc: mx.array) -> mx.array:
        """Features of the patches, row by row.

        Shapes: (B, H, W, 3) -> (B, N, D), N = (H // P) * (W // P).
        Units: normalised RGB (see ``Model.preprocess``), not 0-255.
        Errors: ImageError for another side than the checkpoint's, or integer pixels.
        """
        raise NotImplementedError

    def encode_patches(
        self, patches: mx.array, grids: Sequence[tuple[int, int]]
    ) -> tuple[mx.array, mx.array | None]:
        """Features of native images of different sizes, padded to one length, and their mask.

        ``grids`` are (rows, columns), one an image; what lies after rows * columns is padding
        and changes nothing before it.
        Shapes: (B, N, P*P*3) -> (B, N, D), mask (B, 1, 1, N) or None where nothing is padded.
        Units: normalised RGB, as for pixels.
        Errors: ImageError for a fixed-size encoder, integer patches, or grids of another size.
        """
        raise ImageError(f"a {self.config.image_size} px encoder takes no patches of any grid")

    def pool(
        self, features: mx.array, mask: mx.array | None = None, *, mean: bool = False
    ) -> mx.array:
        """One vector an image: the pooling head's, or the mean over the real patches.

        ``mean`` asks for the mean although there is a head.
        Shapes: (B, N, D), mask (B, 1, 1, N) -> (B, D).
        """
        wide = features.astype(mx.float32)
        if mask is None:
            return wide.mean(axis=1).astype(features.dtype)
        real = mask[:, 0, 0, :, None]  # (B, N, 1)
        total = mx.where(real, wide, 0).sum(axis=1)
        return (total / real.sum(axis=1)).astype(features.dtype)

    def encode_tiles(self, pixels_nhwc: mx.array, tiles: int) -> mx.array:
        """The patch grid of an image ``tiles`` times the side: its crops, encoded, side by side.

        Shapes: (B, T*S, T*S, 3) -> (B, T*G, T*G, D), G patches along the side S.
        Errors: ImageError for a native encoder, or pixels of another size.
        Source: AIMv2 paper, section 4.3.1.
        """
        self.check(pixels_nhwc)
        side = self.config.image_size
        if side is None:
            raise ImageError("a native-resolution encoder takes images whole, not in tiles")
        batch, height, width, channels = pixels_nhwc.shape
        if tiles < 1 or (height, width) != (tiles * side, tiles * side):
            raise ImageError(
                f"{tiles} x {tiles} tiles of {side} px need {tiles * side} px: "
                f"got {height} x {width}"
            )
        grid = self.config.grid_side
        crops = pixels_nhwc.reshape(batch, tiles, side, tiles, side, channels).swapaxes(2, 3)
        features = self.features(crops.reshape(-1, side, side, channels))
        cells = features.reshape(batch, tiles, tiles, grid, grid, -1).swapaxes(2, 3)
        return cells.reshape(batch, tiles * grid, tiles * grid, -1)

    def check(self, pixels_nhwc: mx.array) -> None:
        """Errors: ImageError for anything but normalised images of at least one patch."""
        check_array(pixels_nhwc)
        shape, config = pixels_nhwc.shape, self.config
        if len(shape) != 4 or shape[-1] != config.num_channels:
            raise ImageError(
                f"pixels must be (batch, height, width, {config.num_channels}): got {shape}"
            )
        if min(shape[1:3]) < config.patch_size:
            raise ImageError(f"{shape[1]} x {shape[2]} px hold no patch of {config.patch_size} px")
        check_floats(pixels_nhwc)


def check_array(pixels: object) -> None:
    """Errors: ImageError for anything but an array of MLX."""
    if not isinstance(pixels, mx.array):
        raise ImageError(
            f"pixels must be an mx.array, not of type {type(pixels).__name__}",
            hint="make one: mlx.core.array(pixels); model.preprocess gives one",
        )


def check_floats(pixels: mx.array) -> None:
    """Errors: ImageError for pixels that are not normalised."""
    if not mx.issubdtype(pixels.dtype, mx.floating):
        raise ImageError(
            f"pixels must be normalised floats, not {pixels.dtype}",
            hint="pass them through model.preprocess first",
        )
