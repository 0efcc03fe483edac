"""Small random Arias as on the hub, written without the code under test; and the golden one.

The golden checkpoint and its tensors were made by transformers (``golden_aria/README.md``).
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.support.makers import Tensors

FOLDER = Path(__file__).parent / "golden_aria"
GOLDEN_CHECKPOINT = FOLDER / "checkpoint"

# Heads of 64 numbers, and widths that are whole groups of 64: it can be quantised, its cache too.
CONFIG: dict[str, Any] = {
    "architectures": ["AriaForConditionalGeneration"],
    "image_token_index": 9,
    "model_type": "aria",
    "pad_token_id": 2,
    "projector_patch_to_query_dict": {"16": 4, "64": 8},
    "text_config": {
        "hidden_size": 128,
        "intermediate_size": 64,
        "max_position_embeddings": 1024,
        "model_type": "aria_text",
        "moe_num_experts": 7,
        "moe_topk": 3,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rope_theta": 5000000,
        "vocab_size": 160,
    },
    "vision_config": {
        "attention_heads": 16,
        "hidden_size": 48,
        "image_size": 112,
        "intermediate_size": 59,
        "model_type": "idefics3_vision",
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "patch_size": 14,
    },
    "vision_feature_layer": -1,
}
SHARED_EXPERTS = 2  # config.json does not say it, as on the hub


def golden() -> Tensors:
    """What transformers computed with the golden checkpoint."""
    return load_file(FOLDER / "golden.safetensors")


def tiny_config(
    text: Mapping[str, Any] | None = None, vision: Mapping[str, Any] | None = None, **rest: Any
) -> dict[str, Any]:
    """A ``config.json`` with other values than those of CONFIG in some places."""
    config = deepcopy(CONFIG) | rest
    config["text_config"] |= text or {}
    config["vision_config"] |= vision or {}
    return config


def tiny_tensors(config: Mapping[str, Any] = CONFIG, seed: int = 0) -> Tensors:
    """Random weights of these sizes by the hub's names, float32."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def linear(name: str, out: int, width: int) -> Tensors:
        return {f"{name}.weight": normal(out, width), f"{name}.bias": normal(out)}

    def norm(name: str, width: int) -> Tensors:
        scale = (1 + 0.1 * rng.standard_normal(width)).astype(np.float32)
        return {f"{name}.weight": scale, f"{name}.bias": normal(width)}

    vision, text = config["vision_config"], config["text_config"]
    width, inner, patch = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    places = (vision["image_size"] // patch) ** 2
    tensors: Tensors = {
        "vision_tower.embeddings.patch_embedding.weight": normal(width, 3, patch, patch),
        "vision_tower.embeddings.patch_embedding.bias": normal(width),
        "vision_tower.embeddings.position_embedding.weight": normal(places, width) * 2,
        "vision_tower.post_layernorm.weight": np.zeros(width, np.float32),
        "vision_tower.post_layernorm.bias": np.zeros(width, np.float32),
    }
    for number in range(vision["num_hidden_layers"]):
        layer = f"vision_tower.encoder.layers.{number}."
        tensors |= norm(f"{layer}layer_norm1", width) | norm(f"{layer}layer_norm2", width)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            tensors |= linear(f"{layer}self_attn.{part}", width, width)
        tensors |= linear(f"{layer}mlp.fc1", inner, width)
        tensors |= linear(f"{layer}mlp.fc2", width, inner)

    projector = "multi_modal_projector."
    attention = f"{projector}cross_attn."
    out = text["hidden_size"]
    queries = max(config["projector_patch_to_query_dict"].values())
    stacked = linear("in_proj", 3 * width, width)
    tensors |= {
        f"{projector}query": normal(queries, width),
        **{f"{attention}{part}_proj.weight": normal(width, width) for part in "qkv"},
        f"{attention}multihead_attn.in_proj_weight": stacked["in_proj.weight"],
        f"{attention}multihead_attn.in_proj_bias": stacked["in_proj.bias"],
        **linear(f"{attention}multihead_attn.out_proj", width, width),
        **linear(f"{attention}linear", width, width),
        **norm(f"{attention}layer_norm", width),
        **norm(f"{attention}layer_norm_kv", width),
        **norm(f"{projector}layer_norm", width),
        f"{projector}feed_forward.linear_in.weight": normal(out, width),
        f"{projector}feed_forward.linear_out.weight": normal(out, out),
    }

    experts, expert = text["moe_num_experts"], text["intermediate_size"]
    shared = SHARED_EXPERTS * expert
    for number in range(text["num_hidden_layers"]):
        layer = f"language_model.model.layers.{number}."
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            tensors[f"{layer}self_attn.{part}.weight"] = normal(out, out)
        for part in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{layer}{part}.weight"] = norm(part, out)[f"{part}.weight"]
        tensors |= {
            f"{layer}mlp.router.weight": normal(experts, out),
            f"{layer}mlp.experts.fc1.weight": normal(experts, 2 * expert, out).swapaxes(1, 2),
            f"{layer}mlp.experts.fc2.weight": normal(experts, out, expert).swapaxes(1, 2),
            f"{layer}mlp.shared_experts.gate_proj.weight": normal(shared, out),
            f"{layer}mlp.shared_experts.up_proj.weight": normal(shared, out),
            f"{layer}mlp.shared_experts.down_proj.weight": normal(out, shared),
        }
    return tensors | {
        "language_model.model.embed_tokens.weight": normal(text["vocab_size"], out) * 8,
        "language_model.model.norm.weight": norm("norm", out)["norm.weight"],
        "language_model.lm_head.weight": normal(text["vocab_size"], out) * 2,
    }


def write_tiny_aria(
    folder: Path,
    config: Mapping[str, Any] = CONFIG,
    tensors: Tensors | None = None,
    seed: int = 0,
) -> Path:
    """A checkpoint folder as on the hub: config.json and model.safetensors, without a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    arrays = tiny_tensors(config, seed) if tensors is None else tensors
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder
