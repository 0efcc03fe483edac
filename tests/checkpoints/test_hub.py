"""Sources to folders: one copy of the weights, no request that is not needed, errors that help."""

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from mlx_aimv2.checkpoints.hub import Download, cache_folder, cached, resolve
from mlx_aimv2.errors import CheckpointError, HubError
from mlx_aimv2.models.aimv2.published import CHECKPOINTS, Checkpoint, find
from tests.support.loopback_hub import LoopbackHub, loopback_hub

WEIGHTS = bytes(range(256)) * 40
VISION = {
    "config.json": b'{"model_type": "aimv2"}',
    "preprocessor_config.json": b"{}",
    "mlx_model.safetensors": WEIGHTS,
    "model.safetensors": WEIGHTS[::-1],
    "flax_model.msgpack": b"pickle",
    "pytorch_model.bin": b"pickle",
    "modeling_aimv2.py": b"raise SystemExit",
    "README.md": b"card",
}
LIT = VISION | {
    "config.json": b'{"model_type": "aimv2", "text_config": {}, "vision_config": {}}',
    "vocab.json": b"{}",
    "merges.txt": b"#version: 0.2",
    "tokenizer_config.json": b"{}",
}
FETCHED = {"config.json", "preprocessor_config.json", "README.md", "mlx_model.safetensors"}
SHARDS = {
    "model-00001-of-00002.safetensors": WEIGHTS,
    "model-00002-of-00002.safetensors": WEIGHTS[1:],
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with loopback_hub(tmp_path, monkeypatch) as hub:
        yield hub


def published(alias: str) -> Checkpoint:
    checkpoint = find(alias)
    assert checkpoint is not None
    return checkpoint


def publish(hub: LoopbackHub, alias: str, files: dict[str, bytes]) -> Checkpoint:
    checkpoint = published(alias)
    hub.add(checkpoint.repo_id, files, commit=checkpoint.revision, names=())
    return checkpoint


def index_of(*shards: object) -> bytes:
    return json.dumps({"weight_map": {f"w{i}": name for i, name in enumerate(shards)}}).encode()


def sharded(*shards: object) -> dict[str, bytes]:
    small = {"config.json": VISION["config.json"], "preprocessor_config.json": b"{}"}
    return small | SHARDS | {"model.safetensors.index.json": index_of(*(shards or SHARDS))}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Names, revisions


@pytest.mark.parametrize(
    "source",
    ["large", "LARGE", "large-224", "aimv2-large-patch14-224", "apple/aimv2-large-patch14-224"],
)
def test_every_name_is_the_pinned_commit(hub: LoopbackHub, source: str) -> None:
    checkpoint = publish(hub, "large", VISION)
    hub.add(checkpoint.repo_id, VISION | {"config.json": b"later"})
    resolved = resolve(source)
    assert resolved.checkpoint is checkpoint
    assert resolved.revision == checkpoint.revision
    assert (resolved.name, resolved.repo_id) == (checkpoint.name, checkpoint.repo_id)
    assert (resolved.folder / "config.json").read_bytes() == VISION["config.json"]


def test_one_copy_and_nothing_that_runs(hub: LoopbackHub) -> None:
    publish(hub, "large", VISION)
    assert names(resolve("large").folder) == FETCHED
    assert set(hub.downloads()) == FETCHED


def test_a_text_tower_brings_its_tokenizer(hub: LoopbackHub) -> None:
    publish(hub, "lit", LIT)
    text_files = {"vocab.json", "merges.txt", "tokenizer_config.json"}
    assert names(resolve("lit").folder) == FETCHED | text_files


@pytest.mark.parametrize("files", [VISION, LIT], ids=["vision", "lit"])
def test_no_request_for_a_pinned_commit_in_the_cache(hub: LoopbackHub, files) -> None:
    publish(hub, "lit", files)
    first = resolve("lit")
    hub.requests.clear()
    assert resolve("lit") == first
    assert hub.requests == []


def test_no_request_for_what_another_program_fetched(hub: LoopbackHub) -> None:
    checkpoint = publish(hub, "lit", LIT)
    folder = huggingface_hub.snapshot_download(checkpoint.repo_id, revision=checkpoint.revision)
    hub.requests.clear()
    assert resolve("lit").folder == Path(folder)
    assert hub.requests == []


def test_that_a_file_does_not_exist_is_asked_once(hub: LoopbackHub) -> None:
    commit = hub.add("someone/tuned", {"config.json": b"{}", "model.safetensors": WEIGHTS})
    resolve(f"someone/tuned@{commit}")
    assert [r.path for r in hub.requests if "preprocessor" in r.path] != []
    hub.requests.clear()
    resolve(f"someone/tuned@{commit}")
    assert hub.requests == []


def test_revisions_of_a_name(hub: LoopbackHub) -> None:
    pinned = publish(hub, "large", VISION)
    later = hub.add(
        pinned.repo_id, VISION | {"config.json": b"later"}, names=("main", "v2", "refs/pr/1")
    )
    for revision in ("main", "v2", "refs/pr/1", later):
        resolved = resolve(f"large@{revision}")
        assert resolved.revision == later
        assert resolved.checkpoint is pinned
    assert resolve("large").revision == pinned.revision


def test_revisions_of_a_hub_id(hub: LoopbackHub) -> None:
    first = hub.add("someone/tuned", VISION, names=("main", "v1"))
    second = hub.add("someone/tuned", VISION | {"config.json": b"{}"})
    resolved = resolve("someone/tuned")
    assert (resolved.revision, resolved.checkpoint) == (second, None)
    assert (resolved.name, resolved.repo_id) == ("someone/tuned", "someone/tuned")
    assert resolve("someone/tuned@v1").revision == first
    assert resolve(f"someone/tuned@{first}").revision == first


def test_a_branch_that_moves_is_followed(hub: LoopbackHub) -> None:
    first = hub.add("someone/tuned", VISION)
    assert resolve("someone/tuned").revision == first
    hub.requests.clear()
    assert resolve("someone/tuned").revision == first
    assert hub.downloads() == []
    second = hub.add("someone/tuned", VISION | {"config.json": b"{}"})
    assert resolve("someone/tuned").revision == second
    assert "mlx_model.safetensors" not in hub.downloads()  # the same content is in the cache


# Which weights


def test_other_weights_in_the_cache_are_used(hub: LoopbackHub) -> None:
    checkpoint = publish(hub, "large", VISION)
    for name in ("config.json", "model.safetensors"):  # as another program leaves the cache
        huggingface_hub.hf_hub_download(checkpoint.repo_id, name, revision=checkpoint.revision)
    hub.requests.clear()
    asked: list[Download] = []
    folder = resolve("large", confirm=lambda download: bool(asked.append(download))).folder
    assert names(folder) == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert hub.downloads() == ["preprocessor_config.json"]
    assert asked == []


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        ({"model.safetensors": WEIGHTS}, {"model.safetensors"}),
        ({"mlx_model.safetensors": WEIGHTS}, {"mlx_model.safetensors"}),
        (sharded(), {*SHARDS, "model.safetensors.index.json"}),
    ],
    ids=["torch", "mlx", "sharded"],
)
def test_every_form_of_weights(hub: LoopbackHub, files: dict[str, bytes], weights) -> None:
    hub.add("someone/tuned", {"config.json": b"{}"} | files)
    folder = resolve("someone/tuned").folder
    assert names(folder) - {"config.json", "preprocessor_config.json"} == weights


def test_only_missing_shards_are_fetched(hub: LoopbackHub) -> None:
    commit = hub.add("someone/tuned", sharded())
    first, second = SHARDS
    for name in ("model.safetensors.index.json", first):
        huggingface_hub.hf_hub_download("someone/tuned", name, revision=commit)
    hub.requests.clear()
    asked: list[Download] = []
    resolve("someone/tuned", confirm=lambda download: asked.append(download) or True)
    assert [download.size_bytes for download in asked] == [len(SHARDS[second])]
    assert first not in hub.downloads()


@pytest.mark.parametrize(
    "shard", ["../w.safetensors", "/w.safetensors", "a/w.safetensors", "..", "", "w.bin", 5, None]
)
def test_an_index_that_leads_elsewhere_is_refused(hub: LoopbackHub, shard: object) -> None:
    hub.add("someone/tuned", sharded(shard))
    with pytest.raises(CheckpointError, match="shards lie beside it"):
        resolve("someone/tuned")
    assert hub.downloads() == ["model.safetensors.index.json"]


@pytest.mark.parametrize("index", [b"", b"[]", b'{"weight_map": []}', b'{"weight_map": {"a": []}}'])
def test_a_broken_index_is_refused(hub: LoopbackHub, index: bytes) -> None:
    hub.add("someone/tuned", sharded() | {"model.safetensors.index.json": index})
    with pytest.raises(CheckpointError, match=r"is (not a weights index|empty)"):
        resolve("someone/tuned")


def test_an_index_of_shards_that_are_not_there(hub: LoopbackHub) -> None:
    hub.add("someone/tuned", sharded("gone.safetensors"))
    with pytest.raises(CheckpointError, match=r"names gone\.safetensors, not there"):
        resolve("someone/tuned")


def test_pickled_weights_are_never_fetched(hub: LoopbackHub) -> None:
    hub.add("someone/tuned", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(CheckpointError, match=r"weights there: pytorch_model\.bin"):
        resolve("someone/tuned")
    assert hub.downloads() == []


def test_a_repository_without_configuration(hub: LoopbackHub) -> None:
    hub.add("someone/tuned", {"model.safetensors": WEIGHTS})
    with pytest.raises(HubError, match=r"someone/tuned has no config\.json at main"):
        resolve("someone/tuned")


# Asking before a download


def test_asked_once_with_what_it_costs(hub: LoopbackHub) -> None:
    checkpoint = publish(hub, "lit", LIT)
    asked: list[Download] = []

    def confirm(download: Download) -> bool:
        assert hub.downloads() == []
        asked.append(download)
        return True

    resolve("lit", confirm=confirm)
    resolve("lit", confirm=confirm)
    expected = Download(checkpoint.repo_id, checkpoint.revision, len(WEIGHTS), "apple-amlr")
    assert asked == [expected]


def test_declined(hub: LoopbackHub) -> None:
    publish(hub, "lit", LIT)
    with pytest.raises(HubError, match="was not downloaded") as caught:
        resolve("lit", confirm=lambda _: False)
    assert "--yes" in caught.value.hint_for(["--yes"])
    assert "--yes" not in caught.value.hint_for([])
    assert hub.downloads() == []
    assert cached(published("lit")) is None


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({}, ""),
        ({"license": "mit"}, "mit"),
        ({"license": "other", "license_name": "acme-1.0"}, "acme-1.0"),
    ],
)
def test_licence_of_another_repository(hub: LoopbackHub, card, licence: str) -> None:
    hub.add("someone/tuned", VISION, card=card)
    asked: list[Download] = []
    resolve("someone/tuned", confirm=lambda download: asked.append(download) or True)
    assert asked[0].licence == licence


# A bad network, and none


def test_a_cut_connection_is_resumed(hub: LoopbackHub) -> None:
    publish(hub, "large", VISION)
    hub.cut["mlx_model.safetensors"] = 5000
    folder = resolve("large").folder
    assert (folder / "mlx_model.safetensors").read_bytes() == WEIGHTS
    starts = [r.start for r in hub.requests if r.path.endswith("mlx_model.safetensors")]
    assert starts == [0, 0, 4096]  # HEAD, the cut GET, the rest from the last whole chunk


def test_what_arrived_whole_is_kept(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("someone/tuned", sharded())
    download = huggingface_hub.HfApi.hf_hub_download

    def until_the_last(api, repo_id: str, name: str, **options):
        if name == list(SHARDS)[-1]:
            hub.out_of_order = 503
        return download(api, repo_id, name, **options)

    with monkeypatch.context() as patch, pytest.raises(HubError, match="could not be fetched"):
        patch.setattr(huggingface_hub.HfApi, "hf_hub_download", until_the_last)
        patch.setattr("time.sleep", lambda _: None)
        resolve("someone/tuned")
    hub.out_of_order = None
    hub.requests.clear()
    assert names(resolve("someone/tuned").folder) >= set(SHARDS)
    assert hub.downloads() == [list(SHARDS)[-1]]


@pytest.mark.parametrize("source", ["lit", "someone/tuned", "someone/tuned@v1"])
@pytest.mark.parametrize("how", ["offline", "unplugged", "portal", 503, 429])
def test_the_cache_serves_without_a_hub(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, source: str, how: object
) -> None:
    publish(hub, "lit", LIT)
    hub.add("someone/tuned", VISION, names=("main", "v1"))
    online = resolve(source)
    hub.requests.clear()
    _take_away(hub, how, monkeypatch)
    assert resolve(source) == online
    if how == "offline":
        assert hub.requests == []


@pytest.mark.parametrize("how", ["offline", "unplugged", "portal", 503, 429])
def test_nothing_cached_and_no_hub(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, how: object
) -> None:
    _take_away(hub, how, monkeypatch)
    with pytest.raises(HubError, match="apple/aimv2-large-patch14-224-lit") as caught:
        resolve("lit")
    assert ("--model demo" in caught.value.hint_for(["--model"])) == (
        how in ("offline", "unplugged", "portal")
    )
    for other in ("somebody/model", "aria"):  # the demo answers no questions
        with pytest.raises(HubError) as of_another:
            resolve(other)
        assert "demo" not in of_another.value.hint_for(["--model"])
    assert ("HF_HUB_OFFLINE" in str(caught.value)) == (how == "offline")
    assert (hub.url in str(caught.value)) == (how != "offline")


def _take_away(hub: LoopbackHub, how: object, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif how == "unplugged":
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr(hub, "url", constants.ENDPOINT)
    else:
        hub.out_of_order = 200 if how == "portal" else int(str(how))


# A cache that other programs and people have touched


@pytest.fixture(params=["offline", "unplugged"])
def cut_off(
    request: pytest.FixtureRequest, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Takes the network away."""
    return lambda: _take_away(hub, request.param, monkeypatch)


def stored(repo_id: str) -> Path:
    return cache_folder() / f"models--{repo_id.replace('/', '--')}"


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", ""])
@pytest.mark.parametrize("revision", ["", "@main"])
def test_a_reference_that_ends_a_line(hub: LoopbackHub, cut_off, end: str, revision: str) -> None:
    hub.add("someone/tuned", VISION)
    first = resolve("someone/tuned")
    reference = stored("someone/tuned") / "refs" / "main"
    reference.write_text(reference.read_text() + end)
    cut_off()
    assert resolve(f"someone/tuned{revision}").folder == first.folder


@pytest.mark.parametrize("harm", ["removed", "empty", "of another commit", "no UTF-8"])
def test_without_a_reference_the_only_snapshot_is_taken(
    hub: LoopbackHub, cut_off, harm: str
) -> None:
    hub.add("someone/tuned", VISION)
    first = resolve("someone/tuned")
    references = stored("someone/tuned") / "refs"
    if harm == "removed":
        shutil.rmtree(references)
    else:
        content = {"empty": b"", "of another commit": b"f" * 40, "no UTF-8": b"\xff\xfe"}[harm]
        (references / "main").write_bytes(content)
    (stored("someone/tuned") / "snapshots" / ("e" * 40)).mkdir()  # of a fetch that was stopped
    cut_off()
    resolved = resolve("someone/tuned")
    assert (resolved.folder, resolved.revision) == (first.folder, first.revision)
    for revision in ("main", "v2", "a" * 40):
        with pytest.raises(HubError):
            resolve(f"someone/tuned@{revision}")


def test_of_two_snapshots_none_is_guessed(hub: LoopbackHub, cut_off) -> None:
    commits = []
    for number in range(2):
        hub.add("someone/tuned", VISION | {"README.md": b"%d" % number})
        commits.append(str(resolve("someone/tuned").revision))
    shutil.rmtree(stored("someone/tuned") / "refs")
    cut_off()
    with pytest.raises(HubError, match="the cache has 2 snapshots of someone/tuned") as caught:
        resolve("someone/tuned")
    assert all(commit in str(caught.value) for commit in commits)
    assert caught.value.hint == f"say which: someone/tuned@{min(commits)}"
    for commit in commits:
        assert resolve(f"someone/tuned@{commit}").revision == commit


@pytest.mark.parametrize("source", ["large", "apple/aimv2-large-patch14-224"])
def test_a_pinned_name_never_takes_another_commit(hub: LoopbackHub, cut_off, source: str) -> None:
    checkpoint = published("large")
    hub.add(checkpoint.repo_id, VISION)
    resolve(f"{checkpoint.repo_id}@main")
    cut_off()
    with pytest.raises(HubError, match=checkpoint.repo_id) as caught:
        resolve(source)
    (other,) = (stored(checkpoint.repo_id) / "snapshots").iterdir()
    assert f"the cache has {checkpoint.repo_id}@{other.name}" in caught.value.hint


def test_offline_the_weights_suffice(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = publish(hub, "lit", LIT)
    for name in ("config.json", "model.safetensors"):
        huggingface_hub.hf_hub_download(checkpoint.repo_id, name, revision=checkpoint.revision)
    _take_away(hub, "unplugged", monkeypatch)
    assert names(resolve("lit").folder) == {"config.json", "model.safetensors"}


# Refusals


def test_an_unknown_repository_suggests_a_name(hub: LoopbackHub) -> None:
    with pytest.raises(HubError, match="does not exist, or is private") as caught:
        resolve("apple/aimv2-huge-patch14-333")
    assert "did you mean huge-336?" in caught.value.hint


def test_a_private_repository(hub: LoopbackHub) -> None:
    hub.add("someone/secret", VISION, token="hf_right")
    with pytest.raises(HubError, match="private") as caught:
        resolve("someone/secret")
    assert "hf auth login" in caught.value.hint
    token_file = Path(constants.HF_TOKEN_PATH)
    token_file.write_text("hf_wrong")
    with pytest.raises(HubError, match="private"):
        resolve("someone/secret")
    token_file.write_text("hf_right")
    assert names(resolve("someone/secret").folder) == FETCHED


def test_a_gated_repository(hub: LoopbackHub) -> None:
    hub.add("someone/gated", VISION, gated=True)
    with pytest.raises(HubError, match="someone/gated is gated") as caught:
        resolve("someone/gated")
    assert f"{hub.url}/someone/gated" in caught.value.hint
    assert "hf auth login" in caught.value.hint


def test_an_unknown_revision(hub: LoopbackHub) -> None:
    publish(hub, "large", VISION)
    with pytest.raises(HubError, match="has no revision 'v9'"):
        resolve("large@v9")


def test_a_refusal_is_not_covered_by_the_cache(hub: LoopbackHub) -> None:
    hub.add("someone/tuned", VISION)
    resolve("someone/tuned")
    del hub.repositories["someone/tuned"]
    with pytest.raises(HubError, match="does not exist"):
        resolve("someone/tuned")


# The disk


def test_too_little_room(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(hub, "large", VISION)
    usage = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(HubError, match=r"take 0\.00 GB") as caught:
        resolve("large")
    assert "HF_HUB_CACHE" in caught.value.hint
    assert hub.downloads() == []


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no room left"),
        (errno.EDQUOT, "no room left"),
        (errno.EACCES, "cannot be written: Permission denied"),
        (errno.EROFS, "cannot be written: Read-only"),
    ],
)
def test_a_disk_that_refuses(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    publish(hub, "large", VISION)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(huggingface_hub.HfApi, "hf_hub_download", refuse)
    with pytest.raises(HubError, match=message) as caught:
        resolve("large")
    assert "HF_HUB_CACHE" in caught.value.hint


def test_a_cache_below_a_file(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish(hub, "large", VISION)
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(HubError, match="cannot be written: Not a directory"):
        resolve("large")


# Folders and words


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("name", ["mine", "org/name", "with space", "a@b", "été", "-x", "a--b"])
def test_a_folder(hub: LoopbackHub, here: Path, name: str) -> None:
    (here / name).mkdir(parents=True)
    for source in (name, f"./{name}", f"{name}/", str(here / name), here / name):
        resolved = resolve(source)
        assert resolved.folder.samefile(here / name)
        assert resolved.name == Path(name).name
        assert (resolved.repo_id, resolved.revision, resolved.checkpoint) == (None, None, None)
    assert hub.requests == []


def test_a_name_goes_before_a_folder_of_that_name(hub: LoopbackHub, here: Path) -> None:
    publish(hub, "lit", LIT)
    (here / "lit").mkdir()
    assert resolve("lit").checkpoint is published("lit")
    assert resolve("./lit").checkpoint is None
    assert resolve(Path("lit")).folder == Path("lit")


def test_home_is_expanded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    (here / "mine").mkdir()
    assert resolve("~/mine").folder == here / "mine"


@pytest.mark.parametrize("name", ["model.safetensors", "org/model.safetensors"])
def test_a_file_is_no_folder(hub: LoopbackHub, here: Path, name: str) -> None:
    (here / "org").mkdir()
    (here / name).touch()
    with pytest.raises(HubError, match="is a file, and a checkpoint is a folder") as caught:
        resolve(name)
    assert repr(str(Path(name).parent)) in caught.value.hint


NOTHING = [
    *("", "a b", "a\0b", "\udcff", "x" * 5000, "./lit", "/no/where", "../x", "a/b/c", "a//b"),
    *("~/nowhere", "~no.such.user/x", "resnet50", "x@", "lit@", "org/name@../../x"),
    *("org/a--b", "org/a..b", "org/a.git", "org/-a", "org\\x", "org/" + "a" * 97),
    *("https://huggingface.co/org/name", "org/name@" + "v" * 5000),
]


@pytest.mark.parametrize("source", NOTHING)
def test_words_that_are_nothing(hub: LoopbackHub, here: Path, source: str) -> None:
    with pytest.raises(HubError) as caught:
        resolve(source)
    assert caught.value.hint or "cannot be opened" in str(caught.value)
    str(caught.value).encode()
    assert hub.requests == []


@pytest.mark.parametrize(
    ("typo", "alias"), [("litt", "lit"), ("Nativ", "native"), ("./lrge", "large")]
)
def test_a_typo_suggests_a_name(hub: LoopbackHub, here: Path, typo: str, alias: str) -> None:
    with pytest.raises(HubError, match="is no checkpoint name") as caught:
        resolve(typo)
    assert caught.value.hint == f"did you mean {alias}?"


def test_demo_is_in_the_package_or_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "mlx_aimv2.checkpoints.hub.__file__", str(tmp_path / "checkpoints" / "hub.py")
    )
    with pytest.raises(HubError, match="no demo checkpoint"):
        resolve("demo")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "config.json").touch()
    resolved = resolve("demo")
    assert (resolved.name, resolved.folder) == ("demo", tmp_path / "demo")


# The cache, and a process of its own


def test_what_is_cached(hub: LoopbackHub, tmp_path: Path) -> None:
    publish(hub, "large", VISION)
    assert cache_folder() == tmp_path / "hub"
    assert [checkpoint for checkpoint in CHECKPOINTS if cached(checkpoint)] == []
    folder = resolve("large").folder
    assert cached(published("large")) == folder
    assert [c.alias for c in CHECKPOINTS if cached(c)] == ["large"]
    (folder / "mlx_model.safetensors").resolve().unlink()
    assert cached(published("large")) is None


@pytest.mark.parametrize("index", [b"{", index_of("../up"), index_of("gone.safetensors")])
def test_an_index_that_is_no_copy_in_the_cache(hub: LoopbackHub, index: bytes) -> None:
    publish(hub, "large", sharded() | {"model.safetensors.index.json": index})
    folder = resolve_by_others("large", "config.json", "model.safetensors.index.json")
    assert cached(published("large")) is None
    (folder / "mlx_model.safetensors").write_bytes(WEIGHTS)
    assert cached(published("large")) == folder


def resolve_by_others(alias: str, *files: str) -> Path:
    """A checkpoint of which another program has fetched some files."""
    checkpoint = published(alias)
    for name in files:
        path = huggingface_hub.hf_hub_download(
            checkpoint.repo_id, name, revision=checkpoint.revision
        )
    return Path(path).parent


def test_in_a_process_of_its_own(hub: LoopbackHub, tmp_path: Path) -> None:
    checkpoint = publish(hub, "lit", LIT)
    code = "from mlx_aimv2.checkpoints.hub import resolve; print(resolve('lit').folder)"
    command = [sys.executable, "-c", code]
    environment = hub.environment(tmp_path / "home")
    for extra in ({}, {"HF_HUB_OFFLINE": "1"}):
        done = subprocess.run(
            command, env=environment | extra, capture_output=True, text=True, check=True
        )
        assert Path(done.stdout.strip()).name == checkpoint.revision
        assert done.stderr == ""  # no progress but on a terminal
    assert hub.downloads().count("mlx_model.safetensors") == 1
