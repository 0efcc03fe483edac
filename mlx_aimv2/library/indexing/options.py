"""What may be chosen of a run of the index, in Python and on the command line."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlx_aimv2.inference.image_options import (
    DECODE,
    DTYPE,
    EXCLUDE,
    MAX_PATCHES,
    MODEL,
    PRESET,
    Decoding,
    Dtype,
    ImageOptions,
)
from mlx_aimv2.options import group, option


@dataclass(frozen=True)
class IndexOptions:
    """What a caller may choose; None leaves the choice to the library."""

    exclude: str | Iterable[str] = EXCLUDE()
    include: str | Iterable[str] = option(
        (),
        help="Take back an --exclude, which the library remembers.",
        flags="--no-exclude",
        metavar="PATTERN",
    )
    reread: bool = option(False, help="Read all photos again, also those that look unchanged.")
    model: str | None = MODEL(show_default="the library's; lit for a new one")
    preset: str | None = PRESET(show_default="the library's; hub for a new one")
    max_patches: int | None = MAX_PATCHES(
        help="Shrink larger images to this many patches (native checkpoints).",
        show_default="the library's; 1024 for a new one",
    )
    images: ImageOptions = group(
        ImageOptions, without="pooling preset tiles max_patches normalize decode"
    )
    decode: Decoding | None = DECODE(show_default="the library's; exact for a new one")
    dtype: Dtype | None = DTYPE()
