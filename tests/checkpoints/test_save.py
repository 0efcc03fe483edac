"""``Model.save``: what was saved is loaded again with the same outputs, and nothing is lost."""

import json
import threading
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn, optimizers
from safetensors.numpy import load_file

import mlx_aimv2 as aimv2
from mlx_aimv2.checkpoints import load, quantize
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.errors import NumericsError, OutputError, UsageError
from mlx_aimv2.files import atomic_folder
from tests.support.makers import TEXT, random_ids, write_kind

PICTURE = np.random.default_rng(1).integers(0, 256, (61, 83, 3), dtype=np.uint8)


def embedded(model: aimv2.Model) -> np.ndarray:
    return np.array(model.embed_images(PICTURE))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["lit of transformers", "fixed", "head", "native"])
@pytest.mark.filterwarnings("ignore:.*no tokenizer")
def test_what_was_saved_loads_with_equal_outputs(kind: str, dtype: str, tmp_path: Path) -> None:
    model = aimv2.load(str(write_kind(kind, tmp_path / "source")), dtype=dtype)
    model.save(tmp_path / "copy")
    again = aimv2.load(str(tmp_path / "copy"), dtype=dtype)
    assert again.config == model.config
    np.testing.assert_array_equal(embedded(again), embedded(model))
    if kind == "lit of transformers":
        ids = mx.array(random_ids(np.random.default_rng(0), 3, TEXT))
        np.testing.assert_array_equal(
            np.array(again.text(ids).astype(mx.float32)),
            np.array(model.text(ids).astype(mx.float32)),
        )
        assert again.logit_scale == model.logit_scale
    size_bytes = {"float32": 4, "float16": 2, "bfloat16": 2}[dtype]
    count = sum(array.size for _, array in nn.utils.tree_flatten(model.network.parameters()))
    assert (tmp_path / "copy" / "model.safetensors").stat().st_size < count * size_bytes + 9000


@pytest.mark.filterwarnings("ignore:.*expect worse features")
def test_another_side_is_kept(tmp_path: Path) -> None:
    model = aimv2.load(str(write_kind("fixed", tmp_path / "source")), side_px=49)
    model.save(tmp_path / "copy")
    again = aimv2.load(str(tmp_path / "copy"))
    assert again.config.image_size == 49
    np.testing.assert_array_equal(embedded(again), embedded(model))


@pytest.mark.filterwarnings("ignore:.*unpacked on the CPU")
def test_quantised_weights_stay_as_they_are_in_memory(tmp_path: Path) -> None:
    convert("demo", tmp_path / "packed", quantize_bits=8)
    model = aimv2.load(str(tmp_path / "packed"))
    model.save(tmp_path / "same")
    np.testing.assert_array_equal(embedded(aimv2.load(str(tmp_path / "same"))), embedded(model))
    # As a GPU has them.
    network = load.build(model.config)
    quantize.prepare(network, model.weights.quantization, list(model.weights.sources))
    network.load_weights(list(model.weights.read(list(model.weights.sources))))
    model.network = network
    model.save(tmp_path / "copy")
    before = load_file(tmp_path / "packed" / "model.safetensors")
    after = load_file(tmp_path / "copy" / "model.safetensors")
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[name], before[name]) for name in before)
    stated = json.loads((tmp_path / "copy" / "config.json").read_text())
    assert stated["quantization"] == {"bits": 8, "group_size": 64}


def test_a_folder_that_holds_something_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = aimv2.load("demo")
    target = tmp_path / "copy"
    target.mkdir()
    model.save(target)  # an empty one is filled
    with pytest.raises(OutputError, match="not empty"):
        model.save(target)
    (target / "photo.jpg").write_bytes(b"")
    with pytest.raises(OutputError, match=r"something else than a checkpoint: photo\.jpg"):
        model.save(target, overwrite=True)
    (target / "photo.jpg").unlink()
    before = (target / "model.safetensors").stat().st_ino
    rename = Path.rename

    def fail(path: Path, to: Path) -> Path:
        if ".partial-" in path.name:
            raise OSError(5, "Input/output error")
        return rename(path, to)

    monkeypatch.setattr(atomic_folder.Path, "rename", fail)
    with pytest.raises(OutputError, match="cannot be written"):
        model.save(target, overwrite=True)
    assert (target / "model.safetensors").stat().st_ino == before
    monkeypatch.undo()
    model.save(target, overwrite=True)
    assert (target / "model.safetensors").stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    with pytest.raises(OutputError, match="exists"):
        model.save(target / "config.json", overwrite=True)


def test_what_cannot_be_saved_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one tower"):
        aimv2.load("demo", tower="image").save(tmp_path / "copy")
    model = aimv2.load("demo")
    projector = model.network.image_projector
    projector.weight = projector.weight * float("nan")
    with pytest.raises(NumericsError, match=r"image_projector\.weight"):
        model.save(tmp_path / "copy")
    assert not list(tmp_path.iterdir())


def trained(model: aimv2.Model) -> None:
    """Two steps, none of them evaluated, as MLX leaves them."""
    batch = model.preprocess([PICTURE, PICTURE[:50]])
    optimizer = optimizers.SGD(0.1)
    step = nn.value_and_grad(model.vision, lambda pixels: (model.vision(pixels) ** 2).mean())
    for _ in range(2):
        _, gradients = step(batch)
        optimizer.update(model.vision, gradients)


def test_a_trained_model_embeds_and_is_saved_from_any_thread(tmp_path: Path) -> None:
    model = aimv2.load("demo")
    before = embedded(model)
    trained(model)
    results: list[np.ndarray] = []

    def use() -> None:
        try:
            results.append(embedded(model))
        except UsageError as error:
            assert "mx.eval(model.network.parameters())" in error.hint
            results.append(np.zeros(0))

    def on_another_thread() -> np.ndarray:
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return results.pop()

    assert not on_another_thread().size  # MLX lets no other thread evaluate them
    after = embedded(model)
    assert not np.array_equal(after, before)
    np.testing.assert_array_equal(on_another_thread(), after)
    model.save(tmp_path / "trained")
    np.testing.assert_array_equal(embedded(aimv2.load(str(tmp_path / "trained"))), after)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, "Model(demo, float32, 112 px, images and texts)"),
        ({"tower": "image", "dtype": "float16"}, "Model(demo, float16, 112 px, images)"),
        ({"tower": "text"}, "Model(demo, float32, 112 px, texts)"),
    ],
)
def test_a_model_is_shown_on_one_line(options: dict[str, str], shown: str) -> None:
    assert repr(aimv2.load("demo", **options)) == shown


def test_a_native_model_has_no_side(tmp_path: Path) -> None:
    model = aimv2.load(str(write_kind("native", tmp_path / "mine")))
    assert repr(model) == "Model(mine, float32, native resolution, images)"
