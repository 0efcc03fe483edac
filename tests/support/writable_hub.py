"""A loopback hub that also takes repositories and commits."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import loopback_hub as loopback
from tests.support.loopback_hub import LoopbackHub

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


@contextmanager
def writable_hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritableHub]:
    """A running hub that this process's huggingface_hub uses, logged in; see ``loopback_hub``."""
    monkeypatch.setattr(loopback, "LoopbackHub", WritableHub)
    with loopback.loopback_hub(home, monkeypatch) as hub:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub
