"""A tiny Aria under the other names that such checkpoints have been written with."""

import numpy as np

from tests.support.makers import Tensors


def to_in_memory(tensors: Tensors) -> Tensors:
    """As transformers has it in memory, and wrote it from 4.52 on."""
    return {
        _start(name): array for name, array in tensors.items() if "post_layernorm" not in name
    } | {"model.vision_tower.post_layernorm.weight": np.zeros(48, np.float32)}


def _start(name: str) -> str:
    name = name.replace("language_model.model.", "language_model.")
    return "lm_head.weight" if name == "language_model.lm_head.weight" else f"model.{name}"


def to_one_product(tensors: Tensors) -> Tensors:
    """Its experts as transformers has them in memory since #48907."""
    return {
        name.replace("experts.fc1.weight", "experts.gate_up_proj").replace(
            "experts.fc2.weight", "experts.down_proj"
        ): array
        for name, array in tensors.items()
    }


def to_rhymes(tensors: Tensors) -> Tensors:
    """As Rhymes AI wrote it first."""
    renamed = {}
    for name, array in tensors.items():
        if "post_layernorm" in name:
            continue
        for theirs, first in (
            ("vision_tower.", "vision_tower.vision_model."),
            ("cross_attn.layer_norm_kv", "cross_attn.ln_kv"),
            ("multi_modal_projector.layer_norm", "multi_modal_projector.ln_ffn"),
            ("feed_forward.", "ffn."),
        ):
            name = name.replace(theirs, first)  # noqa: PLW2901  (one name after the other)
        renamed[name] = array
    layers = {name.split(".")[3] for name in renamed if name.startswith("language_model.model.lay")}
    return renamed | {
        f"language_model.model.layers.{layer}.self_attn.rotary_emb.inv_freq": np.ones(
            64, np.float32
        )
        for layer in layers
    }


def to_sequential(tensors: Tensors, start: str = "experts.experts") -> Tensors:
    """A linear layer for each expert, as for quantisers of linear layers."""
    renamed = {}
    for name, array in to_rhymes(tensors).items():
        stem, _, last = name.partition("experts.fc")
        if not last:
            renamed[name] = array
            continue
        parts = {"down": array}
        if last.startswith("1"):
            parts = dict(zip(("gate", "up"), np.split(array, 2, axis=-1), strict=True))
        renamed |= {
            f"{stem}{start}.{expert}.{part}_proj.weight": weight.T
            for part, experts in parts.items()
            for expert, weight in enumerate(experts)
        }
    return renamed


def rhymes_config(config: dict) -> dict:
    """The first ``config.json`` of Rhymes AI: the width of an expert has a name of its own."""
    text = config["text_config"]
    return config | {
        "text_config": text
        | {
            "model_type": "aria_moe_lm",
            "intermediate_size": 13_568,
            "moe_intermediate_size": text["intermediate_size"],
        },
        "vision_config": config["vision_config"] | {"model_type": "aria_vision_model"},
    }
