"""One checkpoint in every published layout: bit-identical from each, and every fault named."""

import json
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from safetensors.numpy import save_file

from mlx_aimv2.checkpoints.load import Loaded, load_checkpoint
from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.models.aimv2 import layouts
from mlx_aimv2.models.aimv2.family import AIMV2
from tests.support.makers import (
    TEXT,
    VISION,
    Tensors,
    lit_config,
    random_ids,
    random_lit,
    random_vision,
    to_apple_mlx,
    to_timm,
    to_transformers,
    vision_config,
    write_checkpoint,
)
from tests.support.networks import SIDE, assert_same, pixels

IMAGES = pixels(2, SIDE, SIDE)
IDS = mx.array(random_ids(np.random.default_rng(0), 3))
_DRAFT = {"out_proj": "proj_out", "gate_proj": "fc1", "down_proj": "fc2", "up_proj": "fc3"}


def to_early_transformers(tensors: Tensors) -> Tensors:
    """As a draft of the converter wrote it."""
    renamed = {}
    for name, array in to_transformers(tensors).items():
        for new, old in _DRAFT.items():
            if ".encoder." in f".{name}":
                name = name.replace(f".{new}.", f".{old}.")  # noqa: PLW2901
        renamed[name] = array
    return renamed


def write_shards(folder: Path, tensors: Tensors, config: dict, count: int = 3) -> Path:
    """Ours, in shards."""
    folder.mkdir()
    names = list(tensors)
    weight_map = {}
    for shard in range(count):
        file = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        part = {name: np.asarray(tensors[name], order="C") for name in names[shard::count]}
        save_file(part, folder / file, {"format": "mlx"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def same(tensors: Tensors) -> Tensors:
    return tensors


# layout as it is reported: how names change, the file's name, its metadata
WRITTEN: dict[str, tuple[Callable[[Tensors], Tensors], str, dict[str, str] | None]] = {
    "Apple torch": (same, "model.safetensors", {"format": "pt"}),
    "Apple MLX": (to_apple_mlx, "mlx_model.safetensors", {"format": "mlx"}),
    "transformers": (to_transformers, "model.safetensors", {"format": "pt"}),
    "mlx-aimv2": (to_apple_mlx, "model.safetensors", {"format": "mlx"}),
    "timm": (to_timm, "model.safetensors", None),
}
LIT_LAYOUTS = [name for name in WRITTEN if name != "timm"]


def write(folder: Path, layout: str, tensors: Tensors, config: dict | None) -> Path:
    rename, file, metadata = WRITTEN[layout]
    return write_checkpoint(folder, rename(tensors), config, file, metadata)


def weights_of(loaded: Loaded) -> dict[str, mx.array]:
    return dict(tree_flatten(loaded.network.parameters()))


def assert_same_weights(actual: Loaded, expected: Loaded) -> None:
    assert actual.network.config == expected.network.config
    ours, theirs = weights_of(actual), weights_of(expected)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert_same(array, theirs[name])


# the same checkpoint from every layout


@pytest.fixture(scope="module")
def lit_from_apple(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("apple")
    return load_checkpoint(write(folder, "Apple torch", random_lit(), lit_config()))


@pytest.fixture(scope="module")
def vision_from_apple(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("apple")
    return load_checkpoint(write(folder, "Apple torch", random_vision(), vision_config()))


def assert_same_lit(loaded: Loaded, expected: Loaded) -> None:
    assert_same_weights(loaded, expected)
    ours, theirs = loaded.network, expected.network
    assert_same(ours.encode_image(IMAGES), theirs.encode_image(IMAGES))
    assert_same(ours.encode_text(IDS), theirs.encode_text(IDS))


@pytest.mark.parametrize("layout", LIT_LAYOUTS)
def test_lit_is_bit_identical_from_every_layout(
    tmp_path: Path, lit_from_apple: Loaded, layout: str
) -> None:
    loaded = load_checkpoint(write(tmp_path, layout, random_lit(), lit_config()))
    assert loaded.weights.layout == layout
    assert_same_lit(loaded, lit_from_apple)


def test_lit_from_an_early_draft_of_transformers(tmp_path: Path, lit_from_apple: Loaded) -> None:
    tensors = to_early_transformers(random_lit())
    assert any("proj_out" in name for name in tensors)
    loaded = load_checkpoint(write_checkpoint(tmp_path, tensors, lit_config()))
    assert loaded.weights.layout == "transformers"
    assert_same_lit(loaded, lit_from_apple)


@pytest.mark.parametrize("rename", [to_apple_mlx, to_transformers])
def test_lit_from_shards(tmp_path: Path, lit_from_apple: Loaded, rename) -> None:
    folder = write_shards(tmp_path / "sharded", rename(random_lit()), lit_config())
    assert_same_lit(load_checkpoint(folder), lit_from_apple)


@pytest.mark.parametrize("layout", WRITTEN)
def test_vision_is_bit_identical_from_every_layout(
    tmp_path: Path, vision_from_apple: Loaded, layout: str
) -> None:
    loaded = load_checkpoint(write(tmp_path, layout, random_vision(), vision_config()))
    assert loaded.weights.layout == layout
    assert_same_weights(loaded, vision_from_apple)
    assert_same(loaded.network(IMAGES), vision_from_apple.network(IMAGES))


@pytest.mark.parametrize("options", [{"native": True}, {"head": True}], ids=str)
@pytest.mark.parametrize("layout", LIT_LAYOUTS)
def test_native_and_headed_encoders_too(tmp_path: Path, layout: str, options: dict) -> None:
    tensors = random_vision(**options)
    config = vision_config(native="native" in options)
    loaded = load_checkpoint(write(tmp_path / "a", layout, tensors, config))
    expected = load_checkpoint(write(tmp_path / "b", "Apple torch", tensors, config))
    assert_same_weights(loaded, expected)
    assert_same(loaded.network(IMAGES), expected.network(IMAGES))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("layout", LIT_LAYOUTS)
def test_files_of_other_float_types(tmp_path: Path, layout: str, dtype: str) -> None:
    rounded = {}
    for name, array in random_lit().items():
        narrow = mx.array(array).astype(mx.bfloat16 if dtype == "bfloat16" else mx.float16)
        rounded[name] = np.array(narrow.astype(mx.float32))
    expected = load_checkpoint(write(tmp_path / "wide", "Apple torch", rounded, lit_config()))
    rename, file, metadata = WRITTEN[layout]
    folder = write_checkpoint(tmp_path / "narrow", {}, lit_config(), file)
    if dtype == "bfloat16":
        arrays = {n: mx.array(a).astype(mx.bfloat16) for n, a in rename(rounded).items()}
        mx.save_safetensors(str(folder / file), arrays, metadata)
    else:
        arrays = {n: np.asarray(a, np.float16, order="C") for n, a in rename(rounded).items()}
        save_file(arrays, folder / file, metadata)
    loaded = load_checkpoint(folder)
    assert loaded.weights.dtype == {"float16": "F16", "bfloat16": "BF16"}[dtype]
    assert_same_lit(loaded, expected)


def test_the_layout_is_in_the_names_not_in_the_file_name(tmp_path: Path) -> None:
    tensors = to_transformers(random_vision())
    folder = write_checkpoint(tmp_path, tensors, vision_config(), "mlx_model.safetensors")
    assert load_checkpoint(folder).weights.layout == "transformers"


# every fault is named, for every tensor of a small checkpoint

SMALL_VISION = VISION | {"blocks": 2}
SMALL_LIT = random_lit(vision=SMALL_VISION, text=TEXT)
SMALL_LIT_CONFIG = lit_config(SMALL_VISION, TEXT)
SMALL = {layout: WRITTEN[layout][0](SMALL_LIT) for layout in LIT_LAYOUTS[:3]} | {
    "timm": to_timm(random_vision(sizes=SMALL_VISION))
}
EVERY_TENSOR = [(layout, name) for layout, tensors in SMALL.items() for name in tensors]
every_tensor = pytest.mark.parametrize(("layout", "name"), EVERY_TENSOR)


def refused(folder: Path, layout: str, tensors: Tensors) -> str:
    """What is said of a small checkpoint in that layout with these tensors."""
    config = vision_config(SMALL_VISION) if layout == "timm" else SMALL_LIT_CONFIG
    write_checkpoint(folder, tensors, config, WRITTEN[layout][1])
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    return str(caught.value)


def ours(layout: str, name: str) -> str:
    rules = {"transformers": layouts.TRANSFORMERS, "timm": layouts.TIMM}.get(layout, layouts.APPLE)
    match = rules.match(name)
    assert match is not None
    (target,) = match.targets
    return target


def test_the_small_checkpoints_are_whole(tmp_path: Path) -> None:
    for layout, tensors in SMALL.items():
        config = vision_config(SMALL_VISION) if layout == "timm" else SMALL_LIT_CONFIG
        folder = write_checkpoint(tmp_path / layout, tensors, config, WRITTEN[layout][1])
        assert load_checkpoint(folder).weights.layout == layout


@every_tensor
def test_a_missing_tensor(tmp_path: Path, layout: str, name: str) -> None:
    tensors = {key: array for key, array in SMALL[layout].items() if key != name}
    message = refused(tmp_path, layout, tensors)
    assert ours(layout, name) in message
    assert "missing" in message or "lacks its" in message


@every_tensor
def test_a_tensor_of_another_shape(tmp_path: Path, layout: str, name: str) -> None:
    array = SMALL[layout][name]
    for axis in range(max(array.ndim, 1)):
        # one more along this axis
        longer = np.concatenate([np.atleast_1d(array), np.atleast_1d(array)[:1]], axis=0)
        if axis:
            longer = np.concatenate([array, array.take([0], axis=axis)], axis=axis)
        message = refused(tmp_path / str(axis), layout, SMALL[layout] | {name: longer})
        assert ours(layout, name) in message or name in message


@every_tensor
def test_a_tensor_of_another_rank(tmp_path: Path, layout: str, name: str) -> None:
    array = SMALL[layout][name][None]
    if ours(layout, name).endswith("preprocessor.pos_embed"):
        array = array[None]  # published as (N, D) and as (1, N, D)
    message = refused(tmp_path, layout, SMALL[layout] | {name: array})
    assert ours(layout, name) in message or name in message


@every_tensor
def test_a_tensor_of_another_type(tmp_path: Path, layout: str, name: str) -> None:
    for dtype in (np.int32, np.uint32, np.bool_, np.float64):
        array = SMALL[layout][name].astype(dtype)
        message = refused(tmp_path / dtype.__name__, layout, SMALL[layout] | {name: array})
        assert f"the tensor {name} is " in message


@pytest.mark.parametrize("layout", ["Apple MLX", "transformers"])
def test_a_tensor_in_two_shards(tmp_path: Path, layout: str) -> None:
    for number, name in enumerate(SMALL[layout]):
        folder = write_shards(tmp_path / str(number), SMALL[layout], SMALL_LIT_CONFIG, count=2)
        files = sorted(folder.glob("*.safetensors"))
        first = number % 2  # the shard it is not in
        other = {key: array for key, array in SMALL[layout].items() if key == name}
        whole = dict(list(SMALL[layout].items())[1 - first :: 2]) | other
        save_file({k: np.asarray(a, order="C") for k, a in whole.items()}, files[1 - first])
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(folder)
        assert name in str(caught.value)


@pytest.mark.parametrize("old", _DRAFT.values())
def test_a_tensor_under_two_names(tmp_path: Path, old: str) -> None:
    early = to_early_transformers(SMALL_LIT)
    name = next(key for key in early if f".{old}." in key)
    message = refused(tmp_path, "transformers", SMALL["transformers"] | {name: early[name]})
    assert name in message
    assert "are both" in message


EXTRA = {
    "Apple torch": [
        "stranger.weight",
        "image_encoder.trunk.blocks.0.attn.qkv.bias",
        "image_encoder.trunk.blocks.00.attn.qkv.weight",
        "text_encoder.head.k.weight",
        "text_encoder.preprocessor.pos_embed",
        "preprocessor.pos_embed",
        "model.image_projector.weight",
        "image_encoder.trunk.blocks.0.attn.qkv.scales",
        "vision_model.embeddings.patch_embed.weight",
        "image_projector.weight ",
    ],
    "transformers": [
        "vision_model.encoder.layers.1.attention.q_proj.bias",
        "vision_model.embeddings.position_ids",
        "text_model.head.cls_token",
        "image_encoder.trunk.blocks.0.attn.qkv.weight",
        "head.cls_token",
    ],
    "timm": [
        "head.weight",
        "fc_norm.weight",
        "blocks.0.mlp.norm.weight",
        "blocks.1.ls1.gamma",
        "norm_pre.weight",
    ],
}


@pytest.mark.parametrize(
    ("layout", "name"), [(layout, name) for layout, names in EXTRA.items() for name in names]
)
def test_a_tensor_too_many(tmp_path: Path, layout: str, name: str) -> None:
    array = np.ones((3, 3), np.float32)
    assert name in refused(tmp_path, layout, SMALL[layout] | {name: array})


@pytest.mark.parametrize("block", [2, 7])
@pytest.mark.parametrize("layout", ["Apple torch", "transformers"])
def test_a_block_too_many(tmp_path: Path, layout: str, block: int) -> None:
    first = {
        "Apple torch": "text_encoder.trunk.blocks",
        "transformers": "text_model.encoder.layers",
    }
    more = {
        name.replace(f"{first[layout]}.0.", f"{first[layout]}.{block}."): array
        for name, array in SMALL[layout].items()
        if name.startswith(f"{first[layout]}.0.")
    }
    message = refused(tmp_path, layout, SMALL[layout] | more)
    assert "text_encoder.trunk.blocks.*" in message


# what is no AIMv2 checkpoint


def test_an_ovis2_tower(tmp_path: Path) -> None:
    tensors = random_vision()
    for name in [name for name in tensors if ".mlp.fc3." in name]:
        stacked = np.concatenate([tensors[name.replace("fc3", "fc1")], tensors.pop(name)])
        del tensors[name.replace("fc3", "fc1")]
        tensors[name.replace("fc3", "fc13")] = stacked
    del tensors["trunk.post_trunk_norm.weight"]
    with pytest.raises(CheckpointError, match="Ovis2 tower") as caught:
        load_checkpoint(write_checkpoint(tmp_path, tensors, vision_config()))
    assert "aimv2 models" in caught.value.hint


@pytest.mark.parametrize("tensors", [{"visual.proj": np.ones((2, 2), np.float32)}, {}], ids=str)
def test_another_model(tmp_path: Path, tensors: Tensors) -> None:
    with pytest.raises(CheckpointError, match="no AIMv2 or Aria tensor among") as caught:
        load_checkpoint(write_checkpoint(tmp_path, tensors, None))
    assert "aimv2 models" in caught.value.hint


def test_no_rule_is_reached_twice() -> None:
    for layout in AIMV2.all_layouts:
        sources = [source for rule in layout.rules for source in rule.sources]
        assert len(set(sources)) == len(sources)
        for rule in layout.rules:
            for place, source in enumerate(rule.sources):
                match = layout.match(source.replace("*", "11"))
                assert (match.rule, match.place) == (rule, place)
