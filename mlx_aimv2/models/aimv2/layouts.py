"""The names AIMv2's tensors have on disk, and the rules that make them ours.

Ours are Apple's MLX names, on the right.
"""

from ..layout import Axes, Layout, Rule, Shape, own_names


def _channels_last(shape: Shape) -> Axes | None:
    """A convolution (O, I, P, P) of torch as MLX has it, (O, P, P, I), which it may be already."""
    # The names are the same: only the square tells.
    is_torch = len(shape) == 4 and shape[1] != shape[2] == shape[3]
    return (0, 2, 3, 1) if is_torch else None


def _with_batch_axis(shape: Shape) -> Axes | None:
    return (None, 0, 1) if len(shape) == 2 else None


_AXES_BACK: dict[object, Axes] = {_channels_last: (0, 3, 1, 2), _with_batch_axis: (1, 2)}


# Source of each table: shared by Apple's ml-aim at bd9e068 (torch and MLX), transformers 5.23
# and timm 1.0, and the headers of the published files; tests/parity compares with the live
# libraries.
_PATCHES = "preprocessor.patchifier.proj.weight"
_TRANSFORMERS_TRUNK = (
    Rule(
        (
            "encoder.layers.*.attention.q_proj.weight",
            "encoder.layers.*.attention.k_proj.weight",
            "encoder.layers.*.attention.v_proj.weight",
        ),
        "trunk.blocks.*.attn.qkv.weight",
    ),
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
    Rule("embeddings.patch_embed.weight", _PATCHES, _channels_last),
    Rule("embeddings.patch_embed.bias", "preprocessor.patchifier.proj.bias"),
    Rule("embeddings.rms_norm.weight", "preprocessor.patchifier.norm.weight"),
    Rule("embeddings.position_embedding.weight", "preprocessor.pos_embed", _with_batch_axis),
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


TRANSFORMERS = Layout(
    "transformers",
    (
        *_TRANSFORMERS_VISION,
        *(rule.under("vision_model.", "image_encoder.") for rule in _TRANSFORMERS_VISION),
        *(rule.under("text_model.", "text_encoder.") for rule in _TRANSFORMERS_TEXT),
        Rule("visual_projection.weight", "image_projector.weight"),
        Rule("text_projection.weight", "text_projector.weight"),
        Rule("logit_scale", "log_logit_scale"),
    ),
)
# Ours as transformers has them: of several names that it has had for a tensor, the first.
TO_TRANSFORMERS = Layout(
    TRANSFORMERS.name,
    tuple(
        {
            rule.target: Rule(rule.target, rule.source, _AXES_BACK.get(rule.axes))
            for rule in reversed(TRANSFORMERS.rules)
        }.values()
    ),
)
TIMM = Layout(
    "timm",
    (
        Rule("patch_embed.proj.weight", _PATCHES, _channels_last),
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
APPLE = Layout(
    "Apple torch",
    tuple(
        Rule(name, name, _channels_last if name.endswith(_PATCHES) else None)
        for name in own_names([TRANSFORMERS])
    ),
    name_in_mlx="Apple MLX",
)
