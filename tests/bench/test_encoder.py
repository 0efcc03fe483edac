"""What the encoder's figures are figures of: the same network, and peers that compute the same."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.bench import encoder, figure, pace, peers, process, subject, suite
from mlx_aimv2.bench.ceilings import Ceiling, Product
from mlx_aimv2.bench.encoder import (
    Case,
    cases,
    encode,
    encode_native,
    native_batch,
    text_figures,
    variant,
)
from mlx_aimv2.bench.figure import Timing
from mlx_aimv2.bench.pace import FULL, QUICK, QUICK_CPU
from mlx_aimv2.bench.photos import make_photos
from mlx_aimv2.bench.unfused import PlainEncoder
from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.checkpoint_files import TEXT_FILES
from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.models.aimv2.config import LiTConfig, TextConfig, VisionConfig
from tests.support.counted import Alive
from tests.support.makers import random_vision, to_transformers, vision_config
from tests.support.networks import assert_close, filled, pixels
from tests.support.tolerances import ATTENTION_BY_HAND, BATCH_MATES

SIDE, DEPTH = 35, 3
WITHOUT_A_CLOCK = dict.fromkeys(("limit_s", "case_s", "peer_start_s"), math.inf)
TINY = LiTConfig(
    VisionConfig(76, 101, DEPTH, 2, image_size=SIDE, patch_size=7, use_head=True),
    TextConfig(941, 44, 59, 2, 2, 13, eos_token_id=940),
    projection_dim=37,
)
SMALL = replace(QUICK, **WITHOUT_A_CLOCK, repeats=2, photos=1, files=3, starts=1, search_rows=97,
                folder_photos=4, folder_batch=2, folder_runs=1, text_batches=(1, 3))  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    subject.make_checkpoint(TINY, folder)
    return subject.subject_of(str(folder), False, folder).model


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(figure.time, "sleep", lambda _: None)


# Variants


def test_a_variant_of_the_same_sizes_is_the_same_network(model):
    same = variant(model, SIDE)
    same.network.preprocessor.pos_embed = model.vision.preprocessor.pos_embed
    images = pixels(2, SIDE, SIDE)
    assert_close(encode(same, images), model.vision.features(images), BATCH_MATES)
    assert same.vision.trunk.blocks[0] is model.vision.trunk.blocks[0]


@pytest.mark.parametrize("side_px", [21, 49])
def test_a_variant_of_another_side(model, side_px):
    other = variant(model, side_px)
    assert encode(other, pixels(2, side_px, side_px)).shape == (2, (side_px // 7) ** 2, 76)
    assert model.vision.config.image_size == SIDE


def test_a_variant_of_fewer_blocks(model):
    fewer = variant(model, SIDE, 2)
    fewer.network.preprocessor.pos_embed = model.vision.preprocessor.pos_embed
    images = pixels(1, SIDE, SIDE)
    stopped = model.vision(images, stop_after=1).last_hidden_state
    normed = model.vision.trunk.post_trunk_norm(stopped)
    assert_close(encode(fewer, images), normed, BATCH_MATES)


def test_a_native_variant_takes_a_padded_mix(model):
    native = variant(model, None)
    patches, grids = native_batch(native.vision.config, 5)
    assert patches.shape[0] == len(grids) == 5
    assert encode_native(native, patches, grids).shape == (5, patches.shape[1], 76)


# The plain model


@pytest.mark.parametrize("side_px", [SIDE, None])
def test_the_plain_model_computes_the_same(model, side_px):
    ours = variant(model, side_px)
    plain = PlainEncoder(ours.vision)
    if side_px is not None:
        images = pixels(2, SIDE, SIDE)
        assert_close(plain.features(images), encode(ours, images), ATTENTION_BY_HAND)
        return
    patches, grids = native_batch(ours.vision.config, 3)
    found, expected = plain.encode_patches(patches, grids), encode_native(ours, patches, grids)
    for row, other, (rows, columns) in zip(found, expected, grids, strict=True):
        assert_close(row[: rows * columns], other[: rows * columns], ATTENTION_BY_HAND)


# Cases and figures


def test_the_headline_is_first_and_whole():
    config = VisionConfig(1024, 2816, 24, 8, image_size=224)
    for each in (FULL, QUICK, QUICK_CPU):
        first, *others = cases(config, each, each.batch_sizes)
        assert first == Case(224, each.headline, 24)
        assert {case.batch for case in [first, *others] if case.side_px == 224} == {
            *each.batch_sizes
        }
        assert {case.side_px for case in others} == {224, 336, 448, None}
        assert {case.blocks for case in others} == {each.blocks or 24}


@pytest.mark.parametrize(("sizes", "headline"), [((3,), 3), ((16, 32), 16), ((2, 5, 64), 5)])
def test_the_headline_is_one_of_the_sizes(sizes, headline):
    config = VisionConfig(1024, 2816, 24, 8, image_size=224)
    first, *others = cases(config, FULL, sizes)
    assert first.batch == headline
    assert sorted(each.batch for each in [first, *others] if each.side_px == 224) == list(sizes)


def test_other_patches_have_their_own_side():
    config = VisionConfig(76, 101, 3, 2, image_size=35, patch_size=7)
    assert encoder.sides(config) == (35,)
    native = VisionConfig(1024, 2816, 24, 8, is_native=True)
    assert encoder.sides(native) == (224, 336, 448)


def test_figures_say_what_they_are_of(model):
    found = [
        encoder.measure_case(model, Case(SIDE, 2, DEPTH), SMALL, with_rest=True),
        encoder.measure_case(model, Case(SIDE, 1, 2), SMALL),
        encoder.measure_case(model, Case(None, 2, DEPTH), SMALL),
    ]
    long = Timing((100.0,))  # with which no part is longer than the whole
    found = [replace(each, timing=long) for each in found]
    fewer, whole, native = encoder.figures(found, DEPTH)
    assert whole.name == "35 px, batch 2"
    assert whole.about["tokens"] == 25
    assert whole.value == pytest.approx(2 / whole.about["latency_s"])
    assert whole.ceiling == pytest.approx(2 / whole.about["gemm"]["seconds"])
    assert sum(whole.about["shares"].values()) == pytest.approx(1)
    assert fewer.name.endswith("*")
    assert (fewer.about["blocks_measured"], fewer.about["blocks"]) == (2, DEPTH)
    assert native.about["padding"] > 0
    assert {whole.limit, fewer.limit, native.limit} <= {"compute", "memory"}
    json.dumps([each.about for each in (whole, fewer, native)])


def test_products_that_take_longer_than_the_whole_are_no_ceiling(model):
    measured = encoder.measure_case(model, Case(SIDE, 2, DEPTH), SMALL, with_rest=True)
    short = replace(measured, timing=Timing((measured.ceiling.seconds / 2,)))
    (figure,) = encoder.figures([short], DEPTH)
    assert figure.about["is_too_small"]
    assert (figure.ceiling, figure.ceiling_name, figure.limit) == (None, "", "")
    assert figure.about["shares"] == {}


@pytest.mark.parametrize(("rest_s", "left"), [(0.5, None), (0.35, 0.0), (0.1, 0.2)])
def test_no_share_is_negative(rest_s, left):
    product = Product("qkv", 1, Timing((0.7,)))
    measured = encoder.Measured(
        Case(SIDE, 1, 1), "float32", 25, 0.0, Timing((1.0,)), Ceiling(1, (product,)),
        {"attention": Timing((rest_s,))},
    )  # fmt: skip
    assert encoder.shares(measured).get("the rest") == (left and pytest.approx(left))


def test_texts_that_are_too_small_have_no_ceiling(model, monkeypatch):
    monkeypatch.setattr(encoder, "measure", lambda *_, **__: Timing((1e-9,)))
    figures = list(text_figures(model, SMALL))
    assert all(each.ceiling is None and each.about["is_too_small"] for each in figures)


def test_fewer_blocks_are_scaled_up_by_their_work(model, monkeypatch):
    monkeypatch.setattr(
        encoder, "measure", lambda *_, **__: Timing((1.0,))  # whatever was run
    )  # fmt: skip
    found = encoder.measure_case(model, Case(SIDE, 1, 1), SMALL)
    # A block is the same work each time; the patches' projection is done once.
    tokens, width, mlp = 25, 76, 101
    block = 2 * tokens * (4 * width**2 + 3 * width * mlp) + 4 * tokens**2 * width
    patches = 2 * tokens * 147 * width
    expected = (DEPTH * block + patches) / (block + patches)
    assert found.timing.median_s == pytest.approx(expected)


def test_texts(model):
    found = list(text_figures(model, SMALL))
    assert [each.about["batch"] for each in found] == [1, 3]
    assert all(each.about["tokens"] == 13 for each in found)


def test_the_pace_follows_the_machine(monkeypatch):
    monkeypatch.setattr(pace, "backend", lambda: "CPU")
    assert pace.pace_of(True) is QUICK_CPU
    assert pace.pace_of(False) is FULL
    monkeypatch.setattr(pace, "backend", lambda: "Metal")
    assert pace.pace_of(True) is QUICK


# Peers


def test_our_weights_by_transformers_names():
    tensors = random_vision()
    network = filled(tensors, vision_config(), "float32")
    found = peers.to_transformers(network)
    expected = to_transformers(tensors)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(np.array(found[name]), array)


def test_the_plain_model_is_always_here(model, tmp_path):
    (figure,), failures = peers.compare(
        model, Case(None, 2, 2), tmp_path, repeats=2, with_transformers=False
    )
    assert not failures
    assert figure.about["peer"] == peers.PLAIN
    assert figure.name.endswith("the plain model *")
    assert (figure.about["blocks_measured"], figure.about["blocks"]) == (2, DEPTH)
    assert len(figure.about["rounds"]) == 2
    ours, theirs = (figure.about[f"{whose}_images_per_s"] for whose in ("ours", "theirs"))
    assert min(ours, theirs) > 0
    assert not list(tmp_path.iterdir())
    (whole,), _ = peers.compare(
        model, Case(None, 2, DEPTH), tmp_path, repeats=1, with_transformers=False
    )
    assert "*" not in whole.name


# A module of ml-aim's shape: what is called, with which names, is in its repository.
ML_AIM = """
import mlx.core as mx
from mlx import nn

class AIMv2VisionEncoder(nn.Module):
    def __init__(self, img_size, patch_size, embed_dim, mlp_hidden_dim, num_blocks, num_heads):
        super().__init__()
        from mlx_aimv2.models.aimv2.config import VisionConfig
        from mlx_aimv2.models.aimv2.vision import VisionEncoder
        sizes = embed_dim, mlp_hidden_dim, num_blocks, num_heads
        inner = VisionEncoder(VisionConfig(*sizes, image_size=img_size, patch_size=patch_size))
        self.preprocessor, self.trunk = inner.preprocessor, inner.trunk
        self._run = inner.features

    def __call__(self, pixels):
        return self._run(pixels.transpose(0, 2, 3, 1))
"""


def test_ml_aim_from_its_folder(model, tmp_path):
    package = tmp_path / "clone" / "aim-v2" / "aim" / "v2" / "mlx"
    package.mkdir(parents=True)
    (package / "models.py").write_text(ML_AIM)
    figures, failures = peers.compare(
        model, Case(SIDE, 2, DEPTH), tmp_path, repeats=1,
        ml_aim=tmp_path / "clone", with_transformers=False,
    )  # fmt: skip
    assert not failures
    (theirs,) = (each for each in figures if each.about["peer"] == peers.ML_AIM)
    assert theirs.about["largest_difference"] < ATTENTION_BY_HAND


def test_a_peer_that_fails_is_told_of_and_the_others_go_on(model, tmp_path):
    (tmp_path / "clone").mkdir()
    figures, failures = peers.compare(
        model, Case(SIDE, 1, 1), tmp_path, repeats=1,
        ml_aim=tmp_path / "clone", with_transformers=False,
    )  # fmt: skip
    assert [each.about["peer"] for each in figures] == [peers.PLAIN]
    (failure,) = failures
    assert failure.startswith("ml-aim cannot be measured: ModuleNotFoundError")


def test_a_peer_that_ends_in_the_middle(tmp_path):
    dies = tmp_path / "dies.py"
    dies.write_text("import sys; print('{}', flush=True); input(); sys.exit('out of order')")
    with (
        pytest.raises(Aimv2Error, match="ml-aim cannot be measured: out of order"),
        process.Worker(peers.ML_AIM, {}, script=str(dies)) as peer,
    ):
        peer.ask("run")


def test_a_peer_that_is_not_ready_in_time(tmp_path):
    sleeps = tmp_path / "sleeps.py"
    sleeps.write_text("import time; time.sleep(60)")
    peer = process.Worker(peers.ML_AIM, {}, 0.2, str(sleeps))
    with pytest.raises(Aimv2Error, match="not ready after 0 s"):
        peer.__enter__()


# The suite


def test_every_section_on_a_small_checkpoint(model, monkeypatch):
    monkeypatch.setattr(suite, "pace_of", lambda *_: SMALL)
    monkeypatch.setattr(suite, "make_photos", partial(make_photos, size_px=(320, 240)))
    monkeypatch.setattr(peers, "installed", lambda: False)
    told = []
    settings = suite.Settings(str(model.folder), False, True, batch_sizes=(1, 2))
    report = suite.run(settings, told.append)
    assert str(model.folder) not in json.dumps(report.to_dict())
    found = {figure.section for figure in report.figures}
    assert found == set(suite.SECTIONS)
    assert any("only float32" in note for note in report.notes)
    assert any("transformers and torch are not installed" in note for note in report.notes)
    assert len([line for line in told if line.startswith("measuring")]) == len(suite.SECTIONS)


@pytest.mark.parametrize("each", [FULL, QUICK, QUICK_CPU])
def test_settings_are_written_down_without_infinities(each):
    chosen = suite.Settings("/home/somebody/model", False, True, ml_aim=Path("/home/somebody"))
    written = to_json(suite._recorded(chosen, each))
    assert "somebody" not in written
    assert json.loads(written)["pace"]["repeats"] == each.repeats


def test_when_time_is_over_no_section_is_begun(model, monkeypatch):
    monkeypatch.setattr(suite, "pace_of", lambda *_: replace(SMALL, limit_s=0))
    settings = suite.Settings(str(model.folder), False, True, sections=("text", "search"))
    report = suite.run(settings, lambda _: None)
    assert not report.figures
    assert [note for note in report.notes if note.endswith("--only text,search.")]


def test_a_section_that_fails_keeps_the_others(tmp_path, monkeypatch):
    """A LiT without its tokenizer has everything but texts' start."""
    subject.make_checkpoint(TINY, tmp_path)
    for name in TEXT_FILES:
        (tmp_path / name).unlink(missing_ok=True)
    monkeypatch.setattr(suite, "pace_of", lambda *_: SMALL)
    monkeypatch.setattr(suite, "make_photos", partial(make_photos, size_px=(320, 240)))
    settings = suite.Settings(str(tmp_path), False, True, sections=("start", "search"))
    report = suite.run(settings, lambda _: None)
    assert {"start", "search"} <= {figure.section for figure in report.figures}
    (note,) = [note for note in report.notes if "failed" in note]
    assert note.startswith(
        "Not measured to its end, because it failed: start: first text cannot be"
    )
    assert str(tmp_path) not in note


@pytest.mark.parametrize("error", [Aimv2Error("why"), OSError("why"), RuntimeError("why")])
def test_where_nothing_is_measured_there_is_no_report(model, monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setitem(suite.SECTIONS, "search", fail)
    settings = suite.Settings(str(model.folder), False, True, sections=("search",))
    with pytest.raises(Aimv2Error, match=r"nothing could be measured: .*search: why"):
        suite.run(settings, lambda _: None)


@pytest.mark.parametrize("section", ["encoder", "peers"])
def test_a_star_is_explained_once(model, monkeypatch, section):
    few = replace(SMALL, blocks=1, headline=1, batch_sizes=(1, 2))
    monkeypatch.setattr(suite, "pace_of", lambda *_: few)
    monkeypatch.setattr(peers, "installed", lambda: False)
    settings = suite.Settings(str(model.folder), False, True, sections=(section,))
    report = suite.run(settings, lambda _: None)
    assert any(each.name.endswith("*") for each in report.figures)
    (note,) = [note for note in report.notes if note.startswith("*")]
    assert note.startswith(f"* from 1 of {DEPTH} blocks")


def test_a_busy_machine_is_told_of(model, monkeypatch):
    monkeypatch.setattr(suite, "pace_of", lambda *_: replace(SMALL, limit_s=0))
    known = {"load": [3.0, 0.0, 0.0], "cpu_cores": 2}
    monkeypatch.setattr(suite, "conditions", lambda: known)
    settings = suite.Settings(str(model.folder), False, True, sections=("text",))
    assert "load 3.0 on 2 cores" in suite.run(settings, lambda _: None).notes[-1]
    known["load"] = [0.3, 3.0, 3.0]
    assert not any("load" in note for note in suite.run(settings, lambda _: None).notes)


def test_other_precisions_are_loaded_for_the_headline(model, monkeypatch):
    monkeypatch.setattr(suite, "pace_of", lambda *_: SMALL)
    settings = suite.Settings(
        str(model.folder), False, True, (2,), ("float32", "float16"), ("encoder",)
    )
    report = suite.run(settings, lambda _: None)
    assert not any("only float32" in note for note in report.notes)
    figures = report.figures
    assert {each.about["dtype"] for each in figures} == {"float32", "float16"}
    half = [each for each in figures if each.about["dtype"] == "float16"]
    assert [each.name for each in half] == ["35 px, batch 2, float16"]


def test_random_weights_by_name(monkeypatch):
    monkeypatch.setattr(suite, "pace_of", lambda *_: replace(SMALL, limit_s=0))
    monkeypatch.setattr(subject, "published_config", lambda _: TINY)
    report = suite.run(suite.Settings("lit", True, True, sections=("text",)), lambda _: None)
    assert report.subject["is_random"]
    assert report.subject["name"] == "aimv2-large-patch14-224-lit"


def test_memory_is_freed_between_cases(model, monkeypatch):
    networks, make = Alive(), encoder.variant

    def noted(*arguments):
        made = make(*arguments)
        networks.note(made.network)
        return made

    monkeypatch.setattr(encoder, "variant", noted)
    for blocks in (2, DEPTH):
        encoder.measure_case(model, Case(SIDE, 2, blocks), SMALL)
    assert (networks.noted, networks.now) == (2, 0)
