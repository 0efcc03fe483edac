"""Any layout to ours: which bytes come out, what is refused, and what is copied along."""

import json
import threading
from itertools import islice
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from safetensors import safe_open
from safetensors.numpy import load_file

from mlx_aimv2.checkpoints import convert as conversion
from mlx_aimv2.checkpoints import quantize, safetensors_file
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.hub import DEMO, Resolved
from mlx_aimv2.checkpoints.load import DTYPES, load_checkpoint
from mlx_aimv2.checkpoints.safetensors_file import Spec, to_bits, write_weights
from mlx_aimv2.errors import Aimv2Warning, CheckpointError, NumericsError, UsageError
from mlx_aimv2.files.checkpoint_files import INDEX_FILE
from mlx_aimv2.images.presets import CLIP_MEAN, PRESETS, read_preset
from mlx_aimv2.models import registry
from mlx_aimv2.models.aimv2.published import LICENCE, find
from tests.support import makers, networks
from tests.support.toy_family import TOY, write_toy

# Widths that groups of 32 divide; the MLP's is no multiple of 64, so fc2 stays dense there.
VISION = makers.VISION | {"width": 64, "mlp": 96, "blocks": 2}
TEXT = makers.TEXT | {"width": 128, "mlp": 96, "blocks": 1}
CONFIG = makers.lit_config(VISION, TEXT)
TOKENIZER = {"vocab.json": b'{"a": 0}', "merges.txt": b"#version: 0.2\n"}


def write(folder, tensors, config=None, files=TOKENIZER, **options):
    """A source with what belongs to it."""
    makers.write_checkpoint(folder, tensors, config, **options)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_as(folder, tensors, config, dtype):
    """A source of a dtype that NumPy does not have."""
    folder.mkdir()
    arrays = {name: mx.array(array).astype(dtype) for name, array in tensors.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), arrays)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def random_lit():
    return makers.random_lit(vision=VISION, text=TEXT)


@pytest.fixture
def lit(tmp_path):
    """A LiT checkpoint in Apple's torch layout."""
    return write(tmp_path / "lit", random_lit(), CONFIG)


def read(folder):
    """Tensors of a folder, by MLX, which has bfloat16."""
    return mx.load(str(folder / "model.safetensors"))


def same(first, second):
    """Whether two sets of arrays have the same names, dtypes, shapes and bits."""
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert Spec.of(array) == Spec.of(second[name]), name
        np.testing.assert_array_equal(to_bits(array), to_bits(second[name]), name)
    return True


def network_arrays(network):
    return dict(tree_flatten(network.parameters()))


def only_files(folder):
    return sorted(path.name for path in folder.iterdir())


# Layouts

CASES = {
    "fixed": (makers.random_vision(), makers.vision_config()),
    "native": (makers.random_vision(native=True), makers.vision_config(native=True)),
    "with a head": (makers.random_vision(head=True), makers.vision_config()),
    "lit": (makers.random_lit(), makers.lit_config()),
}
LAYOUTS = {
    "Apple torch": lambda tensors: tensors,
    "Apple MLX": makers.to_apple_mlx,
    "transformers": makers.to_transformers,
    "timm": makers.to_timm,
}


@pytest.mark.parametrize("case", CASES)
def test_every_layout_becomes_the_same_bytes_and_stays_so(tmp_path, case):
    tensors, config = CASES[case]
    layouts = dict(LAYOUTS)
    if case != "fixed":
        del layouts["timm"]  # it has no other
    for layout, to_layout in layouts.items():
        source = write(tmp_path / layout, to_layout(tensors), config)
        converted = convert(source, tmp_path / f"{layout} ours")
        assert (converted.original.layout, converted.quantization) == (layout, None)
        again = convert(converted.folder, tmp_path / f"{layout} again")
        assert again.original.layout == "mlx-aimv2"
        for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
            expected = (tmp_path / "Apple torch ours" / name).read_bytes()
            assert (converted.folder / name).read_bytes() == expected
            assert (again.folder / name).read_bytes() == expected


@pytest.mark.parametrize("case", CASES)
def test_values_and_configuration_are_those_of_the_source(tmp_path, case):
    tensors, config = CASES[case]
    source = write(tmp_path / "source", tensors, config)
    folder = convert(source, tmp_path / "ours").folder
    written = load_file(folder / "model.safetensors")
    expected = makers.to_apple_mlx(tensors)
    assert written.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(written[name], array, strict=True)
    with safe_open(folder / "model.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "mlx"}
    before, after = load_checkpoint(source), load_checkpoint(folder)
    assert after.network.config == before.network.config
    assert same(network_arrays(after.network), network_arrays(before.network))


@pytest.mark.parametrize("case", CASES)
def test_transformers_names_and_back(tmp_path, case):
    """From every layout the names, axes and values of transformers; from there ours again."""
    tensors, config = CASES[case]
    ours = convert(write(tmp_path / "source", tensors, config), tmp_path / "ours").folder
    for layout in ("Apple torch", "Apple MLX", "transformers"):
        source = write(tmp_path / layout, LAYOUTS[layout](tensors), config)
        theirs = convert(source, tmp_path / f"{layout} theirs", to="transformers").folder
        written = load_file(theirs / "model.safetensors")
        expected = makers.to_transformers(tensors)
        assert written.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(written[name], array, name, strict=True)
        with safe_open(theirs / "model.safetensors", framework="np") as file:
            assert file.metadata() == {"format": "pt"}
        back = convert(theirs, tmp_path / f"{layout} back")
        assert back.original.layout == "transformers"
        for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
            assert (back.folder / name).read_bytes() == (ours / name).read_bytes()


def test_for_transformers_weights_are_dense(tmp_path, lit):
    with pytest.raises(UsageError, match="quantised") as caught:
        convert(lit, tmp_path / "theirs", quantize_bits=4, to="transformers")
    assert caught.value.hint == "leave out -q"
    packed = convert(lit, tmp_path / "packed", quantize_bits=8, group_size=32).folder
    with pytest.raises(UsageError, match="the source is quantised") as caught:
        convert(packed, tmp_path / "theirs", to="transformers")
    assert caught.value.hint == "unpack it: add -d"
    theirs = convert(packed, tmp_path / "theirs", to="transformers", dequantize=True).folder
    ours = convert(packed, tmp_path / "ours", dequantize=True).folder
    assert same(read(convert(theirs, tmp_path / "back").folder), read(ours))


def test_a_family_without_that_layout_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FAMILIES", (*registry.FAMILIES, TOY))
    with pytest.raises(UsageError, match="a toy checkpoint is not written for transformers"):
        convert(write_toy(tmp_path / "toy"), tmp_path / "theirs", to="transformers")
    assert only_files(tmp_path) == ["toy"]


def test_transformers_is_told_who_reads_a_whole_tokenizer(tmp_path):
    demo = convert(DEMO, tmp_path / "demo", to="transformers").folder
    stated = json.loads((demo / "tokenizer_config.json").read_text())
    assert stated["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (stated["pad_token"], stated["model_max_length"]) == ("<end_of_text>", 77)
    (demo / "tokenizer_config.json").write_bytes(b'{"a": 1}')
    again = convert(demo, tmp_path / "again", to="transformers").folder
    assert (again / "tokenizer_config.json").read_bytes() == b'{"a": 1}'
    assert "tokenizer_config.json" not in only_files(convert(DEMO, tmp_path / "ours").folder)


def test_a_sharded_source_and_a_sharded_target(tmp_path, lit, monkeypatch):
    whole = convert(lit, tmp_path / "whole").folder
    monkeypatch.setattr(safetensors_file, "SHARD_BYTES", 50_000)
    folder = convert(whole, tmp_path / "shards").folder
    shards = sorted(folder.glob("model-*-of-*.safetensors"))
    assert len(shards) > 5
    assert not (folder / "model.safetensors").exists()
    index = json.loads((folder / INDEX_FILE).read_text())
    tensors = {}
    for shard in shards:
        part = mx.load(str(shard))
        assert sum(array.nbytes for array in part.values()) <= 50_000 or len(part) == 1
        assert all(index["weight_map"][name] == shard.name for name in part)
        tensors |= part
    assert index["metadata"]["total_size"] == sum(array.nbytes for array in tensors.values())
    assert same(tensors, read(whole))
    monkeypatch.undo()
    back = convert(folder, tmp_path / "back").folder
    assert (back / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


SHAPES = st.lists(st.integers(1, 5), max_size=4).map(tuple)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(SHAPES, st.sampled_from(["float32", "float16", "bfloat16", "uint32"]))),
    st.integers(1, 300),
)
def test_what_is_written_is_what_any_reader_reads(tmp_path_factory, tensors, shard_bytes):
    folder = tmp_path_factory.mktemp("shards")
    arrays = {
        f"tensor.{number}": mx.random.randint(0, 99, shape).astype(getattr(mx, dtype))
        for number, (shape, dtype) in enumerate(tensors)
    }
    specs = {name: Spec.of(array) for name, array in arrays.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safetensors_file, "SHARD_BYTES", shard_bytes)
        write_weights(folder, specs, arrays.items())
    found = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="np") as header:
            assert header.metadata() == {"format": "mlx"}
        found |= mx.load(str(file))
    assert same(found, arrays)


# dtype


@pytest.mark.parametrize("stored", [mx.float32, mx.float16, mx.bfloat16])
@pytest.mark.parametrize("dtype", [None, *DTYPES])
def test_dtype_is_that_on_disk_unless_asked_for(tmp_path, stored, dtype):
    source = write_as(tmp_path / "source", makers.random_vision(), makers.vision_config(), stored)
    converted = convert(source, tmp_path / "ours", dtype=dtype)
    wanted = DTYPES[dtype] if dtype else stored
    assert DTYPES[converted.dtype] == wanted
    expected = {}
    for name, array in read(source).items():
        is_projection = name.endswith("patchifier.proj.weight")
        expected[name] = (array.transpose(0, 2, 3, 1) if is_projection else array).astype(wanted)
    assert same(read(converted.folder), expected)


def test_the_logit_scale_stays_wide(tmp_path, lit):
    narrow = read(convert(lit, tmp_path / "narrow", dtype="float16").folder)
    assert narrow.pop("log_logit_scale").dtype == mx.float32
    assert {array.dtype for array in narrow.values()} == {mx.float16}


# Quantisation


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("group_size", [32, 64])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weight_by_weight_is_as_the_whole_network_at_once(tmp_path, lit, bits, group_size, dtype):
    converted = convert(
        lit, tmp_path / "ours", quantize_bits=bits, group_size=group_size, dtype=dtype
    )
    network = load_checkpoint(lit, dtype=dtype).network
    recorded = networks.quantized(network, bits, group_size)
    assert same(read(converted.folder), network_arrays(network))
    assert converted.quantization == recorded
    assert json.loads((converted.folder / "config.json").read_text())["quantization"] == recorded


def test_both_towers_are_quantised_but_what_is_small_is_not(tmp_path, lit):
    written = read(convert(lit, tmp_path / "ours", quantize_bits=4, group_size=32).folder)
    dense = {name for name, array in written.items() if array.dtype != mx.uint32}
    packed = written.keys() - dense
    assert {name.split(".")[0] for name in packed} == {
        "image_encoder",
        "text_encoder",
        "image_projector",
        "text_projector",
    }
    assert "text_encoder.preprocessor.text_embedding.weight" in packed
    kept = {name for name in dense if not quantize.is_scale(name)}
    suffixes = ("norm.weight", "norm_1.weight", "norm_2.weight", ".bias", "pos_embed")
    small = ("positional_embedding", "cls_token", "patchifier.proj.weight", "log_logit_scale")
    assert all(name.endswith((*suffixes, *small)) for name in kept)


def test_a_width_that_groups_do_not_divide_stays_dense(tmp_path, lit):
    written = read(convert(lit, tmp_path / "ours", quantize_bits=8).folder)
    block = "image_encoder.trunk.blocks.0"
    assert written[f"{block}.mlp.fc2.weight"].dtype == mx.float32  # 96 wide
    assert written[f"{block}.mlp.fc1.weight"].dtype == mx.uint32
    source = write(tmp_path / "v", makers.random_vision(), makers.vision_config())
    with pytest.raises(UsageError, match="no layer's width is a multiple of the group size 128"):
        convert(source, tmp_path / "x", quantize_bits=4, group_size=128)


@pytest.mark.parametrize("dtype", [None, "float16"])
def test_dequantised_is_what_a_cpu_computes_with(tmp_path, lit, dtype):
    packed = convert(lit, tmp_path / "packed", quantize_bits=8, dtype="bfloat16").folder
    converted = convert(packed, tmp_path / "dense", dequantize=True, dtype=dtype)
    assert converted.quantization is None
    assert "quantization" not in json.loads((converted.folder / "config.json").read_text())
    loaded = load_checkpoint(packed, dtype=converted.dtype).network
    assert same(network_arrays(load_checkpoint(converted.folder, dtype=converted.dtype).network),
                network_arrays(loaded))  # fmt: skip


def test_a_quantised_source_is_kept_packed(tmp_path, lit):
    packed = convert(lit, tmp_path / "packed", quantize_bits=4, dtype="float16").folder
    again = convert(packed, tmp_path / "again").folder
    for name in ("model.safetensors", "config.json"):
        assert (again / name).read_bytes() == (packed / name).read_bytes()
    wide = convert(packed, tmp_path / "wide", dtype="float32")
    assert (wide.dtype, wide.quantization) == ("float32", {"group_size": 64, "bits": 4})
    before, after = read(packed), read(wide.folder)
    for name, array in before.items():
        expected = array if array.dtype == mx.uint32 else array.astype(mx.float32)
        assert mx.array_equal(after[name], expected)


# What is refused


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"quantize_bits": 4, "dequantize": True}, "not both", "leave out"),
        ({"quantize_bits": 5}, "cannot quantise to 5 bits", "4, 8"),
        ({"quantize_bits": 4, "group_size": 48}, "groups of 48", "32, 64, 128"),
        ({"dtype": "float8"}, "unknown dtype float8", "bfloat16"),
        ({"dequantize": True}, "the source is not quantised", "leave out -d"),
    ],
)
def test_recipes_that_make_no_sense(tmp_path, lit, options, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        convert(lit, tmp_path / "ours", **options)
    assert hint in caught.value.hint
    assert only_files(tmp_path) == ["lit"]


def test_a_quantised_source_is_not_quantised_again(tmp_path, lit):
    packed = convert(lit, tmp_path / "packed", quantize_bits=8).folder
    with pytest.raises(UsageError, match="already, to 8 bits") as caught:
        convert(packed, tmp_path / "ours", quantize_bits=4)
    assert "-d" in caught.value.hint


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["attn.qkv.weight", "norm_1.weight"])
@pytest.mark.parametrize("bits", [None, 4])
@pytest.mark.parametrize("dtype", [None, "float16"])
def test_values_that_are_not_finite(tmp_path, value, name, bits, dtype):
    name = f"trunk.blocks.1.{name}"
    tensors = makers.random_vision(sizes=VISION)
    tensors[name].flat[-2] = value
    source = write(tmp_path / "source", tensors, makers.vision_config(VISION))
    with pytest.raises(CheckpointError, match=f"{name} of the source holds NaN or infinity"):
        convert(source, tmp_path / "ours", quantize_bits=bits, dtype=dtype)
    assert only_files(tmp_path) == ["source"]


@pytest.mark.parametrize("bits", [None, 8])
def test_values_that_do_not_fit_float16(tmp_path, bits):
    tensors = makers.random_vision(sizes=VISION)
    tensors["trunk.blocks.0.mlp.fc1.weight"][3, 5] = -70_000
    source = write(tmp_path / "source", tensors, makers.vision_config(VISION))
    with pytest.raises(NumericsError, match=r"mlp\.fc1\S* has values .* fit float16") as caught:
        convert(source, tmp_path / "half", quantize_bits=bits, dtype="float16")
    assert "--dtype bfloat16" in caught.value.hint
    convert(source, tmp_path / "brain", quantize_bits=bits, dtype="bfloat16")
    assert only_files(tmp_path) == ["brain", "source"]


def test_dequantised_values_that_do_not_fit_the_dtype_of_their_scales(tmp_path, lit):
    packed = convert(lit, tmp_path / "packed", quantize_bits=8, dtype="float16").folder
    tensors = read(packed)
    mx.eval(tensors)
    tensors["text_projector.scales"][0, 0] = 50_000
    mx.save_safetensors(str(packed / "model.safetensors"), tensors, {"format": "mlx"})
    with pytest.raises(NumericsError, match=r"text_projector\.weight .* do not fit float16"):
        convert(packed, tmp_path / "ours", dequantize=True)


@pytest.mark.parametrize("bits", [None, 8])
def test_a_tensor_that_is_missing_left_over_or_misshapen(tmp_path, bits):
    tensors, config = random_lit(), CONFIG
    name = "text_encoder.trunk.post_trunk_norm.weight"
    faults = {
        "missing": {key: array for key, array in tensors.items() if key != name},
        "shape": tensors | {name: np.ones(7, np.float32)},
        "not part": {k: a for k, a in tensors.items() if not k.startswith("image_encoder.head.k")},
    }
    for fault, faulty in faults.items():
        source = write(tmp_path / fault, faulty, config)
        with pytest.raises(CheckpointError, match=name if fault != "not part" else r"head\.k"):
            convert(source, tmp_path / "ours", quantize_bits=bits)
    assert not (tmp_path / "ours").exists()


def test_a_disk_that_gives_back_something_else(tmp_path, lit, monkeypatch):
    def write_half(folder, specs, arrays, *, format):
        names = list(specs)[:-1]
        half = {name: specs[name] for name in names}
        write_weights(folder, half, islice(arrays, len(names)), format=format)

    monkeypatch.setattr(conversion, "write_weights", write_half)
    with pytest.raises(conversion.OutputError, match="does not read back"):
        convert(lit, tmp_path / "ours")
    assert only_files(tmp_path) == ["lit"]


# What goes along


def test_tokenizer_preprocessing_and_licence_are_copied(tmp_path):
    files = TOKENIZER | {
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b'{"a": 1}',
        "special_tokens_map.json": b'{"b": 2}',
        "preprocessor_config.json": b'{"image_mean": [0.5, 0.5, 0.5]}',
        "LICENSE": b"All rights reserved.",
        "modeling_aimv2.py": b"raise SystemExit",
        "pytorch_model.bin": b"pickle",
    }
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    source = write(tmp_path / "source", random_lit(), CONFIG, files)
    for number, file in enumerate(source.iterdir()):  # a cache holds links
        file.rename(blobs / str(number))
        file.symlink_to(blobs / str(number))
    folder = convert(source, tmp_path / "ours").folder
    copied = set(files) - {"modeling_aimv2.py", "pytorch_model.bin"}
    assert set(only_files(folder)) == {*copied, "model.safetensors", "config.json", "README.md"}
    for name in copied:
        assert not (folder / name).is_symlink()
        assert (folder / name).read_bytes() == files[name]
    vision = write(tmp_path / "vision", makers.random_vision(), makers.vision_config(), files)
    assert "vocab.json" not in only_files(convert(vision, tmp_path / "ours 2").folder)


def test_preprocessing_is_written_where_the_source_says_nothing(tmp_path, lit):
    folder = convert(lit, tmp_path / "ours").folder
    assert read_preset(folder, "hub") == PRESETS["hub"]
    written = json.loads((folder / "preprocessor_config.json").read_text())
    assert written["crop_size"] == {"height": 35, "width": 35}
    assert written["image_mean"] == list(CLIP_MEAN)
    source = write(
        tmp_path / "native", makers.random_vision(native=True), makers.vision_config(native=True)
    )
    folder = convert(source, tmp_path / "ours native").folder
    written = json.loads((folder / "preprocessor_config.json").read_text())
    assert (written["do_resize"], written["do_center_crop"]) == (False, False)


def test_a_lit_checkpoint_without_a_tokenizer_is_noted(tmp_path):
    source = write(tmp_path / "source", random_lit(), CONFIG, files={"vocab.json": b"{}"})
    with pytest.warns(Aimv2Warning, match=r"no tokenizer.*merges\.txt"):
        convert(source, tmp_path / "ours")


def card_of(folder):
    _, front, body = (folder / "README.md").read_text().split("---\n", 2)
    return dict(line.split(": ", 1) for line in front.splitlines()), body


def test_the_card_of_a_published_checkpoint(tmp_path, lit, monkeypatch):
    checkpoint = find("lit")
    resolved = Resolved(
        "lit", lit, checkpoint.name, checkpoint.repo_id, checkpoint.revision, checkpoint
    )
    monkeypatch.setattr(conversion, "resolve", lambda source, confirm: resolved)
    (lit / "README.md").write_text("---\nlicense: mit\n---\n")  # whatever it says
    converted = convert("lit", tmp_path / "lit-4bit", quantize_bits=4, dtype="float16")
    front, body = card_of(converted.folder)
    assert converted.licence == LICENCE
    assert front["license"] == f'"{LICENCE}"'
    assert front["base_model"] == f'"{checkpoint.repo_id}"'
    assert front["pipeline_tag"] == '"zero-shot-image-classification"'
    for text in (
        checkpoint.revision,
        "An AIMv2 LiT checkpoint (images and texts; 35 px), converted for `mlx-aimv2`",
        "Apple torch",
        "4 bits in groups of 64, the rest float16",
        "mlx-aimv2 0.",
        'aimv2.load("./lit-4bit")',
        "research purposes only, no commercial use",
    ):
        assert text in body
    monkeypatch.undo()
    carried = convert(converted.folder, tmp_path / "dense", dequantize=True)
    front, body = card_of(carried.folder)
    assert carried.licence == LICENCE
    assert front["base_model"] == f'"{checkpoint.repo_id}"'
    assert "research purposes only" in body


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (None, "unknown"),
        (b"no front matter\n", "unknown"),
        (b"\xff\xfe", "unknown"),
        (b"---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        (b"---\r\nlicense: 'mit'  \r\n---\r\n", "mit"),
        (b"---\nlicense: other\nlicense_name: house-rules\n---\n", "house-rules"),
        (b"---\nlicense: other\n---\n", "unknown"),
        (b"text\n---\nlicense: mit\n---\n", "unknown"),
    ],
)
def test_the_licence_that_a_source_states_is_carried(tmp_path, card, licence):
    source = write(tmp_path / "source", makers.random_vision(), makers.vision_config(), {})
    if card is not None:
        (source / "README.md").write_bytes(card)
    converted = convert(source, tmp_path / "ours")
    assert converted.licence == licence
    front, body = card_of(converted.folder)
    assert front["license"] == json.dumps(licence)
    assert "base_model" not in front
    assert str(tmp_path) not in body  # where it lay on somebody's disk


def test_the_demo_is_not_under_apples_licence(tmp_path, lit, monkeypatch):
    monkeypatch.setattr(conversion, "resolve", lambda source, confirm: Resolved(DEMO, lit, DEMO))
    converted = convert(DEMO, tmp_path / "ours")
    assert converted.licence == "mit"
    assert "Apple" not in card_of(converted.folder)[1].split("## Licence")[1]


def test_names_that_are_not_utf8(tmp_path):
    name = b"caf\xe9 'x'".decode("utf-8", "surrogateescape")
    source = write(tmp_path / f"from {name}", makers.random_vision(), makers.vision_config())
    folder = convert(source, tmp_path / name).folder
    assert "\\udce9" in (folder / "README.md").read_text()
    load_checkpoint(folder)


# How it runs


def test_progress_counts_every_weight_once(tmp_path, lit):
    told = []
    convert(
        lit, tmp_path / "ours", quantize_bits=4, on_weight=lambda done, of: told.append((done, of))
    )
    total = len(random_lit())
    assert told == [(done, total) for done in range(1, total + 1)]


def test_it_runs_on_any_thread(tmp_path, lit):
    here = convert(lit, tmp_path / "here", quantize_bits=4).folder
    thread = threading.Thread(
        target=convert, args=(lit, tmp_path / "there"), kwargs={"quantize_bits": 4}
    )
    thread.start()
    thread.join()
    there = Path(tmp_path / "there" / "model.safetensors")
    assert there.read_bytes() == (here / "model.safetensors").read_bytes()
