"""Aria's checkpoints: every name it was written with, converted, quantised, loaded or refused."""

import json
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

from mlx_aimv2 import device
from mlx_aimv2.checkpoints import load, safetensors_file
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.checkpoints.memory import loaded_bytes
from mlx_aimv2.checkpoints.weights import Weights, read_weights
from mlx_aimv2.errors import CheckpointError, NumericsError, UsageError
from mlx_aimv2.files.checkpoint_files import INDEX_FILE
from mlx_aimv2.models.aria.cost import PUBLISHED
from mlx_aimv2.models.aria.experts import QuantizedExpertLinear
from tests.support.aria_names import (
    rhymes_config,
    to_in_memory,
    to_one_product,
    to_rhymes,
    to_sequential,
)
from tests.support.counted import Alive
from tests.support.networks import pixels, to_numpy
from tests.support.tiny_aria import CONFIG, tiny_tensors, write_tiny_aria

pytestmark = pytest.mark.filterwarnings("ignore:.*has no tokenizer")
TENSORS = tiny_tensors()
RHYMES = rhymes_config(CONFIG)
NAMES = {
    "the hub": (TENSORS, CONFIG, "transformers"),
    "one product": (to_one_product(TENSORS), CONFIG, "transformers"),
    "in memory": (to_in_memory(TENSORS), CONFIG, "transformers in memory"),
    "in memory, one product": (
        to_one_product(to_in_memory(TENSORS)), CONFIG, "transformers in memory",
    ),
    "Rhymes AI": (to_rhymes(TENSORS), RHYMES, "Rhymes AI"),
    "an expert each": (to_sequential(TENSORS), RHYMES, "Rhymes AI"),
    "an expert each, otherwise": (to_sequential(TENSORS, "experts"), RHYMES, "Rhymes AI"),
}  # fmt: skip
PACKED = (".qkv", ".proj", ".gate", ".up", ".down", ".fc1", ".fc2", ".fc3", "embed", "head")
IDS = mx.array([[1, 9, 9, 9, 9, 17, 4, 99, 23, 5, 71, 3]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_aria(tmp_path / "aria")


def read(folder: Path) -> dict[str, mx.array]:
    return mx.load(str(folder / "model.safetensors"))


def logits(network) -> np.ndarray:
    """Of a text with a picture. Shapes: (tokens, vocabulary)."""
    features = network.encode_images(pixels(1, 56, 56))
    return to_numpy(network.decode(network.embed(IDS, features))[0])


def cosines(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(actual, axis=-1) * np.linalg.norm(expected, axis=-1)
    return (actual * expected).sum(axis=-1) / lengths


# names


@pytest.mark.parametrize("names", NAMES)
def test_every_published_name_becomes_the_same_bytes(folder, tmp_path, names):
    tensors, config, layout = NAMES[names]
    ours = convert(folder, tmp_path / "ours").folder
    source = write_tiny_aria(tmp_path / "source", config, tensors)
    assert read_weights(source).layout == layout
    converted = convert(source, tmp_path / "converted").folder
    again = convert(converted, tmp_path / "again").folder
    assert read_weights(converted).layout == "mlx-aimv2"
    for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
        assert (converted / name).read_bytes() == (ours / name).read_bytes(), name
        assert (again / name).read_bytes() == (ours / name).read_bytes(), name


def test_experts_are_those_of_the_source_to_the_bit(folder, tmp_path):
    written = read(convert(folder, tmp_path / "ours").folder)
    for layer in range(2):
        theirs = f"language_model.model.layers.{layer}.mlp.experts"
        ours = f"text.blocks.{layer}.moe.experts"
        gate, up = np.split(TENSORS[f"{theirs}.fc1.weight"], 2, axis=-1)
        for name, array in (("gate", gate), ("up", up), ("down", TENSORS[f"{theirs}.fc2.weight"])):
            np.testing.assert_array_equal(to_numpy(written[f"{ours}.{name}.weight"]).mT, array)


@pytest.mark.parametrize("bits", [None, 4])
def test_shards_in_and_out(folder, tmp_path, monkeypatch, bits):
    """A layer is split over shards, as on the hub; through the index all is found."""
    whole = convert(folder, tmp_path / "whole", quantize_bits=bits).folder
    names = list(TENSORS)
    shards = {f"model-{number}-of-3.safetensors": names[number::3] for number in range(3)}
    source = tmp_path / "shards"
    source.mkdir()
    for file, part in shards.items():
        arrays = {name: mx.array(np.ascontiguousarray(TENSORS[name])) for name in part}
        mx.save_safetensors(str(source / file), arrays, {"format": "pt"})
    index = {name: file for file, part in shards.items() for name in part}
    (source / INDEX_FILE).write_text(json.dumps({"weight_map": index}))
    (source / "config.json").write_text(json.dumps(CONFIG))
    monkeypatch.setattr(safetensors_file, "SHARD_BYTES", 100_000)
    sharded = convert(source, tmp_path / "sharded", quantize_bits=bits).folder
    assert len(list(sharded.glob("model-*-of-*.safetensors"))) > 3
    monkeypatch.undo()
    back = convert(sharded, tmp_path / "back").folder
    assert (back / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


# what is refused


@pytest.mark.parametrize("names", ["the hub", "in memory", "Rhymes AI", "an expert each"])
@pytest.mark.parametrize("lost", [".experts.", "router", "in_proj_bias", "self_attn.k_proj"])
def test_a_missing_tensor_is_named(tmp_path, names, lost):
    tensors, config, _ = NAMES[names]
    gone = next(name for name in reversed(tensors) if lost in name)
    rest = {name: array for name, array in tensors.items() if name != gone}
    source = write_tiny_aria(tmp_path / "source", config, rest)
    word = {".experts.": "experts", "router": "router"}.get(lost, "qkv")
    for use in (load_checkpoint, lambda source: convert(source, tmp_path / "ours")):
        with pytest.raises(CheckpointError, match=word):
            use(source)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("names", ["the hub", "in memory", "Rhymes AI"])
def test_an_unknown_tensor_is_named(tmp_path, names):
    tensors, config, layout = NAMES[names]
    odd = next(name for name in tensors if "router" in name).replace("router", "gate")
    source = write_tiny_aria(tmp_path / "s", config, tensors | {odd: np.ones((7, 128), np.float32)})
    with pytest.raises(CheckpointError, match=f"{odd} is not one of an Aria .*{layout}"):
        load_checkpoint(source)


def test_two_spellings_of_one_tensor_are_refused(tmp_path):
    both = to_one_product({n: a for n, a in TENSORS.items() if "experts.fc2" in n}) | TENSORS
    source = write_tiny_aria(tmp_path / "source", CONFIG, both)
    with pytest.raises(CheckpointError, match=r"are both text\.blocks\.\d\.moe\.experts\.down"):
        load_checkpoint(source)


def test_a_misshapen_expert_is_named(tmp_path):
    name = "language_model.model.layers.1.mlp.experts.fc2.weight"
    for odd in (TENSORS[name].mT, TENSORS[name][:-1]):
        source = write_tiny_aria(tmp_path / "source", CONFIG, TENSORS | {name: odd})
        with pytest.raises(CheckpointError, match=r"text\.blocks\.1\.moe\.experts\.down\.weight"):
            load_checkpoint(source)


def test_it_is_not_written_for_transformers(folder, tmp_path):
    with pytest.raises(UsageError, match="an Aria checkpoint is not written for transformers"):
        convert(folder, tmp_path / "theirs", to="transformers")


# quantised


@pytest.mark.parametrize("bits", [4, 8])
def test_the_decoder_is_quantised_but_for_what_is_small(folder, tmp_path, bits):
    made = convert(folder, tmp_path / "packed", quantize_bits=bits, dtype="bfloat16")
    written = read(made.folder)
    packed = {name for name, array in written.items() if array.dtype == mx.uint32}
    dense = {n for n in written.keys() - packed if not n.endswith((".scales", ".biases"))}
    assert packed == {
        name
        for name in packed | dense
        if name.startswith("text.") and name.removesuffix(".weight").endswith(PACKED)
    }
    assert {name.split(".")[0] for name in dense} == {"vision", "projector", "text"}
    assert all(
        "norm" in name or name.endswith("router.weight")
        for name in dense
        if name.startswith("text.")
    )
    experts = written["text.blocks.1.moe.experts.down.weight"]
    assert experts.shape == (7, 128, 64 * bits // 32)
    assert made.quantization == {"group_size": 64, "bits": bits}


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_it_computes_what_its_unpacked_weights_do(folder, tmp_path, bits, monkeypatch):
    packed = convert(folder, tmp_path / "packed", quantize_bits=bits).folder
    dense = convert(packed, tmp_path / "dense", dequantize=True).folder
    monkeypatch.setattr(device, "is_cpu", lambda: True)
    networks = [load_checkpoint(each, dtype="float32").network for each in (packed, dense)]
    blocks = networks[0].text.blocks
    assert isinstance(blocks[0].moe.experts.gate, QuantizedExpertLinear)
    assert isinstance(networks[0].text.head, nn.QuantizedLinear)
    chosen = [_with_choices(network) for network in networks]
    np.testing.assert_allclose(logits(networks[0]), logits(networks[1]), atol=1e-4)
    assert len(chosen[0]) == len(blocks)
    for one, other in zip(*chosen, strict=True):
        np.testing.assert_array_equal(one, other)
    exact = logits(load_checkpoint(folder, dtype="float32").network)
    assert cosines(logits(networks[0]), exact).min() > {8: 0.99, 4: 0.6}[bits]


def _with_choices(network) -> list[np.ndarray]:
    """Each router's choices, in order of their numbers, as the network is used from now on."""
    choices: list[np.ndarray] = []
    for block in network.text.blocks:
        route = block.moe.route

        def noted(rows, route=route):
            chosen, weights = route(rows)
            choices.append(np.sort(np.array(chosen), axis=-1))
            return chosen, weights

        block.moe.route = noted
    return choices


@pytest.mark.parametrize("kind", [mx.DeviceType.cpu, mx.DeviceType.gpu])
def test_it_stays_packed_on_every_device(folder, tmp_path, monkeypatch, kind):
    packed = convert(folder, tmp_path / "packed", quantize_bits=4, dtype="bfloat16").folder
    monkeypatch.setattr(load.mx, "default_device", lambda: SimpleNamespace(type=kind))
    monkeypatch.setattr(device, "room_bytes", lambda: 2e9)
    loaded = load_checkpoint(packed)
    assert not loaded.notes
    arrays = loaded.network.flat_parameters()
    stored = read(packed)
    wide = mx.float32 if kind == mx.DeviceType.cpu else mx.bfloat16
    assert loaded.dtype == str(wide).rpartition(".")[2]
    for name, array in arrays.items():
        is_kept = stored[name].dtype == mx.uint32 or (
            name.startswith("vision.blocks.") and name.endswith(".weight")
        )
        assert array.dtype == (stored[name].dtype if is_kept else wide), name
    assert arrays.keys() == stored.keys()


def test_the_tower_is_as_on_disk_and_computes_in_float32(folder, tmp_path):
    """On a CPU its weights are widened for each product, to the bits that they would have."""
    narrow = convert(folder, tmp_path / "narrow", dtype="bfloat16").folder
    kept, wide = (load_checkpoint(narrow, dtype="float32").network for _ in range(2))
    wide.set_dtype(mx.float32)
    found = kept.encode_images(pixels(1, 56, 56))
    assert found.dtype == mx.float32
    assert mx.array_equal(found, wide.encode_images(pixels(1, 56, 56)))


def test_bfloat16_where_float16_is_the_usual_half(folder, monkeypatch):
    """Whether float16 holds all that is published is not known."""
    monkeypatch.setattr(load.mx, "default_device", lambda: SimpleNamespace(type=mx.DeviceType.gpu))
    monkeypatch.setattr(load.mx, "device_info", lambda: {"architecture": "applegpu_g13g"})
    monkeypatch.setattr(device, "room_bytes", lambda: 2e9)
    assert load_checkpoint(folder).dtype == "bfloat16"


def test_float16_that_does_not_hold_a_value_is_refused(tmp_path):
    name = "multi_modal_projector.query"
    tensors = TENSORS | {name: TENSORS[name] * 1e6}
    folder = write_tiny_aria(tmp_path / "large", CONFIG, tensors)
    with pytest.raises(NumericsError, match=r"projector\.query .* do not fit float16"):
        load_checkpoint(folder, dtype="float16")
    with pytest.raises(NumericsError, match=r"projector\.query .* do not fit float16"):
        convert(folder, tmp_path / "half", dtype="float16")
    load_checkpoint(folder, dtype="bfloat16")


def test_one_tensor_at_a_time_is_converted(folder, tmp_path, monkeypatch):
    """What was read is gone before the next is: memory does not grow with the layers."""
    stored, read_them = Alive(), Weights.read

    def noted(self, names):
        for name, array in read_them(self, names):
            stored.note(array)
            yield name, array

    monkeypatch.setattr(Weights, "read", noted)
    convert(folder, tmp_path / "packed", quantize_bits=4)
    assert stored.noted > 60
    assert stored.most <= 3


# memory


def test_sizes_of_the_published_one() -> None:
    """Source: the index of rhymes-ai/Aria (less the norm that is not used), and MLX's format."""
    dense = loaded_bytes(PUBLISHED, mx.bfloat16)
    assert dense == 50_614_622_432 - 2 * 2 * 1152
    assert loaded_bytes(PUBLISHED, mx.bfloat16, 4) == pytest.approx(14.87e9, rel=1e-3)
    assert loaded_bytes(PUBLISHED, mx.bfloat16, 8) == pytest.approx(27.3e9, rel=1e-3)


@pytest.mark.parametrize("bits", [None, 4, 8])
def test_sizes_are_those_of_what_is_loaded(folder, tmp_path, bits):
    source = convert(folder, tmp_path / "packed", quantize_bits=bits).folder
    loaded = load_checkpoint(source)
    arrays = loaded.network.flat_parameters().values()
    dtype = load.DTYPES[loaded.dtype]
    expected = loaded_bytes(loaded.weights.config, dtype, bits)
    assert sum(array.nbytes for array in arrays) == expected


def refusal(folder: Path, monkeypatch, room: float) -> CheckpointError:
    def read(self, names):
        raise AssertionError("weights were read")

    monkeypatch.setattr(device, "room_bytes", lambda: room)
    monkeypatch.setattr(Weights, "read", read)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder, dtype="float32")
    monkeypatch.undo()
    return caught.value


def test_what_does_not_fit_is_refused_before_it_is_read(folder, tmp_path, monkeypatch):
    config = read_weights(folder).config
    sizes = {bits: loaded_bytes(config, mx.float32, bits) for bits in (None, 8, 4)}
    work = 1e9
    error = refusal(folder, monkeypatch, work + sizes[None] - 1)
    assert f"{folder} takes 1.0 GB of memory in float32, and there are 1.0 GB" in str(error)
    assert error.hint.startswith(f"8 bits take 0.0 GB: aimv2 convert --hf-path {folder}")
    assert error.hint.endswith("--mlx-path aria-8bit -q --q-bits 8")
    assert "-q --q-bits 4" in refusal(folder, monkeypatch, work + sizes[8] - 1).hint
    assert "more memory" in refusal(folder, monkeypatch, work + sizes[4] - 1).hint
    packed = convert(folder, tmp_path / "packed", quantize_bits=8).folder
    error = refusal(packed, monkeypatch, work + sizes[8] - 1)
    assert "in 8 bits" in str(error)
    assert "4 bits take 0.0 GB: aimv2 convert --hf-path ORIGINAL" in error.hint
    packed = convert(folder, tmp_path / "less", quantize_bits=4).folder
    assert "more memory" in refusal(packed, monkeypatch, work + sizes[4] - 1).hint
    monkeypatch.setattr(device, "room_bytes", lambda: work + sizes[4])
    load_checkpoint(packed, dtype="float32")
