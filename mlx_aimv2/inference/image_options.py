"""What may be chosen of how images are prepared and embedded, in Python and on the command line."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from mlx_aimv2.images import MAX_PIXELS
from mlx_aimv2.options import option

Pooling = Literal["head", "mean", "none"]
Decoding = Literal["exact", "fast"]
Dtype = Literal["float32", "float16", "bfloat16"]

MODEL_HELP = "The checkpoint: a name from `aimv2 models`, a hub id[@revision], or a folder."
# Options that others have too, with defaults of their own.
MODEL = partial(
    option,
    help=MODEL_HELP,
    flags="--model -m",
    metavar="SOURCE",
)
EXCLUDE = partial(
    option,
    (),
    help="Skip this in folders: a name (Exports, '*.png') anywhere, or with a / a path in the "
    "folder; capitals do not count. May be given again.",
    metavar="PATTERN",
)
DTYPE = partial(option, help="Precision to compute in.", show_default="what suits this device")
PRESET = partial(
    option,
    help="Prepare pixels as on the Hub, or as in Apple's evaluation code.",
    type=Literal["hub", "ml-aim"],
)
MAX_PATCHES = partial(
    option,
    help="Shrink larger images to this number of patches (native checkpoints).",
    min=1,
    metavar="COUNT",
    show_default="4096",
)
SIDE = partial(
    option,
    help="Adapt a fixed-size checkpoint to images of this side in pixels.",
    min=1,
    metavar="PX",
    show_default="the checkpoint's own",
)
DECODE = partial(
    option,
    help="Decode large JPEGs exactly, or three to five times as fast without their finest detail.",
)


@dataclass(frozen=True)
class ImageOptions:
    """What a caller may choose; None leaves the choice to the checkpoint.

    ``fills_batches``: a fixed-size checkpoint computes every batch at its full size, so that an
    image has the same bits whichever are beside it. ``decode`` "fast" lets the decoder of a large
    JPEG leave out detail that is finer than what is seen. ``as_stored``: as published evaluations
    read pictures (see ``open_picture``).
    """

    pooling: Pooling | None = option(
        help="One vector for an image, by the head or the mean; none keeps a vector for each "
        "patch.",
        show_default="head with LiT, else mean",
    )
    preset: str = PRESET("hub")
    tiles: int = option(
        1,
        help="Cut each image into 2 × 2 or 3 × 3 tiles, for finer detail.",
        min=1,
        max=3,
        metavar="1|2|3",
    )
    max_patches: int | None = MAX_PATCHES()
    max_pixels: int = option(
        MAX_PIXELS,
        help="Refuse images with more pixels.",
        min=1,
        metavar="COUNT",
        show_default="179 million",
    )
    normalize: bool = option(
        True,
        help="Keep the length that the checkpoint gives to vectors, not 1.",
        flags="--no-normalize",
    )
    batch_size: int | None = option(
        help="Number of images computed at once.",
        min=1,
        metavar="COUNT",
        show_default="by the checkpoint's tokens",
    )
    threads: int | None = option(
        help="Number of threads that decode images.",
        min=1,
        metavar="COUNT",
        show_default="by the number of cores",
    )
    decode: Decoding = DECODE("exact")
    fills_batches: bool = False
    as_stored: bool = False
