"""Another family than AIMv2: told apart, loaded, converted, embedded, and described."""

import json
from pathlib import Path

import numpy as np
import pytest
from mlx.utils import tree_flatten
from PIL import Image

import mlx_aimv2 as aimv2
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.checkpoints.weights import read_weights
from mlx_aimv2.errors import CheckpointError, ImageError, UsageError
from mlx_aimv2.models import registry
from tests.support.commands import run
from tests.support.makers import random_vision, vision_config, write_checkpoint
from tests.support.networks import pixels, to_numpy
from tests.support.toy_family import SIDE, TOY, WIDTH, toy_tensors, write_toy


@pytest.fixture(autouse=True)
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (*registry.FAMILIES, TOY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "published")


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    return str(caught.value)


def expected_features(image: np.ndarray) -> np.ndarray:
    """What the toy computes, from what its publisher wrote."""
    tensors = toy_tensors()
    side = tensors["conv.weight"].shape[-1]
    count = SIDE // side
    cells = image.reshape(count, side, count, side, 3).transpose(0, 2, 4, 1, 3)
    x = cells.reshape(count**2, -1) @ tensors["conv.weight"].reshape(WIDTH, -1).T
    x += tensors["conv.bias"]
    gate, up = np.split(x @ tensors["fused.weight"], 2, axis=1)
    experts = sum(tensors[f"experts.{number}.weight"] for number in range(3))
    return (gate / (1 + np.exp(-gate)) * up) @ experts.T


def test_it_computes_what_its_publisher_wrote(folder: Path) -> None:
    loaded = load_checkpoint(folder, dtype="float32")
    assert (loaded.weights.family, loaded.weights.layout) == (TOY, "toy")
    image = pixels(1, SIDE, SIDE)
    np.testing.assert_allclose(
        to_numpy(loaded.network.features(image)[0]),
        expected_features(to_numpy(image[0])),
        atol=1e-4,
    )


def test_it_embeds(folder: Path) -> None:
    model = aimv2.load(str(folder), dtype="float32")
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    features = expected_features(to_numpy(model.preprocess(image))).mean(axis=0)
    embedding = to_numpy(model.embed_images([image])[0])
    np.testing.assert_allclose(embedding, features / np.linalg.norm(features), atol=1e-5)
    assert model.embed_images([image], tiles=2, pooling="none")[0].shape == (10, 10, WIDTH)
    assert repr(model) == f"Model(published, float32, {SIDE} px, images)"
    with pytest.raises(UsageError, match="reads no texts"):
        model.embed_texts(["a dog"])
    with pytest.raises(UsageError, match="reads no texts"):
        load_checkpoint(folder, tower="text")
    with pytest.raises(ImageError, match="no position table"):
        load_checkpoint(folder, side_px=2 * SIDE)


@pytest.mark.parametrize("bits", [None, 4])
def test_it_converts(folder: Path, tmp_path: Path, bits: int | None) -> None:
    made = convert(folder, tmp_path / "ours", quantize_bits=bits, group_size=32)
    weights = read_weights(made.folder)
    assert (weights.family, weights.layout) == (TOY, "mlx-aimv2")
    packed = {name for name, source in weights.sources.items() if source.dtype == "U32"}
    assert packed == ({"gate.weight", "up.weight"} if bits else set())
    assert json.loads((made.folder / "config.json").read_text())["model_type"] == "toy"
    processor = json.loads((made.folder / "preprocessor_config.json").read_text())
    assert processor == {"image_processor_type": "ToyProcessor"}
    assert "A toy vision encoder (35 px)" in (made.folder / "README.md").read_text()
    again = convert(made.folder, tmp_path / "again", dequantize=bits is not None)
    whole = load_checkpoint(folder, dtype="float32").network
    for name, array in tree_flatten(load_checkpoint(again.folder).network.parameters()):
        exact = whole.flat_parameters()[name]
        np.testing.assert_allclose(to_numpy(array), to_numpy(exact), atol=0.1 if bits else 0)


@pytest.mark.parametrize(
    "words",
    [
        ["info", "FOLDER"],
        ["info", "FOLDER", "--json"],
        ["convert", "--model", "FOLDER", "--mlx-path", "NEW"],
        ["verify", "--model", "FOLDER"],
        ["verify", "--model", "FOLDER", "--against", "FOLDER"],
        ["embed", "PHOTO", "--model", "FOLDER", "--out", "-"],
        ["index", "PHOTO", "--model", "FOLDER", "--library", "LIBRARY"],
    ],
    ids=" ".join,
)
def test_commands_take_it(folder: Path, tmp_path: Path, words: list[str]) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (50, 40), "red").save(photo)
    places = {"FOLDER": folder, "NEW": tmp_path / "new", "PHOTO": photo, "LIBRARY": tmp_path / "l"}
    outcome = run(*(str(places.get(word, word)) for word in words))
    assert outcome.code == 0, outcome.err


def test_families_are_told_by_config_and_names(folder: Path, tmp_path: Path) -> None:
    config = folder / "config.json"
    stated = json.loads(config.read_text())
    config.write_text(json.dumps({"image_size": SIDE}))
    assert read_weights(folder).family is TOY
    config.write_text(json.dumps(stated | {"model_type": "aimv2"}))
    assert refusal(folder) == "no AIMv2 tensor among 7: the first is conv.bias"
    tensors = {"conv": np.ones(3, np.float32)}
    assert "no AIMv2 or Aria or toy tensor among 1: the first is conv" in (
        refusal(write_checkpoint(tmp_path / "other", tensors, None))
    )
    ours = write_checkpoint(tmp_path / "aimv2", random_vision(), vision_config())
    assert read_weights(ours).family.name == "AIMv2"
    assert "no toy tensor" in refusal(
        write_checkpoint(ours, random_vision(), vision_config() | {"model_type": "toy"})
    )
