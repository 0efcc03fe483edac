"""Aria against tensors that transformers made, stage by stage; and wrong forms of it, all told."""

import json
from collections.abc import Callable
from itertools import pairwise

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.cpu import kernels
from mlx_aimv2.errors import ImageError, TextError, UsageError
from mlx_aimv2.models.aimv2.layers import SwiGLU
from mlx_aimv2.models.aria import experts, vision
from mlx_aimv2.models.aria.network import AriaNetwork
from tests.support import tiny_aria
from tests.support.networks import to_numpy
from tests.support.tolerances import ARIA_FEATURES, ARIA_LOGITS

GOLDEN = tiny_aria.golden()
CASES = ("one", "ragged", "text")
PICTURES = ("one", "ragged")
PATCH, SIDE = 14, 8  # of the golden checkpoint: a patch in pixels, the position table in patches


@pytest.fixture
def network() -> AriaNetwork:
    loaded = load_checkpoint(tiny_aria.GOLDEN_CHECKPOINT, dtype="float32")
    assert isinstance(loaded.network, AriaNetwork)
    return loaded.network


def given(case: str) -> dict[str, mx.array]:
    """What ``forward`` is given, with transformers' names."""
    names = ("input_ids", "attention_mask", "pixel_values", "pixel_mask")
    inputs = {n: mx.array(GOLDEN[f"{case}.{n}"]) for n in names if f"{case}.{n}" in GOLDEN}
    if "pixel_mask" in inputs:
        inputs["pixel_mask"] = inputs["pixel_mask"].astype(mx.bool_)
    return inputs


def crops(case: str) -> tuple[mx.array, mx.array]:
    inputs = given(case)
    return inputs["pixel_values"].transpose(0, 2, 3, 1), inputs["pixel_mask"]


def real(case: str) -> np.ndarray:
    return GOLDEN[f"{case}.attention_mask"].astype(bool)


def error(actual: mx.array, case: str, name: str) -> float:
    """The largest difference where there is no padding."""
    difference = np.abs(to_numpy(actual) - GOLDEN[f"{case}.{name}"])
    return float(difference[real(case)].max() if name == "logits" else difference.max())


# every stage


@pytest.mark.parametrize("case", PICTURES)
def test_image_features(network: AriaNetwork, case: str) -> None:
    assert error(network.encode_images(*crops(case)), case, "image_features") < ARIA_FEATURES


@pytest.mark.parametrize("case", CASES)
def test_logits(network: AriaNetwork, case: str) -> None:
    assert error(network.forward(**given(case)), case, "logits") < ARIA_LOGITS


@pytest.mark.parametrize("case", PICTURES)
def test_stages_of_the_tower(network: AriaNetwork, case: str) -> None:
    """What a crop's real patches are after the embedding and after each block."""
    pixels, masks = crops(case)
    tower = network.vision
    for crop in range(len(pixels)):
        mask = np.array(masks[crop])
        rows, columns = (-(-int(mask[:, 0].sum()) // PATCH), -(-int(mask[0].sum()) // PATCH))
        patches = np.zeros((SIDE if len(mask) == 112 else 4,) * 2, bool)
        patches[:rows, :columns] = True
        places = SIDE * vision.buckets(rows, SIDE)[:, None] + vision.buckets(columns, SIDE)
        expected = GOLDEN[f"{case}.vision_position_ids"][crop][patches.flatten()]
        np.testing.assert_array_equal(places.flatten(), expected)
        x = tower.patchifier(pixels[crop : crop + 1, : rows * PATCH, : columns * PATCH])
        x = x + tower.pos_embed[mx.array(places.flatten())]
        for name, block in zip(
            ("embeddings", "layer0", "layer1"), [None, *tower.blocks], strict=True
        ):
            x = block(x) if block else x
            expected = GOLDEN[f"{case}.vision_{name}"][crop][patches.flatten()]
            np.testing.assert_allclose(to_numpy(x[0]), expected, rtol=0, atol=ARIA_FEATURES)


@pytest.mark.parametrize("case", CASES)
def test_experts_that_are_chosen(network: AriaNetwork, case: str) -> None:
    moe = network.text.blocks[0].moe
    x = GOLDEN[f"{case}.layer0_moe_input"]
    rows = mx.array(x.reshape(-1, x.shape[-1]))
    chosen, weights = (np.array(array) for array in moe.route(rows))
    kept = real(case).flatten()
    order, expected = np.argsort(chosen), GOLDEN[f"{case}.layer0_topk_index"]
    theirs = np.argsort(expected)
    np.testing.assert_array_equal(
        np.take_along_axis(chosen, order, 1)[kept], np.take_along_axis(expected, theirs, 1)[kept]
    )
    shares = GOLDEN[f"{case}.layer0_topk_weights"]
    np.testing.assert_allclose(
        np.take_along_axis(weights, order, 1)[kept],
        np.take_along_axis(shares, theirs, 1)[kept],
        atol=1e-6,
    )
    routed = (moe.experts(rows, mx.array(chosen)) * mx.array(weights)[..., None]).sum(axis=1)
    for actual, name in (
        (routed, "routed"),
        (moe.shared(rows), "shared"),
        (moe(rows), "moe_output"),
    ):
        wanted = GOLDEN[f"{case}.layer0_{name}"].reshape(actual.shape)
        np.testing.assert_allclose(np.array(actual)[kept], wanted[kept], rtol=0, atol=ARIA_FEATURES)


@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens(network: AriaNetwork, case: str) -> None:
    """With the cache, row by row of a padded batch: as transformers generated them."""
    inputs = given(case)
    features = network.encode_images(*crops(case)) if case in PICTURES else None
    mask, cache = inputs["attention_mask"], network.make_cache()
    embeddings = network.embed(inputs["input_ids"], features)
    expected, found = GOLDEN[f"{case}.greedy"], []
    while len(found) < expected.shape[1]:
        logits = network.decode(embeddings, cache, mask, last_only=True)
        found.append(logits[:, -1].argmax(axis=-1))
        embeddings = network.embed(found[-1][:, None])
        mask = mx.concatenate([mask, mx.ones((len(mask), 1), mask.dtype)], axis=1)
    np.testing.assert_array_equal(np.array(mx.stack(found, axis=1)), expected)
    stated = json.loads((tiny_aria.FOLDER / "golden.json").read_text())
    assert stated[case]["greedy"] == expected.tolist()


def test_buckets_of_positions() -> None:
    """Of every number of rows; where exact quotients would give others, which they do."""
    table = GOLDEN["position_buckets_side70"]
    exact_too = True
    for count in range(1, 71):
        found = vision.buckets(count, 70)
        np.testing.assert_array_equal(found, table[count - 1, :count])
        exact_too &= (found == 70 * np.arange(count) // count).all()
    assert not exact_too
    np.testing.assert_array_equal(vision.buckets(35, 70), np.arange(0, 70, 2))


# wrong forms


def smaller_eps(network: AriaNetwork, _: pytest.MonkeyPatch) -> None:
    for norm in (
        network.projector.norm,
        network.projector.attn.norm_q,
        network.projector.attn.norm_kv,
    ):
        norm.eps = 1e-6


def larger_eps(network: AriaNetwork, _: pytest.MonkeyPatch) -> None:
    for _path, module in network.named_modules():
        if isinstance(module, nn.RMSNorm):
            module.eps = 1e-5


def other_gelu(_: AriaNetwork, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(kernels, "tanh_gelu", nn.gelu)


def shares_of_all(_: AriaNetwork, patch: pytest.MonkeyPatch) -> None:
    def route(self: experts.MoE, x: mx.array) -> tuple[mx.array, mx.array]:
        shares = mx.softmax(self.router(x), axis=-1)
        chosen = mx.argpartition(-shares, kth=self.each - 1, axis=-1)[:, : self.each]
        return chosen, mx.take_along_axis(shares, chosen, axis=-1)

    patch.setattr(experts.MoE, "route", route)


def swapped_halves(network: AriaNetwork, _: pytest.MonkeyPatch) -> None:
    for block in network.text.blocks:
        both = block.moe.experts
        both.gate, both.up = both.up, both.gate


def interleaved_halves(network: AriaNetwork, _: pytest.MonkeyPatch) -> None:
    for block in network.text.blocks:
        both = block.moe.experts
        whole = mx.concatenate([both.gate.weight, both.up.weight], axis=1)
        both.gate.weight, both.up.weight = whole[:, ::2], whole[:, 1::2]


def traditional_rope(_: AriaNetwork, patch: pytest.MonkeyPatch) -> None:
    rope = mx.fast.rope
    patch.setattr(
        mx.fast, "rope", lambda *args, **how: rope(*args, **(how | {"traditional": True}))
    )


def other_theta(network: AriaNetwork, _: pytest.MonkeyPatch) -> None:
    for block in network.text.blocks:
        block.attn.theta = 10_000


def last_queries(network: AriaNetwork, _: pytest.MonkeyPatch) -> None:
    query = network.projector.query
    network.projector.query = mx.concatenate([query[4:], query[:4]])


def all_positions(_: AriaNetwork, patch: pytest.MonkeyPatch) -> None:
    right = vision.buckets
    patch.setattr(vision, "buckets", lambda count, side: right(SIDE, side)[:count])


def encode_whole(
    network: AriaNetwork, pixels: mx.array, masks: mx.array, *, tower: bool, projector: bool
) -> mx.array:
    """All patches of crops, padding too, masked where that is asked for."""
    features = []
    for crop, mask in zip(pixels, np.array(masks), strict=True):
        side = len(mask) // PATCH
        rows, columns = (-(-int(line.sum()) // PATCH) for line in (mask[:, 0], mask[0]))
        patches = np.zeros((side, side), bool)
        patches[:rows, :columns] = True
        places = np.zeros((side, side), int)
        places[:rows, :columns] = SIDE * vision.buckets(rows, SIDE)[:, None] + vision.buckets(
            columns, SIDE
        )
        x = network.vision.patchifier(crop[None])
        x = x + network.vision.pos_embed[mx.array(places.flatten())]
        keys = mx.array(patches.flatten()) if tower else None
        for block in network.vision.blocks:
            x = x + block.attn(block.norm_1(x), keys)
            x = x + block.mlp(block.norm_2(x))
        if projector:
            x = x[:, mx.array(np.flatnonzero(patches))]
        features.append(network.projector(x, network.config.queries[side**2]))
    return mx.concatenate(features)


def without(what: str) -> Callable[[AriaNetwork, pytest.MonkeyPatch], None]:
    """One of the two masks left out."""
    masks = {"tower": True, "projector": True, what: False}

    def spoil(_: AriaNetwork, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(
            AriaNetwork, "encode_images", lambda self, *given: encode_whole(self, *given, **masks)
        )

    return spoil


WRONG = {
    "eps of the projector's norms 1e-6": ("one", smaller_eps),
    "eps of the decoder's norms 1e-5": ("one", larger_eps),
    "GELU by the error function": ("one", other_gelu),
    "shares of all experts": ("one", shares_of_all),
    "gate and up swapped": ("one", swapped_halves),
    "gate and up interleaved": ("one", interleaved_halves),
    "rotary positions in pairs": ("one", traditional_rope),
    "rotary base 10,000": ("one", other_theta),
    "the last queries": ("one", last_queries),
    "positions as if nothing were masked": ("ragged", all_positions),
    "padding seen in the tower": ("ragged", without("tower")),
    "padding seen by the projector": ("ragged", without("projector")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_forms_are_told(
    network: AriaNetwork, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    case, spoil = WRONG[wrong]
    spoil(network, monkeypatch)
    assert error(network.forward(**given(case)), case, "logits") > ARIA_LOGITS


def test_leaving_padding_out_is_masking_it(network: AriaNetwork) -> None:
    pixels, masks = crops("ragged")
    masked = encode_whole(network, pixels, masks, tower=True, projector=True)
    np.testing.assert_allclose(
        to_numpy(network.encode_images(pixels, masks)), to_numpy(masked), rtol=0, atol=ARIA_FEATURES
    )


# what it is given


def test_crops_change_nothing_in_each_other(network: AriaNetwork) -> None:
    pixels, masks = crops("ragged")
    together = network.encode_images(pixels, masks)
    for crop in range(len(pixels)):
        alone = network.encode_images(pixels[crop : crop + 1], masks[crop : crop + 1])
        np.testing.assert_array_equal(np.array(together[crop]), np.array(alone[0]))


def test_without_a_mask_all_is_picture(network: AriaNetwork) -> None:
    pixels, masks = crops("one")
    assert np.array(masks).all()
    np.testing.assert_array_equal(
        np.array(network.encode_images(pixels)), np.array(network.encode_images(pixels, masks))
    )


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((1, 98, 98, 3), mx.float32, r"\(crops, 56, 56, 3\) or \(crops, 112, 112, 3\): got"),
        ((1, 56, 112, 3), mx.float32, "got"),
        ((1, 3, 56, 56), mx.float32, "got"),
        ((56, 56, 3), mx.float32, "got"),
        ((0, 56, 56, 3), mx.float32, "got"),
        ((1, 56, 56, 3), mx.uint8, "normalised floats"),
    ],
)
def test_other_pixels_are_refused(network, shape, dtype, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        network.encode_images(mx.zeros(shape, dtype))


def test_other_masks_are_refused(network: AriaNetwork) -> None:
    pixels = mx.zeros((1, 56, 56, 3))
    holes = np.ones((1, 56, 56), bool)
    holes[0, 30, 30] = False
    lower = np.zeros((1, 56, 56), bool)
    lower[0, 20:, 20:] = True
    for mask in (holes, lower, np.zeros((1, 56, 56), bool)):
        with pytest.raises(ImageError, match="rectangle from the upper left"):
            network.encode_images(pixels, mx.array(mask))
    with pytest.raises(ImageError, match="pixel_mask is"):
        network.encode_images(pixels, mx.array(holes[:, :28]))


def test_places_and_pictures_must_agree(network: AriaNetwork) -> None:
    features = mx.ones((2, 4, 64))
    marked = mx.array([[9] * 5, [9] * 3 + [1] * 2])
    rows = np.array(network.embed(marked, features))
    assert (rows[0] == 1).all()
    assert (rows[1, :3] == 1).all()
    assert (rows[1, 3:] != 1).any()
    for ids in ([[9] * 7], [[9] * 9], [[1, 2, 3]]):
        with pytest.raises(ImageError, match=r"8$"):
            network.embed(mx.array(ids), features)
    np.testing.assert_array_equal(
        np.array(network.embed(marked)), np.array(network.text.embed(marked))
    )
    for ids in ([[160]], [[-1]]):
        with pytest.raises(TextError, match="from 0 to 159"):
            network.embed(mx.array(ids))


def test_a_mask_of_another_length_is_refused(network: AriaNetwork) -> None:
    cache = network.make_cache()
    embeddings = network.embed(mx.array([[1, 2, 3]]))
    network.decode(embeddings, cache)
    for mask in (mx.ones((1, 3)), mx.ones((2, 6))):
        with pytest.raises(UsageError, match=r"not \(1, 6\)"):
            network.decode(embeddings, cache, mask)


# a step at a time, and what a product is made of


@pytest.mark.parametrize("bits", [None, 4, 8])
@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize("tokens", [1, 13, 31, 61])
def test_experts_by_any_way_are_the_same(
    network: AriaNetwork,
    monkeypatch: pytest.MonkeyPatch,
    tokens: int,
    on_cpu: bool,
    bits: int | None,
) -> None:
    """Gathered, sorted, and with a product for each expert, as dense layers on their own."""
    monkeypatch.setattr(experts, "is_cpu", lambda: on_cpu)
    moe, x = network.text.blocks[1].moe, mx.random.normal((tokens, 64), key=mx.random.key(1))
    dense = {}
    if bits:
        nn.quantize(moe.experts, 32, bits)
    for name in ("gate", "up", "down"):
        layer = moe.experts[name]
        dense[name] = layer.weight
        if bits:
            dense[name] = mx.dequantize(layer.weight, layer.scales, layer.biases, 32, bits)
    chosen, _ = moe.route(x)
    found = np.array(moe.experts(x, chosen))
    mlp = SwiGLU(64, 32)
    for token, row in enumerate(np.array(chosen)):
        for place, expert in enumerate(row.tolist()):
            mlp.fc1.weight, mlp.fc3.weight = dense["gate"][expert], dense["up"][expert]
            mlp.fc2.weight = dense["down"][expert]
            wanted = np.array(mlp(x[token : token + 1])[0])
            np.testing.assert_allclose(found[token, place], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bits", [None, 4])
def test_one_expert_at_a_time_is_unpacked(
    network: AriaNetwork, monkeypatch: pytest.MonkeyPatch, bits: int | None
) -> None:
    """All 64 published ones of a block would take 3 GB."""
    moe, evaluate, steps = network.text.blocks[1].moe, mx.eval, list[str]()
    if bits:
        nn.quantize(moe.experts, 32, bits)
    kind = type(moe.experts.gate)
    dense = kind.dense

    def unpacked(layer: experts.ExpertLinear, expert: int) -> mx.array:
        steps.append("unpacked")
        return dense(layer, expert)

    def evaluated(*arrays: mx.array) -> None:
        steps.append("done")
        evaluate(*arrays)

    monkeypatch.setattr(kind, "dense", unpacked)
    monkeypatch.setattr(mx, "eval", evaluated)
    monkeypatch.setattr(experts, "is_cpu", lambda: True)
    moe.experts(mx.zeros((61, 64)), mx.array([[row % 8, (row + 1) % 8] for row in range(61)]))
    assert steps == [*["unpacked"] * 3, "done"] * 8


def test_dtypes_are_kept() -> None:
    for name in ("float16", "bfloat16"):
        narrow = load_checkpoint(tiny_aria.GOLDEN_CHECKPOINT, dtype=name).network
        assert isinstance(narrow, AriaNetwork)
        logits = narrow.forward(**given("ragged"))
        assert logits.dtype == getattr(mx, name)
        assert mx.isfinite(logits).all()
        cache = narrow.make_cache()
        narrow.decode(narrow.embed(mx.array([[1, 2, 3]])), cache)
        dtypes = {
            array.dtype
            for layer in cache
            for array in layer.extend(*[mx.zeros((1, 4, 1, 16), logits.dtype)] * 2)
        }
        assert dtypes == {logits.dtype}


def test_later_tokens_change_nothing_before(network: AriaNetwork) -> None:
    ids = np.array([[5, 7, 11, 13, 17, 19, 23]])
    whole = np.array(network.forward(mx.array(ids)))
    for cut, _ in pairwise(range(1, 7)):
        other = ids.copy()
        other[:, cut:] = 29
        changed = np.array(network.forward(mx.array(other)))
        np.testing.assert_array_equal(changed[:, :cut], whole[:, :cut])
