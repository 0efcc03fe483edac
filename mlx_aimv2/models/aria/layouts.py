"""The names Aria's tensors have on disk, and the rules that make them ours, on the right.

Experts are written (expert, in, out), gate and up side by side; ours are (expert, out, in), as
every linear weight is, so that they are quantised along what is summed.
"""

from ..layout import Layout, Rule

_HALVES = ("experts.gate.weight", "experts.up.weight")


def _experts(both: str, down: str) -> tuple[Rule, ...]:
    """The two names of the experts' tensors in a block."""
    return (Rule(both, _HALVES, (0, 2, 1), cut=1), Rule(down, "experts.down.weight", (0, 2, 1)))


# Source: the index of rhymes-ai/Aria on the hub, and transformers 5.24, which writes the same.
_VISION_BLOCK = (
    *(
        Rule(
            tuple(f"self_attn.{part}_proj.{kind}" for part in "qkv"),
            f"attn.qkv.{kind}",
        )
        for kind in ("weight", "bias")
    ),
    *(
        Rule(f"{theirs}.{kind}", f"{ours}.{kind}")
        for theirs, ours in (
            ("layer_norm1", "norm_1"),
            ("layer_norm2", "norm_2"),
            ("self_attn.out_proj", "attn.proj"),
            ("mlp.fc1", "mlp.fc1"),
            ("mlp.fc2", "mlp.fc2"),
        )
        for kind in ("weight", "bias")
    ),
)
_VISION = (
    Rule("embeddings.patch_embedding.weight", "patchifier.proj.weight", (0, 2, 3, 1)),
    Rule("embeddings.patch_embedding.bias", "patchifier.proj.bias"),
    Rule("embeddings.position_embedding.weight", "pos_embed"),
    *(rule.under("encoder.layers.*.", "blocks.*.") for rule in _VISION_BLOCK),
    # The features are taken before this norm; on the hub it is all zeros.
    Rule("post_layernorm.weight"),
    Rule("post_layernorm.bias"),
)


def _projector(norm_kv: str, norm: str, mlp: str) -> tuple[Rule, ...]:
    """The projector, of which Rhymes AI and transformers name three parts differently."""
    pairs = {
        "cross_attn.multihead_attn.out_proj": "attn.proj",
        "cross_attn.linear": "attn.linear",
        "cross_attn.layer_norm": "attn.norm_q",
        f"cross_attn.{norm_kv}": "attn.norm_kv",
        norm: "norm",
    }
    return (
        Rule("query", "query"),
        *(Rule(f"cross_attn.{part}_proj.weight", f"attn.{part}.weight") for part in "qkv"),
        Rule("cross_attn.multihead_attn.in_proj_weight", "attn.qkv.weight"),
        Rule("cross_attn.multihead_attn.in_proj_bias", "attn.qkv.bias"),
        *(
            Rule(f"{theirs}.{kind}", f"{ours}.{kind}")
            for theirs, ours in pairs.items()
            for kind in ("weight", "bias")
        ),
        Rule(f"{mlp}.linear_in.weight", "mlp.fc1.weight"),
        Rule(f"{mlp}.linear_out.weight", "mlp.fc2.weight"),
    )


_MOE = (
    Rule("router.weight", "router.weight"),
    *_experts("experts.fc1.weight", "experts.fc2.weight"),
    *_experts("experts.gate_up_proj", "experts.down_proj"),
    # Aria-sequential_mlp has a linear layer for each expert. Its index was never seen here: these
    # are the two ways in which such layers are named elsewhere.
    *(
        Rule(f"{start}.*.{part}_proj.weight", f"experts.{part}.weight")
        for start in ("experts", "experts.experts")
        for part in ("gate", "up", "down")
    ),
    Rule("shared_experts.gate_proj.weight", "shared.fc1.weight"),
    Rule("shared_experts.up_proj.weight", "shared.fc3.weight"),
    Rule("shared_experts.down_proj.weight", "shared.fc2.weight"),
)
_TEXT_BLOCK = (
    Rule("input_layernorm.weight", "norm_1.weight"),
    Rule("post_attention_layernorm.weight", "norm_2.weight"),
    Rule(tuple(f"self_attn.{part}_proj.weight" for part in "qkv"), "attn.qkv.weight"),
    Rule("self_attn.o_proj.weight", "attn.proj.weight"),
    Rule("self_attn.rotary_emb.inv_freq"),
    *(rule.under("mlp.", "moe.") for rule in _MOE),
)
_TEXT = (
    Rule("embed_tokens.weight", "embed.weight"),
    *(rule.under("layers.*.", "blocks.*.") for rule in _TEXT_BLOCK),
    Rule("norm.weight", "norm.weight"),
    Rule("rotary_emb.inv_freq"),
)
_PROJECTOR = _projector("layer_norm_kv", "layer_norm", "feed_forward")
_FIRST_PROJECTOR = _projector("ln_kv", "ln_ffn", "ffn")


def _layout(
    name: str, vision: str, projector: tuple[Rule, ...], text: str, head: str, start: str = ""
) -> Layout:
    return Layout(
        name,
        (
            *(rule.under(f"{start}{vision}.", "vision.") for rule in _VISION),
            *(rule.under(f"{start}multi_modal_projector.", "projector.") for rule in projector),
            *(rule.under(f"{start}{text}.", "text.") for rule in _TEXT),
            Rule(head, "text.head.weight"),
        ),
    )


HUB = _layout(
    "transformers", "vision_tower", _PROJECTOR, "language_model.model",
    "language_model.lm_head.weight",
)  # fmt: skip
# As the model is in memory: written so by transformers 4.52 and some after it.
IN_MEMORY = _layout(
    "transformers in memory", "vision_tower", _PROJECTOR, "language_model", "lm_head.weight",
    start="model.",
)  # fmt: skip
# Aria-Chat, the Aria-Base checkpoints, and the first revision of Aria.
RHYMES = _layout(
    "Rhymes AI", "vision_tower.vision_model", _FIRST_PROJECTOR, "language_model.model",
    "language_model.lm_head.weight",
)  # fmt: skip
