"""Uploads: private, agreed to, with a licence, and never into a public repository."""

import pytest
from huggingface_hub import constants

from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.checkpoints.upload import Upload
from mlx_aimv2.errors import HubError, OutputError
from mlx_aimv2.models.aimv2.published import LICENCE
from tests.support import makers
from tests.support.loopback_hub import Repository
from tests.support.writable_hub import writable_hub

# huggingface_hub's own: it gives its HTTP client a file in a way the client calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "somebody/aimv2-ours"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with writable_hub(tmp_path / "home", monkeypatch) as hub:
        yield hub


@pytest.fixture
def source(tmp_path):
    folder = makers.write_checkpoint(
        tmp_path / "source", makers.random_vision(), makers.vision_config()
    )
    (folder / "LICENSE").write_text("All of it.")
    (folder / "README.md").write_text(f"---\nlicense: {LICENCE}\n---\n")
    return folder


def agree(asked):
    """Somebody who agrees, and remembers to what."""

    def confirm(planned):
        asked.append(planned)
        return True

    return confirm


def files_on(hub):
    repository = hub.repositories[REPO]
    return repository.commits[repository.names["main"]]


def test_a_private_repository_gets_the_folder_with_its_licence(hub, source, tmp_path):
    asked = []
    converted = convert(source, tmp_path / "ours", upload_repo=REPO, confirm_upload=agree(asked))
    assert converted.url == f"{hub.url}/{REPO}"
    assert asked == [Upload(REPO, converted.size_bytes, LICENCE)]
    assert not hub.public
    on_disk = {path.name: path.read_bytes() for path in converted.folder.iterdir()}
    assert files_on(hub) == on_disk
    assert {"LICENSE", "README.md", "config.json", "model.safetensors"} <= on_disk.keys()
    card = on_disk["README.md"].decode()
    assert f'license: "{LICENCE}"' in card
    assert f'aimv2.load("{REPO}")' in card


def test_whoever_declines_gets_nothing(hub, source, tmp_path):
    with pytest.raises(HubError, match=f"nothing was uploaded to {REPO}") as caught:
        convert(source, tmp_path / "ours", upload_repo=REPO, confirm_upload=lambda _: False)
    assert "--upload-repo" in caught.value.hint
    assert not (tmp_path / "ours").exists()
    assert hub.requests == []


def test_a_public_repository_gets_nothing(hub, source, tmp_path):
    hub.repositories[REPO] = Repository()
    hub.add(REPO, {"theirs": b""})
    hub.public.add(REPO)
    with pytest.raises(HubError, match=f"{REPO} is public, so nothing was uploaded") as caught:
        convert(source, tmp_path / "ours", upload_repo=REPO)
    assert "make it private" in caught.value.hint
    assert files_on(hub) == {"theirs": b""}
    assert (tmp_path / "ours" / "config.json").exists()


def test_a_private_repository_that_is_there_is_used(hub, source, tmp_path):
    hub.add(REPO, {"theirs": b""})
    convert(source, tmp_path / "ours", upload_repo=REPO)
    assert "model.safetensors" in files_on(hub)


def test_an_upload_that_fails_leaves_the_folder_and_says_how_to_go_on(hub, source, tmp_path):
    hub.refuse_commits = True
    target = tmp_path / "ours"
    with pytest.raises(HubError, match=f"ours is complete, but was not uploaded to {REPO}") as e:
        convert(source, target, upload_repo=REPO)
    assert e.value.hint == f"hf upload {REPO} {target} --private"
    load_checkpoint(target)


def test_what_keeps_an_upload_from_working_is_known_first(hub, source, tmp_path, monkeypatch):
    def refused(repo_id):
        with pytest.raises(HubError) as caught:
            convert(source, tmp_path / "ours", upload_repo=repo_id)
        assert not (tmp_path / "ours").exists()
        return f"{caught.value} {caught.value.hint}"

    assert "OWNER/NAME" in refused("a/b/c")
    assert "OWNER/NAME" in refused("alone")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(REPO)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN")
    assert "hf auth login" in refused(REPO)
    assert hub.requests == []


def test_a_target_that_exists_is_not_uploaded(hub, source, tmp_path):
    (tmp_path / "ours").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        convert(source, tmp_path / "ours", upload_repo=REPO)
    assert hub.requests == []
