"""The names AIMv2's tensors have on disk, and the one rule that maps each to ours.

Ours are Apple's MLX names. In a pattern ``*`` stands for a block number, carried over to the
target; ``part`` is a row third of the fused product, for layouts that keep q, k and v apart.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from mlx_aimv2.errors import CheckpointError


@dataclass(frozen=True)
class Rule:
    """One tensor name of a layout, and where it goes."""

    pattern: str
    target: str
    part: int | None = None


@dataclass(frozen=True)
class Match:
    """What became of one tensor name."""

    target: str
    part: int | None


@dataclass(frozen=True)
class Layout:
    """A way AIMv2 checkpoints are written: one table of rules."""

    name: str
    rules: tuple[Rule, ...]

    def match(self, tensor_name: str) -> Match | None:
        """The target of a tensor, or None where no rule fits."""
        for expression, rule in self._compiled:
            if found := expression.fullmatch(tensor_name):
                target = rule.target.replace("*", found[1]) if "*" in rule.target else rule.target
                return Match(target, rule.part)
        return None

    @cached_property
    def _compiled(self) -> list[tuple[re.Pattern[str], Rule]]:
        return [
            (re.compile(re.escape(rule.pattern).replace(r"\*", r"(0|[1-9]\d*)")), rule)
            for rule in self.rules
        ]


# Source of each table: shared by Apple's ml-aim at bd9e068 (torch and MLX), transformers 5.23
# and timm 1.0, and the headers of the published files; tests/parity compares with the live
# libraries.
_TRUNK = (
    "trunk.blocks.*.attn.qkv.weight",
    "trunk.blocks.*.attn.proj.weight",
    "trunk.blocks.*.mlp.fc1.weight",
    "trunk.blocks.*.mlp.fc2.weight",
    "trunk.blocks.*.mlp.fc3.weight",
    "trunk.blocks.*.norm_1.weight",
    "trunk.blocks.*.norm_2.weight",
    "trunk.post_trunk_norm.weight",
)
_VISION = (
    "preprocessor.patchifier.proj.weight",
    "preprocessor.patchifier.proj.bias",
    "preprocessor.patchifier.norm.weight",
    "preprocessor.pos_embed",
    *_TRUNK,
)
_HEAD = (
    "head.cls_token",
    "head.k.weight",
    "head.v.weight",
    "head.linear.weight",
    "head.linear.bias",
)
_TEXT = (
    "preprocessor.text_embedding.weight",
    "preprocessor.positional_embedding",
    *_TRUNK,
)
_SHARED = ("image_projector.weight", "text_projector.weight", "log_logit_scale")

_APPLE_NAMES = (
    *_VISION,
    *_HEAD,
    *(f"image_encoder.{name}" for name in (*_VISION, *_HEAD)),
    *(f"text_encoder.{name}" for name in _TEXT),
    *_SHARED,
)

_TRANSFORMERS_TRUNK = (
    Rule("encoder.layers.*.attention.q_proj.weight", "trunk.blocks.*.attn.qkv.weight", 0),
    Rule("encoder.layers.*.attention.k_proj.weight", "trunk.blocks.*.attn.qkv.weight", 1),
    Rule("encoder.layers.*.attention.v_proj.weight", "trunk.blocks.*.attn.qkv.weight", 2),
    Rule("encoder.layers.*.attention.out_proj.weight", "trunk.blocks.*.attn.proj.weight"),
    Rule("encoder.layers.*.ffn.gate_proj.weight", "trunk.blocks.*.mlp.fc1.weight"),
    Rule("encoder.layers.*.ffn.down_proj.weight", "trunk.blocks.*.mlp.fc2.weight"),
    Rule("encoder.layers.*.ffn.up_proj.weight", "trunk.blocks.*.mlp.fc3.weight"),
    # An early draft of transformers' converter wrote these four.
    Rule("encoder.layers.*.attention.proj_out.weight", "trunk.blocks.*.attn.proj.weight"),
    Rule("encoder.layers.*.ffn.fc1.weight", "trunk.blocks.*.mlp.fc1.weight"),
    Rule("encoder.layers.*.ffn.fc2.weight", "trunk.blocks.*.mlp.fc2.weight"),
    Rule("encoder.layers.*.ffn.fc3.weight", "trunk.blocks.*.mlp.fc3.weight"),
    Rule("encoder.layers.*.rms_norm1.weight", "trunk.blocks.*.norm_1.weight"),
    Rule("encoder.layers.*.rms_norm2.weight", "trunk.blocks.*.norm_2.weight"),
    Rule("rms_norm.weight", "trunk.post_trunk_norm.weight"),
)
_TRANSFORMERS_VISION = (
    Rule("embeddings.patch_embed.weight", "preprocessor.patchifier.proj.weight"),
    Rule("embeddings.patch_embed.bias", "preprocessor.patchifier.proj.bias"),
    Rule("embeddings.rms_norm.weight", "preprocessor.patchifier.norm.weight"),
    Rule("embeddings.position_embedding.weight", "preprocessor.pos_embed"),
    *_TRANSFORMERS_TRUNK,
    Rule("head.cls_token", "head.cls_token"),
    Rule("head.k_proj.weight", "head.k.weight"),
    Rule("head.v_proj.weight", "head.v.weight"),
    Rule("head.output_proj.weight", "head.linear.weight"),
    Rule("head.output_proj.bias", "head.linear.bias"),
)
_TRANSFORMERS_TEXT = (
    Rule("embeddings.token_embedding.weight", "preprocessor.text_embedding.weight"),
    Rule("embeddings.position_embedding.weight", "preprocessor.positional_embedding"),
    *_TRANSFORMERS_TRUNK,
)


def _under(source: str, target: str, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(Rule(source + r.pattern, target + r.target, r.part) for r in rules)


APPLE = Layout("Apple", tuple(Rule(name, name) for name in _APPLE_NAMES))
TRANSFORMERS = Layout(
    "transformers",
    (
        *_TRANSFORMERS_VISION,
        *_under("vision_model.", "image_encoder.", _TRANSFORMERS_VISION),
        *_under("text_model.", "text_encoder.", _TRANSFORMERS_TEXT),
        Rule("visual_projection.weight", "image_projector.weight"),
        Rule("text_projection.weight", "text_projector.weight"),
        Rule("logit_scale", "log_logit_scale"),
    ),
)
TIMM = Layout(
    "timm",
    (
        Rule("patch_embed.proj.weight", "preprocessor.patchifier.proj.weight"),
        Rule("patch_embed.proj.bias", "preprocessor.patchifier.proj.bias"),
        Rule("patch_embed.norm.weight", "preprocessor.patchifier.norm.weight"),
        Rule("pos_embed", "preprocessor.pos_embed"),
        Rule("blocks.*.norm1.weight", "trunk.blocks.*.norm_1.weight"),
        Rule("blocks.*.attn.qkv.weight", "trunk.blocks.*.attn.qkv.weight"),
        Rule("blocks.*.attn.proj.weight", "trunk.blocks.*.attn.proj.weight"),
        Rule("blocks.*.norm2.weight", "trunk.blocks.*.norm_2.weight"),
        Rule("blocks.*.mlp.fc1_g.weight", "trunk.blocks.*.mlp.fc1.weight"),
        Rule("blocks.*.mlp.fc1_x.weight", "trunk.blocks.*.mlp.fc3.weight"),
        Rule("blocks.*.mlp.fc2.weight", "trunk.blocks.*.mlp.fc2.weight"),
        Rule("norm.weight", "trunk.post_trunk_norm.weight"),
    ),
)
LAYOUTS = (APPLE, TRANSFORMERS, TIMM)


def recognise(tensor_names: Iterable[str]) -> Layout:
    """The layout whose rules fit these tensor names; decided by names alone.

    File names and revisions say nothing: the same ``model.safetensors`` was published in two
    layouts. Errors: CheckpointError where no layout fits at all.
    """
    names = list(tensor_names)
    fits = {layout.name: sum(1 for n in names if layout.match(n)) for layout in LAYOUTS}
    best = max(LAYOUTS, key=lambda layout: fits[layout.name])
    if any(".mlp.fc13." in name for name in names):
        raise CheckpointError(
            "this is an Ovis2 tower (stacked fc13, no final norm): it is not an AIMv2 checkpoint",
            hint="use one of the published checkpoints: aimv2 models",
        )
    if not fits[best.name]:
        raise CheckpointError(
            f"no AIMv2 tensor among {len(names)}: the first is {names[0] if names else 'none'}",
            hint="the published checkpoints are listed by: aimv2 models",
        )
    return best
