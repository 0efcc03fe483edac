"""The harness's parts: the machine, memory, pictures, checkpoints of random weights."""

import json
import os
import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

import mlx_aimv2 as aimv2
from mlx_aimv2.bench import conditions, photos, process, subject, worker
from mlx_aimv2.bench.ceilings import (
    Ceiling,
    Product,
    block_flops,
    limit_of,
    measure_ceiling,
    measure_rest,
)
from mlx_aimv2.bench.figure import Timing
from mlx_aimv2.bench.pace import FULL
from mlx_aimv2.bench.process import drop_pages, load_figures, text_tower
from mlx_aimv2.bench.search import make_vectors, search_blobs, search_figures, search_numpy
from mlx_aimv2.errors import Aimv2Error, OutputError, UsageError
from mlx_aimv2.library.search.nearest import nearest
from mlx_aimv2.models.aimv2 import cost
from mlx_aimv2.models.aimv2.config import LiTConfig, TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.published import find
from tests.support import networks
from tests.support.commands import PATIENCE_S
from tests.support.makers import VISION

TINY = LiTConfig(
    VisionConfig(76, 101, 3, 2, image_size=35, patch_size=7, use_head=True),
    TextConfig(941, 44, 59, 2, 2, 13, eos_token_id=940),
    projection_dim=37,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small LiT of random weights, as --random makes a large one."""
    folder = tmp_path_factory.mktemp("tiny")
    subject.make_checkpoint(TINY, folder)
    return subject.subject_of(str(folder), False, folder)


# The machine


def test_conditions_are_json_and_name_everything():
    found = conditions.conditions()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "date", "chip", "backend", "gpu_cores", "cpu_cores", "memory_bytes", "system", "machine",
        "python", "packages", "blas", "blas_threads", "commit", "power", "load",
    }  # fmt: skip
    assert found["packages"]["mlx"]
    assert found["memory_bytes"] > 1e8


def test_what_is_unknown_is_none(monkeypatch):
    monkeypatch.setattr(conditions.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(conditions, "said_by", lambda *_: None)
    monkeypatch.setattr(conditions, "backend", lambda: "Metal")
    assert conditions.chip() is None
    assert conditions.gpu_cores() is None
    assert conditions.power() is None


def test_a_mac_is_asked_its_own_way(monkeypatch):
    said = {
        "sysctl": "Apple M4 Max",
        "pmset": "Now drawing from 'Battery Power'\n -InternalBattery-0 81%",
        "system_profiler": '{"SPDisplaysDataType": [{"sppci_cores": "40"}]}',
    }
    monkeypatch.setattr(conditions.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(conditions, "backend", lambda: "Metal")
    monkeypatch.setattr(conditions, "said_by", lambda program, *_: said[program])
    assert conditions.chip() == "Apple M4 Max"
    assert conditions.power() == "Battery Power"
    assert conditions.gpu_cores() == 40


@pytest.mark.parametrize("report", [None, "", "[]", "{}", '{"SPDisplaysDataType": [{}]}'])
def test_a_report_without_gpu_cores(monkeypatch, report):
    monkeypatch.setattr(conditions.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(conditions, "said_by", lambda *_: report)
    assert conditions.gpu_cores() is None


def test_a_program_that_is_not_there_or_fails_says_nothing():
    assert conditions.said_by("no-such-program-here") is None
    assert conditions.said_by(sys.executable, "-c", "raise SystemExit(3)") is None
    assert conditions.said_by(sys.executable, "-c", "print(7)") == "7"


# Ceilings


@pytest.mark.parametrize("tokens", [1, 37])
def test_products_are_all_the_work_but_attention(tokens):
    config = VisionConfig(76, 101, 3, 2, image_size=35, patch_size=7)
    blocks = config.num_hidden_layers
    products = blocks * sum(block_flops(config, tokens).values())
    patches = 2 * tokens * config.patch_width * config.hidden_size
    attention = 4 * blocks * tokens**2 * config.hidden_size
    assert products + patches + attention == cost.image_flops(config, tokens)


def test_a_products_work_is_that_of_the_networks_own_weights():
    network = networks.vision()
    tokens = 11
    found = measure_ceiling(
        network.trunk, network.config, tokens, mx.float32, FULL, network.preprocessor.patchifier
    )
    block = network.trunk.blocks[0]
    weights = {
        "qkv": block.attn.qkv, "proj": block.attn.proj, "gate": block.mlp.fc1,
        "up": block.mlp.fc3, "down": block.mlp.fc2,
    }  # fmt: skip
    assert {each.name: each.flops for each in found.per_block} == {
        name: 2 * tokens * layer.weight.size for name, layer in weights.items()
    }
    (patches,) = found.once
    assert patches.flops == 2 * tokens * network.preprocessor.patchifier.proj.weight.size
    assert found.blocks == networks.BLOCKS
    json.dumps(found.summary())


def test_a_ceiling_adds_up():
    def product(flops, seconds):
        return Product("qkv", flops, Timing((2 * seconds, seconds, 3 * seconds)))

    found = Ceiling(3, (product(10, 2.0), product(20, 5.0)), (product(7, 1.0),))
    assert found.seconds == 3 * 7 + 1
    assert found.flop_per_s == (3 * 30 + 7) / 22
    assert limit_of(found, found.flop_per_s) == "compute"
    assert limit_of(found, 3 * found.flop_per_s) == "memory"


def test_the_rest_is_measured_in_the_networks_shapes():
    network = networks.vision()
    found = measure_rest(network.trunk, network.config, 2, 11, mx.float32, FULL)
    assert list(found) == ["attention", "gated SiLU", "norms", "sums"]
    assert all(len(timing.seconds) == FULL.repeats for timing in found.values())


# Memory


def test_a_peak_is_no_less_than_what_was_held():
    before = worker.peak_bytes()
    held = np.ones(80_000_000, np.uint8)
    assert worker.peak_bytes() >= max(before, held.nbytes)


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="needs /proc")  # noqa: PTH110
def test_what_was_read_is_counted(tmp_path):
    file = tmp_path / "some"
    file.write_bytes(bytes(1_000_003))
    before = worker.bytes_read("rchar")
    file.read_bytes()
    assert worker.bytes_read("rchar", before) >= 1_000_003


def test_growth_is_the_difference_of_two_processes(monkeypatch, tmp_path):
    counts = []

    def job(_job, given):
        counts.append(given["count"])
        assert given["source"] == "demo"
        assert all(os.path.exists(path) for path in given["paths"])  # noqa: PTH110
        return {"peak_bytes": 10**8 + 10**6 * given["count"]}

    monkeypatch.setattr(process, "run_job", job)
    figure = process.growth(tmp_path, 7)
    assert counts == [7, 14]
    assert (figure.value, figure.unit) == (7_000_000, "B")
    assert figure.name == "growth (demo): 7 files 107 MB, 14 114 MB"


# Processes of their own


def test_a_job_in_a_process_of_its_own(tmp_path):
    paths = [str(path) for path in photos.make_small_pictures(tmp_path)[:3]]
    answer = process.run_job("embed", {"source": "demo", "paths": paths, "count": 7})
    assert answer["failed"] == 0
    assert answer["peak_bytes"] > 1e7
    assert answer["elapsed_s"] > 0


def test_a_job_that_fails_says_why():
    with pytest.raises(Aimv2Error, match="no-such-folder"):
        process.run_job("load", {"source": "./no-such-folder", "dtype": "float32"})


def test_loading_and_one_tower(tiny):
    found = {figure.name: figure for figure in load_figures(tiny, "float32", 1)}
    assert found["load float32, file cached"].about["file_bytes"] == cost.parameters(TINY).total * 4
    assert found["memory to load float32"].about["of_file"] > 0
    answers = list(text_tower(tiny))
    tower = answers[0].about["tower_bytes"]
    text = cost.parameters(TINY)
    assert tower == 4 * (text.text + 44 * 37)  # with its projection
    assert answers[0].about["width"] == 37


def test_pages_can_be_dropped_where_the_system_lets_one(tiny, monkeypatch):
    assert drop_pages(tiny.folder) is hasattr(os, "posix_fadvise")
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    assert not drop_pages(tiny.folder)


def test_a_worker_as_a_program():
    done = subprocess.run(
        [sys.executable, "-P", worker.__file__, "first text",
         json.dumps({"source": "demo", "text": "a dog"})],
        capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert json.loads(done.stdout)["width"] == 192


# Pictures


def test_photos_are_the_same_each_time_and_differ(tmp_path):
    first, other = photos.make_photo(1, (131, 97)), photos.make_photo(2, (131, 97))
    assert first.size == (131, 97)
    assert np.array_equal(np.asarray(first), np.asarray(photos.make_photo(1, (131, 97))))
    assert not np.array_equal(np.asarray(first), np.asarray(other))
    assert np.asarray(first).std() > 20
    paths = photos.make_photos(tmp_path, 3, (131, 97))
    before = [path.stat().st_mtime_ns for path in paths]
    assert photos.make_photos(tmp_path, 3, (131, 97)) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    with Image.open(paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (131, 97))


def test_a_photo_has_twelve_megapixels():
    assert photos.PHOTO_PX[0] * photos.PHOTO_PX[1] == pytest.approx(12e6, rel=0.02)


# Random checkpoints


def test_random_weights_are_a_checkpoint_of_those_sizes(tiny):
    assert tiny.model.config == TINY
    embeddings = tiny.model.embed_images([np.zeros((40, 50, 3), np.uint8)])
    assert embeddings.shape == (1, 37)
    assert np.isfinite(np.array(embeddings)).all()
    assert tiny.model.embed_texts(["a dog"]).shape == (1, 37)
    assert tiny.about()["parameters"] == cost.parameters(TINY).total
    json.dumps(tiny.about())


def test_random_weights_keep_the_size_of_what_goes_through(tiny):
    pixels = networks.pixels(2, VISION["side"], VISION["side"])
    states = tiny.model.vision(pixels, hidden_states=True).hidden_states
    assert all(0.1 < float(mx.abs(state).mean().item()) < 10 for state in states.values())


@pytest.mark.parametrize(
    ("name", "alias"),
    [("L", "large"), ("h", "huge"), ("3b", "3B"), ("large-448", "large-448"), ("lit", "lit"),
     ("apple/aimv2-large-patch14-native", "native")],
)  # fmt: skip
def test_published_sizes_by_any_name(name, alias):
    assert subject.find_published(name) is find(alias)


def test_a_name_that_is_none():
    with pytest.raises(UsageError, match="'larg'") as error:
        subject.find_published("larg")
    assert "large" in error.value.hint
    with pytest.raises(UsageError) as error:
        subject.find_published("resnet")
    assert "aimv2 models" in error.value.hint


def test_a_disk_without_room(tmp_path, monkeypatch):
    monkeypatch.setattr(subject.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 99}))
    with pytest.raises(OutputError, match="do not fit"):
        subject.make_checkpoint(TINY, tmp_path)
    assert not list(tmp_path.iterdir())


# Decoding and a whole folder


def test_decoding_and_folder(tiny, tmp_path):
    paths = photos.make_photos(tmp_path, 2, (400, 300))
    found = list(photos.decoding_figures(tiny.model, paths, 1, threads=2))
    assert [each.about.get("mode") for each in found] == ["exact", "fast", None, "exact", "fast"]
    assert found[2].value == pytest.approx(found[1].value / found[0].value)
    assert found[3].ceiling == pytest.approx(2 * found[0].value)
    whole, decode, model = photos.folder_figures(tiny.model, paths * 2, 1, batch_size=2)
    assert whole.about["decode_rate"] == pytest.approx(decode.value)
    assert whole.about["model_rate"] == pytest.approx(model.value)
    assert whole.about["photos"] == 4
    assert whole.about["slower_rate"] == pytest.approx(min(decode.value, model.value))
    assert 1 / whole.about["shared_rate"] == pytest.approx(1 / decode.value + 1 / model.value)
    names = {each.name for each in photos.folder_figures(tiny.model, paths, 1, batch_size=2)}
    fast = photos.folder_figures(tiny.model, paths, 1, batch_size=2, mode="fast")
    assert names.isdisjoint(each.name for each in fast)


def test_a_photo_that_cannot_be_read_stops_a_measurement(tiny, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(aimv2.Aimv2Error, match=r"broken\.jpg"):
        list(photos.decoding_figures(tiny.model, [broken], 1, threads=1))


# Search


def test_the_peers_find_what_ours_finds(tmp_path):
    segments, query = make_vectors(tmp_path / "vectors", 503)
    blocks = [block for _, block in segments.blocks()]
    ours, _ = nearest(segments, query, 7)
    assert list(search_numpy(blocks, query, 7)) == list(ours[:7])
    figures = list(search_figures(tmp_path / "again", 503, 1))
    assert [figure.section for figure in figures] == ["search", "peers", "peers"]
    assert not list(tmp_path.rglob("*.db"))


def test_the_loop_over_blobs(tmp_path):
    from mlx_aimv2.bench.search import write_blobs  # noqa: PLC0415

    segments, query = make_vectors(tmp_path / "vectors", 101)
    write_blobs(tmp_path / "blobs.db", segments.blocks())
    found = search_blobs(tmp_path / "blobs.db", query, 5)
    ours, products = nearest(segments, query, 5)
    assert [path for _, path in found] == [
        f"/home/somebody/Pictures/IMG_{row:07}.jpg" for row in ours[:5]
    ]
    assert [value for value, _ in found] == pytest.approx(list(products[:5]), abs=1e-3)
