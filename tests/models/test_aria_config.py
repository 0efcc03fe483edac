"""Sizes of an Aria: as published, as a config.json states them, and what does not fit."""

from dataclasses import replace

import mlx.core as mx
import pytest

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.models.aria import cost
from mlx_aimv2.models.aria.config import AriaVisionConfig, complete_config
from mlx_aimv2.models.aria.family import ARIA
from mlx_aimv2.models.aria.network import AriaNetwork
from mlx_aimv2.models.aria.vision import VisionTower
from tests.support.counted import graph_bytes
from tests.support.tiny_aria import CONFIG, tiny_config, tiny_tensors


def shapes_of_tiny() -> dict[str, tuple[int, ...]]:
    """Shapes by our names, of the layout's own account."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, array in tiny_tensors().items():
        match = ARIA.layouts[0].match(name)
        assert match is not None
        for target in match.targets:
            shapes[target] = match.rule.shape(array.shape, len(match.rule.sources))
    return shapes


SHAPES = shapes_of_tiny()


def test_a_config_reads_back() -> None:
    network = AriaNetwork(cost.PUBLISHED)
    shapes = {name: array.shape for name, array in network.flat_parameters().items()}
    assert complete_config(shapes, cost.PUBLISHED.to_dict()) == cost.PUBLISHED


# Source: config.json of rhymes-ai/Aria on the hub, the keys that say anything of sizes.
PUBLISHED_CONFIG = {
    "image_token_index": 9,
    "model_type": "aria",
    "projector_patch_to_query_dict": {"1225": 128, "4900": 256},
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 1664,
        "max_position_embeddings": 65536,
        "model_type": "aria_text",
        "moe_num_experts": 64,
        "moe_topk": 6,
        "num_attention_heads": 20,
        "num_experts_per_tok": 6,
        "num_hidden_layers": 28,
        "num_key_value_heads": 20,
        "rope_theta": 5000000,
        "vocab_size": 100352,
    },
    "vision_config": {
        "attention_heads": 16,
        "image_size": 980,
        "intermediate_size": 4304,
        "model_type": "idefics3_vision",
        "num_hidden_layers": 27,
        "patch_size": 14,
    },
    "vision_feature_layer": -1,
}


def test_the_published_sizes() -> None:
    """The index of the hub states 50,614,622,432 bytes; its norm that is not used has 2 x 1152."""
    network = AriaNetwork(cost.PUBLISHED)
    arrays = network.flat_parameters()
    shapes = {name: array.shape for name, array in arrays.items()}
    assert complete_config(shapes, PUBLISHED_CONFIG) == cost.PUBLISHED
    counted = cost.parameters(cost.PUBLISHED)
    assert counted.total == sum(array.size for array in arrays.values())
    assert 2 * (counted.total + 2 * 1152) == 50_614_622_432
    assert (counted.image + 2 * 1152, counted.joint) == (417_792_240, 20_427_136)
    for start, count in (("vision", counted.image), ("text", counted.text)):
        assert count == sum(a.size for name, a in arrays.items() if name.startswith(f"{start}."))
    assert cost.token_parameters(cost.PUBLISHED) == 3_858_250_240
    assert cost.image_flops(cost.PUBLISHED, 4900) == pytest.approx(7.1e12, rel=0.02)
    assert cost.image_flops(cost.PUBLISHED, 1225) == pytest.approx(1.2e12, rel=0.02)
    # A token of a text that fills the context: its products, and half of the context looked at.
    context = 65_536
    per_token = cost.text_flops(cost.PUBLISHED) / context - 28 * 2 * context * 2560
    assert per_token == pytest.approx(2 * 3_601_349_120, rel=1e-3)
    assert cost.architecture_name(cost.PUBLISHED.vision_config) == "Aria"
    other = replace(cost.PUBLISHED.vision_config, num_hidden_layers=2)
    assert cost.architecture_name(other) == "custom"
    assert cost.PUBLISHED.sides_px == (490, 980)


def test_memory_of_a_crop() -> None:
    if mx.default_device().type != mx.DeviceType.cpu:
        pytest.skip("needs a CPU as the default device")
    for side_px, width in ((112, 288), (448, 144)):
        config = AriaVisionConfig(width, width * 15 // 4, 5, width // 72, side_px, patch_size=14)
        tower, pixels = VisionTower(config), mx.zeros((1, side_px, side_px, 3))
        mx.eval(tower.parameters(), pixels)
        estimate = cost.batch_bytes(config, config.table_side**2, 7, 4, is_fused=False)
        one_by_one, far_ahead = (graph_bytes(tower, pixels, ahead=ahead) for ahead in (0, 10))
        assert one_by_one < estimate < far_ahead
        assert cost.batch_bytes(config, config.table_side**2, 7, 2, is_fused=True) < estimate / 2


def test_what_may_be_quantised() -> None:
    network = AriaNetwork(cost.PUBLISHED)
    chosen = {path for path, module in network.named_modules() if network.quantizes(path, module)}
    block = {"attn.qkv", "attn.proj", *(f"moe.experts.{n}" for n in ("gate", "up", "down"))}
    block |= {f"moe.shared.fc{number}" for number in (1, 2, 3)}
    blocks = {f"text.blocks.{number}.{path}" for number in range(28) for path in block}
    assert chosen == {"text.embed", "text.head", *blocks}


def test_what_the_config_leaves_out_is_told_by_the_tensors() -> None:
    config = complete_config(SHAPES, CONFIG)
    assert config.text_config.moe_num_shared_experts == 2
    assert config.to_dict()["projector_patch_to_query_dict"] == {"16": 4, "64": 8}
    assert config.sides_px == (56, 112)
    assert complete_config(SHAPES, config.to_dict()) == config


WRONG_CONFIGS = {
    "experts a token": ({"moe_topk": None}, {}, {}, "moe_topk of the text model is stated nowhere"),
    "too many experts a token": ({"moe_topk": 8}, {}, {}, "moe_topk is 8 of 7"),
    "other experts": ({"moe_num_experts": 8}, {}, {}, "moe_num_experts = 8"),
    "an expert's width": ({"intermediate_size": 65}, {}, {}, "intermediate_size = 65"),
    "shared experts": ({"moe_num_shared_experts": 1}, {}, {}, "moe_num_shared_experts = 1"),
    "heads": ({"num_attention_heads": None}, {}, {}, "num_attention_heads of the text"),
    "heads that do not fit": (
        {"num_attention_heads": 3, "num_key_value_heads": 3},
        {},
        {},
        "3 heads",
    ),
    "grouped heads": ({"num_key_value_heads": 1}, {}, {}, "num_key_value_heads = 1"),
    "the base of positions": ({"rope_theta": None}, {}, {}, "rope_theta"),
    "a kind of positions": ({"rope_scaling": {"type": "yarn"}}, {}, {}, "'yarn' are not known"),
    "another activation": ({"hidden_act": "gelu"}, {}, {}, "hidden_act is 'gelu', not 'silu'"),
    "tied tables": ({}, {}, {"tie_word_embeddings": True}, "tie_word_embeddings is True"),
    "another layer": ({}, {}, {"vision_feature_layer": -2}, "vision_feature_layer is -2"),
    "the tower's activation": ({}, {"hidden_act": "gelu"}, {}, "not 'gelu_pytorch_tanh'"),
    "the tower's heads": ({}, {"num_attention_heads": 5}, {}, "does not split into 5 heads"),
    "the tower's table": ({}, {"image_size": 980}, {}, "image_size = 980"),
    "too many queries": ({}, {}, {"projector_patch_to_query_dict": {"16": 9}}, "9 tokens a crop"),
    "queries of no square": ({}, {}, {"projector_patch_to_query_dict": {"15": 4}}, "query_dict is"),
    "no queries": ({}, {}, {"projector_patch_to_query_dict": [1]}, "query_dict is"),
}


@pytest.mark.parametrize("what", WRONG_CONFIGS)
def test_a_config_that_does_not_fit(what: str) -> None:
    text, tower, rest, message = WRONG_CONFIGS[what]
    with pytest.raises(CheckpointError, match=message):
        complete_config(SHAPES, tiny_config(text, tower, **rest))


@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
def test_the_base_as_transformers_5_writes_it(key: str) -> None:
    text = {"rope_theta": None, key: {"rope_theta": 1234.0, "rope_type": "default"}}
    config = complete_config(SHAPES, tiny_config(text))
    assert config.text_config.rope_theta == 1234.0
