"""Agreement with transformers' AIMv2, live: every stage, at the published widths."""

import shutil
from functools import partial
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import mlx_aimv2  # noqa: E402
from mlx_aimv2.checkpoints.convert import convert  # noqa: E402
from mlx_aimv2.checkpoints.hub import DEMO  # noqa: E402
from mlx_aimv2.checkpoints.load import DTYPES, load_checkpoint  # noqa: E402
from mlx_aimv2.models.aimv2.layers import patchify  # noqa: E402
from tests.parity import lively  # noqa: E402
from tests.parity.lively import FEW_WORDS, LARGE, SMALL, WORDS, cosine, difference  # noqa: E402
from tests.support import makers  # noqa: E402
from tests.support.tolerances import FEATURES, LOGITS, MIN_COSINE, SMALL_FEATURES  # noqa: E402

load_float32 = partial(load_checkpoint, dtype="float32")
FIXED = {"image_size": 35, "patch_size": 7, "num_hidden_layers": 3, **SMALL}
NATIVE = {"is_native": True, "patch_size": 7, "num_hidden_layers": 3, **SMALL}
SHORT = {
    "vocab_size": 97,
    "max_position_embeddings": 13,
    "eos_token_id": 96,
    "num_hidden_layers": 2,
    **FEW_WORDS,
}


@pytest.fixture
def folder(tmp_path: Path):
    """A folder for a checkpoint, gone after the test: pytest would keep gigabytes."""
    yield tmp_path / "checkpoint"
    shutil.rmtree(tmp_path)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def ours_of(theirs, folder: Path, dtype: str = "float32"):
    """Our network from what transformers saves: its own names and config.json."""
    loaded = load_checkpoint(lively.saved(theirs, folder), dtype=dtype)
    assert loaded.weights.layout == "transformers"
    return loaded.network


# every stage


@pytest.mark.parametrize(
    ("options", "height", "width"),
    [(FIXED, 35, 35), (FIXED | {"use_head": True}, 35, 35), (NATIVE, 47, 29), (NATIVE, 7, 93)],
)
def test_every_block_of_vision(folder: Path, options: dict, height: int, width: int) -> None:
    theirs = lively.vision(**options)
    images, tensors = lively.pixels(3, height, width)
    ours = ours_of(theirs, folder)(images, hidden_states=True, attentions=True)
    expected = theirs(tensors, output_hidden_states=True, output_attentions=True)
    assert difference(ours.last_hidden_state, expected.last_hidden_state) < SMALL_FEATURES
    assert len(expected.hidden_states) == 1 + len(ours.hidden_states)
    for block, state in ours.hidden_states.items():
        assert difference(state, expected.hidden_states[block + 1]) < SMALL_FEATURES
        assert difference(ours.attentions[block], expected.attentions[block]) < SMALL_FEATURES
    pooled = expected.pooler_output
    if pooled is None:
        pooled = expected.last_hidden_state.mean(dim=1)
    assert difference(ours.pooler_output, pooled) < SMALL_FEATURES


def test_every_block_of_text(folder: Path) -> None:
    theirs = lively.lit(FIXED | {"use_head": True}, SHORT, 37)
    tokens, inputs = lively.ids(5, 13, 97)
    ours = ours_of(theirs, folder).text_encoder(tokens, hidden_states=True, attentions=True)
    expected = theirs.text_model(**inputs, output_hidden_states=True, output_attentions=True)
    assert difference(ours.pooler_output, expected.pooler_output) < SMALL_FEATURES
    assert difference(ours.last_hidden_state, expected.last_hidden_state) < SMALL_FEATURES
    for block, state in ours.hidden_states.items():
        assert difference(state, expected.hidden_states[block + 1]) < SMALL_FEATURES
        assert difference(ours.attentions[block], expected.attentions[block]) < SMALL_FEATURES


def test_a_mixed_native_batch_equals_theirs_one_at_a_time(folder: Path) -> None:
    theirs = lively.vision(**NATIVE)
    ours = ours_of(theirs, folder)
    grids = [(3, 8), (11, 2), (5, 5), (1, 1)]
    pairs = [lively.pixels(1, 7 * rows, 7 * columns) for rows, columns in grids]
    rows = [patchify(image, 7) for image, _ in pairs]
    padded = [mx.pad(row, [(0, 0), (0, 31 - row.shape[1]), (0, 0)]) for row in rows]
    features, mask = ours.encode_patches(mx.concatenate(padded), grids)
    pooled = ours.pool(features, mask)
    for i, (_, tensors) in enumerate(pairs):
        expected = theirs(tensors).last_hidden_state
        real = features[i : i + 1, : expected.shape[1]]
        assert difference(real, expected) < SMALL_FEATURES
        assert difference(pooled[i : i + 1], expected.mean(dim=1)) < SMALL_FEATURES


# every layout: the same random tensors into their module and, under each layout's names, into ours


LIT_LAYOUTS = ["Apple torch", "Apple MLX", "transformers"]


@pytest.mark.parametrize(
    ("layout", "native"),
    [*((layout, native) for layout in LIT_LAYOUTS for native in (False, True)), ("timm", False)],
)
def test_every_layout(folder: Path, layout: str, native: bool) -> None:
    tensors = makers.random_vision(native=native)
    theirs = lively.vision(**(NATIVE if native else FIXED))
    theirs.load_state_dict(_torch_tensors(makers.to_transformers(tensors)), strict=True)
    rename = {"Apple MLX": makers.to_apple_mlx, "transformers": makers.to_transformers}
    rename["timm"] = makers.to_timm
    written = rename.get(layout, dict)(tensors)
    config = makers.vision_config(native=native)
    loaded = load_float32(makers.write_checkpoint(folder, written, config))
    images, inputs = lively.pixels(2, 35, 35)
    assert difference(loaded.network(images), theirs(inputs).last_hidden_state) < SMALL_FEATURES


@pytest.mark.parametrize("layout", LIT_LAYOUTS)
def test_every_layout_of_lit(folder: Path, layout: str) -> None:
    tensors = makers.random_lit()
    theirs = lively.lit(FIXED | {"use_head": True}, SHORT, makers.PROJECTION)
    theirs.load_state_dict(_torch_tensors(makers.to_transformers(tensors)), strict=True)
    rename = {"Apple MLX": makers.to_apple_mlx, "transformers": makers.to_transformers}
    written = rename.get(layout, dict)(tensors)
    config = makers.lit_config()
    ours = load_float32(makers.write_checkpoint(folder, written, config)).network
    _assert_same_logits(ours, theirs, lively.pixels(3, 35, 35), lively.ids(5, 13, 97))


def _torch_tensors(tensors) -> dict:
    # np.array: 0-d arrays stay 0-d, and torch gets memory it may write to
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in tensors.items()}


def _assert_same_logits(ours, theirs, images, texts) -> None:
    expected = theirs(pixel_values=images[1], **texts[1])
    assert difference(ours.encode_image(images[0]), expected.image_embeds) < SMALL_FEATURES
    assert difference(ours.encode_text(texts[0]), expected.text_embeds) < SMALL_FEATURES
    per_image, per_text = ours(images[0], texts[0])
    assert difference(per_image, expected.logits_per_image) < LOGITS
    assert difference(per_text, expected.logits_per_text) < LOGITS


# what `aimv2 convert --to transformers` writes


@pytest.mark.filterwarnings("ignore:.*has no tokenizer")
@pytest.mark.parametrize("layout", [*LIT_LAYOUTS, "mlx-aimv2"])
@pytest.mark.parametrize("kind", ["fixed", "native", "lit"])
def test_transformers_loads_what_is_written_for_it(folder: Path, layout: str, kind: str) -> None:
    native = kind == "native"
    tensors = makers.random_lit() if kind == "lit" else makers.random_vision(native=native)
    config = makers.lit_config() if kind == "lit" else makers.vision_config(native=native)
    rename = {"Apple MLX": makers.to_apple_mlx, "transformers": makers.to_transformers}
    source = makers.write_checkpoint(folder, rename.get(layout, dict)(tensors), config)
    if layout == "mlx-aimv2":
        source = convert(source, folder.parent / "ours").folder
    written = convert(source, folder.parent / "theirs", to="transformers").folder
    theirs, report = transformers.AutoModel.from_pretrained(
        written, attn_implementation="eager", output_loading_info=True
    )
    assert not any(report.values()), report
    ours = load_float32(source).network
    if kind == "lit":
        _assert_same_logits(ours, theirs, lively.pixels(3, 35, 35), lively.ids(5, 13, 97))
        return
    images, inputs = lively.pixels(2, 28 if native else 35, 35)
    assert difference(ours(images), theirs(inputs).last_hidden_state) < SMALL_FEATURES


def test_transformers_reads_the_texts_of_the_demo_as_they_are_read_here(folder: Path) -> None:
    texts = ["a red dog", "two cats on a beach, at night"]
    written = convert(DEMO, folder, to="transformers").folder
    tokens = transformers.AutoTokenizer.from_pretrained(written)(texts, padding=True)
    assert tokens["input_ids"] == mlx_aimv2.load(DEMO).tokenize(texts).tolist()


# the published widths in float32


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"image_size": 224}, (2, 224, 224)),
        ({"image_size": 336}, (1, 336, 336)),
        ({"image_size": 448}, (1, 448, 448)),
        ({"is_native": True}, (1, 18 * 14 + 5, 27 * 14 + 9)),
        ({"is_native": True}, (1, 31 * 14, 9 * 14)),
    ],
    ids=str,
)
def test_four_blocks_of_large(folder: Path, options: dict, shape: tuple[int, int, int]) -> None:
    theirs = lively.vision(num_hidden_layers=4, **LARGE, **options)
    images, tensors = lively.pixels(*shape)
    features = ours_of(theirs, folder)(images)
    assert difference(features, theirs(tensors).last_hidden_state) < FEATURES


def test_all_of_large(folder: Path) -> None:
    theirs = lively.vision(num_hidden_layers=24, image_size=224, **LARGE)
    images, tensors = lively.pixels(1, 224, 224)
    expected = theirs(tensors).last_hidden_state
    lively.saved(theirs, folder)
    del theirs
    assert difference(load_float32(folder).network(images), expected) < FEATURES


def test_all_of_lit(folder: Path) -> None:
    """24 and 12 blocks, 49408 words, ragged prompts."""
    theirs = lively.lit({**LARGE, "use_head": True}, WORDS, 768)
    images, tensors = lively.pixels(2, 224, 224)
    tokens, inputs = lively.ids(5, 77, 49408)
    expected = theirs(pixel_values=tensors, **inputs)
    lively.saved(theirs, folder)
    del theirs
    ours = load_float32(folder).network
    features = ours.image_encoder(images)
    seen = expected.vision_model_output
    assert difference(features, seen.last_hidden_state) < FEATURES
    assert difference(ours.image_encoder.pool(features), seen.pooler_output) < FEATURES
    assert (
        difference(ours.text_encoder(tokens), expected.text_model_output.pooler_output) < FEATURES
    )
    assert difference(ours.encode_image(images), expected.image_embeds) < FEATURES
    assert difference(ours.encode_text(tokens), expected.text_embeds) < FEATURES
    per_image, per_text = ours(images, tokens)
    assert difference(per_image, expected.logits_per_image) < LOGITS
    assert difference(per_text, expected.logits_per_text) < LOGITS


# half precision: pooled embeddings against theirs in float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_of_large(folder: Path, dtype: str) -> None:
    """Four blocks: a CPU does few operations a second in half precision."""
    theirs = lively.vision(num_hidden_layers=4, image_size=224, **LARGE)
    images, tensors = lively.pixels(1, 224, 224)
    ours = ours_of(theirs, folder, dtype)
    pooled = ours.pool(ours(images))
    assert pooled.dtype == DTYPES[dtype]
    assert cosine(pooled, theirs(tensors).last_hidden_state.mean(dim=1)) >= MIN_COSINE[dtype]


NARROW = {"hidden_size": 128, "intermediate_size": 352, "num_attention_heads": 2}


def narrow_lit(blocks: int, text_blocks: int):
    image = {"image_size": 84, "use_head": True, "num_hidden_layers": blocks, **NARROW}
    return lively.lit(image, SHORT | NARROW | {"num_hidden_layers": text_blocks}, 96)


def embeddings_of(ours, images: mx.array, tokens: mx.array) -> list[mx.array]:
    return [
        ours.image_encoder.pool(ours.image_encoder(images)),
        ours.text_encoder(tokens),
        ours.encode_image(images),
        ours.encode_text(tokens),
    ]


def their_embeddings(theirs, tensors, inputs) -> list:
    output = theirs(pixel_values=tensors, **inputs)
    return [
        output.vision_model_output.pooler_output,
        output.text_model_output.pooler_output,
        output.image_embeds,
        output.text_embeds,
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_of_every_stage(folder: Path, dtype: str) -> None:
    theirs = narrow_lit(4, 4)
    images, tensors = lively.pixels(2, 84, 84)
    tokens, inputs = lively.ids(5, 13, 97)
    ours = embeddings_of(ours_of(theirs, folder, dtype), images, tokens)
    for actual, expected in zip(ours, their_embeddings(theirs, tensors, inputs), strict=True):
        assert actual.dtype == DTYPES[dtype]
        assert cosine(actual, expected) >= MIN_COSINE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_of_native(folder: Path, dtype: str) -> None:
    theirs = lively.vision(is_native=True, num_hidden_layers=24, **NARROW)
    images, tensors = lively.pixels(1, 14 * 5, 14 * 9)
    ours = ours_of(theirs, folder, dtype)
    pooled = ours.pool(ours(images))
    assert cosine(pooled, theirs(tensors).last_hidden_state.mean(dim=1)) >= MIN_COSINE[dtype]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_of_all_blocks_is_as_good_as_theirs(folder: Path, dtype: str) -> None:
    theirs = narrow_lit(24, 12)
    images, tensors = lively.pixels(2, 84, 84)
    tokens, inputs = lively.ids(5, 13, 97)
    ours = embeddings_of(ours_of(theirs, folder, dtype), images, tokens)
    exact = their_embeddings(theirs, tensors, inputs)
    half = getattr(torch, dtype)
    rounded = their_embeddings(theirs.to(half), tensors.to(half), inputs)
    for actual, expected, rival in zip(ours, exact, rounded, strict=True):
        loss = 1 - cosine(actual, expected)
        assert loss <= 2 * (1 - cosine(mx.array(rival.float().numpy()), expected))


# resampled positions


@pytest.mark.parametrize("side", [14, 28, 42, 63, 98])
def test_resampled_positions_are_torchs_antialiased_bicubic(folder: Path, side: int) -> None:
    theirs = lively.vision(**FIXED)
    ours = ours_of(theirs, folder)
    table = theirs.embeddings.position_embedding.weight.reshape(1, 5, 5, -1).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(
        table, size=(side // 7, side // 7), mode="bicubic", antialias=True
    )
    ours.resample_positions(side)
    expected = resized.permute(0, 2, 3, 1).reshape(1, (side // 7) ** 2, -1)
    assert difference(ours.preprocessor.pos_embed, expected) < SMALL_FEATURES
