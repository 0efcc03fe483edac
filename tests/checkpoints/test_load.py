"""A folder to a ready network: dtypes, towers by themselves, other sides, memory, what is read."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_aimv2.checkpoints import load
from mlx_aimv2.checkpoints.load import DTYPES, load_checkpoint
from mlx_aimv2.checkpoints.weights import Weights
from mlx_aimv2.errors import CheckpointError, UsageError
from mlx_aimv2.models.aimv2.config import LiTConfig
from tests.support.counted import Alive
from tests.support.makers import (
    TEXT,
    VISION,
    Tensors,
    lit_config,
    random_ids,
    random_lit,
    to_transformers,
    write_checkpoint,
    write_kind,
)
from tests.support.networks import PATCH, SIDE, assert_same, pixels, to_numpy, vision

IDS = mx.array(random_ids(np.random.default_rng(0), 3))
MEGABYTE = 1 << 20
load_float32 = partial(load_checkpoint, dtype="float32")  # a GPU's default is another one


@pytest.fixture
def lit_folder(tmp_path: Path) -> Path:
    return write_kind("lit", tmp_path / "lit")


@pytest.fixture
def vision_folder(tmp_path: Path) -> Path:
    return write_kind("fixed", tmp_path / "vision")


# dtypes


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_parameter_gets_the_dtype(lit_folder: Path, dtype: str) -> None:
    loaded = load_checkpoint(lit_folder, dtype=dtype)
    assert loaded.dtype == dtype
    for name, array in tree_flatten(loaded.network.parameters()):
        assert array.dtype == (mx.float32 if name == "log_logit_scale" else DTYPES[dtype]), name
    assert loaded.network.logit_scale.item() == pytest.approx(np.exp(3.1), rel=1e-6)


def test_an_unknown_dtype(vision_folder: Path) -> None:
    with pytest.raises(UsageError, match="unknown dtype int8") as caught:
        load_checkpoint(vision_folder, dtype="int8")
    assert caught.value.hint == "one of: float32, float16, bfloat16"


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [
        ("applegpu_g13g", "float16"),
        ("applegpu_g13s", "float16"),
        ("applegpu_g14d", "float16"),
        ("applegpu_g15p", "bfloat16"),
        ("applegpu_g16s", "bfloat16"),
        ("applegpu_g17p", "bfloat16"),
        (None, "bfloat16"),
    ],
)
def test_what_suits_a_gpu(monkeypatch, architecture: str | None, dtype: str) -> None:
    gpu = SimpleNamespace(type=mx.DeviceType.gpu)
    monkeypatch.setattr(load.mx, "default_device", lambda: gpu)
    information = {"architecture": architecture} if architecture else {"device_name": "GPU"}
    monkeypatch.setattr(load.mx, "device_info", lambda: information)
    assert load.device.default_dtype() == dtype


def test_float32_on_a_cpu(monkeypatch, vision_folder: Path) -> None:
    cpu = SimpleNamespace(type=mx.DeviceType.cpu)
    monkeypatch.setattr(load.mx, "default_device", lambda: cpu)
    assert load_checkpoint(vision_folder).dtype == "float32"


def test_a_loaded_network_is_evaluated_and_in_inference_mode(tmp_path: Path) -> None:
    tensors = random_lit()
    write_checkpoint(tmp_path, tensors, lit_config())
    network = load_float32(tmp_path).network
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(b"\xff" * file.stat().st_size)  # whatever is read from it now is no number
    found = dict(tree_flatten(network.parameters()))
    assert len(found) == len(tensors)
    assert all(mx.isfinite(array).all() for array in found.values())
    assert not network.training


# one tower


@pytest.mark.parametrize("layout", ["Apple", "transformers"])
@pytest.mark.parametrize("tower", ["image", "text"])
def test_one_tower_gives_the_same_embeddings(tmp_path: Path, tower: str, layout: str) -> None:
    tensors = random_lit() if layout == "Apple" else to_transformers(random_lit())
    folder = write_checkpoint(tmp_path, tensors, lit_config())
    both, one = load_float32(folder), load_float32(folder, tower=tower)
    assert one.network.config == both.network.config
    inputs = pixels(2, SIDE, SIDE) if tower == "image" else IDS
    encode = f"encode_{tower}"
    assert_same(getattr(one.network, encode)(inputs), getattr(both.network, encode)(inputs))
    names = [name for name, _ in tree_flatten(one.network.parameters())]
    assert all(name.startswith((f"{tower}_", "log_logit_scale")) for name in names)
    assert one.network.logit_scale.item() == both.network.logit_scale.item()


def test_the_image_tower_of_a_vision_checkpoint_is_all_of_it(vision_folder: Path) -> None:
    loaded = load_float32(vision_folder, tower="image")
    assert_same(loaded.network(pixels(1, SIDE, SIDE)), vision()(pixels(1, SIDE, SIDE)))


def test_a_vision_checkpoint_has_no_text_tower(vision_folder: Path) -> None:
    with pytest.raises(UsageError, match="only pictures") as caught:
        load_checkpoint(vision_folder, tower="text")
    assert "like lit" in caught.value.hint


@pytest.fixture(scope="module")
def large_lit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensors]:
    """Towers of about 12 and 5 MB, the image tower first in the file."""
    image = VISION | {"width": 256, "mlp": 683, "blocks": 4}
    words = TEXT | {"width": 128, "mlp": 341, "blocks": 6}
    tensors = random_lit(vision=image, text=words)
    folder = tmp_path_factory.mktemp("large")
    return write_checkpoint(folder, tensors, lit_config(image, words)), tensors


@pytest.mark.parametrize("tower", ["image", "text"])
def test_the_other_tower_is_not_read(large_lit, tower: str) -> None:
    folder, tensors = large_lit
    if not Path("/proc/self/io").exists():
        pytest.skip("needs /proc")
    own = sum(a.nbytes for name, a in tensors.items() if name.startswith(tower))
    other = sum(a.nbytes for name, a in tensors.items()) - own
    assert min(own, other) > 4 * MEGABYTE
    load_float32(folder, tower=tower)  # imports and caches are warm now
    before = _bytes_read()
    loaded = load_float32(folder, tower=tower)
    assert own <= _bytes_read() - before < own + MEGABYTE // 2
    assert loaded.weights.size_bytes == own + other


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def test_a_text_search_survives_a_ruined_image_tower(large_lit, tmp_path: Path) -> None:
    folder, tensors = large_lit
    ruined = {
        name: np.full_like(array, np.nan) if name.startswith("image") else array
        for name, array in tensors.items()
    }
    os.link(folder / "config.json", tmp_path / "config.json")
    write_checkpoint(tmp_path, ruined, None)
    texts = [
        load_checkpoint(source, tower="text").network.encode_text(IDS)
        for source in (folder, tmp_path)
    ]
    assert_same(*texts)


# memory


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_loading_needs_little_more_than_its_result(
    lit_folder: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """Each tensor is read and cast before the next, and goes once its cast is there."""
    stored, read, evaluate = Alive(), Weights.read, mx.eval
    events = []

    def noted(self: Weights, names: Iterable[str]) -> Iterator[tuple[str, mx.array]]:
        for name, array in read(self, names):
            events.append("read")
            if array.dtype != DTYPES[dtype]:
                stored.note(array)
            yield name, array

    def evaluated(*arrays: mx.array) -> None:
        events.append("cast")
        evaluate(*arrays)

    monkeypatch.setattr(Weights, "read", noted)
    monkeypatch.setattr(mx, "eval", evaluated)
    loaded = load_checkpoint(lit_folder, dtype=dtype)
    assert events == ["read", "cast"] * len(loaded.weights.sources)
    assert stored.most <= 2
    assert stored.now <= 1  # the logit scale stays float32


# another side


@pytest.mark.parametrize("side", [2 * SIDE, 3 * PATCH])
def test_another_side_on_request(vision_folder: Path, side: int) -> None:
    loaded = load_float32(vision_folder, side_px=side)
    expected = vision()
    expected.resample_positions(side)
    assert loaded.network.config == expected.config
    assert_same(loaded.network(pixels(1, side, side)), expected(pixels(1, side, side)))
    (note,) = loaded.notes
    assert f"a {SIDE} px checkpoint at {side} px: expect worse features" in note
    assert "87.9 to 78.9" in note


def test_another_side_for_lit(lit_folder: Path) -> None:
    for tower in (None, "image"):
        loaded = load_float32(lit_folder, side_px=2 * SIDE, tower=tower)
        assert isinstance(loaded.network.config, LiTConfig)
        assert loaded.network.config.vision_config.image_size == 2 * SIDE
        embedding = to_numpy(loaded.network.encode_image(pixels(1, 2 * SIDE, 2 * SIDE)))
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


def test_a_side_beyond_reason_is_refused(vision_folder: Path) -> None:
    with pytest.raises(UsageError, match=f"at most {128 * PATCH}"):
        load_checkpoint(vision_folder, side_px=10**9)


@pytest.mark.parametrize(
    ("side", "nearest"),
    [
        (2 * SIDE - 1, f"nearest are {2 * SIDE - PATCH} and {2 * SIDE}"),
        (2 * SIDE + 1, f"nearest are {2 * SIDE} and {2 * SIDE + PATCH}"),
        (PATCH - 1, f"nearest are {PATCH}"),
    ],
)
def test_a_side_that_leaves_a_rim_is_refused(vision_folder: Path, side: int, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"{side} px is no multiple of the patch") as caught:
        load_checkpoint(vision_folder, side_px=side)
    assert caught.value.hint == nearest


def test_its_own_side_changes_nothing(vision_folder: Path) -> None:
    loaded = load_float32(vision_folder, side_px=SIDE)
    assert not loaded.notes
    assert_same(loaded.network.preprocessor.pos_embed, vision().preprocessor.pos_embed)


def test_no_side_for_what_has_none(tmp_path: Path, lit_folder: Path) -> None:
    native = write_kind("native", tmp_path / "native")
    with pytest.raises(UsageError, match="only an image tower of a fixed side"):
        load_checkpoint(native, side_px=SIDE)
    with pytest.raises(UsageError, match="only an image tower of a fixed side"):
        load_checkpoint(lit_folder, side_px=2 * SIDE, tower="text")


# what is wrong is said before anything is read


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    tensors = random_lit()
    gone = ["text_encoder.trunk.blocks.1.norm_1.weight", "image_encoder.head.cls_token"]
    for name in gone:
        del tensors[name]
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(write_checkpoint(tmp_path, tensors, lit_config()))
    assert f"tensors missing: {gone[1]}, {gone[0]}" in str(caught.value)
    assert caught.value.hint == "fetch the checkpoint again"


def test_a_fault_of_the_other_tower_does_not_matter(tmp_path: Path) -> None:
    tensors = random_lit()
    del tensors["image_encoder.trunk.blocks.1.norm_1.weight"]
    folder = write_checkpoint(tmp_path, tensors, lit_config())
    assert load_checkpoint(folder, tower="text").network.encode_text(IDS).shape == (3, 37)
    with pytest.raises(CheckpointError, match=r"image_encoder\.trunk\.blocks\.1\.norm_1\.weight"):
        load_checkpoint(folder, tower="image")


def test_an_unknown_tower_is_refused(tmp_path):
    with pytest.raises(UsageError, match="tower"):
        load_checkpoint(tmp_path, tower="txt")
