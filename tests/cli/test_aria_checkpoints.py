"""Aria's checkpoints on the command line: told, listed, converted; who embeds refuses them."""

import json

import pytest
from PIL import Image

from mlx_aimv2 import device
from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.weights import Weights
from mlx_aimv2.models.aria.published import CHECKPOINTS
from mlx_aimv2.models.published import find, nearest
from tests.support.commands import run
from tests.support.tiny_aria import tiny_tensors, write_tiny_aria

pytestmark = pytest.mark.filterwarnings("ignore:.*has no tokenizer")


@pytest.fixture
def folder(tmp_path):
    return write_tiny_aria(tmp_path / "mine")


@pytest.fixture
def unread(monkeypatch):
    """Nothing is fetched, and no weight is read."""

    def refuse(*arguments):
        raise AssertionError("weights were read, or fetched")

    monkeypatch.setattr(Weights, "read", refuse)
    monkeypatch.setattr(hub, "fetch", refuse)
    monkeypatch.setattr(hub, "cached", lambda checkpoint: None)


# The table


def test_every_name_is_found():
    for checkpoint in CHECKPOINTS:
        for name in (checkpoint.alias, checkpoint.name, checkpoint.repo_id):
            assert find(name) is find(name.upper()) is checkpoint
        assert checkpoint.repo_id == f"rhymes-ai/{checkpoint.name}"
    aliases = {checkpoint.alias for checkpoint in CHECKPOINTS}
    assert len(aliases) == len(CHECKPOINTS)
    assert nearest("aria-chatt").alias == "aria-chat"
    assert nearest("litt").alias == "lit"


def test_one_is_pinned_and_the_others_are_the_main_branch(monkeypatch, tmp_path):
    asked = []

    def fetch(repo_id, revision, confirm):
        asked.append((repo_id, revision))
        return tmp_path

    monkeypatch.setattr(hub, "fetch", fetch)
    assert hub.resolve("aria").name == "Aria"
    hub.resolve("rhymes-ai/Aria@main")
    hub.resolve("aria-chat")
    (_, pinned), *others = asked
    assert len(pinned) == 40
    assert others == [("rhymes-ai/Aria", "main"), ("rhymes-ai/Aria-Chat", None)]


# What is told


def test_info_of_a_published_one_that_is_not_here(unread, monkeypatch):
    monkeypatch.setattr(device, "room_bytes", lambda: 24e9)
    facts = run("info", "aria", "--json").records[0]
    assert facts["parameters"]["total"] == 25_307_311_216 - 2 * 1152
    assert facts["parameters"]["per_token"] == 3_858_250_240
    assert (facts["licence"], facts["dtype"], facts["kind"]) == ("apache-2.0", "bfloat16", "aria")
    assert [side["tokens"] for side in facts["sides"]] == [128, 256]
    shown = run("info", "Aria-Chat").out
    for text in (
        "no embeddings", "6 of 64 experts a token", "8192 tokens", "apache-2.0", "24.0 GB there",
        "main, as it is when it is fetched", "50.6 GB, bfloat16",
    ):  # fmt: skip
        assert text in shown


def test_info_of_a_folder(unread, folder):
    facts = run("info", str(folder), "--json").records[0]
    count = sum(
        array.size for name, array in tiny_tensors().items() if "post_layernorm" not in name
    )
    assert facts["parameters"]["total"] == count
    assert (facts["layout"], facts["dtype"]) == ("transformers", "float32")
    assert facts["memory"]["weights_bytes"] == count * (4 if device.is_cpu() else 2)
    assert "in few bits" in run("info", str(folder)).out


def test_they_are_listed(unread):
    rows = {row["alias"]: row for row in run("models", "--json").records}
    for checkpoint in CHECKPOINTS:
        row = rows[checkpoint.alias]
        assert (row["has_text"], row["makes_texts"], row["licence"]) == (False, True, "apache-2.0")
    assert not rows["lit"]["makes_texts"]
    listed = run("models")
    assert "answers" in listed.out
    assert "apache-2.0" in listed.err


# Converted


@pytest.mark.parametrize("bits", ["4", "8"])
def test_converted(folder, tmp_path, bits):
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (folder / "tokenizer.model").write_bytes(b"pieces")
    new = tmp_path / "new"
    done = run("convert", "-m", str(folder), "--mlx-path", str(new), "-q", "--q-bits", bits)
    assert done.code == 0, done.err
    assert f"{bits} bits in groups of 64, the rest float32; licence: apache-2.0" in done.err
    assert f'next: aimv2 ask photo.jpg "What does it show?" --model {new}' in done.err
    assert (new / "tokenizer.model").read_bytes() == b"pieces"
    card = (new / "README.md").read_text()
    for text in (
        'license: "apache-2.0"', 'pipeline_tag: "image-text-to-text"', "tags: [mlx, aria]",
        "An Aria checkpoint (pictures and texts in, texts out)", 'model.ask(["photo.jpg"]',
    ):  # fmt: skip
        assert text in card
    stated = json.loads((new / "preprocessor_config.json").read_text())
    assert stated["image_processor_type"] == "AriaImageProcessor"


# Who embeds refuses it, before anything is fetched or read

COMMANDS = (
    "embed PHOTO --model ARIA --out -",
    "classify PHOTO --labels dog,cat --model ARIA",
    "locate PHOTO dog --model ARIA",
    "index FOLDER --model ARIA --library LIBRARY",
    "index FOLDER --model ARIA --library LIBRARY --estimate",
    "eval knn FOLDER --model ARIA",
    "eval zero-shot FOLDER --model ARIA",
    "bench --model ARIA",
    "verify --model ARIA",
    "verify --model demo --against ARIA",
    "train lit --from ARIA --data drawings:9 --out NEW",
    "train high-resolution --from ARIA --data drawings:9 --out NEW",
)


@pytest.mark.parametrize("source", ["aria", "rhymes-ai/Aria-Base-8K@main", "FOLDER"])
@pytest.mark.parametrize("command", COMMANDS)
def test_who_embeds_refuses_it(unread, folder, tmp_path, command, source):
    photos = tmp_path / "photos" / "train" / "dog"
    photos.mkdir(parents=True)
    Image.new("RGB", (50, 40), "red").save(photos / "photo.png")
    places = {
        "PHOTO": photos / "photo.png", "FOLDER": tmp_path / "photos", "NEW": tmp_path / "new",
        "LIBRARY": tmp_path / "library", "ARIA": folder if source == "FOLDER" else source,
    }  # fmt: skip
    refused = run(*(str(places.get(word, word)) for word in command.split()))
    assert refused.code == 2, refused.err
    assert "an Aria checkpoint tells in words what a picture shows" in refused.err
    assert "aimv2 ask" in refused.err
    assert "lit" in refused.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("room", "way_out"),
    [
        (40e9, "8 bits take 27.3 GB: aimv2 convert --hf-path aria --mlx-path aria-8bit -q"),
        (24e9, "4 bits take 14.9 GB: aimv2 convert --hf-path aria --mlx-path aria-4bit -q"),
        (12e9, "take a machine with more memory: 4 bits take 14.9 GB"),
    ],
)
def test_what_does_not_fit_into_memory_is_not_fetched(unread, tmp_path, monkeypatch, room, way_out):
    monkeypatch.setattr(device, "room_bytes", lambda: room)
    Image.new("RGB", (50, 40), "red").save(tmp_path / "photo.png")
    words = ["ask", str(tmp_path / "photo.png"), "What is it?", "--model", "aria"]
    refused = run(*words, "--dtype", "bfloat16")
    assert refused.code == 1
    shown = f"aria takes 51.6 GB of memory in bfloat16, and there are {room / 1e9:.1f} GB"
    assert shown in refused.err
    assert way_out in refused.err


def test_random_weights_of_it_are_not_measured(unread):
    refused = run("bench", "--random", "aria")
    assert refused.code == 2
    assert "makes no embeddings" in refused.err
