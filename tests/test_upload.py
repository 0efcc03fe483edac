"""Uploads: private, agreed to, with a licence, and never into a public repository."""

import base64
import hashlib
import json
import re
from urllib.parse import urlsplit

import pytest
from huggingface_hub import constants

from mlx_aimv2.checkpoints import LICENCE
from mlx_aimv2.conversion import convert
from mlx_aimv2.errors import HubError, OutputError
from mlx_aimv2.loader import load_checkpoint
from mlx_aimv2.upload import Upload
from tests import loopback_hub as loopback
from tests import makers
from tests.loopback_hub import LoopbackHub, Repository

# huggingface_hub's own: it gives its HTTP client a file in a way the client calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "somebody/aimv2-ours"
TOKEN = "hf_of_somebody"

_COMMIT = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/main")
_PREUPLOAD = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/main")
_BATCH = re.compile(r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch")


class WritableHub(LoopbackHub):
    """A loopback hub that takes repositories and commits from whoever has the token."""

    def __init__(self):
        super().__init__()
        self.public = set()
        self.refuse_commits = False
        self.blobs = {}
        self._server.RequestHandlerClass = type("_W", (_WritableHandler,), {"hub": self})


class _WritableHandler(loopback._Handler):
    """Small files come within the commit, safetensors as blobs before it."""

    def do_POST(self):  # noqa: N802
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.requests.append(loopback.Request("POST", path, 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, None)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._answer_json({"errors": [], "warnings": []})
        elif _PREUPLOAD.fullmatch(path):
            self._answer_json({"files": [_mode(file) for file in json.loads(body)["files"]]})
        elif _BATCH.fullmatch(path):
            objects = [self._where(blob) for blob in json.loads(body)["objects"]]
            self._answer_json({"transfer": "basic", "objects": objects})
        elif match := _COMMIT.fullmatch(path):
            self._commit(match["repo"], [json.loads(line) for line in body.splitlines()])
        else:
            self._refuse(404, None)

    def do_PUT(self):  # noqa: N802
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.blobs[hashlib.sha256(data).hexdigest()] = data
        self._answer_json({})

    def _create(self, wanted):
        repo_id = f"{wanted['organization']}/{wanted['name']}"
        if repo_id in self.hub.repositories:
            self._answer_json({"url": f"{self.hub.url}/{repo_id}"}, status=409)
            return
        self.hub.add(repo_id, {".gitattributes": b""})
        if wanted.get("visibility") != "private" and not wanted.get("private"):
            self.hub.public.add(repo_id)
        self._answer_json({"url": f"{self.hub.url}/{repo_id}"})

    def _where(self, blob):
        return blob | {"actions": {"upload": {"href": f"{self.hub.url}/blobs/{blob['oid']}"}}}

    def _commit(self, repo_id, lines):
        if self.hub.refuse_commits:
            self._refuse(500, None)
            return
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        commit = self.hub.add(repo_id, files)
        self._answer_json(
            {"commitUrl": f"{self.hub.url}/{repo_id}/commit/{commit}", "commitOid": commit}
        )

    def _answer_info(self, repo_id, revision):
        repository, commit = self._find(repo_id, revision)
        if repository is not None:
            private = repo_id not in self.hub.public
            self._answer_json({"id": repo_id, "sha": commit, "private": private, "siblings": []})

    def _answer_json(self, content, status=200):
        data = json.dumps(content).encode()
        self._send(status, data, {"Content-Type": "application/json"})
        if self.command != "GET":
            self.wfile.write(data)


def _mode(file):
    is_large = file["path"].endswith(".safetensors")
    mode = "lfs" if is_large else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(loopback, "LoopbackHub", WritableHub)
    with loopback.loopback_hub(tmp_path / "home", monkeypatch) as hub:
        yield hub


@pytest.fixture
def logged_in(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def source(tmp_path):
    folder = makers.write_checkpoint(tmp_path / "source", makers.random_vision(), None)
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


@pytest.mark.usefixtures("logged_in")
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


@pytest.mark.usefixtures("logged_in")
def test_whoever_declines_gets_nothing(hub, source, tmp_path):
    with pytest.raises(HubError, match=f"nothing was uploaded to {REPO}") as caught:
        convert(source, tmp_path / "ours", upload_repo=REPO, confirm_upload=lambda _: False)
    assert "--upload-repo" in caught.value.hint
    assert not (tmp_path / "ours").exists()
    assert hub.requests == []


@pytest.mark.usefixtures("logged_in")
def test_a_public_repository_gets_nothing(hub, source, tmp_path):
    hub.repositories[REPO] = Repository()
    hub.add(REPO, {"theirs": b""})
    hub.public.add(REPO)
    with pytest.raises(HubError, match=f"{REPO} is public, so nothing was uploaded") as caught:
        convert(source, tmp_path / "ours", upload_repo=REPO)
    assert "make it private" in caught.value.hint
    assert files_on(hub) == {"theirs": b""}
    assert (tmp_path / "ours" / "config.json").exists()


@pytest.mark.usefixtures("logged_in")
def test_a_private_repository_that_is_there_is_used(hub, source, tmp_path):
    hub.add(REPO, {"theirs": b""})
    convert(source, tmp_path / "ours", upload_repo=REPO)
    assert "model.safetensors" in files_on(hub)


@pytest.mark.usefixtures("logged_in")
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

    assert "hf auth login" in refused(REPO)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "OWNER/NAME" in refused("a/b/c")
    assert "OWNER/NAME" in refused("alone")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(REPO)
    assert hub.requests == []


@pytest.mark.usefixtures("logged_in")
def test_a_target_that_exists_is_not_uploaded(hub, source, tmp_path):
    (tmp_path / "ours").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        convert(source, tmp_path / "ours", upload_repo=REPO)
    assert hub.requests == []
