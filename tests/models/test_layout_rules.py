"""Rules of a layout: names, joins, stacks, cuts and transpositions, as Aria's tensors need them."""

import gc
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import save_file

from mlx_aimv2.checkpoints.weights import read_weights
from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.models import registry
from mlx_aimv2.models.layout import Layout, Rule
from tests.support.makers import Tensors
from tests.support.toy_family import EXPERTS, TOY, WIDTH, toy_tensors, write_toy

# As Aria's: experts in one tensor each, its halves cut from the last axis; or one by one.
RULES = Layout(
    "made up",
    (
        Rule(
            ("layers.*.q.weight", "layers.*.k.weight", "layers.*.v.weight"), "blocks.*.qkv.weight"
        ),
        Rule(
            "layers.*.experts.fc1.weight",
            ("blocks.*.gate.weight", "blocks.*.up.weight"),
            (0, 2, 1),
            cut=1,
        ),
        Rule("layers.*.experts.fc2.weight", "blocks.*.down.weight", (0, 2, 1)),
        Rule("layers.*.experts.*.fc2.weight", "blocks.*.down.weight"),
        Rule(
            "layers.*.experts.*.fc1.weight", ("blocks.*.gate.weight", "blocks.*.up.weight"), cut=1
        ),
        Rule("post_norm.weight"),
        Rule("mlp.0.weight", "mlp.layers.0.weight"),
        Rule("mlp.2.weight", "mlp.layers.1.weight"),
    ),
)


def arange(*shape: int) -> mx.array:
    return mx.arange(int(np.prod(shape))).reshape(shape).astype(mx.float32)


@pytest.mark.parametrize(
    ("name", "targets", "place"),
    [
        ("layers.3.q.weight", ("blocks.3.qkv.weight",), 0),
        ("layers.11.v.weight", ("blocks.11.qkv.weight",), 2),
        ("layers.4.experts.fc1.weight", ("blocks.4.gate.weight", "blocks.4.up.weight"), 0),
        ("layers.4.experts.17.fc2.weight", ("blocks.4.down.weight",), 17),
        ("layers.4.experts.17.fc1.weight", ("blocks.4.gate.weight", "blocks.4.up.weight"), 17),
        ("post_norm.weight", (), 0),
        ("mlp.2.weight", ("mlp.layers.1.weight",), 0),
    ],
)
def test_where_a_tensor_goes(name: str, targets: tuple[str, ...], place: int) -> None:
    match = RULES.match(name)
    assert match is not None
    assert (match.targets, match.place) == (targets, place)
    assert match.name_at(place) == name


@pytest.mark.parametrize(
    "name",
    ["layers.q.weight", "layers.01.q.weight", "layers.*.q.weight", "layers.1.2.q.weight",
     "mlp.1.weight", "xmlp.0.weight", "layers.1.experts.1.2.fc1.weight", ""],
)  # fmt: skip
def test_what_no_rule_names(name: str) -> None:
    assert RULES.match(name) is None


def test_what_rules_do() -> None:
    q, k, v = arange(2, 3), arange(2, 3) + 6, arange(2, 3) + 12
    join, cut, turn, stack, cut_stack, *_ = RULES.rules
    np.testing.assert_array_equal(join.tensor([q, k, v]), arange(6, 3))
    experts = arange(5, 3, 4)  # (E, in, out), the halves of out: gate and up
    whole = np.array(experts)
    np.testing.assert_array_equal(cut.tensor([experts], 0), whole[..., :2].transpose(0, 2, 1))
    np.testing.assert_array_equal(cut.tensor([experts], 1), whole[..., 2:].transpose(0, 2, 1))
    np.testing.assert_array_equal(turn.tensor([experts]), whole.transpose(0, 2, 1))
    np.testing.assert_array_equal(stack.tensor([experts[0]]), whole[:1])  # of one it is one too
    parts = [each.T for each in experts]
    np.testing.assert_array_equal(cut_stack.tensor(parts, 1), cut.tensor([experts], 1))


def test_names_below_another() -> None:
    rule = RULES.rules[0].under("model.", "text.")
    assert rule.sources == tuple(f"model.layers.*.{part}.weight" for part in "qkv")
    assert rule.targets == ("text.blocks.*.qkv.weight",)


# in a checkpoint: strictly, and tensor by tensor


@pytest.fixture(autouse=True)
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (*registry.FAMILIES, TOY))


def refusal(folder: Path, tensors: Tensors) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_weights(write_toy(folder, tensors))
    return str(caught.value)


def test_every_tensor_has_one_rule(tmp_path: Path) -> None:
    whole = toy_tensors()
    stranger = np.ones(3, np.float32)
    assert "the tensor stranger is not one of a toy checkpoint in the toy layout" in (
        refusal(tmp_path, whole | {"stranger": stranger})
    )
    hole = {name: array for name, array in whole.items() if name != "experts.1.weight"}
    assert refusal(tmp_path, hole) == "experts lacks its experts.1.weight"
    odd = whole | {"experts.2.weight": np.ones((WIDTH, WIDTH + 1), np.float32)}
    assert "the tensor experts.2.weight has the shape" in refusal(tmp_path, odd)
    for name, shape in {"fused.weight": (WIDTH, 2 * WIDTH + 1), "conv.weight": (WIDTH, 3)}.items():
        message = refusal(tmp_path, whole | {name: np.ones(shape, np.float32)})
        assert message.startswith(f"the tensor {name} has the shape {shape}, which makes no ")


def test_two_rules_for_one_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = (*TOY.layouts[0].rules, Rule("gate", "gate.weight"))
    monkeypatch.setitem(TOY.__dict__, "all_layouts", (Layout("toy", rules),))
    tensors = toy_tensors() | {"gate": np.ones((WIDTH, WIDTH), np.float32)}
    message = refusal(tmp_path, tensors)
    assert message in (
        "gate and fused.weight are both gate.weight",
        "fused.weight and gate are both gate.weight",
    )


def test_packed_weights_are_not_cut(tmp_path: Path) -> None:
    packed = toy_tensors() | {"fused.weight": np.ones((WIDTH, 8), np.uint32)}
    write_toy(tmp_path, packed)
    config = (
        '{"model_type": "toy", "image_size": 35, "quantization": {"bits": 4, "group_size": 32}}'
    )
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(CheckpointError, match=r"fused\.weight is U32 of \(32, 8\): not what a toy"):
        read_weights(tmp_path)


@pytest.fixture
def exact_buffers() -> Iterator[None]:
    """Arrays get buffers of their own size, not larger ones that were used before."""
    limit = mx.set_cache_limit(0)
    mx.clear_cache()
    yield
    mx.set_cache_limit(limit)


def test_an_axis_of_length_one_goes() -> None:
    rule = Rule("table", "rows", (2, 1))
    table = mx.arange(15).reshape(1, 3, 5)
    assert rule.shape((1, 3, 5), 1) == (5, 3)
    assert mx.array_equal(rule.tensor([table]), table[0].T)
    for shape in ((2, 3, 5), (1, 3)):
        with pytest.raises(ValueError, match="has not the axes"):
            rule.shape(shape, 1)


@pytest.mark.usefixtures("exact_buffers")
def test_pieces_are_read_one_by_one(tmp_path: Path) -> None:
    """A piece takes no more memory than its values: not what it was cut from."""
    experts = np.arange(7 * 64 * 128, dtype=np.float32).reshape(7, 64, 128)
    layout = Layout("toy", (Rule("fused", ("gate", "up"), (0, 2, 1), cut=1),))
    save_file({"fused": experts}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "toy"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TOY.__dict__, "all_layouts", (layout,))
        weights = read_weights(tmp_path)
    assert weights.shapes == {"gate": (7, 64, 64), "up": (7, 64, 64)}
    assert weights.size_bytes == experts.nbytes
    gc.collect()
    before = mx.get_active_memory()
    arrays = weights.read(["up", "gate", "up"])
    for name, half in (
        ("up", experts[..., 64:]),
        ("gate", experts[..., :64]),
        ("up", experts[..., 64:]),
    ):
        found, array = next(arrays)
        assert mx.get_active_memory() - before < 1000  # nothing is read yet
        mx.eval(array)
        assert mx.get_active_memory() - before < array.nbytes + 1000
        assert found == name
        np.testing.assert_array_equal(array, half.transpose(0, 2, 1))
        del array


def test_what_is_left_out_is_not_read(tmp_path: Path) -> None:
    whole = toy_tensors()
    weights = read_weights(write_toy(tmp_path, whole))
    assert weights.size_bytes == sum(
        array.nbytes for name, array in whole.items() if not name.startswith("rotary")
    )
    assert len(weights.sources["experts"].headers) == EXPERTS
