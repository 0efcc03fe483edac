"""Each stage on a few drawings: what it writes loads, and what is frozen stays as it was."""

import json
import os
from pathlib import Path
from typing import cast

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import load_file

import mlx_aimv2 as aimv2
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.training.data.options import PairOptions
from mlx_aimv2.training.drawings.scene import draw
from mlx_aimv2.training.runs.run_folder import RunFolder, read_log
from mlx_aimv2.training.runs.settings import Stage
from mlx_aimv2.training.stages.run import Order, train
from tests.support.stages import DRAWINGS, ENCODER, FEW, NATIVE, STILL, TEXT, Heard, losses, run

pytest.importorskip("mlx.data", reason="needs mlx-data")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-trained encoder, in so far as three steps make one."""
    folder = tmp_path_factory.mktemp("stages") / "encoder"
    run("pretraining", folder, *FEW, *ENCODER, "side_px=56")
    return folder


@pytest.fixture(scope="module")
def lit(encoder: Path) -> Path:
    """A text tower beside it."""
    folder = encoder.with_name("lit")
    run("lit", folder, *FEW, *TEXT, source=str(encoder))
    return folder


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawings in folders of two classes, one of them no picture."""
    folder = tmp_path_factory.mktemp("classes")
    for number in range(7):
        target = folder / "train" / ("even", "odd")[number % 2] / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        draw(number, 64).image.save(target)
    (folder / "train/odd/9.png").write_bytes(b"not a picture")
    return folder


def test_pretraining_makes_an_encoder(encoder: Path) -> None:
    model = aimv2.load(encoder)
    assert model.config.vision_config.image_size == 56
    vectors = np.array(model.embed_images([draw(0, 64).image]))
    assert vectors.shape == (1, 32)
    assert np.isfinite(vectors).all()
    line = next(read_log(RunFolder(encoder).log_file))
    assert line["loss"] == pytest.approx(line["text"] + 0.4 * line["pixel"], rel=1e-5)
    assert line["samples"] == 5


def test_a_trained_checkpoint_is_converted(encoder: Path, tmp_path: Path) -> None:
    convert(encoder, tmp_path / "half", dtype="float16")
    assert aimv2.load(tmp_path / "half").config.vision_config.hidden_size == 32


def test_high_resolution_goes_on_at_another_side(encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    heard = run(
        "high-resolution", folder, *FEW, *STILL, *ENCODER[4:], "side_px=84",
        source=str(encoder),
    )  # fmt: skip
    assert not heard.notes  # the decoder is gone on with
    ours, before = (aimv2.load(each, dtype="float32").network for each in (folder, encoder))
    before.resample_positions(84)
    for (name, one), other in zip(
        ours.flat_parameters().items(), before.flat_parameters().values(), strict=True
    ):
        np.testing.assert_allclose(np.array(one), np.array(other), atol=1e-6, err_msg=name)
    again = run(
        "high-resolution",
        tmp_path / "other",
        *FEW,
        *ENCODER[4:7],
        "side_px=84",
        source=str(encoder),
    )
    assert again.notes == ["encoder has no decoder of these sizes: a new one is made"]


def test_native_goes_on_without_a_table(encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "native"
    run("native", folder, *NATIVE, *ENCODER[4:], source=str(encoder))
    model = aimv2.load(folder)
    assert model.config.vision_config.is_native
    assert np.isfinite(np.array(model.embed_images([draw(0, 90).image]))).all()
    samples = [line["samples"] for line in read_log(RunFolder(folder).log_file)]
    assert all(2 <= each <= 8 for each in samples)
    again = ("steps=3", "warm_up_steps=1", "side_px=56")
    with pytest.raises(UsageError, match="native resolution"):
        run("pretraining", tmp_path / "back", *again, source=str(folder))


@pytest.mark.parametrize("is_cpu", [True, False])
def test_a_quantised_encoder_is_unpacked(
    is_cpu: bool, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where products of packed weights are fast, and other commands leave them packed."""
    run("pretraining", tmp_path / "dense", *FEW, *ENCODER, "side_px=56", "mlp_width=64")
    convert(tmp_path / "dense", tmp_path / "packed", quantize_bits=8, group_size=32)
    monkeypatch.setattr("mlx_aimv2.device.is_cpu", lambda: is_cpu)
    run("lit", tmp_path / "out", *FEW, *TEXT, source=str(tmp_path / "packed"))
    before, after = (load_file(tmp_path / each / "model.safetensors") for each in ("dense", "out"))
    for name, each in before.items():
        np.testing.assert_allclose(after[f"image_encoder.{name}"], each, atol=0.02, err_msg=name)


@pytest.fixture(scope="module")
def native(encoder: Path) -> Path:
    """An encoder of native resolution."""
    folder = encoder.with_name("native")
    run("native", folder, *NATIVE, *ENCODER[4:], source=str(encoder))
    return folder


def strips(folder: Path) -> str:
    """Drawings of several shapes with captions, in folders of two classes."""
    rows = []
    for number in range(7):
        file = Path("train") / ("even", "odd")[number % 2] / f"{number}.png"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        drawn = draw(number, 96).image
        drawn.crop((0, 0, 96, 16 * (number % 3 + 1))).save(folder / file)
        rows.append(json.dumps({"file_name": str(file), "text": f"drawing {number}"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return str(folder)


@pytest.mark.parametrize("stage", ["lit", "probe"])
def test_a_native_encoder_is_taken(stage: Stage, native: Path, tmp_path: Path) -> None:
    data = strips(tmp_path / "data")
    words = {"lit": (*FEW, *TEXT), "probe": (*FEW, "augment=false")}[stage]
    for name, more in {
        "kept": ("max_patches=13",), "anew": ("max_patches=13", "cache=false"),
        "roomy": ("max_patches=29",),
    }.items():  # fmt: skip
        run(stage, tmp_path / name, *words, *more, data=data, source=str(native))
    np.testing.assert_allclose(losses(tmp_path / "anew"), losses(tmp_path / "kept"), rtol=1e-3)
    assert losses(tmp_path / "roomy")[0] != losses(tmp_path / "kept")[0]  # larger pictures
    model = aimv2.load(tmp_path / "kept")
    assert model.config.vision_config.is_native
    picture = Path(data) / "train/even/0.png"
    if stage == "lit":
        assert np.isfinite(np.array(model.classify([picture], ["a dog", "a cat"]))).all()
    else:
        theirs = aimv2.load(native).embed_images([picture])
        np.testing.assert_array_equal(np.array(model.embed_images([picture])), np.array(theirs))


def test_lit_leaves_the_encoder_bit_for_bit(encoder: Path, lit: Path) -> None:
    before, after = (load_file(folder / "model.safetensors") for folder in (encoder, lit))
    for name, each in before.items():
        np.testing.assert_array_equal(after[f"image_encoder.{name}"], each, err_msg=name)
    model = aimv2.load(lit)
    scores = np.array(model.classify([draw(0, 64).image], ["a dog", "a cat"]))
    assert scores.sum() == pytest.approx(1)
    assert model.embed_texts(["a dog"]).shape == (1, 16)


def test_kept_features_are_those_made_anew(encoder: Path, lit: Path, tmp_path: Path) -> None:
    run("lit", tmp_path / "anew", *FEW, *TEXT, "cache=false", source=str(encoder))
    np.testing.assert_allclose(losses(tmp_path / "anew"), losses(lit), rtol=1e-3)
    assert (lit / "training/features-0.f16").stat().st_size > 16 * 32 * 2 * 6
    assert not (tmp_path / "anew/training/features-0.f16").exists()


def test_lit_goes_on_with_both_towers(lit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    run("lit", folder, *FEW, *STILL, source=str(lit))
    ours, before = (load_file(each / "model.safetensors") for each in (folder, lit))
    assert ours.keys() == before.keys()
    for name, each in before.items():
        np.testing.assert_allclose(ours[name], each, atol=1e-6, err_msg=name)


def test_a_probe_beside_its_encoder(encoder: Path, classes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    heard = run("probe", folder, *FEW, data=str(classes), source=str(encoder))
    assert len(heard.left_out) == 1
    assert "9.png" in heard.left_out[0]
    aimv2.load(folder)
    probe = load_file(folder / "probe.safetensors")
    assert probe["linear.weight"].shape == (2, 32)
    assert (folder / "classes.txt").read_text() == "even\nodd\n"
    assert np.abs(probe["bn.running_mean"]).max() > 0
    lines = list(read_log(RunFolder(folder).log_file))
    assert 0 <= lines[-1]["accuracy"] <= 1
    assert lines[-1]["broken"] >= 1
    assert [line["left_out"] for line in lines if "left_out" in line] == [heard.left_out]
    again = tmp_path / "augmented"
    run("probe", again, *FEW, "augment=true", data=str(classes), source=str(encoder))
    assert losses(again)[0] != losses(folder)[0]


@pytest.mark.parametrize(
    ("stage", "words", "expected"),
    [
        ("lit", (), "lit needs an encoder"),
        ("probe", (), "no folders of classes"),
        ("pretraining", ("prefix=false",), "without a prefix"),
        ("pretraining", ("pixel_weight=0", "text_weight=0"), "both losses"),
        ("pretraining", ("steps=10", "warm_up_steps=10"), "no step is left"),
        ("native", ("batch_tokens=64",), "holds no picture of 128"),
        ("pretraining", ("side_px=57",), "no multiple of the patch"),
        ("pretraining", ("side_px=14",), "one patch: none is left"),
        ("pretraining", ("side_px=140000",), "too large"),
    ],
)
def test_what_cannot_be_is_said(
    stage: Stage, words: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=expected):
        run(stage, tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_begun_and_not_kept_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "out/training").mkdir(parents=True)
    (tmp_path / "out/training/lock").touch()
    run("pretraining", tmp_path / "out", *FEW, *ENCODER, "side_px=56")


def test_a_caption_s_column_is_remembered(tmp_path: Path) -> None:
    draw(0, 64).image.save(tmp_path / "0.png")
    table = tmp_path / "metadata.jsonl"
    table.write_text('{"file_name": "0.png", "said": "a dog"}\n')
    words = (*FEW, *ENCODER, "side_px=56")
    options = PairOptions(caption_key="said")
    run("pretraining", tmp_path / "out", *words, data=str(tmp_path), pair_options=options)
    train(Order("pretraining", tmp_path / "out", words=("steps=4",), resume=True), Heard())
    assert len(losses(tmp_path / "out")) == 4


def photographs(folder: Path) -> str:
    """Large JPEGs with captions and, as folders of classes, without."""
    rows = []
    for number in range(5):
        file = Path("train") / ("even", "odd")[number % 2] / f"{number}.jpg"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        draw(number, 64).image.resize((640, 512)).save(folder / file)
        rows.append(json.dumps({"file_name": str(file), "text": f"photograph {number}"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return str(folder)


@pytest.mark.parametrize("stage", ["pretraining", "native", "lit", "probe"])
def test_fast_decoding_is_a_setting_of_each_stage(
    stage: Stage, encoder: Path, tmp_path: Path
) -> None:
    words = {
        "pretraining": (*FEW, *ENCODER, "side_px=56"),
        "native": (*NATIVE, *ENCODER),
        "lit": (*FEW, *TEXT),
        "probe": FEW,
    }[stage]
    data = photographs(tmp_path / "data")
    source = str(encoder) if stage in ("lit", "probe") else None
    first = []
    for decode in ("exact", "fast"):
        run(stage, tmp_path / decode, *words, f"decode={decode}", data=data, source=source)
        first.append(losses(tmp_path / decode)[0])
    assert first[0] != first[1]
    assert first[0] == pytest.approx(first[1], rel=0.05)


@pytest.mark.parametrize("cache", ["true", "false"])
def test_data_of_which_nothing_can_be_used_trains_nothing(
    cache: str, encoder: Path, tmp_path: Path
) -> None:
    rows = [json.dumps({"file_name": f"{number}.jpg", "text": "none"}) for number in range(7)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    words = (*FEW, *TEXT, f"cache={cache}")
    with pytest.raises(Aimv2Error, match=r"none of \d+ pairs in a row .*jpg does not exist"):
        run("lit", tmp_path / "out", *words, data=str(tmp_path), source=str(encoder))


def test_a_run_that_used_no_sample_makes_no_checkpoint(encoder: Path, tmp_path: Path) -> None:
    """It ends before as many samples in a row as there are could not be used."""
    rows = [json.dumps({"file_name": f"{number}.jpg", "text": "none"}) for number in range(97)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    with pytest.raises(Aimv2Error, match="no sample of this run could be used"):
        run("lit", tmp_path / "out", *FEW, *TEXT, data=str(tmp_path), source=str(encoder))
    assert not (tmp_path / "out/model.safetensors").exists()


def test_classes_of_any_name_have_a_line_each(encoder: Path, tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"c\nat"):
        folder = tmp_path / "data" / os.fsdecode(name)
        try:
            folder.mkdir(parents=True)
        except OSError:
            pytest.skip("this disk takes no such names")
        draw(0, 64).image.save(folder / "0.png")
    run("probe", tmp_path / "out", *FEW, data=str(tmp_path / "data"), source=str(encoder))
    assert (tmp_path / "out/classes.txt").read_text() == "c\\nat\ncaf\\udce9\n"


def test_the_run_of_a_probe_is_no_class_of_its_data(
    encoder: Path, classes: Path, tmp_path: Path
) -> None:
    out = classes / "train/probe"
    with pytest.raises(UsageError, match="is in the folder of the data"):
        run("probe", out, *FEW, data=str(classes), source=str(encoder))
    assert not out.exists()


def test_one_class_is_too_few(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "data/cat").mkdir(parents=True)
    draw(0, 64).image.save(tmp_path / "data/cat/0.png")
    with pytest.raises(UsageError, match="pictures of one class only"):
        run("probe", tmp_path / "out", *FEW, data=str(tmp_path / "data"), source=str(encoder))


def test_captions_alone_with_full_attention(tmp_path: Path) -> None:
    words = ("side_px=56", "pixel_weight=0", "prefix=false")
    run("pretraining", tmp_path / "out", *FEW, *ENCODER, *words)
    lines = list(read_log(RunFolder(tmp_path / "out").log_file))
    assert all(line["loss"] == line["text"] and "pixel" not in line for line in lines)


def test_going_on_with_a_run(encoder: Path, tmp_path: Path) -> None:
    calm, split = tmp_path / "calm", tmp_path / "split"
    words = (*FEW[1:], *ENCODER, "side_px=56")
    run("pretraining", calm, *words, "steps=5")
    heard = Heard()

    def stop(step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise RuntimeError("as if killed")

    heard.stepped = stop  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="as if killed"):
        train(Order("pretraining", split, DRAWINGS, words=(*words, "steps=5")), heard)
    on = train(Order("pretraining", split, resume=True), Heard())
    assert losses(on) == losses(calm)
    ours, theirs = (load_file(each / "model.safetensors") for each in (split, calm))
    for name, each in theirs.items():
        np.testing.assert_array_equal(ours[name], each, err_msg=name)
    with pytest.raises(UsageError, match=r"data has changed .*7, now 8"):
        train(Order("pretraining", split, "drawings:8:64", resume=True), Heard())
    longer = Heard()
    train(Order("pretraining", split, words=("steps=7",), resume=True), longer)
    assert longer.notes == ["steps was 5, from here on it is 7"]
    assert len(losses(split)) == 7
    with pytest.raises(UsageError, match="at step 7 already, not before 5"):
        train(Order("pretraining", split, words=("steps=5",), resume=True), Heard())


def test_bfloat16_computes_and_keeps_float32(encoder: Path, tmp_path: Path) -> None:
    words = (*FEW, *ENCODER, "side_px=56")
    run("pretraining", tmp_path / "half", *words, "precision=bfloat16", "recompute=true")
    np.testing.assert_allclose(losses(tmp_path / "half"), losses(encoder), rtol=2e-2)
    assert losses(tmp_path / "half") != losses(encoder)
    weights = load_file(tmp_path / "half/model.safetensors")
    assert {each.dtype for each in weights.values()} == {np.dtype("float32")}
    assert mx.default_device() is not None


def test_the_toys_go_from_stage_to_stage(tmp_path: Path) -> None:
    """Of the sizes that their presets have, for as few steps as can be."""
    few = ("steps=2", "warm_up_steps=1")
    data = strips(tmp_path / "data")
    toy = str(tmp_path / "pretraining")
    for stage, more in {
        "pretraining": ("batch_size=2",),
        "high-resolution": ("batch_size=2",),
        "native": ("batch_tokens=128",),
        "lit": ("batch_size=2",),
        "probe": ("batch_size=2",),
    }.items():
        source = None if stage == "pretraining" else toy
        run(cast(Stage, stage), tmp_path / stage, *few, *more, data=data, source=source)
        config = aimv2.load(tmp_path / stage).config.vision_config
        assert (config.hidden_size, config.num_hidden_layers) == (192, 6)
        assert config.image_size == {"native": None, "high-resolution": 168}.get(stage, 112)
