"""The vision encoder's properties: dtypes, padding, batch-mates, what it keeps, what it refuses."""

from functools import partial

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from PIL import Image

from mlx_aimv2.checkpoints.load import DTYPES
from mlx_aimv2.errors import ImageError
from mlx_aimv2.models.aimv2 import layers
from mlx_aimv2.models.aimv2.config import VisionConfig
from mlx_aimv2.models.aimv2.layers import grid_positions, patchify
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from tests.support.counted import Alive
from tests.support.makers import random_vision, vision_config
from tests.support.networks import (
    BLOCKS,
    GRIDS,
    PATCH,
    SIDE,
    WIDTH,
    assert_close,
    assert_same,
    filled,
    images_of,
    padded,
    pixels,
    product_dtypes,
    to_numpy,
    vision,
)
from tests.support.tolerances import ATTENTION_BY_HAND, BATCH_MATES, BATCH_MATES_HALF, RESAMPLING

KINDS = {
    "fixed": {},
    "fixed with head": {"head": True},
    "native": {"native": True},
    "native with head": {"native": True, "head": True},
}
ENCODERS = {kind: vision(**options) for kind, options in KINDS.items()}


# dtype in is dtype out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_result_has_the_dtype_of_the_weights(kind: str, dtype: str) -> None:
    encoder = vision(**KINDS[kind], dtype=dtype)
    output = encoder(pixels(2, SIDE, SIDE), hidden_states=True, attentions=True)
    results = [
        encoder.features(pixels(2, SIDE, SIDE).astype(mx.bfloat16)),
        output.last_hidden_state,
        output.pooler_output,
        encoder.pool(output.last_hidden_state, mean=True),
        *output.hidden_states.values(),
        *output.attentions.values(),
    ]
    assert {result.dtype for result in results} == {DTYPES[dtype]} == {encoder.dtype}


@pytest.mark.parametrize("dtype", DTYPES)
def test_padded_results_have_the_dtype_of_the_weights(dtype: str) -> None:
    encoder = vision(native=True, head=True, dtype=dtype)
    features, mask = encoder.encode_patches(padded(images_of(GRIDS), 17), GRIDS)
    pooled = [encoder.pool(features, mask), encoder.pool(features, mask, mean=True)]
    assert {result.dtype for result in (features, *pooled)} == {DTYPES[dtype]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_promoted_inside(kind: str, dtype: str) -> None:
    encoder = vision(**KINDS[kind], dtype=dtype)
    products = product_dtypes(lambda x: encoder.pool(encoder.features(x)), pixels(2, SIDE, SIDE))
    if encoder.config.is_native:
        patches = padded(images_of(GRIDS), 17)

        def masked(x: mx.array) -> mx.array:
            return encoder.pool(*encoder.encode_patches(x, GRIDS))

        products |= product_dtypes(masked, patches)
    assert products - {mx.bool_} == {DTYPES[dtype]}


# neither batch-mates nor padding change anything


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_batch_mates_change_nothing(kind: str, dtype: str) -> None:
    encoder = vision(**KINDS[kind], dtype=dtype)
    batch = pixels(5, SIDE, SIDE)
    together = encoder(batch)
    tolerance = BATCH_MATES if dtype == "float32" else BATCH_MATES_HALF[dtype]
    for i in range(5):
        alone = encoder(batch[i : i + 1])
        assert_close(together[i : i + 1], alone, tolerance)
        assert_close(encoder.pool(together)[i : i + 1], encoder.pool(alone), tolerance)


GRID = st.tuples(st.integers(1, 7), st.integers(1, 5))


@settings(deadline=None, max_examples=40)
@given(grids=st.lists(GRID, min_size=1, max_size=5), spare=st.integers(0, 13), head=st.booleans())
def test_a_mixed_batch_equals_one_at_a_time(grids, spare: int, head: bool) -> None:
    encoder = ENCODERS["native with head" if head else "native"]
    images = images_of(grids)
    length = max(rows * columns for rows, columns in grids) + spare
    features, mask = encoder.encode_patches(padded(images, length), grids)
    pooled = encoder.pool(features, mask)
    for i, (image, (rows, columns)) in enumerate(zip(images, grids, strict=True)):
        alone = encoder(image)
        assert_close(features[i : i + 1, : rows * columns], alone, BATCH_MATES)
        assert_close(pooled[i : i + 1], encoder.pool(alone), BATCH_MATES)
        mean = encoder.pool(features, mask, mean=True)[i]
        assert_close(mean, to_numpy(alone)[0].mean(axis=0), BATCH_MATES)


@pytest.mark.parametrize("dtype", BATCH_MATES_HALF)
def test_a_mixed_batch_in_half_precision(dtype: str) -> None:
    encoder = vision(native=True, head=True, dtype=dtype)
    images = images_of(GRIDS)
    features, mask = encoder.encode_patches(padded(images, 16), GRIDS)
    pooled = encoder.pool(features, mask)
    for i, (image, (rows, columns)) in enumerate(zip(images, GRIDS, strict=True)):
        alone = encoder(image)
        assert_close(features[i : i + 1, : rows * columns], alone, BATCH_MATES_HALF[dtype])
        assert_close(pooled[i : i + 1], encoder.pool(alone), BATCH_MATES_HALF[dtype])


@pytest.mark.parametrize("kind", ["native", "native with head"])
def test_what_the_padding_holds_changes_nothing(kind: str) -> None:
    encoder, images = ENCODERS[kind], images_of(GRIDS)
    results = []
    for filler in (0.0, 1e4):
        features, mask = encoder.encode_patches(padded(images, 19, filler), GRIDS)
        real = [features[i, : rows * columns] for i, (rows, columns) in enumerate(GRIDS)]
        results.append(
            [*real, encoder.pool(features, mask), encoder.pool(features, mask, mean=True)]
        )
    for zeros, garbage in zip(*results, strict=True):
        assert_same(zeros, garbage)


def test_no_mask_where_nothing_is_padded() -> None:
    encoder, images = ENCODERS["native"], images_of([(3, 5), (5, 3)])
    features, mask = encoder.encode_patches(padded(images, 15), [(3, 5), (5, 3)])
    assert mask is None
    for i, image in enumerate(images):
        assert_close(features[i : i + 1], encoder(image), BATCH_MATES)


def test_equal_counts_of_patches_are_told_apart_by_their_grid() -> None:
    encoder = ENCODERS["native"]
    patches = pixels(1, 1, 15 * PATCH * PATCH).reshape(1, 15, -1)
    tall, _ = encoder.encode_patches(patches, [(5, 3)])
    wide, _ = encoder.encode_patches(patches, [(3, 5)])
    assert np.abs(to_numpy(tall - wide)).max() > 0.1


def test_native_drops_what_is_no_whole_patch() -> None:
    encoder = ENCODERS["native"]
    image = pixels(1, 4 * PATCH + 3, 2 * PATCH + 6)
    assert encoder(image).shape == (1, 8, WIDTH)
    assert_same(encoder(image), encoder(image[:, : 4 * PATCH, : 2 * PATCH]))


@settings(deadline=None, max_examples=30)
@given(grids=st.lists(GRID, min_size=1, max_size=4), quarter=st.integers(1, 19))
def test_sine_positions_are_column_first_and_masked(grids, quarter: int) -> None:
    length = max(rows * columns for rows, columns in grids) + 1
    positions, mask = grid_positions(grids, length, 4 * quarter)
    assert positions.dtype == mx.float32
    assert mask.shape == (len(grids), 1, 1, length)
    for i, (rows, columns) in enumerate(grids):
        row, column = rows - 1, columns - 1
        for k in {0, quarter // 2, quarter - 1}:
            rate = 10000.0 ** (-k / quarter)
            expected = [
                np.sin(column * rate),
                np.cos(column * rate),
                np.sin(row * rate),
                np.cos(row * rate),
            ]
            actual = to_numpy(positions)[i, rows * columns - 1, k::quarter]
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
        assert (np.array(mask)[i, 0, 0] == (np.arange(length) < rows * columns)).all()
        assert not to_numpy(positions)[i, rows * columns :].any()


# what is returned on request


def test_chosen_hidden_states_are_those_of_all() -> None:
    encoder, batch = ENCODERS["fixed"], pixels(2, SIDE, SIDE)
    everything = encoder(batch, hidden_states=True, attentions=True)
    assert list(everything.hidden_states) == list(everything.attentions) == list(range(BLOCKS))
    some = encoder(batch, hidden_states=(2, 0), attentions={1})
    assert (list(some.hidden_states), list(some.attentions)) == ([0, 2], [1])
    for block, state in some.hidden_states.items():
        assert_same(state, everything.hidden_states[block])
    assert_same(some.attentions[1], everything.attentions[1])
    assert_same(some.last_hidden_state, encoder(batch))
    last = everything.hidden_states[BLOCKS - 1]
    assert_same(everything.last_hidden_state, encoder.trunk.post_trunk_norm(last))


@pytest.mark.parametrize("kind", KINDS)
def test_the_pooled_output_is_the_pooling(kind: str) -> None:
    encoder, batch = ENCODERS[kind], pixels(2, SIDE, SIDE)
    output = encoder(batch, attentions=[0])
    assert_same(output.pooler_output, encoder.pool(encoder(batch)))
    mean = to_numpy(encoder(batch)).mean(axis=1)
    assert_close(encoder.pool(encoder(batch), mean=True), mean, BATCH_MATES)
    assert (encoder.head is None) == np.allclose(to_numpy(output.pooler_output), mean, atol=1e-3)


@pytest.mark.parametrize("last", range(BLOCKS))
def test_stopping_after_a_block(last: int) -> None:
    encoder, batch = ENCODERS["fixed with head"], pixels(2, SIDE, SIDE)
    stopped = encoder(batch, stop_after=last, hidden_states=True)
    assert list(stopped.hidden_states) == list(range(last + 1))
    assert_same(stopped.last_hidden_state, stopped.hidden_states[last])
    assert_same(stopped.last_hidden_state, encoder(batch, hidden_states=[last]).hidden_states[last])
    assert stopped.pooler_output is None
    assert not stopped.attentions


@pytest.mark.parametrize(
    "request_",
    [
        {"hidden_states": [BLOCKS]},
        {"hidden_states": [-BLOCKS - 1]},
        {"attentions": [0, BLOCKS + 4]},
        {"attentions": [-BLOCKS - 3]},
        {"stop_after": BLOCKS},
        {"stop_after": -BLOCKS - 1},
        {"stop_after": 0, "attentions": [-1]},
        {"stop_after": 0, "hidden_states": [1]},
        {"stop_after": 1, "attentions": [2]},
    ],
    ids=str,
)
def test_blocks_that_are_not_run(request_: dict) -> None:
    with pytest.raises(ValueError, match=r"block -?\d+ is not run: the blocks are 0 to \d"):
        ENCODERS["fixed"](pixels(1, SIDE, SIDE), **request_)


def test_negative_blocks_count_from_the_end() -> None:
    encoder, image = ENCODERS["fixed"], pixels(1, SIDE, SIDE)
    every = encoder(image, hidden_states=True, attentions=True)
    some = encoder(image, hidden_states=[-1, 0, -BLOCKS], attentions=[-2])
    assert (set(some.hidden_states), set(some.attentions)) == ({0, BLOCKS - 1}, {BLOCKS - 2})
    last = every.hidden_states[BLOCKS - 1]
    for found in (some.hidden_states[-1], every.hidden_states[-1]):
        np.testing.assert_array_equal(found, last)
    np.testing.assert_array_equal(some.attentions[-2], every.attentions[BLOCKS - 2])
    np.testing.assert_array_equal(encoder(image, stop_after=-1).last_hidden_state, last)
    with pytest.raises(KeyError):
        some.attentions[-1]


def test_no_block_is_a_choice_too() -> None:
    output = ENCODERS["fixed"](pixels(1, SIDE, SIDE), hidden_states=[])
    assert output.hidden_states == {}


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_attention_maps_reproduce_everything_by_hand(eps: float) -> None:
    encoder = filled(random_vision(), vision_config() | {"rms_norm_eps": eps}, "float32")
    weights = {name: to_numpy(array) for name, array in tree_flatten(encoder.parameters())}

    def norm(tokens: np.ndarray, name: str) -> np.ndarray:
        mean_square = (tokens**2).mean(axis=-1, keepdims=True)
        return tokens / np.sqrt(mean_square + eps) * weights[f"{name}.weight"]

    def block(x: np.ndarray, shares: np.ndarray, start: str) -> np.ndarray:
        values = norm(x, f"{start}.norm_1") @ weights[f"{start}.attn.qkv.weight"][-WIDTH:].T
        values = values.reshape(*x.shape[:2], shares.shape[1], -1).transpose(0, 2, 1, 3)
        mixed = (shares @ values).transpose(0, 2, 1, 3).reshape(x.shape)
        x = x + mixed @ weights[f"{start}.attn.proj.weight"].T
        gate, down, up = (weights[f"{start}.mlp.fc{i}.weight"].T for i in (1, 2, 3))
        tokens = norm(x, f"{start}.norm_2")
        return x + (tokens @ gate / (1 + np.exp(-(tokens @ gate))) * (tokens @ up)) @ down

    batch = pixels(2, SIDE, SIDE)
    output = encoder(batch, hidden_states=True, attentions=True)
    start = "preprocessor.patchifier"
    x = to_numpy(patchify(batch, PATCH)) @ weights[f"{start}.proj.weight"].reshape(WIDTH, -1).T
    x = norm(x + weights[f"{start}.proj.bias"], f"{start}.norm")
    x = x + weights["preprocessor.pos_embed"]
    for index, maps in output.attentions.items():
        shares = to_numpy(maps)
        np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=0, atol=1e-5)
        assert shares.min() >= 0
        assert np.abs(shares - 1 / shares.shape[-1]).max() > 0.01  # they do attend to something
        x = block(x, shares, f"trunk.blocks.{index}")
        assert_close(output.hidden_states[index], x, ATTENTION_BY_HAND)
    assert_close(output.last_hidden_state, norm(x, "trunk.post_trunk_norm"), ATTENTION_BY_HAND)


@pytest.mark.parametrize("blocks", [2, 13])
@pytest.mark.parametrize("asked", [[], [1], "all"])
def test_nothing_is_kept_that_was_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, blocks: int, asked: list[int] | str
) -> None:
    """Of the states after the blocks those asked for live, and those that one block needs."""
    encoder = VisionEncoder(VisionConfig(16, 23, blocks, 1, image_size=PATCH, patch_size=PATCH))
    states, call = Alive(), layers.Block.__call__

    def noted(self: layers.Block, x: mx.array, mask: layers.Mask = None) -> mx.array:
        x = call(self, x, mask)
        states.note(x)
        return x

    monkeypatch.setattr(layers.Block, "__call__", noted)
    request = {"hidden_states": True if asked == "all" else asked} if asked else {}
    output = encoder(pixels(1, PATCH, PATCH), **request)
    kept = blocks if asked == "all" else len(asked)
    assert states.noted == blocks
    assert states.now == kept
    assert states.most <= kept + 2
    del output
    assert states.now == 0


@pytest.mark.skipif(not mx.metal.is_available(), reason="needs Metal")
@pytest.mark.parametrize("dtype", DTYPES)
def test_attention_is_fused_on_metal(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    fused = partial(mx.fast.scaled_dot_product_attention, force_fused=True)  # raises otherwise
    monkeypatch.setattr(mx.fast, "scaled_dot_product_attention", fused)
    config = VisionConfig(256, 344, 2, 2, is_native=True)  # heads of 128, as published
    encoder = VisionEncoder(config)
    encoder.set_dtype(DTYPES[dtype])
    mx.eval(encoder(pixels(2, 140, 70)))
    patches = pixels(2, 64, 14 * 14).reshape(2, 64, -1)
    mx.eval(encoder.encode_patches(patches, [(8, 8), (5, 9)]))
    tokens = mx.zeros((2, 77, 256), DTYPES[dtype])
    mx.eval(encoder.trunk(tokens, "causal"))


# tiles and other sides


@pytest.mark.parametrize("tiles", [1, 2, 3])
def test_tiles_are_the_crops_put_back(tiles: int) -> None:
    encoder, grid = ENCODERS["fixed"], SIDE // PATCH
    images = pixels(2, tiles * SIDE, tiles * SIDE)
    together = encoder.encode_tiles(images, tiles)
    assert together.shape == (2, tiles * grid, tiles * grid, WIDTH)
    for row in range(tiles):
        for column in range(tiles):
            crop = images[:, row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            cell = together[:, row * grid : (row + 1) * grid, column * grid : (column + 1) * grid]
            assert_close(cell.reshape(2, grid * grid, WIDTH), encoder(crop), BATCH_MATES)


@pytest.mark.parametrize("side", [7, 14, 28, 35, 42, 63, 90])
def test_resampled_positions_agree_with_pillow(side: int) -> None:
    encoder = vision()
    table = to_numpy(encoder.preprocessor.pos_embed).reshape(SIDE // PATCH, SIDE // PATCH, WIDTH)
    encoder.resample_positions(side)
    grid = side // PATCH
    channels = [
        np.asarray(Image.fromarray(table[..., i]).resize((grid, grid), Image.Resampling.BICUBIC))
        for i in range(WIDTH)
    ]
    expected = np.stack(channels, axis=-1).reshape(1, grid * grid, WIDTH)
    assert_close(encoder.preprocessor.pos_embed, expected, RESAMPLING)
    assert encoder.config.image_size == side
    assert encoder(pixels(1, side, side)).shape == (1, grid * grid, WIDTH)


def test_resampling_to_the_same_side_is_the_identity() -> None:
    encoder = vision(dtype="float16")
    before = encoder.preprocessor.pos_embed
    encoder.resample_positions(SIDE)
    assert_same(encoder.preprocessor.pos_embed, before)


# what is refused


@pytest.mark.parametrize(
    ("width", "side", "hint"),
    [
        (1024, 448, "load aimv2-large-patch14-448;"),
        (1024, 336, "load aimv2-large-patch14-336;"),
        (1536, 448, "load aimv2-huge-patch14-448;"),
        (3072, 336, "load aimv2-3B-patch14-336;"),
        (1024, 230, "load aimv2-large-patch14-native;"),
        (64, 448, "let model.preprocess fit the image"),
    ],
)
def test_another_side_names_the_right_checkpoint(width: int, side: int, hint: str) -> None:
    encoder = VisionEncoder(VisionConfig(width, 8, 1, 1, image_size=224))
    with pytest.raises(ImageError, match=f"takes 224 x 224 px: got {side} x {side}") as caught:
        encoder(mx.zeros((1, side, side, 3)))
    assert hint.removesuffix(";") in caught.value.hint
    assert (f"load(…, side_px={side})" in caught.value.hint) == (side % 14 == 0)


def test_arrays_of_another_kind_are_named() -> None:
    with pytest.raises(ImageError, match=r"an mx\.array, not of type ndarray") as caught:
        VisionEncoder(VisionConfig(64, 8, 1, 1, image_size=28))(np.zeros((1, 28, 28, 3)))
    assert "mlx.core.array" in caught.value.hint
    native = VisionEncoder(VisionConfig(64, 8, 1, 1, is_native=True))
    with pytest.raises(ImageError, match=r"an mx\.array, not of type list"):
        native.encode_patches([[0.0]], [(1, 1)])


def test_no_checkpoint_fits_an_oblong() -> None:
    encoder = VisionEncoder(VisionConfig(1024, 8, 1, 1, image_size=224))
    with pytest.raises(ImageError, match="got 224 x 448") as caught:
        encoder(mx.zeros((1, 224, 448, 3)))
    assert "aimv2-large-patch14-native" in caught.value.hint


@pytest.mark.parametrize("dtype", [mx.uint8, mx.int32, mx.bool_])
def test_integer_pixels(dtype: mx.Dtype) -> None:
    patches = mx.zeros((1, 4, PATCH * PATCH * 3), dtype)
    with pytest.raises(ImageError, match="normalised floats") as caught:
        ENCODERS["fixed"](mx.zeros((1, SIDE, SIDE, 3), dtype))
    assert "model.preprocess" in caught.value.hint
    with pytest.raises(ImageError, match="normalised floats"):
        ENCODERS["native"].encode_patches(patches, [(2, 2)])
    with pytest.raises(ImageError, match="normalised floats"):
        ENCODERS["fixed"].encode_tiles(mx.zeros((1, 2 * SIDE, 2 * SIDE, 3), dtype), 2)


@pytest.mark.parametrize("shape", [(SIDE, SIDE, 3), (1, 3, SIDE, SIDE), (1, SIDE, SIDE, 1), (3,)])
@pytest.mark.parametrize("kind", ["fixed", "native"])
def test_pixels_of_another_layout(kind: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"pixels must be \(batch, height, width, 3\)"):
        ENCODERS[kind](mx.zeros(shape))


@pytest.mark.parametrize("shape", [(1, PATCH - 1, 100, 3), (1, 100, 1, 3)])
def test_less_than_a_patch(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=f"hold no patch of {PATCH} px"):
        ENCODERS["native"](mx.zeros(shape))
    with pytest.raises(ImageError, match=f"hold no patch of {PATCH} px"):
        vision().resample_positions(PATCH - 1)


@pytest.mark.parametrize("grids", [[(2, 4)], [(0, 3)], [(2, 2), (2, 2)], []])
def test_grids_that_do_not_fit_their_patches(grids: list[tuple[int, int]]) -> None:
    with pytest.raises(ImageError, match="do not hold the grids"):
        ENCODERS["native"].encode_patches(mx.zeros((1, 7, PATCH * PATCH * 3)), grids)


@pytest.mark.parametrize(("tiles", "side"), [(2, SIDE), (3, 2 * SIDE), (0, SIDE), (-1, SIDE)])
def test_tiles_of_another_size(tiles: int, side: int) -> None:
    with pytest.raises(ImageError, match=f"{tiles} x {tiles} tiles of {SIDE} px"):
        ENCODERS["fixed"].encode_tiles(pixels(1, side, side), tiles)


def test_what_only_the_other_kind_can_do() -> None:
    fixed, native = vision(), vision(native=True)
    with pytest.raises(ImageError, match="takes no patches of any grid"):
        fixed.encode_patches(mx.zeros((1, 4, PATCH * PATCH * 3)), [(2, 2)])
    with pytest.raises(ImageError, match="not in tiles"):
        native.encode_tiles(pixels(1, 2 * SIDE, 2 * SIDE), 2)
    with pytest.raises(ImageError, match="no position table"):
        native.resample_positions(2 * SIDE)
