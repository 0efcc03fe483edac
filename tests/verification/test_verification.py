"""The parts of `aimv2 verify`: what finds a wrong weight, and where."""

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.weights import Weights
from mlx_aimv2.models.aimv2 import layers
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.verification import probe
from mlx_aimv2.verification import trace as traces
from mlx_aimv2.verification.compare import compare
from mlx_aimv2.verification.report import Opened, Record
from mlx_aimv2.verification.tensors import block_of, difference, examine, placed
from tests.support import makers
from tests.support.counted import Alive

VISION = makers.random_vision(head=True)
LIT = makers.random_lit()
NATIVE = makers.random_vision(native=True)
HEADLESS = {name: array for name, array in VISION.items() if not name.startswith("head")}
LAYOUTS = {
    "Apple torch": dict,
    "Apple MLX": makers.to_apple_mlx,
    "transformers": makers.to_transformers,
    "timm": makers.to_timm,
}


def written(folder: Path, tensors: makers.Tensors, layout: str = "Apple torch") -> Opened:
    """A checkpoint as a folder holds it, in a layout of its kind."""
    is_lit = "log_logit_scale" in tensors
    native = "preprocessor.pos_embed" not in tensors
    config = makers.lit_config() if is_lit else makers.vision_config(native=native)
    makers.write_checkpoint(folder, LAYOUTS[layout](tensors), config)
    return Opened.of(hub.resolve(folder))


def record_of(folder: Path, tensors: makers.Tensors, layout: str = "Apple torch") -> Record:
    return Record.of(written(folder, tensors, layout))


def fingerprints(opened: Opened) -> Record:
    """A record without its steps, which take the time."""
    weights = opened.weights
    return Record("", None, None, "", "", None, {}, dict(examine(weights)), [])


def changed(tensors: makers.Tensors, name: str, index: int = -1) -> makers.Tensors:
    """One value of one tensor with another sign; by default its largest."""
    array = tensors[name].copy()
    at = int(np.abs(array).argmax()) if index < 0 else index % array.size
    array.reshape(-1)[at] *= -1
    return tensors | {name: array}


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return record_of(tmp_path_factory.mktemp("lit"), LIT)


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return record_of(tmp_path_factory.mktemp("vision"), VISION)


# Fingerprints


@pytest.mark.parametrize(
    ("tensors", "layout"),
    [
        (VISION, "Apple MLX"),
        (VISION, "transformers"),
        (HEADLESS, "timm"),
        (NATIVE, "Apple MLX"),
        (NATIVE, "transformers"),
        (LIT, "Apple MLX"),
        (LIT, "transformers"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_the_same_weights_have_the_same_fingerprints(
    tmp_path: Path, tensors: makers.Tensors, layout: str
) -> None:
    one = fingerprints(written(tmp_path / "torch", tensors))
    other = fingerprints(written(tmp_path / "other", tensors, layout))
    assert one.tensors == other.tensors
    assert len(one.tensors) == len(tensors)


def test_our_own_layout_too_and_wider_precision(tmp_path: Path) -> None:
    halves = {name: array.astype(np.float16) for name, array in VISION.items()}
    opened = written(tmp_path / "half", halves)
    convert(tmp_path / "half", tmp_path / "ours", dtype="float32")
    wide = fingerprints(Opened.of(hub.resolve(tmp_path / "ours")))
    for name, tensor in fingerprints(opened).tensors.items():
        assert tensor.dtype == "float16"
        assert wide.tensors[name] == replace(tensor, dtype="float32")


def test_the_same_steps_in_every_layout(tmp_path: Path, lit: Record) -> None:
    other = record_of(tmp_path, LIT, "transformers")
    assert other.steps == lit.steps
    names = [step.name for step in lit.steps]
    assert names[:2] == ["image patches", "image block 0"]
    assert names[-3:] == ["text block 1", "text features", "text embedding"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("trunk.blocks.7.attn.proj.weight", "block 7: attn.proj.weight"),
        ("image_encoder.trunk.blocks.11.mlp.fc1.weight", "image block 11: mlp.fc1.weight"),
        (
            "text_encoder.preprocessor.positional_embedding",
            "text: preprocessor.positional_embedding",
        ),
        ("head.k.weight", "model: head.k.weight"),
    ],
)
def test_places(name: str, place: str) -> None:
    assert placed(name) == place


# One wrong weight


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return written(tmp_path_factory.mktemp("right"), LIT, "transformers")


@pytest.mark.parametrize("name", LIT)
def test_one_flipped_sign_is_found_by_fingerprints_and_by_values(
    tmp_path: Path, right: Opened, lit: Record, name: str
) -> None:
    wrong = written(tmp_path, changed(LIT, name, index=173))
    one, other = fingerprints(wrong), replace(lit, config={}, steps=[])
    (found,) = compare(one, other).findings
    assert found == f"{placed(name)} is not what the report has"

    def explain(name: str) -> str | None:
        return difference(wrong.weights, right.weights, name)

    (found,) = compare(one, other, explain).findings
    place, rest = found.split(" differs in 1 of ")
    assert place == placed(name)
    assert rest.startswith(f"{LIT[name].size:,} values (first at ")


def test_it_says_which_value_and_what_it_is(tmp_path: Path) -> None:
    name = "trunk.blocks.2.attn.proj.weight"
    tensors = VISION | {name: VISION[name].copy()}
    tensors[name][3, 17] = 0.25
    right, wrong = written(tmp_path / "a", VISION), written(tmp_path / "b", tensors)
    assert difference(wrong.weights, right.weights, name) == (
        f"differs in 1 of 5,776 values (first at [3, 17]; {VISION[name][3, 17]:.6g} there, "
        "0.25 here)"
    )
    assert difference(right.weights, right.weights, name) is None


def test_a_third_of_the_fused_product_in_a_layout_that_has_them_apart(tmp_path: Path) -> None:
    right = written(tmp_path / "right", VISION)
    theirs = makers.to_transformers(VISION)
    folder = tmp_path / "wrong"
    makers.write_checkpoint(
        folder, changed(theirs, "encoder.layers.1.attention.k_proj.weight", 76 * 5 + 2),
        makers.vision_config(),
    )  # fmt: skip
    wrong = Opened.of(hub.resolve(folder))
    text = difference(wrong.weights, right.weights, "trunk.blocks.1.attn.qkv.weight")
    assert text is not None
    assert "first at [81, 2]" in text  # row 5 of the second third of 3 x 76


STEPS = {
    "preprocessor": "patches",
    "trunk.post_trunk_norm": "features",
    "head": "pooled",
    **{f"trunk.blocks.{block}.": f"block {block}" for block in range(3)},
}


@pytest.mark.parametrize("name", VISION)
def test_features_part_at_the_step_of_the_weight(tmp_path: Path, vision: Record, name: str) -> None:
    wrong = record_of(tmp_path, changed(VISION, name))
    result = compare(wrong, vision)
    (expected_step,) = (step for start, step in STEPS.items() if name.startswith(start))
    assert result.moves_at == expected_step
    assert result.parts_at in (expected_step, None)


@pytest.mark.parametrize("name", [name for name in LIT if not name.startswith("image_enc")])
def test_features_of_texts_part_too(tmp_path: Path, lit: Record, name: str) -> None:
    result = compare(record_of(tmp_path, changed(LIT, name)), lit)
    steps = {
        "image_projector.": "image embedding",
        "text_projector.": "text embedding",
        "text_encoder.preprocessor": "text tokens",
        "text_encoder.trunk.post": "text features",
        "log_logit_scale": None,
        **{f"text_encoder.trunk.blocks.{block}.": f"text block {block}" for block in range(2)},
    }
    if name == "text_encoder.preprocessor.text_embedding.weight":
        return  # the word may not be among the probe's
    (expected_step,) = (step for start, step in steps.items() if name.startswith(start))
    assert result.moves_at == expected_step


# Weights in each other's place


def test_gate_and_up_exchanged(tmp_path: Path, vision: Record) -> None:
    gate, up = (f"trunk.blocks.1.mlp.fc{number}.weight" for number in (1, 3))
    exchanged = VISION | {gate: VISION[up], up: VISION[gate]}
    result = compare(record_of(tmp_path, exchanged), vision)
    assert result.findings == [
        "block 1: mlp.fc1.weight is block 1: mlp.fc3.weight of the other",
        "block 1: mlp.fc3.weight is block 1: mlp.fc1.weight of the other",
    ]
    assert result.parts_at == "block 1"


def test_blocks_exchanged(tmp_path: Path, vision: Record) -> None:
    other = {"0": "2", "1": "1", "2": "0"}
    exchanged = {
        re.sub(r"(?<=blocks\.)\d", lambda number: other[number[0]], name): array
        for name, array in VISION.items()
    }
    result = compare(record_of(tmp_path, exchanged), vision)
    assert len(result.findings) == 14
    assert "block 0: attn.qkv.weight is block 2: attn.qkv.weight of the other" in result.findings
    assert result.parts_at == "block 0"


def test_what_is_only_there_and_other_shapes(tmp_path: Path, vision: Record) -> None:
    result = compare(record_of(tmp_path / "a", HEADLESS), vision)
    assert result.findings[0] == "model: head.cls_token is only there"
    narrow = makers.random_vision(head=True, sizes=makers.VISION | {"mlp": 67})
    config = makers.vision_config(makers.VISION | {"mlp": 67})
    makers.write_checkpoint(tmp_path / "b", narrow, config)
    result = compare(fingerprints(Opened.of(hub.resolve(tmp_path / "b"))), vision)
    assert "block 0: mlp.fc1.weight has the shape (67, 76) here, (101, 76) there" in result.findings


def test_heads_that_no_tensor_tells(tmp_path: Path, vision: Record) -> None:
    makers.write_checkpoint(tmp_path, VISION, makers.vision_config() | {"num_attention_heads": 4})
    result = compare(Record.of(Opened.of(hub.resolve(tmp_path))), vision)
    assert result.findings == ["num_attention_heads is 4 here, 2 there"]
    assert result.parts_at == "block 0"


# Other precisions


def converted(tmp_path: Path, name: str, **options: object) -> Opened:
    convert(tmp_path / "source", tmp_path / name, **options)
    return Opened.of(hub.resolve(tmp_path / name))


WIDE = makers.VISION | {"width": 128, "mlp": 192}  # of groups of 64


@pytest.fixture
def source(tmp_path: Path) -> Opened:
    tensors = makers.random_vision(sizes=WIDE)
    makers.write_checkpoint(tmp_path / "source", tensors, makers.vision_config(WIDE))
    return Opened.of(hub.resolve(tmp_path / "source"))


COPIES = {
    "float16": {"dtype": "float16"},
    "bfloat16": {"dtype": "bfloat16"},
    "8-bit": {"quantize_bits": 8},
    "4-bit": {"quantize_bits": 4, "dtype": "float16"},
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_in_another_precision(tmp_path: Path, source: Opened, kind: str) -> None:
    copy = converted(tmp_path, "copy", **COPIES[kind])
    ours, theirs = Record.of(copy), Record.of(source)
    result = compare(ours, theirs, lambda name: difference(copy.weights, source.weights, name))
    assert result.is_same, result.findings
    assert len(result.rounded) + len(result.equal) == len(theirs.tensors)
    assert result.rounded
    # A report cannot tell of values: then the features have to.
    told = compare(ours, theirs)
    assert told.is_same
    assert set(told.untold) == set(result.rounded)
    assert 0 < told.distance < 0.5


@pytest.mark.parametrize("kind", COPIES)
def test_a_wrong_weight_in_a_copy_of_another_precision(
    tmp_path: Path, source: Opened, kind: str
) -> None:
    name = "trunk.blocks.1.mlp.fc3.weight"
    copy = converted(tmp_path, "copy", **COPIES[kind])
    makers.write_checkpoint(
        tmp_path / "wrong",
        changed(makers.random_vision(sizes=WIDE), name),
        makers.vision_config(WIDE),
    )
    wrong = Opened.of(hub.resolve(tmp_path / "wrong"))
    for ours, theirs in ((copy, wrong), (wrong, copy)):
        text = difference(ours.weights, theirs.weights, name)
        assert text is not None
        assert text.startswith("differs in 1 of 24,576 values")
        assert difference(ours.weights, theirs.weights, "trunk.blocks.1.mlp.fc1.weight") is None


def test_float16_against_bfloat16(tmp_path: Path, source: Opened) -> None:
    one = converted(tmp_path, "one", dtype="float16")
    other = converted(tmp_path, "other", dtype="bfloat16")
    for name in source.weights.sources:
        assert difference(one.weights, other.weights, name) is None


def test_two_quantised_copies_by_their_scales(tmp_path: Path, source: Opened) -> None:
    one, other = (converted(tmp_path, name, quantize_bits=8) for name in ("one", "other"))
    assert compare(fingerprints(one), fingerprints(other)).is_same
    file = tmp_path / "other" / "model.safetensors"
    tensors = load_file(file)
    tensors["trunk.blocks.2.attn.qkv.scales"][5, 1] *= 2
    save_file(tensors, file, {"format": "mlx"})
    other = Opened.of(hub.resolve(tmp_path / "other"))
    (found,) = compare(fingerprints(one), fingerprints(other)).findings
    assert found == "block 2: attn.qkv.weight is not what the report has"


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("part", "noun"), [("weight", "packed words"), ("scales", "scales")])
def test_one_bit_of_a_copy_that_is_quantised_alike(
    tmp_path: Path, source: Opened, bits: int, part: str, noun: str
) -> None:
    one, other = (converted(tmp_path, name, quantize_bits=bits) for name in ("one", "other"))
    name = "trunk.blocks.2.attn.qkv.weight"
    assert difference(one.weights, other.weights, name) is None
    file = tmp_path / "other" / "model.safetensors"
    tensors = load_file(file)
    tensors[f"trunk.blocks.2.attn.qkv.{part}"].view(np.uint32)[5, 0] ^= 1
    save_file(tensors, file, {"format": "mlx"})
    other = Opened.of(hub.resolve(tmp_path / "other"))
    found = difference(one.weights, other.weights, name)
    assert found is not None
    assert found.startswith("is quantised alike and differs in 1 of ")
    assert f"{noun} (first at [5, 0])" in found


def test_features_of_quantised_weights_tell_little(tmp_path: Path, source: Opened) -> None:
    copy = converted(tmp_path, "copy", quantize_bits=4)
    ours, theirs = Record.of(copy), Record.of(source)
    told = compare(ours, theirs)
    assert (told.is_same, told.is_coarse, told.moves_at) == (True, True, None)
    far = replace(
        theirs.steps[2], digest="", sums=[total and 1e3 for total in theirs.steps[2].sums]
    )
    other = replace(theirs, steps=[*theirs.steps[:2], far, *theirs.steps[3:]])
    assert compare(ours, other).parts_at == far.name


# What can be told of one tensor alone


def first_bad(tensors: makers.Tensors, tmp_path: Path) -> tuple[str, ...]:
    opened = written(tmp_path, tensors)
    found = {name: tensor.defects for name, tensor in examine(opened.weights) if tensor.defects}
    assert list(found) == ["trunk.blocks.1.attn.proj.weight"]
    return found["trunk.blocks.1.attn.proj.weight"]


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ((5, 7), np.nan, "1 of 5,776 values are NaN or infinite, first at [5, 7]"),
        ((5, 7), -np.inf, "1 of 5,776 values are NaN or infinite, first at [5, 7]"),
        ((slice(2, 4), slice(None)), 0, "2 of 76 rows are all zero"),
        ((slice(None), slice(None)), 0.25, "all values are the same"),
        ((75, 75), -3e30, "times the usual: 3e+30 at [75, 75]"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_defects(tmp_path: Path, place: tuple, value: float, expected: str, dtype: type) -> None:
    tensors = {name: array.astype(dtype) for name, array in VISION.items()}
    if dtype is np.float16 and value == -3e30:
        value, expected = -6e4, "times the usual: 6e+04 at [75, 75]"
    name = "trunk.blocks.1.attn.proj.weight"
    tensors[name] = tensors[name].copy()
    tensors[name][place] = value
    (found,) = first_bad(tensors, tmp_path)
    assert found.endswith(expected)


def test_every_exponent_that_makes_a_weight_huge_is_seen(tmp_path: Path) -> None:
    name = "trunk.blocks.1.attn.proj.weight"
    array = VISION[name].copy()
    array.view(np.uint32)[11, 13] ^= 1 << 30  # the exponent's highest bit
    (found,) = first_bad(VISION | {name: array}, tmp_path)
    assert found.endswith("at [11, 13]")


def test_nothing_is_wrong_with_what_is_right(lit: Record, vision: Record) -> None:
    assert not any(tensor.defects for record in (lit, vision) for tensor in record.tensors.values())


# The formula, and what is kept


def test_blocks_follow_the_formula(lit: Record, vision: Record) -> None:
    for record in (lit, vision):
        assert record.blocks
        assert all(step.to_formula is not None and step.to_formula < 2e-6 for step in record.blocks)
        assert all(step.to_cpu is None for step in record.steps)  # the CPU is the device


@pytest.mark.parametrize("part", ["Attention", "SwiGLU", "Block"])
def test_a_block_that_does_not_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    kind = getattr(layers, part)
    right = kind.__call__

    def wrong(self, x, *rest):
        return right(self, x, *rest) * 1.001

    monkeypatch.setattr(kind, "__call__", wrong)
    record = record_of(tmp_path, VISION)
    assert all(step.to_formula > 1e-4 for step in record.blocks)


def test_another_device_is_held_against_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vision: Record
) -> None:
    monkeypatch.setattr(mx, "default_device", lambda: SimpleNamespace(type=mx.DeviceType.gpu))
    record = record_of(tmp_path, VISION)
    assert [step.to_cpu for step in record.steps] == [0.0] * len(vision.steps)


def test_one_block_at_a_time_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no step has come to is not read yet, and what steps are done with is gone."""
    sizes = makers.VISION | {"blocks": 5}
    tensors = makers.random_vision(sizes=sizes)
    makers.write_checkpoint(tmp_path, tensors, makers.vision_config(sizes))
    opened = Opened.of(hub.resolve(tmp_path))
    blocks, dense = defaultdict(Alive), traces.dense

    def noted(weights: Weights, name: str) -> mx.array:
        array = dense(weights, name)
        if block := block_of(name):
            blocks[block].note(array)
        return array

    monkeypatch.setattr(traces, "dense", noted)
    steps = traces.trace(opened.weights)
    finite = [next(steps).is_finite for _ in range(3)]  # the patches and two blocks
    assert [blocks[f"block {number}"].now for number in range(2)] == [0, 0]
    (file,) = tmp_path.glob("*.safetensors")
    header_bytes = 8 + int.from_bytes(file.read_bytes()[:8], "little")
    with file.open("r+b") as ruined:
        ruined.seek(header_bytes)
        ruined.write(b"\xff" * (file.stat().st_size - header_bytes))  # not a number
    finite += [step.is_finite for step in steps]
    assert finite == [True] * 3 + [False] * 5


def test_one_tensor_at_a_time_is_in_memory(tmp_path: Path) -> None:
    makers.write_checkpoint(tmp_path, makers.random_vision(), makers.vision_config())
    opened = Opened.of(hub.resolve(tmp_path))
    (file,) = tmp_path.glob("*.safetensors")
    header_bytes = 8 + int.from_bytes(file.read_bytes()[:8], "little")
    found = examine(opened.weights)
    assert not next(found)[1].defects
    with file.open("r+b") as ruined:
        ruined.seek(header_bytes)
        ruined.write(b"\xff" * (file.stat().st_size - header_bytes))
    assert all(tensor.defects for _, tensor in found)


def test_a_record_survives_json(lit: Record, vision: Record) -> None:
    for record in (lit, vision):
        assert Record.from_json(json.loads(json.dumps(asdict(record)))) == record


def test_the_probe_is_the_same_everywhere() -> None:
    """Its hash, from another run: a change makes every contributed report useless."""
    config = VisionConfig(76, 101, 3, 2, image_size=35, patch_size=7)
    pixels, texts = probe.pixels(config), probe.ids(TextConfig(97, 44, 59, 2, 2, 13, 96))
    assert pixels.shape == (4, 35, 35, 3)
    assert (
        hashlib.sha256(np.round(pixels * 1e4).astype("<i4")).hexdigest()[:16] == "c71989463e49d0fe"
    )
    assert hashlib.sha256(texts.astype("<i4")).hexdigest()[:16] == "2b8ee7a7f07a4bf8"
    assert len({row.tobytes() for row in texts}) == 4
    assert (texts == 96).any(axis=1).all()
