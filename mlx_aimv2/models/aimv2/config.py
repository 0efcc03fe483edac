"""Model sizes: frozen dataclasses with transformers' ``config.json`` keys as fields.

What a checkpoint *is* comes from its tensors; ``config.json`` adds what they cannot say
(heads, epsilon, the end token) and is refused where it contradicts them.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from mlx_aimv2.errors import CheckpointError

from ..stated_values import Shapes, agree, blocks_of, integer, number, part_of, shape_of, usual

_PUBLISHED_HEAD_WIDTH = 128  # every published architecture, vision and text
_PUBLISHED_EOS_TOKEN_ID = 49407
_LOGIT_SCALE_INIT = math.log(1 / 0.07)


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of a vision encoder; ``image_size`` is None for a native-resolution one.

    Units: image_size and patch_size in pixels.
    """

    model_type: ClassVar[str] = "aimv2_vision_model"
    text_config: ClassVar[None] = None

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int | None = None
    patch_size: int = 14
    num_channels: int = 3
    rms_norm_eps: float = 1e-5
    is_native: bool = False
    use_head: bool = False

    def __post_init__(self) -> None:
        _check_trunk("vision", self)
        if self.is_native and self.hidden_size % 4:
            raise CheckpointError(f"native positions need hidden_size % 4 = 0: {self.hidden_size}")
        if not self.is_native and (self.image_size is None or self.image_size < self.patch_size):
            raise CheckpointError(f"a fixed-size encoder needs its image_size: {self.image_size}")

    @property
    def vision_config(self) -> "VisionConfig":
        return self

    @property
    def embedding_width(self) -> int:
        return self.hidden_size

    def to_dict(self) -> dict[str, Any]:
        """The ``config.json``, readable by :func:`complete_config`."""
        stated = asdict(self)
        if self.is_native:
            del stated["image_size"]
        return {"model_type": self.model_type, "architectures": ["Aimv2VisionModel"]} | stated

    @property
    def grid_side(self) -> int:
        """Patches along a side of a fixed-size image."""
        if self.image_size is None:
            raise CheckpointError("a native-resolution encoder has no fixed grid")
        return self.image_size // self.patch_size

    @property
    def patch_width(self) -> int:
        """Values in one flattened patch."""
        return self.patch_size**2 * self.num_channels


@dataclass(frozen=True)
class TextConfig:
    """Sizes of a text encoder; ``max_position_embeddings`` is its context length in tokens."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    eos_token_id: int = _PUBLISHED_EOS_TOKEN_ID
    rms_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        _check_trunk("text", self)
        if not 0 <= self.eos_token_id < self.vocab_size:
            raise CheckpointError(
                f"eos_token_id {self.eos_token_id} lies outside the vocabulary of {self.vocab_size}"
            )


@dataclass(frozen=True)
class LiTConfig:
    """Sizes of an image and a text tower; ``projection_dim`` is the width of both embeddings."""

    model_type: ClassVar[str] = "aimv2"

    vision_config: VisionConfig
    text_config: TextConfig
    projection_dim: int
    logit_scale_init_value: float = _LOGIT_SCALE_INIT
    max_logit_scale: float = 100.0

    def __post_init__(self) -> None:
        if self.max_logit_scale < 1:
            raise CheckpointError(f"max_logit_scale is {self.max_logit_scale}: below 1")

    @property
    def embedding_width(self) -> int:
        return self.projection_dim

    def to_dict(self) -> dict[str, Any]:
        """The ``config.json``, readable by :func:`complete_config`."""
        vision = self.vision_config.to_dict()
        del vision["architectures"]
        return {
            "model_type": self.model_type,
            "architectures": ["Aimv2Model"],
            "projection_dim": self.projection_dim,
            "logit_scale_init_value": self.logit_scale_init_value,
            "max_logit_scale": self.max_logit_scale,
            "vision_config": vision,
            "text_config": {"model_type": "aimv2_text_model"} | asdict(self.text_config),
        }


def complete_config(shapes: Shapes, stated: Mapping[str, Any]) -> VisionConfig | LiTConfig:
    """The configuration that tensors of these names and shapes have.

    ``shapes`` uses this project's names; ``stated`` is a ``config.json`` of any generation,
    or empty.
    Errors: CheckpointError where tensors are missing, ``stated`` contradicts them, or neither
    tells the number of heads.
    """
    if not any(name.startswith(("image_", "text_")) for name in shapes):
        return _vision_config(shapes, "", stated)
    projector = "text_projector.weight"
    projection_dim = shape_of(shapes, projector, 2)[0]
    agree(stated, "projection_dim", projection_dim, projector)
    temperature = number(stated, "init_temperature", 0.07)
    return LiTConfig(
        vision_config=_vision_config(shapes, "image_encoder.", part_of(stated, "vision_config")),
        text_config=_text_config(shapes, "text_encoder.", part_of(stated, "text_config")),
        projection_dim=projection_dim,
        logit_scale_init_value=number(
            stated, "logit_scale_init_value", math.log(1 / max(temperature, 1e-6))
        ),
        max_logit_scale=number(stated, "max_logit_scale", 100.0),
    )


def _vision_config(shapes: Shapes, prefix: str, stated: Mapping[str, Any]) -> VisionConfig:
    projection = f"{prefix}preprocessor.patchifier.proj.weight"
    _, patch_size, _, channels = shape_of(shapes, projection, 4)
    table = f"{prefix}preprocessor.pos_embed"
    agree(stated, "patch_size", patch_size, projection)
    agree(stated, "num_channels", channels, projection)
    sizes = _trunk_sizes(shapes, prefix, stated) | {
        "patch_size": patch_size,
        "num_channels": channels,
        "is_native": _is_native(shapes, table, stated),
        "use_head": any(name.startswith(f"{prefix}head.") for name in shapes),
    }
    agree(stated, "is_native", sizes["is_native"], table)
    agree(stated, "use_head", sizes["use_head"], f"{prefix}head.*")
    if table in shapes:
        num_patches = shape_of(shapes, table, 3)[1]
        side = math.isqrt(num_patches)
        if side**2 != num_patches:
            raise CheckpointError(
                f"the tensor {table} has {num_patches} rows: they make no square grid"
            )
        sizes["image_size"] = _stated_side(stated, side, patch_size)
        agree(stated, "image_size", sizes["image_size"], table)
    return VisionConfig(
        **sizes,
        num_attention_heads=_heads(stated, sizes["hidden_size"]),
        rms_norm_eps=number(stated, "rms_norm_eps", 1e-5),
    )


def _is_native(shapes: Shapes, table: str, stated: Mapping[str, Any]) -> bool:
    # Old configurations do not say is_native: their native ones have no image_size.
    if table not in shapes and not stated.get("is_native", stated.get("image_size") is None):
        raise CheckpointError(f"the tensor {table} is missing")
    return table not in shapes


def _stated_side(stated: Mapping[str, Any], side: int, patch_size: int) -> int:
    # 225 px make the same 16 x 16 grid as 224: the stated size is kept when its grid fits.
    size = stated.get("image_size")
    if isinstance(size, int) and size // patch_size == side:
        return size
    return side * patch_size


def _text_config(shapes: Shapes, prefix: str, stated: Mapping[str, Any]) -> TextConfig:
    words = f"{prefix}preprocessor.text_embedding.weight"
    places = f"{prefix}preprocessor.positional_embedding"
    vocab_size, positions = shape_of(shapes, words, 2)[0], shape_of(shapes, places, 2)[0]
    agree(stated, "vocab_size", vocab_size, words)
    for key in ("max_position_embeddings", "max_context_length"):
        agree(stated, key, positions, places)
    sizes = _trunk_sizes(shapes, prefix, stated)
    last_id = vocab_size - 1
    return TextConfig(
        **sizes,
        vocab_size=vocab_size,
        max_position_embeddings=positions,
        num_attention_heads=_heads(stated, sizes["hidden_size"]),
        eos_token_id=integer(stated, "eos_token_id", min(_PUBLISHED_EOS_TOKEN_ID, last_id)),
        rms_norm_eps=number(stated, "rms_norm_eps", 1e-5),
    )


def _trunk_sizes(shapes: Shapes, prefix: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{prefix}trunk.blocks."
    blocks = blocks_of(shapes, start)
    gates = [shape_of(shapes, f"{start}{block}.mlp.fc1.weight", 2) for block in blocks]
    sizes = {
        "hidden_size": usual([gate[1] for gate in gates], stated.get("hidden_size")),
        "intermediate_size": usual([gate[0] for gate in gates], stated.get("intermediate_size")),
        "num_hidden_layers": len(blocks),
    }
    for key, size in sizes.items():
        agree(stated, key, size, f"{start}*")
    return sizes


def _heads(stated: Mapping[str, Any], hidden: int) -> int:
    # No tensor tells the heads, and a wrong number of them computes nonsense without an error.
    if stated.get("num_attention_heads") is None and hidden % _PUBLISHED_HEAD_WIDTH:
        raise CheckpointError(
            f"num_attention_heads is stated nowhere, and a width of {hidden} does not tell it",
            hint="put the config.json that belongs to these weights beside them",
        )
    return integer(stated, "num_attention_heads", hidden // _PUBLISHED_HEAD_WIDTH)


def _check_trunk(tower: str, config: VisionConfig | TextConfig) -> None:
    hidden, heads = config.hidden_size, config.num_attention_heads
    if heads < 1 or hidden % heads:
        raise CheckpointError(f"{tower}: hidden_size {hidden} does not split into {heads} heads")
    if config.rms_norm_eps <= 0:
        raise CheckpointError(f"{tower}: rms_norm_eps is {config.rms_norm_eps}, not above 0")
