"""What a run of each stage is made of: one frozen dataclass a stage, checked once."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, Literal

from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference.image_options import Decoding
from mlx_aimv2.options import option

Stage = Literal["pretraining", "high-resolution", "native", "lit", "probe"]
Precision = Literal["auto", "float32", "bfloat16"]

MAX_PATCHES = partial(
    option, 256, help="Room for patches of an image, where the encoder is of native resolution."
)
BATCH_SIZE = partial(option, 32, help="Samples a step, on all machines together.")
_AT_LEAST_0 = (
    "warm_up_steps", "first_rate", "last_rate", "beta1", "beta2", "weight_decay", "pixel_weight",
    "text_weight", "seed", "chunk_size",
)  # fmt: skip
_BELOW_1 = ("beta1", "beta2")
_MOST = 2**63  # what MLX takes for a seed; no rate or count comes near it
_HEADS = {"heads": "width", "decoder_heads": "decoder_width", "text_heads": "text_width"}


@dataclass(frozen=True)
class Settings:
    """What every stage has; numbers are above 0 where 0 is not said to mean something.

    Units: rates are those of the optimiser's steps; sizes of batches in samples.
    """

    stage: ClassVar[Stage]

    preset: str = option("toy", help="The table these settings start from.")
    steps: int = option(1000, help="Number of optimiser steps.")
    chunk_size: int = option(0, help="Samples at once on one machine; 0 for all of its part.")
    peak_rate: float = option(1e-3, help="Learning rate after the warm-up.")
    first_rate: float = option(1e-6, help="Learning rate of the first step.")
    last_rate: float = option(1e-5, help="Learning rate at the end of the cosine.")
    warm_up_steps: int = option(0, help="Steps of the linear warm-up.")
    beta1: float = option(0.9, help="Memory of AdamW's mean.")
    beta2: float = option(0.95, help="Memory of AdamW's variance.")
    epsilon: float = option(1e-8, help="AdamW's epsilon.")
    weight_decay: float = option(1e-4, help="Fully decoupled decay: its share at the peak rate.")
    clip_norm: float = option(1.0, help="Largest global norm of the gradient.")
    seed: int = option(0, help="Of the first weights, the order and every random choice.")
    precision: Precision = option(
        "auto", help="Of the computation; weights are float32. auto: bfloat16 on a GPU with it."
    )
    decode: Decoding = option(
        "exact", help="fast: large JPEGs several times as fast, without their finest detail."
    )
    recompute: bool = option(False, help="Compute blocks again in the backward pass: less memory.")
    checkpoint_every: int = option(500, help="Steps between checkpoints of the run.")
    keep: int = option(2, help="Number of checkpoints of the run that are kept.")

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            least_allowed = each.name in _AT_LEAST_0
            if not (value >= 0 if least_allowed else value > 0):  # NaN is neither
                raise UsageError(
                    f"{each.name} is {value}: it must be "
                    f"{'0 or more' if least_allowed else 'above 0'}"
                )
            if each.name in _BELOW_1 and value >= 1:
                raise UsageError(f"{each.name} is {value}: it must be below 1")
            if value >= _MOST:
                raise UsageError(f"{each.name} is {value}: that is too large")
        for heads, width in _HEADS.items():
            count = getattr(self, heads, 1)
            if getattr(self, width, 0) % count:
                raise UsageError(
                    f"{width} is {getattr(self, width)}: it must be a multiple of {heads}, {count}"
                )
        if self.warm_up_steps >= self.steps:
            raise UsageError(
                f"warm_up_steps is {self.warm_up_steps} of {self.steps} steps: no step is left",
                hint="set fewer, like a tenth of the steps",
            )

    @property
    def decay(self) -> float:
        """What AdamW's ``weight_decay`` is, which torch's and MLX's multiply by the rate."""
        return self.weight_decay / self.peak_rate


@dataclass(frozen=True)
class EncoderSizes(Settings):
    """A vision encoder from random weights; with a checkpoint to begin from its sizes count."""

    width: int = option(192, help="Width of the encoder.")
    mlp_width: int = option(512, help="Width inside the encoder's MLPs.")
    blocks: int = option(6, help="Number of the encoder's blocks.")
    heads: int = option(3, help="Number of the encoder's attention heads.")
    decoder_width: int = option(192, help="Width of the decoder, which is not published.")
    decoder_mlp_width: int = option(512, help="Width inside the decoder's MLPs.")
    decoder_blocks: int = option(4, help="Number of the decoder's blocks.")
    decoder_heads: int = option(3, help="Number of the decoder's attention heads.")
    pixel_weight: float = option(0.4, help="Weight of the pixel loss; 0 leaves it out.")
    text_weight: float = option(1.0, help="Weight of the caption loss; 0 leaves it out.")
    prefix: bool = option(True, help="Prefix attention; without it all patches see each other.")
    caption_tokens: int = option(32, help="Longest caption in tokens; longer ones are cut.")
    tokenizer: str = option("demo", help="Checkpoint or folder whose tokenizer reads captions.")


@dataclass(frozen=True)
class PretrainingSettings(EncoderSizes):
    """Patches and captions from images of one side, cropped at random."""

    stage = "pretraining"

    batch_size: int = BATCH_SIZE()
    side_px: int = option(112, help="Side of the images in pixels.")


@dataclass(frozen=True)
class HighResolutionSettings(EncoderSizes):
    """A pre-trained encoder at a larger side, by the same objective, without weight decay."""

    stage = "high-resolution"

    batch_size: int = BATCH_SIZE()
    side_px: int = option(168, help="Side of the images in pixels.")


@dataclass(frozen=True)
class NativeSettings(EncoderSizes):
    """An encoder for images of any shape: area drawn a batch, about as many patches each."""

    stage = "native"

    batch_tokens: int = option(4096, help="Patches a step, on all machines together.")
    least_log2_area: float = option(7.0, help="Logarithm (base 2) of the fewest patches an image.")
    most_log2_area: float = option(12.0, help="Logarithm (base 2) of the most patches an image.")


@dataclass(frozen=True)
class LitSettings(Settings):
    """A text tower for a frozen encoder: matching captions and images get similar vectors."""

    stage = "lit"

    batch_size: int = BATCH_SIZE()
    projection: int = option(192, help="Width of the vectors that are compared.")
    text_width: int = option(128, help="Width of the text tower.")
    text_mlp_width: int = option(384, help="Width inside the text tower's MLPs.")
    text_blocks: int = option(2, help="Number of the text tower's blocks.")
    text_heads: int = option(2, help="Number of the text tower's attention heads.")
    caption_tokens: int = option(77, help="Longest caption in tokens; longer ones are cut.")
    tokenizer: str = option("demo", help="Checkpoint or folder whose tokenizer reads captions.")
    max_patches: int = MAX_PATCHES()
    augment: bool = option(False, help="Crop images at random: no features are kept then.")
    cache: bool = option(True, help="Keep the frozen encoder's features on the disk.")


@dataclass(frozen=True)
class ProbeSettings(Settings):
    """The attentive probe: a classifier on the features of a frozen encoder."""

    stage = "probe"

    batch_size: int = BATCH_SIZE()
    queries: int = option(1, help="Number of learned queries.")
    max_patches: int = MAX_PATCHES()
    augment: bool = option(True, help="Crop and mirror images at random: features are not kept.")
    cache: bool = option(True, help="Keep the frozen encoder's features on the disk.")

    @property
    def decay(self) -> float:
        """The paper's probe uses PyTorch's AdamW: decay is multiplied by the rate."""
        return self.weight_decay


STAGES: dict[Stage, type[Any]] = {
    kind.stage: kind
    for kind in (
        PretrainingSettings,
        HighResolutionSettings,
        NativeSettings,
        LitSettings,
        ProbeSettings,
    )
}
