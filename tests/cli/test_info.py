"""`aimv2 info` and `aimv2 models`: what they tell, from headers and tables alone."""

import json
import os

import numpy as np
import pytest

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.weights import Weights
from mlx_aimv2.cli import info
from mlx_aimv2.files.path_text import unescape
from mlx_aimv2.models.aimv2 import cost
from mlx_aimv2.models.aimv2.published import CHECKPOINTS, find
from tests.support.commands import run
from tests.support.makers import (
    PROJECTION,
    TEXT,
    VISION,
    lit_config,
    random_lit,
    random_vision,
    to_apple_mlx,
    to_timm,
    to_transformers,
    vision_config,
    write_checkpoint,
)
from tests.support.names import takes_any_bytes
from tests.support.quantized import GROUP, IMAGE, WORDS, write_quantized

TRUNK = 3 * (4 * 76**2 + 3 * 76 * 101 + 2 * 76) + 76
PATCHES = 7 * 7 * 3 * 76 + 2 * 76
FIXED = TRUNK + PATCHES + 25 * 76


@pytest.fixture(autouse=True)
def _headers_only(monkeypatch, tmp_path):
    def read(self, names):
        raise AssertionError("weights were read")

    monkeypatch.setattr(Weights, "read", read)
    monkeypatch.setattr(hub, "cached", lambda checkpoint: None)


def tell(*arguments):
    outcome = run("info", *arguments, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    (record,) = outcome.records
    assert record.pop("schema") == 1
    return record


@pytest.mark.parametrize(
    ("layout", "convert"),
    [
        ("Apple torch", dict),
        ("Apple MLX", to_apple_mlx),
        ("transformers", to_transformers),
        ("timm", to_timm),
    ],
)
def test_a_folder_in_every_layout(tmp_path, layout, convert):
    folder = write_checkpoint(tmp_path / "mine", convert(random_vision()), vision_config())
    facts = tell(str(folder))
    assert facts["layout"] == layout
    assert (facts["kind"], facts["architecture"], facts["side_px"]) == ("fixed", "custom", 35)
    assert facts["parameters"] == {"image": FIXED, "text": 0, "joint": 0, "total": FIXED}
    assert facts["size_bytes"] == 4 * FIXED
    assert (facts["dtype"], facts["quantization"]) == ("float32", None)
    assert (facts["name"], facts["folder"]) == ("mine", str(folder))
    assert facts["repo_id"] is facts["revision"] is facts["licence"] is None
    assert facts["tokens_per_image"] == 25
    assert facts["flops_per_text"] is None
    assert facts["memory"]["weights_bytes"] in (4 * FIXED, 2 * FIXED)


def test_a_lit(tmp_path):
    folder = write_checkpoint(tmp_path / "lit", to_apple_mlx(random_lit()), lit_config())
    facts = tell(str(folder))
    assert (facts["kind"], facts["embedding_width"]) == ("lit", PROJECTION)
    assert facts["parameters"]["total"] == sum(array.size for array in random_lit().values())
    assert facts["parameters"]["joint"] == (76 + 44) * PROJECTION + 1
    assert facts["tokens_per_text"] == TEXT["positions"]
    assert facts["flops_per_text"] > 0
    lines = run("info", str(folder)).out
    assert "vision and text (LiT), 35 px" in lines
    assert "per text (13 tokens)" in lines


def test_a_native_one(tmp_path):
    tensors = random_vision(native=True, sizes=VISION | {"patch": 14})
    config = vision_config(VISION | {"patch": 14}, native=True)
    folder = write_checkpoint(tmp_path / "native", tensors, config)
    facts = tell(str(folder))
    assert (facts["kind"], facts["side_px"], facts["tokens_per_image"]) == ("native", None, 1530)
    assert "image of 640×480 (1530 patches)" in run("info", str(folder)).out


def test_half_precision_and_the_licence_of_a_model_card(tmp_path):
    halves = {name: array.astype(np.float16) for name, array in random_vision().items()}
    folder = write_checkpoint(tmp_path / "half", halves, vision_config())
    (folder / "README.md").write_text("---\ntags: [x]\nlicense: mit\n---\nlicense: not this\n")
    facts = tell(str(folder))
    assert (facts["dtype"], facts["licence"]) == ("float16", "mit")
    assert facts["size_bytes"] == 2 * FIXED
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: mine\n---\n")
    assert tell(str(folder))["licence"] == "mine"
    (folder / "README.md").write_text("license: mit\n")
    assert tell(str(folder))["licence"] is None


def test_the_licence_of_the_demo(tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path / "demo", random_vision(), vision_config())
    monkeypatch.setattr(
        hub, "resolve", lambda source, confirm: hub.Resolved("demo", folder, "demo")
    )
    assert tell("demo")["licence"] == "mit"


def test_a_folder_whose_name_is_not_utf8(tmp_path):
    if not takes_any_bytes(tmp_path):
        pytest.skip("needs a file system that takes any bytes")
    path = tmp_path / os.fsdecode(b"caf\xe9")
    facts = tell(str(write_checkpoint(path, random_vision(), vision_config())))
    assert facts["name"] == "caf\\udce9"
    assert unescape(facts["folder"]) == unescape(facts["source"]) == str(path)


def test_a_quantised_one(tmp_path):
    facts = tell(str(write_quantized(tmp_path / "q4", 4)))
    sizes = {"vision": IMAGE, "text": WORDS}
    assert facts["quantization"] == {"bits": 4, "group_size": GROUP}
    assert facts["layout"] == "mlx-aimv2"
    total = sum(array.size for array in random_lit(**sizes).values())
    assert facts["parameters"]["total"] == total
    assert facts["size_bytes"] < 1.5 * total
    on_cpu = facts["memory"]["device"] == "cpu"
    assert facts["memory"]["weights_bytes"] == (4 * total if on_cpu else facts["size_bytes"])
    assert "4 bits, groups of 32" in run("info", str(tmp_path / "q4")).out


def test_broken_folders_are_named(tmp_path):
    tensors = random_vision()
    del tensors["trunk.blocks.1.mlp.fc2.weight"]
    folder = write_checkpoint(tmp_path / "torn", tensors, vision_config())
    outcome = run("info", str(folder))
    assert outcome.code == 1
    assert "missing: trunk.blocks.1.mlp.fc2.weight" in outcome.err
    (tmp_path / "empty").mkdir()
    outcome = run("info", str(tmp_path / "empty"))
    assert outcome.code == 1
    assert "hint: " in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: checkpoint.alias)
def test_published_ones_need_no_download(checkpoint):
    facts = tell(checkpoint.alias)
    assert facts["folder"] is facts["layout"] is None
    assert facts["name"] == checkpoint.name
    assert facts["revision"] == checkpoint.revision
    assert facts["licence"] == "apple-amlr"
    assert facts["architecture"] == checkpoint.architecture
    assert facts["parameters"]["total"] * 4 == cost.published_bytes(checkpoint)
    assert facts["size_bytes"] == cost.published_bytes(checkpoint)


def test_published_ones_in_words():
    lines = run("info", "lit").out.splitlines()
    told = {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in lines}
    assert told["name"] == "aimv2-large-patch14-224-lit"
    assert told["architecture"] == "L (24 blocks, width 1024, 8 heads)"
    assert told["parameters"] == "436.7 M (image 312.3, text 123.0, joint 1.4)"
    assert told["work"] == "166 GFLOP per image (256 patches), 13.3 GFLOP per text (77 tokens)"
    assert told["folder"].startswith("not here")


def test_a_published_one_that_is_cached(tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path / "snapshot", random_vision(), vision_config())
    large = find("large")
    monkeypatch.setattr(hub, "cached", lambda checkpoint: folder if checkpoint is large else None)
    facts = tell("large")
    assert facts["folder"] == str(folder)
    assert facts["revision"] == large.revision
    assert facts["parameters"]["total"] == FIXED
    here = [row["alias"] for row in run("models", "--json").records if row["cached"]]
    assert [alias for alias in here if alias != "demo"] == ["large"]


def test_unknown_sources_say_what_to_do():
    outcome = run("info", "larg")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith("hint: ")


def test_models_lists_all_sixteen():
    outcome = run("models")
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["alias", "name", "pixels", "text", "parameters", "size", "here"]
    assert [line.split()[0] for line in lines[1:17]] == [row.alias for row in CHECKPOINTS]
    assert "research purposes only" in outcome.err
    assert lines[16].split() == [
        "lit", "(default)", "aimv2-large-patch14-224-lit", "224", "yes", "436.7", "M", "1.75", "GB",
    ]  # fmt: skip


def test_models_as_json():
    records = run("models", "--json").records
    assert all(record["schema"] == 1 for record in records)
    published = [record for record in records if record["alias"] != "demo"]
    published = [record for record in published if not record["makes_texts"]]
    assert len(published) == 16
    for record in published:
        checkpoint = find(record["name"])
        assert record["revision"] == checkpoint.revision
        assert (record["cached"], record["folder"]) == (False, None)


def test_models_with_demo(tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path / "demo", to_apple_mlx(random_lit()), lit_config())
    resolved = hub.Resolved("demo", folder, "demo")
    monkeypatch.setattr(hub, "resolve", lambda source, confirm: resolved)
    last = run("models", "--json").records[-1]
    assert (last["alias"], last["cached"], last["has_text"]) == ("demo", True, True)
    assert run("models").out.splitlines()[-1].split()[0] == "demo"


def test_nothing_is_fetched_without_a_yes(monkeypatch):
    asked = []

    def resolve(source, *, confirm):
        download = hub.Download(source, "0" * 40, 10**9, "")
        asked.append(confirm(download))
        raise hub.HubError(f"{source} was not downloaded")

    monkeypatch.setattr(hub, "resolve", resolve)
    assert run("info", "someone/else").code == 1
    assert run("info", "someone/else", "--yes").code == 1
    assert asked == [False, True]


def test_descriptions_are_json(tmp_path):
    folder = write_checkpoint(tmp_path / "mine", random_vision(), vision_config())
    json.dumps(info.describe(str(folder)), allow_nan=False)
