"""What each stage of training writes is read by transformers, with the same features."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("mlx.data", reason="needs mlx-data")

from mlx_aimv2.checkpoints.convert import convert  # noqa: E402
from mlx_aimv2.checkpoints.load import load_checkpoint  # noqa: E402
from mlx_aimv2.training.drawings.scene import draw  # noqa: E402
from tests.parity import lively  # noqa: E402
from tests.parity.lively import difference  # noqa: E402
from tests.support.stages import ENCODER, FEW, NATIVE, TEXT, run  # noqa: E402
from tests.support.tolerances import LOGITS, SMALL_FEATURES  # noqa: E402

RATE = "peak_rate=1e-2"  # far enough from the first weights in three steps


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "pretraining"
    run("pretraining", folder, *FEW, *ENCODER, RATE, "side_px=56")
    return folder


def in_transformers(folder: Path):
    written = convert(folder, folder.with_name(f"{folder.name}-torch"), to="transformers").folder
    model, report = transformers.AutoModel.from_pretrained(
        written, attn_implementation="eager", output_loading_info=True
    )
    assert not any(report.values()), report
    return model


def assert_same(folder: Path, height: int, width: int) -> None:
    images, inputs = lively.pixels(2, height, width)
    with torch.no_grad():
        theirs = in_transformers(folder)(inputs).last_hidden_state
    ours = load_checkpoint(folder, dtype="float32").network(images)
    assert difference(ours, theirs) < SMALL_FEATURES


def test_pretraining(encoder: Path) -> None:
    assert_same(encoder, 56, 56)


def test_high_resolution(encoder: Path, tmp_path: Path) -> None:
    words = (*FEW, *ENCODER[4:], RATE, "side_px=84")
    run("high-resolution", tmp_path / "large", *words, source=str(encoder))
    assert_same(tmp_path / "large", 84, 84)


def test_native(encoder: Path, tmp_path: Path) -> None:
    run("native", tmp_path / "native", *NATIVE, *ENCODER[4:], RATE, source=str(encoder))
    assert_same(tmp_path / "native", 42, 84)


def test_probe(encoder: Path, tmp_path: Path) -> None:
    for number in range(6):
        target = tmp_path / "classes" / ("even", "odd")[number % 2] / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        draw(number, 64).image.save(target)
    data = str(tmp_path / "classes")
    run("probe", tmp_path / "probe", *FEW, data=data, source=str(encoder))
    assert_same(tmp_path / "probe", 56, 56)


def test_lit(encoder: Path, tmp_path: Path) -> None:
    run("lit", tmp_path / "lit", *FEW, *TEXT, RATE, source=str(encoder))
    ours = load_checkpoint(tmp_path / "lit", dtype="float32").network
    words = ours.config.text_config.vocab_size
    (images, inputs), (ids, theirs_ids) = lively.pixels(3, 56, 56), lively.ids(5, 11, words)
    with torch.no_grad():
        theirs = in_transformers(tmp_path / "lit")(pixel_values=inputs, **theirs_ids)
    logits, _ = ours(images, ids)
    assert difference(logits, theirs.logits_per_image) < LOGITS
    assert np.isfinite(np.array(logits)).all()
