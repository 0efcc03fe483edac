"""Sizes of an Aria: frozen dataclasses with transformers' ``config.json`` keys as fields.

Sizes come from the tensors; ``config.json`` adds what they cannot say (heads, experts a token, the
base of the rotary positions) and is refused where it contradicts them.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from mlx_aimv2.errors import CheckpointError

from ..stated_values import Shapes, agree, blocks_of, integer, number, part_of, shape_of, usual

# What the published config.json leaves out. Source: transformers' Idefics3VisionConfig, AriaConfig.
_VISION_HEADS = 16
_QUERIES = {1225: 128, 4900: 256}
# What is computed here and nothing else, by the part of config.json that might say otherwise.
_ONLY: dict[str, dict[str, object]] = {
    "": {"vision_feature_layer": -1, "tie_word_embeddings": False},
    "text_config": {"hidden_act": "silu", "tie_word_embeddings": False},
    "vision_config": {"hidden_act": "gelu_pytorch_tanh"},
}


@dataclass(frozen=True)
class AriaVisionConfig:
    """Sizes of the vision tower; ``image_size`` is the largest side of a crop.

    Units: image_size and patch_size in pixels.
    """

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    layer_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        _check_heads("vision", self.hidden_size, self.num_attention_heads)

    @property
    def table_side(self) -> int:
        """Rows and columns of the position table."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class AriaTextConfig:
    """Sizes of the decoder; ``intermediate_size`` is the width of one expert."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    moe_num_experts: int
    moe_topk: int
    moe_num_shared_experts: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        _check_heads("text", self.hidden_size, self.num_attention_heads)
        if not 1 <= self.moe_topk <= self.moe_num_experts:
            raise CheckpointError(f"moe_topk is {self.moe_topk} of {self.moe_num_experts} experts")

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class AriaConfig:
    """Sizes of the whole; ``queries`` are the tokens of a crop by the number of its patches."""

    model_type: ClassVar[str] = "aria"

    vision_config: AriaVisionConfig
    text_config: AriaTextConfig
    queries: Mapping[int, int]
    image_token_index: int = 9

    @property
    def sides_px(self) -> tuple[int, ...]:
        """Sides of the square crops that it takes, the smallest first."""
        patch = self.vision_config.patch_size
        return tuple(math.isqrt(patches) * patch for patches in sorted(self.queries))

    def to_dict(self) -> dict[str, Any]:
        """The ``config.json``, readable by :func:`complete_config` and by transformers."""
        heads = self.text_config.num_attention_heads
        return {
            "model_type": self.model_type,
            "architectures": ["AriaForConditionalGeneration"],
            "image_token_index": self.image_token_index,
            "projector_patch_to_query_dict": {str(n): count for n, count in self.queries.items()},
            "vision_config": {"model_type": "idefics3_vision"} | asdict(self.vision_config),
            "text_config": {"model_type": "aria_text", "num_key_value_heads": heads}
            | asdict(self.text_config),
        }


def complete_config(shapes: Shapes, stated: Mapping[str, Any]) -> AriaConfig:
    """The configuration that tensors of these names and shapes have.

    ``shapes`` uses this project's names; ``stated`` is a ``config.json`` as it is on the hub, as
    transformers writes it, or as Rhymes AI wrote it first.
    Errors: CheckpointError where tensors are missing, or ``stated`` contradicts them, leaves out
    what they do not tell, or asks for what is not computed here.
    """
    for key, values in _ONLY.items():
        part = part_of(stated, key) if key else stated
        for name, value in values.items():
            if part.get(name) not in (None, value):
                raise CheckpointError(f"config.json: {name} is {part[name]!r}, not {value!r}")
    query = shape_of(shapes, "projector.query", 2)
    queries = _queries(stated.get("projector_patch_to_query_dict") or _QUERIES)
    if max(queries.values()) > query[0]:
        raise CheckpointError(
            f"config.json asks for {max(queries.values())} tokens a crop: projector.query has "
            f"{query[0]}"
        )
    image_token = stated.get("image_token_id")
    return AriaConfig(
        vision_config=_vision_config(shapes, part_of(stated, "vision_config")),
        text_config=_text_config(shapes, part_of(stated, "text_config")),
        queries=queries,
        image_token_index=integer(
            stated, "image_token_index", 9 if image_token is None else image_token
        ),
    )


def _queries(stated: object) -> dict[int, int]:
    try:
        queries = {int(patches): int(count) for patches, count in dict(stated).items()}  # type: ignore[call-overload]
    except (TypeError, ValueError):
        queries = {}
    if not queries or not all(math.isqrt(n) ** 2 == n > 0 < q for n, q in queries.items()):
        raise CheckpointError(f"config.json: projector_patch_to_query_dict is {stated!r}")
    return queries


def _vision_config(shapes: Shapes, stated: Mapping[str, Any]) -> AriaVisionConfig:
    table, projection = "vision.pos_embed", "vision.patchifier.proj.weight"
    positions, _ = shape_of(shapes, table, 2)
    _, patch_size, _, channels = shape_of(shapes, projection, 4)
    side = math.isqrt(positions)
    if side**2 != positions or channels != 3:
        raise CheckpointError(f"{table} has {positions} rows, {projection} {channels} channels")
    blocks = blocks_of(shapes, "vision.blocks.")
    mlps = [shape_of(shapes, f"vision.blocks.{block}.mlp.fc1.weight", 2) for block in blocks]
    sizes = {
        "hidden_size": usual([mlp[1] for mlp in mlps], stated.get("hidden_size")),
        "intermediate_size": usual([mlp[0] for mlp in mlps], stated.get("intermediate_size")),
        "num_hidden_layers": len(blocks),
        "image_size": side * patch_size,
        "patch_size": patch_size,
    }
    for key, size in sizes.items():
        agree(stated, key, size, "vision.*")
    return AriaVisionConfig(
        **sizes,
        num_attention_heads=integer(stated, "num_attention_heads", _VISION_HEADS),
        layer_norm_eps=number(stated, "layer_norm_eps", 1e-6),
    )


def _text_config(shapes: Shapes, stated: Mapping[str, Any]) -> AriaTextConfig:
    blocks = blocks_of(shapes, "text.blocks.")
    moes = [f"text.blocks.{block}.moe." for block in blocks]
    gates = [shape_of(shapes, f"{moe}experts.gate.weight", 3) for moe in moes]
    shared = [shape_of(shapes, f"{moe}shared.fc1.weight", 2)[0] for moe in moes]
    # The first config.json of Rhymes AI has an unused intermediate_size beside the real width.
    key = "moe_intermediate_size" if stated.get("moe_intermediate_size") else "intermediate_size"
    width = usual([gate[1] for gate in gates], stated.get(key))
    sizes = {
        "vocab_size": shape_of(shapes, "text.embed.weight", 2)[0],
        "hidden_size": usual([gate[2] for gate in gates], stated.get("hidden_size")),
        "num_hidden_layers": len(blocks),
        "moe_num_experts": usual([gate[0] for gate in gates], stated.get("moe_num_experts")),
        "moe_num_shared_experts": usual(shared, None) // width,
    }
    for name, size in sizes.items():
        agree(stated, name, size, "text.*")
    agree(stated, key, width, "text.blocks.*.moe.experts.*")
    heads = _required(stated, "num_attention_heads")
    agree(stated, "num_key_value_heads", heads, "text.blocks.*.attn.qkv.weight")
    agree(stated, "head_dim", sizes["hidden_size"] // max(heads, 1), "text.blocks.*")
    return AriaTextConfig(
        **sizes,
        intermediate_size=width,
        num_attention_heads=heads,
        moe_topk=_required(stated, "moe_topk"),
        max_position_embeddings=_required(stated, "max_position_embeddings"),
        rope_theta=_rope_theta(stated),
        rms_norm_eps=number(stated, "rms_norm_eps", 1e-6),
    )


def _required(stated: Mapping[str, Any], key: str) -> int:
    # No tensor tells it, and a wrong number computes nonsense without an error.
    if stated.get(key) is None:
        raise CheckpointError(
            f"{key} of the text model is stated nowhere",
            hint="put the config.json that belongs to these weights beside them",
        )
    return integer(stated, key, 0)


def _rope_theta(stated: Mapping[str, Any]) -> float:
    """The base of the rotary positions, in ``rope_parameters`` since transformers 5."""
    rope = part_of(stated, "rope_parameters") or part_of(stated, "rope_scaling")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise CheckpointError(f"config.json: rotary positions of the type {kind!r} are not known")
    place = rope if rope.get("rope_theta") is not None else stated
    _required(place, "rope_theta")
    return number(place, "rope_theta", 0)


def _check_heads(part: str, hidden: int, heads: int) -> None:
    if heads < 1 or hidden % heads:
        raise CheckpointError(f"{part}: hidden_size {hidden} does not split into {heads} heads")
