"""Configurations of every generation: completed from the tensors, refused where they contradict."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.models.aimv2.config import LiTConfig, TextConfig, VisionConfig, complete_config
from tests.support.makers import (
    PROJECTION,
    TEXT,
    VISION,
    lit_config,
    random_lit,
    random_vision,
    to_apple_mlx,
    vision_config,
)


def shapes_of(tensors) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in to_apple_mlx(tensors).items()}


FIXED = shapes_of(random_vision())
NATIVE = shapes_of(random_vision(native=True))
HEADED = shapes_of(random_vision(head=True))
LIT = shapes_of(random_lit())


def new_vision(**changes) -> dict:
    """As transformers writes it today, stale old keys included."""
    added = {
        "architectures": ["Aimv2VisionModel"],
        "model_type": "aimv2_vision_model",
        "use_head": False,
        "is_native": False,
        "mlp_bias": False,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "projection_dropout": 0.0,
        "torch_dtype": "float32",
        "transformers_version": "5.23.0",
    }
    return vision_config() | added | changes


def new_lit() -> dict:
    text = lit_config()["text_config"] | {
        "model_type": "aimv2_text_model",
        "max_position_embeddings": TEXT["positions"],
        "bos_token_id": None,
    }
    del text["max_context_length"]
    return {
        "architectures": ["Aimv2Model"],
        "model_type": "aimv2",
        "projection_dim": PROJECTION,
        "logit_scale_init_value": 2.6592,
        "max_logit_scale": 50.0,
        "vision_config": new_vision(use_head=True),
        "text_config": text,
    }


# every generation


@pytest.mark.parametrize(
    ("shapes", "stated", "differs"),
    [
        (FIXED, vision_config(), {}),
        (FIXED, new_vision(), {}),
        (FIXED, new_vision(is_native=None, use_head=None, num_attention_heads=2.0), {}),
        (NATIVE, vision_config(native=True), {"is_native": True, "image_size": None}),
        (NATIVE, new_vision(is_native=True), {"is_native": True, "image_size": None}),
        (HEADED, new_vision(use_head=True), {"use_head": True}),
        (HEADED, vision_config(), {"use_head": True}),
        (FIXED, {"num_attention_heads": 4}, {"num_attention_heads": 4}),
    ],
)
def test_every_generation_of_vision(shapes, stated: dict, differs: dict) -> None:
    expected = VisionConfig(
        hidden_size=VISION["width"],
        intermediate_size=VISION["mlp"],
        num_hidden_layers=VISION["blocks"],
        num_attention_heads=VISION["heads"],
        image_size=VISION["side"],
        patch_size=VISION["patch"],
    )
    assert complete_config(shapes, stated) == replace(expected, **differs)


@pytest.mark.parametrize(
    ("stated", "scale", "limit"),
    [
        (lit_config(), math.log(1 / 0.07), 100.0),
        (new_lit(), 2.6592, 50.0),
        (lit_config() | {"init_temperature": 0.5}, math.log(2), 100.0),
    ],
)
def test_every_generation_of_lit(stated: dict, scale: float, limit: float) -> None:
    config = complete_config(LIT, stated)
    assert isinstance(config, LiTConfig)
    assert config.vision_config.use_head
    assert config.vision_config.image_size == VISION["side"]
    assert config.text_config == TextConfig(
        vocab_size=TEXT["vocab"],
        hidden_size=TEXT["width"],
        intermediate_size=TEXT["mlp"],
        num_hidden_layers=TEXT["blocks"],
        num_attention_heads=TEXT["heads"],
        max_position_embeddings=TEXT["positions"],
        eos_token_id=TEXT["vocab"] - 1,
    )
    assert config.projection_dim == PROJECTION
    assert config.logit_scale_init_value == pytest.approx(scale)
    assert config.max_logit_scale == limit
    assert config.vision_config is config.vision_config


@pytest.mark.parametrize("stated", [{}, {"architecture": "aimv2_x", "num_features": 76}])
def test_heads_that_nothing_tells_are_not_guessed(stated: dict) -> None:
    with pytest.raises(CheckpointError, match="num_attention_heads is stated nowhere") as caught:
        complete_config(FIXED, stated)
    assert "config.json" in caught.value.hint
    half = {"vision_config": {"num_attention_heads": 2}}
    assert "a width of 44 does not tell it" in refusal(LIT, half)


def test_heads_are_all_that_a_config_must_tell() -> None:
    heads = {"num_attention_heads": 2}
    config = complete_config(LIT, {"vision_config": heads, "text_config": heads})
    assert isinstance(config, LiTConfig)
    assert config.text_config.eos_token_id == TEXT["vocab"] - 1
    assert config.logit_scale_init_value == pytest.approx(2.65926, abs=1e-5)


def test_published_widths_need_no_config() -> None:
    """Heads of 128 and the end token 49407, as in every published checkpoint."""
    shapes = {
        "image_encoder.preprocessor.patchifier.proj.weight": (1024, 14, 14, 3),
        "image_encoder.preprocessor.pos_embed": (1, 256, 1024),
        "image_encoder.trunk.blocks.0.mlp.fc1.weight": (2816, 1024),
        "image_encoder.head.cls_token": (1, 1, 1024),
        "text_encoder.preprocessor.text_embedding.weight": (49408, 768),
        "text_encoder.preprocessor.positional_embedding": (77, 768),
        "text_encoder.trunk.blocks.0.mlp.fc1.weight": (2048, 768),
        "text_projector.weight": (768, 768),
    }
    config = complete_config(shapes, {})
    assert isinstance(config, LiTConfig)
    assert config.vision_config == VisionConfig(1024, 2816, 1, 8, image_size=224, use_head=True)
    assert config.text_config == TextConfig(49408, 768, 2048, 1, 6, 77, eos_token_id=49407)


@pytest.mark.parametrize(("stated", "side"), [(36, 36), (41, 41), (None, 35)])
def test_a_side_that_is_no_multiple_of_the_patch(stated: int | None, side: int) -> None:
    config = complete_config(FIXED, vision_config() | {"image_size": stated})
    assert config.vision_config.image_size == side


WIDTHS = st.integers(1, 40)


@settings(deadline=None)
@given(
    heads=st.integers(1, 5),
    head_width=st.integers(1, 9),
    sizes=st.tuples(WIDTHS, WIDTHS, WIDTHS, WIDTHS),
    native=st.booleans(),
    head=st.booleans(),
    lit=st.booleans(),
)
def test_what_is_written_is_read_again(heads, head_width, sizes, native, head, lit) -> None:
    mlp, grid, patch, blocks = sizes
    width = 4 * heads * head_width
    vision = VisionConfig(
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        image_size=None if native else grid * patch,
        patch_size=patch,
        rms_norm_eps=1e-6,
        is_native=native,
        use_head=head,
    )
    text = TextConfig(mlp + 2, width, mlp, blocks, heads, grid, eos_token_id=mlp)
    config = LiTConfig(vision, text, patch, 1.5, 20.0) if lit else vision
    written = json.loads(json.dumps(config.to_dict()))
    shapes = _shapes(vision, "image_encoder." if lit else "")
    if lit:
        shapes |= {
            f"text_encoder.trunk.blocks.{block}.mlp.fc1.weight": (mlp, width)
            for block in range(blocks)
        } | {
            "text_encoder.preprocessor.text_embedding.weight": (mlp + 2, width),
            "text_encoder.preprocessor.positional_embedding": (grid, width),
            "text_projector.weight": (patch, width),
        }
    assert complete_config(shapes, written) == config


def _shapes(config: VisionConfig, prefix: str) -> dict[str, tuple[int, ...]]:
    width, patch = config.hidden_size, config.patch_size
    shapes: dict[str, tuple[int, ...]] = {
        f"{prefix}trunk.blocks.{block}.mlp.fc1.weight": (config.intermediate_size, width)
        for block in range(config.num_hidden_layers)
    }
    shapes[f"{prefix}preprocessor.patchifier.proj.weight"] = (width, patch, patch, 3)
    if not config.is_native:
        shapes[f"{prefix}preprocessor.pos_embed"] = (1, config.grid_side**2, width)
    if config.use_head:
        shapes[f"{prefix}head.cls_token"] = (1, 1, width)
    return shapes


# contradictions name their key

CONTRADICTIONS = {
    "hidden_size": 77,
    "intermediate_size": 100,
    "num_hidden_layers": 2,
    "num_channels": 4,
    "image_size": 42,
    "patch_size": 14,
    "is_native": True,
    "use_head": True,
}
TEXT_CONTRADICTIONS = {
    "hidden_size": 45,
    "intermediate_size": 60,
    "num_hidden_layers": 3,
    "vocab_size": 98,
    "max_position_embeddings": 12,
    "max_context_length": 77,
}


def refusal(shapes, stated: dict) -> str:
    with pytest.raises(CheckpointError) as caught:
        complete_config(shapes, stated)
    return str(caught.value)


@pytest.mark.parametrize(("key", "value"), CONTRADICTIONS.items())
def test_a_contradiction_names_its_key(key: str, value: object) -> None:
    assert f"config.json says {key} = {value!r}, the weights say " in refusal(
        FIXED, vision_config() | {key: value}
    )
    if key != "use_head":
        inner = vision_config() | {key: value}
        assert f"says {key} = {value!r}" in refusal(LIT, lit_config() | {"vision_config": inner})


@pytest.mark.parametrize(("key", "value"), TEXT_CONTRADICTIONS.items())
def test_a_contradiction_of_the_text_tower_names_its_key(key: str, value: object) -> None:
    inner = lit_config()["text_config"] | {key: value}
    message = refusal(LIT, lit_config() | {"text_config": inner})
    assert f"config.json says {key} = {value!r}, the weights say " in message
    assert "(text_encoder." in message


def test_other_contradictions() -> None:
    assert "says projection_dim = 512, the weights say 37" in refusal(
        LIT, lit_config() | {"projection_dim": 512}
    )
    assert "says use_head = False, the weights say True (head.*)" in refusal(
        HEADED, new_vision(use_head=False)
    )
    assert "says image_size = [35, 35]" in refusal(FIXED, new_vision(image_size=[35, 35]))


def test_a_lost_position_table_does_not_make_a_native_encoder() -> None:
    for stated in (vision_config(), new_vision()):
        assert "the tensor preprocessor.pos_embed is missing" in refusal(NATIVE, stated)


BAD_NUMBERS = ["8", True, [8], {}, float("nan"), float("inf"), 10**400]


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize("key", ["num_attention_heads", "rms_norm_eps"])
def test_what_is_no_number(key: str, value: object) -> None:
    said = refusal(FIXED, vision_config() | {key: value})
    assert f"{key} is {value!r}"[:99] in said  # of a long number the middle is left out
    assert said.endswith("not a number")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_attention_heads", 3, "hidden_size 76 does not split into 3 heads"),
        ("num_attention_heads", 0, "does not split into 0 heads"),
        ("num_attention_heads", -2, "does not split into -2 heads"),
        ("num_attention_heads", 2.5, "num_attention_heads is 2.5, not a whole number"),
        ("rms_norm_eps", 0, "rms_norm_eps is 0, not above 0"),
        ("rms_norm_eps", -1e-5, "not above 0"),
    ],
)
def test_numbers_that_make_no_encoder(key: str, value: float, message: str) -> None:
    assert message in refusal(FIXED, vision_config() | {key: value})


@pytest.mark.parametrize("eos", [-1, TEXT["vocab"], 49407, [96]])
def test_an_end_token_outside_the_vocabulary(eos: object) -> None:
    inner = lit_config()["text_config"] | {"eos_token_id": eos}
    assert "eos_token_id" in refusal(LIT, lit_config() | {"text_config": inner})


@pytest.mark.parametrize("limit", [0, -1, 0.5, "100"])
def test_a_limit_of_the_scale_that_is_none(limit: object) -> None:
    assert "max_logit_scale is " in refusal(LIT, lit_config() | {"max_logit_scale": limit})


@pytest.mark.parametrize("key", ["vision_config", "text_config"])
def test_a_part_that_is_no_object(key: str) -> None:
    assert f"{key} is not an object" in refusal(LIT, lit_config() | {key: [1]})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
KEYS = sorted(CONTRADICTIONS.keys() | TEXT_CONTRADICTIONS.keys() | new_lit().keys())


@settings(deadline=None)
@given(changes=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3), part=st.sampled_from(KEYS))
def test_no_config_gets_past_as_anything_but_an_error(changes: dict, part: str) -> None:
    for shapes, stated in (
        (FIXED, vision_config() | changes),
        (LIT, lit_config() | changes),
        (LIT, lit_config() | {part: changes}),
    ):
        try:
            complete_config(shapes, stated)
        except CheckpointError as error:
            assert str(error)


# tensors that make no encoder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocessor.pos_embed": (1, 24, 76)}, "preprocessor.pos_embed has 24 rows"),
        ({"preprocessor.pos_embed": (25,)}, "preprocessor.pos_embed has the shape (25,)"),
        ({"preprocessor.patchifier.proj.weight": (76, 147)}, "has the shape (76, 147)"),
        ({"trunk.blocks.1.mlp.fc1.weight": (101,)}, "blocks.1.mlp.fc1.weight has the shape (101,)"),
        ({"trunk.blocks.4.norm_1.weight": (76,)}, "has the blocks [0, 1, 2, 4]: some are missing"),
    ],
)
def test_shapes_that_make_no_encoder(changes: dict, message: str) -> None:
    assert message in refusal({**FIXED, **changes}, {})


def test_no_blocks() -> None:
    shapes = {name: shape for name, shape in FIXED.items() if not name.startswith("trunk")}
    assert "trunk.blocks.* has the blocks []" in refusal(shapes, {})


def test_one_odd_block_does_not_decide_the_sizes() -> None:
    odd = {**FIXED, "trunk.blocks.0.mlp.fc1.weight": (103, 77)}
    for stated in ({"num_attention_heads": 2}, vision_config()):
        config = complete_config(odd, stated).vision_config
        assert (config.hidden_size, config.intermediate_size) == (76, 101)


def test_sizes_that_do_not_go_together() -> None:
    with pytest.raises(CheckpointError, match="hidden_size % 4 = 0: 6"):
        VisionConfig(6, 8, 1, 1, is_native=True)
    with pytest.raises(CheckpointError, match="needs its image_size: 13"):
        VisionConfig(8, 8, 1, 1, image_size=13)
    with pytest.raises(CheckpointError, match="needs its image_size: None"):
        VisionConfig(8, 8, 1, 1)
    with pytest.raises(CheckpointError, match="no fixed grid"):
        _ = VisionConfig(8, 8, 1, 1, is_native=True).grid_side
    assert VisionConfig(8, 8, 1, 1, image_size=224).patch_width == 588
