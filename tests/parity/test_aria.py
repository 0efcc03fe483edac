"""Agreement with transformers' Aria, live: other seeds and sizes than the golden ones."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mlx_aimv2.checkpoints.load import load_checkpoint  # noqa: E402
from mlx_aimv2.models.aria.network import AriaNetwork  # noqa: E402
from tests.parity.lively import difference, saved  # noqa: E402
from tests.support.tiny_aria import tiny_config, tiny_tensors, write_tiny_aria  # noqa: E402
from tests.support.tolerances import (  # noqa: E402
    ARIA_FEATURES,
    ARIA_HALF_COSINE,
    ARIA_LIVE_LOGITS,
)

STEPS = 32
DEEP = tiny_config(
    {
        "hidden_size": 96, "num_attention_heads": 3, "num_key_value_heads": 3,
        "intermediate_size": 40, "num_hidden_layers": 5, "moe_num_experts": 13, "moe_topk": 4,
        "vocab_size": 331, "rope_theta": 100_000,
    },
    {"hidden_size": 72, "num_attention_heads": 1, "num_hidden_layers": 4, "image_size": 140},
    projector_patch_to_query_dict={"25": 7, "100": 12},
)  # fmt: skip
MANY = tiny_config(
    {"moe_num_experts": 64, "moe_topk": 6, "intermediate_size": 16, "num_hidden_layers": 3},
    {"image_size": 196, "num_attention_heads": 6},
    projector_patch_to_query_dict={"49": 5, "196": 9},
)
CASES = {"as the golden one": (tiny_config(), 1), "deeper": (DEEP, 2), "64 experts": (MANY, 3)}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path):
    config, seed = CASES[request.param]
    folder = write_tiny_aria(tmp_path / "checkpoint", config, seed=seed)
    return folder, config, prompts(config, seed)


def theirs_of(folder: Path, dtype: str = "float32"):
    return transformers.AriaForConditionalGeneration.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation="eager"
    ).eval()


def ours_of(folder: Path, dtype: str = "float32") -> AriaNetwork:
    network = load_checkpoint(folder, dtype=dtype).network
    assert isinstance(network, AriaNetwork)
    return network


def prompts(config: dict, seed: int) -> dict[str, np.ndarray]:
    """Two prompts padded on the left, with one and with two crops, of all kinds of real areas."""
    rng = np.random.default_rng(seed)
    side = config["vision_config"]["image_size"]
    queries = max(config["projector_patch_to_query_dict"].values())
    vocabulary = config["text_config"]["vocab_size"]
    places = [9] * queries
    words = lambda count: rng.integers(10, vocabulary, count).tolist()  # noqa: E731
    rows = [[*words(3), *places, *words(6)], [*words(2), *places, *words(1), *places, *words(4)]]
    length = max(map(len, rows))
    mask = np.zeros((3, side, side), bool)
    for crop, (height, width) in enumerate(
        [(side, side * 2 // 3), (side // 2 + 1, side), (side, side)]
    ):
        mask[crop, :height, :width] = True
    return {
        "input_ids": np.array([[2] * (length - len(row)) + row for row in rows]),
        "attention_mask": np.array([[0] * (length - len(row)) + [1] * len(row) for row in rows]),
        "pixel_values": rng.standard_normal((3, 3, side, side), np.float32),
        "pixel_mask": mask,
    }


def both_logits(folder: Path, inputs: dict, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Ours and theirs, of what is no padding, row after row."""
    kept = inputs["attention_mask"].astype(bool)
    ours = ours_of(folder, dtype).forward(**{name: mx.array(a) for name, a in inputs.items()})
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    tensors["pixel_values"] = tensors["pixel_values"].to(getattr(torch, dtype))
    theirs = theirs_of(folder, dtype)(**tensors).logits
    return np.array(ours.astype(mx.float32))[kept], theirs.float().numpy()[kept]


def test_logits_and_image_features(case) -> None:
    folder, _, inputs = case
    ours, theirs = both_logits(folder, inputs, "float32")
    assert np.abs(ours - theirs).max() < ARIA_LIVE_LOGITS
    pixels, mask = inputs["pixel_values"], inputs["pixel_mask"]
    features = ours_of(folder).encode_images(mx.array(pixels.transpose(0, 2, 3, 1)), mx.array(mask))
    expected = theirs_of(folder).model.get_image_features(
        pixel_values=torch.from_numpy(pixels), pixel_mask=torch.from_numpy(mask)
    )
    expected = getattr(expected, "pooler_output", expected)
    assert difference(features, expected) < ARIA_FEATURES


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(case, dtype: str) -> None:
    """With decided routers: an expert at the cut-off, which rounding flips, then weighs little.

    With undecided ones transformers' own logits in bfloat16 are 0.9985 of those in float32.
    """
    folder, config, inputs = case
    tensors = tiny_tensors(config)
    routers = {name: 4 * array for name, array in tensors.items() if ".router." in name}
    write_tiny_aria(folder, config, tensors | routers)
    ours, theirs = (logits.astype(np.float64) for logits in both_logits(folder, inputs, dtype))
    assert (ours * theirs).sum() >= ARIA_HALF_COSINE * np.linalg.norm(ours) * np.linalg.norm(theirs)


def test_greedy_continuations(case) -> None:
    """32 tokens, each row of the batch, with the cache of either."""
    folder, _, inputs = case
    network = ours_of(folder)
    pixels = mx.array(inputs["pixel_values"].transpose(0, 2, 3, 1))
    features = network.encode_images(pixels, mx.array(inputs["pixel_mask"]))
    embeddings = network.embed(mx.array(inputs["input_ids"]), features)
    mask, cache = mx.array(inputs["attention_mask"]), network.make_cache()
    found = []
    for _ in range(STEPS):
        logits = network.decode(embeddings, cache, mask, last_only=True)
        found.append(logits[:, -1].argmax(axis=-1))
        embeddings = network.embed(found[-1][:, None])
        mask = mx.concatenate([mask, mx.ones((len(mask), 1), mask.dtype)], axis=1)
    theirs = theirs_of(folder)
    theirs.generation_config.eos_token_id = None
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    tokens = theirs.generate(**tensors, max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False)
    expected = tokens[:, inputs["input_ids"].shape[1] :].numpy()
    np.testing.assert_array_equal(np.array(mx.stack(found, axis=1)), expected)


def test_what_transformers_saves_is_read(case, tmp_path: Path) -> None:
    folder, _, inputs = case
    again = saved(theirs_of(folder), tmp_path / "saved")
    network, expected = ours_of(again), ours_of(folder)
    assert network.config == expected.config
    ids = mx.array(inputs["input_ids"][:1, -4:])
    np.testing.assert_array_equal(np.array(network.forward(ids)), np.array(expected.forward(ids)))


def test_its_names_in_memory_are_read(case, tmp_path: Path) -> None:
    folder, config, _ = case
    tensors = {name: t.numpy() for name, t in theirs_of(folder).state_dict().items()}
    assert any(name.startswith("model.language_model.layers") for name in tensors)
    again = write_tiny_aria(tmp_path / "memory", config, tensors)
    ours, expected = ours_of(again).flat_parameters(), ours_of(folder).flat_parameters()
    for name, array in expected.items():
        np.testing.assert_array_equal(np.array(ours[name]), np.array(array), err_msg=name)
