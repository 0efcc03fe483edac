"""Agreement with timm's AIMv2, live: the names of its tensors, and its features."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402

from mlx_aimv2.checkpoints.load import load_checkpoint  # noqa: E402
from mlx_aimv2.models import registry  # noqa: E402
from mlx_aimv2.models.aimv2 import cost, layouts  # noqa: E402
from mlx_aimv2.models.aimv2.family import AIMV2  # noqa: E402
from mlx_aimv2.models.aimv2.published import ARCHITECTURES, CHECKPOINTS  # noqa: E402
from tests.parity import lively  # noqa: E402
from tests.support.tolerances import FEATURES, SMALL_FEATURES  # noqa: E402

TORCHVISION = ["", ".datasets", ".ops", ".ops.misc", ".transforms", ".transforms.functional"]


class Stub(ModuleType):
    """A module that has whatever is imported from it."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return AnyName(name, (), {})


class AnyName(type):
    """A class whose every attribute is a string, as if it were an enumeration."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


@pytest.fixture(scope="module")
def timm():
    """timm, which imports names from torchvision but needs none of them to run a model.

    Where the real one cannot be imported (see conftest.py), empty stand-ins take its place for the
    time of timm's import.
    """
    stubs = {}
    if sys.modules.get("torchvision") is None:
        stubs = {f"torchvision{part}": Stub(f"torchvision{part}") for part in TORCHVISION}
        for name, stub in stubs.items():
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(stubs[parent], child, stub)
        sys.modules.update(stubs)
    try:
        yield pytest.importorskip("timm")
    finally:
        for name in stubs:
            del sys.modules[name]
        if stubs:
            sys.modules["torchvision"] = None


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def saved(model: torch.nn.Module, folder: Path) -> Path:
    save_file(model.state_dict(), folder / "model.safetensors")
    # timm's own config.json names its architecture; ours are of widths that no published one has.
    heads = {"num_attention_heads": model.blocks[0].attn.num_heads}
    (folder / "config.json").write_text(json.dumps(heads))
    return folder


def test_features_of_large(timm, tmp_path: Path) -> None:
    model = lively.fill(timm.create_model("aimv2_large_patch14_224", num_classes=0, depth=4))
    loaded = load_checkpoint(saved(model, tmp_path), dtype="float32")
    assert loaded.weights.layout == "timm"
    assert loaded.network.config.num_attention_heads == 8
    images, tensors = lively.pixels(1, 224, 224)
    features = model.forward_features(tensors)
    assert lively.difference(loaded.network(images), features) < FEATURES
    (tmp_path / "model.safetensors").unlink()


def test_every_block_of_a_small_one(timm, tmp_path: Path) -> None:
    sizes = {"img_size": 70, "embed_dim": 76, "depth": 3, "num_heads": 1, "mlp_ratio": 101 / 76}
    model = lively.fill(timm.create_model("aimv2_large_patch14_224", num_classes=0, **sizes))
    network = load_checkpoint(saved(model, tmp_path), dtype="float32").network
    images, tensors = lively.pixels(2, 70, 70)
    states = model.forward_intermediates(tensors, output_fmt="NLC", intermediates_only=True)
    ours = network(images, hidden_states=True)
    for block, state in ours.hidden_states.items():
        assert lively.difference(state, states[block]) < SMALL_FEATURES
    features = model.forward_features(tensors)
    assert lively.difference(ours.last_hidden_state, features) < SMALL_FEATURES
    pooled = model.forward_head(features, pre_logits=True)
    assert lively.difference(ours.pooler_output, pooled) < SMALL_FEATURES


@pytest.mark.parametrize("side", [224, 336, 448])
@pytest.mark.parametrize("size", ["large", "huge", "1b", "3b"])
def test_names_and_shapes_of_every_checkpoint(timm, size: str, side: int) -> None:
    with torch.device("meta"):
        model = timm.create_model(f"aimv2_{size}_patch14_{side}", num_classes=0)
    tensors = model.state_dict()
    targets = [layouts.TIMM.match(name) for name in tensors]
    assert None not in targets
    assert len({match.targets for match in targets if match}) == len(tensors)
    name = {"large": "L", "huge": "H", "1b": "1B", "3b": "3B"}[size]
    checkpoint = next(c for c in CHECKPOINTS if (c.architecture, c.side_px) == (name, side))
    numbers = sum(tensor.numel() for tensor in tensors.values())
    assert numbers == cost.parameters(cost.published_config(checkpoint)).total
    assert model.embed_dim == ARCHITECTURES[name].hidden_size
    assert registry.recognise(tensors, {}) == (AIMV2, layouts.TIMM)


def test_resampled_positions_are_timms(timm, tmp_path: Path) -> None:
    from timm.layers import resample_abs_pos_embed  # noqa: PLC0415

    sizes = {"img_size": 70, "embed_dim": 76, "depth": 1, "num_heads": 1}
    model = lively.fill(timm.create_model("aimv2_large_patch14_224", num_classes=0, **sizes))
    for side in (42, 98, 224):
        folder = saved(model, tmp_path)
        network = load_checkpoint(folder, dtype="float32", side_px=side).network
        expected = resample_abs_pos_embed(
            model.pos_embed, new_size=[side // 14, side // 14], num_prefix_tokens=0
        )
        assert lively.difference(network.preprocessor.pos_embed, expected) < SMALL_FEATURES
