"""What is quantised and what is not, and that a recorded quantisation loads on every device."""

import json
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from mlx.utils import tree_flatten

from mlx_aimv2.checkpoints import load, quantize
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.checkpoints.weights import read_weights
from mlx_aimv2.errors import CheckpointError, UsageError
from tests.support.makers import lit_config, random_ids, random_lit
from tests.support.networks import assert_same, filled, pixels, product_dtypes, quantized, to_numpy
from tests.support.quantized import GROUP, IMAGE, WORDS, network, write_quantized
from tests.support.tolerances import MIN_COSINE_QUANTIZED_RANDOM

IDS = mx.array(random_ids(np.random.default_rng(0), 5))
IMAGES = pixels(3, IMAGE["side"], IMAGE["side"])
LINEAR = (".qkv", ".proj", ".fc1", ".fc2", ".fc3", ".k", ".v", ".linear", "_projector")


def cosines(actual: mx.array, expected: mx.array) -> np.ndarray:
    ours, theirs = to_numpy(actual), to_numpy(expected)
    lengths = np.linalg.norm(ours, axis=-1) * np.linalg.norm(theirs, axis=-1)
    return (ours * theirs).sum(axis=-1) / lengths


# what is quantised


def test_linear_layers_and_the_token_table_and_nothing_else() -> None:
    made = network()
    assert quantized(made, 4, GROUP) == {"bits": 4, "group_size": GROUP}
    packed = {name for name, array in tree_flatten(made.parameters()) if array.dtype == mx.uint32}
    stems = {name.removesuffix(".weight") for name in packed}
    everything = {name.removesuffix(".weight") for name in random_lit(vision=IMAGE, text=WORDS)}
    kept = {"text_encoder.trunk.blocks.0.mlp.fc2", "text_encoder.trunk.blocks.1.mlp.fc2"}
    patches = "image_encoder.preprocessor.patchifier.proj"
    linear = {stem for stem in everything if stem.endswith(LINEAR)} - kept - {patches}
    assert stems == linear | {"text_encoder.preprocessor.text_embedding"}
    for stem in stems:
        assert isinstance(_module(made, stem), nn.QuantizedLinear | nn.QuantizedEmbedding)


def _module(network, path: str):
    return dict(network.named_modules())[path]


@pytest.mark.parametrize(("bits", "group"), [(3, 64), (16, 64), (4, 48), (8, 0), (4, 256)])
def test_other_bits_and_groups(bits: int, group: int) -> None:
    with pytest.raises(UsageError, match=f"{bits} bits in groups of {group}") as caught:
        quantize.chosen_layers(network(), bits, group)
    assert "4, 8" in caught.value.hint


def test_no_layer_that_fits() -> None:
    odd = filled(random_lit(), lit_config(), "float32")
    with pytest.raises(UsageError, match="no layer's width is a multiple of the group size 64"):
        quantize.chosen_layers(odd, 4, 64)


# it loads


@pytest.mark.parametrize("bits", [4, 8])
def test_on_a_cpu_it_is_unpacked_and_that_is_said(tmp_path: Path, monkeypatch, bits: int) -> None:
    cpu = SimpleNamespace(type=mx.DeviceType.cpu)
    monkeypatch.setattr(load.mx, "default_device", lambda: cpu)
    loaded = load_checkpoint(write_quantized(tmp_path, bits))
    assert loaded.notes == (
        f"{bits}-bit weights are unpacked on the CPU, where quantised products are slower than "
        "dense",
    )
    assert {a.dtype for _, a in tree_flatten(loaded.network.parameters())} == {mx.float32}
    made = network()
    quantized(made, bits, GROUP)
    packed = dict(tree_flatten(made.parameters()))
    for name, array in tree_flatten(loaded.network.parameters()):
        parts = [packed[part] for part in quantize.group(name, packed)]
        expected = mx.dequantize(*parts, group_size=GROUP, bits=bits) if len(parts) > 1 else None
        assert_same(array, parts[0] if expected is None else expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_on_a_gpu_it_stays_packed(tmp_path: Path, monkeypatch, dtype: str) -> None:
    folder = write_quantized(tmp_path, 8, dtype)
    unpacked = load_checkpoint(folder, dtype="float32").network
    gpu = SimpleNamespace(type=mx.DeviceType.gpu)
    monkeypatch.setattr(load.mx, "default_device", lambda: gpu)
    loaded = load_checkpoint(folder, dtype=dtype)
    assert not loaded.notes
    attention = loaded.network.image_encoder.trunk.blocks[0].attn
    assert isinstance(attention.qkv, nn.QuantizedLinear)
    images, texts = loaded.network.encode_image(IMAGES), loaded.network.encode_text(IDS)
    assert {images.dtype, texts.dtype} == {load.DTYPES[dtype]}
    assert product_dtypes(loaded.network.encode_image, IMAGES) - {mx.bool_} == {load.DTYPES[dtype]}
    assert cosines(images, unpacked.encode_image(IMAGES)).min() > 0.999
    assert cosines(texts, unpacked.encode_text(IDS)).min() > 0.999


@pytest.mark.parametrize("bits", [4, 8])
def test_it_stays_close(tmp_path: Path, bits: int) -> None:
    folder, exact = write_quantized(tmp_path, bits), network()
    loaded = load_checkpoint(folder, dtype="float32").network
    for actual, expected in (
        (loaded.encode_image(IMAGES), exact.encode_image(IMAGES)),
        (loaded.encode_text(IDS), exact.encode_text(IDS)),
    ):
        assert cosines(actual, expected).min() >= MIN_COSINE_QUANTIZED_RANDOM[bits]


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("device", [mx.DeviceType.cpu, mx.DeviceType.gpu])
def test_one_tower_alone(tmp_path: Path, monkeypatch, tower: str, device) -> None:
    folder = write_quantized(tmp_path, 8)
    monkeypatch.setattr(load.mx, "default_device", lambda: SimpleNamespace(type=device))
    encode, inputs = f"encode_{tower}", IMAGES if tower == "image" else IDS
    one, both = load_checkpoint(folder, tower=tower), load_checkpoint(folder)
    assert_same(getattr(one.network, encode)(inputs), getattr(both.network, encode)(inputs))


def test_sizes_are_those_before_packing(tmp_path: Path) -> None:
    weights = read_weights(write_quantized(tmp_path, 4, "float16"))
    dense = {name: array.shape for name, array in tree_flatten(network().parameters())}
    assert weights.logical_shapes() == dense
    assert weights.quantization == {"bits": 4, "group_size": GROUP}
    assert weights.dtype == "F16"


# it is refused

PACKED = "text_encoder.trunk.blocks.1.attn.qkv"
DEVICES = pytest.mark.parametrize("device", [mx.DeviceType.cpu, mx.DeviceType.gpu])


def refusal(folder: Path, monkeypatch, device) -> str:
    monkeypatch.setattr(load.mx, "default_device", lambda: SimpleNamespace(type=device))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    return str(caught.value)


@DEVICES
@pytest.mark.parametrize("part", ["scales", "biases"])
def test_packed_weights_without_their_scales(tmp_path, monkeypatch, device, part: str) -> None:
    folder = write_quantized(tmp_path, 4, drop=[f"{PACKED}.{part}"])
    message = refusal(folder, monkeypatch, device)
    assert f"the tensor {PACKED}.{part} of the quantised {PACKED}.weight is missing" in message


@DEVICES
def test_scales_without_their_weights(tmp_path: Path, monkeypatch, device) -> None:
    for folder in (
        write_quantized(tmp_path / "dense", 4, **{f"{PACKED}.weight": mx.zeros((192, 64))}),
        write_quantized(tmp_path / "missing", 4, drop=[f"{PACKED}.weight"]),
    ):
        message = refusal(folder, monkeypatch, device)
        assert f"the tensor {PACKED}." in message
        assert "belongs to no quantised weight" in message


@DEVICES
@pytest.mark.parametrize("part", ["scales", "biases"])
def test_scales_of_another_shape(tmp_path: Path, monkeypatch, device, part: str) -> None:
    folder = write_quantized(tmp_path, 4, **{f"{PACKED}.{part}": mx.zeros((192, 3))})
    message = refusal(folder, monkeypatch, device)
    assert f"the tensor {PACKED}.{part} has the shape (192, 3)" in message


@DEVICES
@pytest.mark.parametrize("shape", [(191, 8), (192, 7), (192, 16)])
def test_packed_weights_of_another_shape(tmp_path, monkeypatch, device, shape) -> None:
    folder = write_quantized(tmp_path, 4, **{f"{PACKED}.weight": mx.zeros(shape, mx.uint32)})
    assert f"{PACKED}.weight" in refusal(folder, monkeypatch, device)


@DEVICES
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("text_encoder.preprocessor.positional_embedding", (13, 64)),
        ("text_encoder.trunk.post_trunk_norm.weight", (64,)),
        ("image_encoder.preprocessor.patchifier.proj.weight", (96, 7, 7, 3)),
        ("log_logit_scale", ()),
    ],
)
def test_packed_tensors_that_never_are(tmp_path, monkeypatch, device, name: str, shape) -> None:
    folder = write_quantized(tmp_path, 4, **{name: mx.zeros(shape, mx.uint32)})
    assert name in refusal(folder, monkeypatch, device)


def test_packed_weights_that_are_not_recorded(tmp_path: Path) -> None:
    folder = write_quantized(tmp_path, 4)
    config = json.loads((folder / "config.json").read_text())
    del config["quantization"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"not one of an AIMv2|is U32 of"):
        load_checkpoint(folder)


def test_another_number_of_bits_than_recorded(tmp_path: Path, monkeypatch) -> None:
    folder = write_quantized(tmp_path, 4)
    config = json.loads((folder / "config.json").read_text())
    config["quantization"]["bits"] = 8
    (folder / "config.json").write_text(json.dumps(config))
    assert "needs" in refusal(folder, monkeypatch, mx.DeviceType.cpu)
