"""A hub on 127.0.0.1 that huggingface_hub's own client talks to; paths it does not know are 404.

In a test process: ``with loopback_hub(tmp_path, monkeypatch) as hub``. For a command in a process
of its own: ``LoopbackHub()`` and ``hub.environment(home)``.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

_INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(/revision/(?P<revision>.+))?")
_TREE = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Request:
    """One request as the server saw it; ``start`` is where a range begins."""

    method: str
    path: str
    start: int


@dataclass
class Repository:
    """Commits (hash → files), names for some of them, and who may read it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False
    card: dict[str, str] = field(default_factory=dict)

    def commit_of(self, revision: str) -> str | None:
        commit = self.names.get(revision, revision)
        return commit if commit in self.commits else None


class LoopbackHub:
    """The server and its repositories.

    ``cut`` maps a file name to bytes after which its next download is cut; ``out_of_order`` is
    an HTTP status that every request gets, or 200 for a page of HTML as a login portal sends it.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.cut: dict[str, int] = {}
        self.out_of_order: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("_H", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(
        self,
        repo_id: str,
        files: Mapping[str, bytes] | Path,
        *,
        commit: str | None = None,
        names: tuple[str, ...] = ("main",),
        **access: object,
    ) -> str:
        """Add a commit to a repository (made if need be); returns its hash."""
        if isinstance(files, Path):
            files = {p.relative_to(files).as_posix(): p.read_bytes() for p in _files(files)}
        if commit is None:
            commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        repository = self.repositories.setdefault(repo_id, Repository())
        repository.commits[commit] = dict(files)
        repository.names |= dict.fromkeys(names, commit)
        for name, value in access.items():
            setattr(repository, name, value)
        return commit

    def downloads(self) -> list[str]:
        """Names of the files whose content was asked for, in order."""
        found = [_FILE.fullmatch(r.path) for r in self.requests if r.method == "GET"]
        return [match["file"] for match in found if match]

    def environment(self, home: Path) -> dict[str, str]:
        """The environment of a process that should talk to this hub and keep its cache in home."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        return kept | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def close(self) -> None:
        """Stop; later requests find nobody there."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def loopback_hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A running hub that this process's huggingface_hub uses, its cache in ``home / "hub"``."""
    import huggingface_hub  # noqa: PLC0415
    from huggingface_hub import constants  # noqa: PLC0415

    hub = LoopbackHub()
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_DISABLE_XET": True,
        "DOWNLOAD_CHUNK_SIZE": 1024,
    }.items():
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    try:
        yield hub
    finally:
        huggingface_hub.close_session()
        hub.close()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it would hold back every answer for 40 ms

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        ranged = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(ranged[1]) if ranged else 0
        self.hub.requests.append(Request(self.command, path, start))
        if self.hub.out_of_order is not None:
            self._send(self.hub.out_of_order, b"<html>sign in</html>", {})
        elif match := _INFO.fullmatch(path):
            self._answer_info(match["repo"], unquote(match["revision"] or "main"))
        elif match := _TREE.fullmatch(path):
            self._answer_tree(match["repo"], unquote(match["revision"]))
        elif match := _FILE.fullmatch(path):
            self._answer_file(
                match["repo"], unquote(match["revision"]), unquote(match["file"]), start
            )
        else:
            self._refuse(404, None)

    def _answer_info(self, repo_id: str, revision: str) -> None:
        repository, commit = self._find(repo_id, revision)
        if repository is None or commit is None:
            return
        files = repository.commits[commit]
        siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
        info = {"id": repo_id, "sha": commit, "siblings": siblings, "cardData": repository.card}
        self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _answer_tree(self, repo_id: str, revision: str) -> None:
        repository, commit = self._find(repo_id, revision)
        if repository is None or commit is None:
            return
        entries = [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in repository.commits[commit].items()
        ]
        self._send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

    def _answer_file(self, repo_id: str, revision: str, name: str, start: int) -> None:
        repository, commit = self._find(repo_id, revision)
        if repository is None or commit is None:
            return
        if repository.gated:
            self._refuse(403, "GatedRepo")
            return
        data = repository.commits[commit].get(name)
        if data is None:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
            return
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": commit}
        status = 206 if start else 200
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cut = self.hub.cut.pop(name, None) if self.command == "GET" else None
        self._send(status, data[start:], headers, cut=cut)

    def _find(self, repo_id: str, revision: str) -> tuple[Repository | None, str | None]:
        """The repository and the commit, or a refusal sent."""
        repository = self.hub.repositories.get(repo_id)
        given = self.headers.get("Authorization")
        if repository is None:
            self._refuse(404 if given else 401, "RepoNotFound")
            return None, None
        if repository.token is not None and given is None:
            self._refuse(401, "RepoNotFound")
            return None, None
        if repository.token is not None and given != f"Bearer {repository.token}":
            self._refuse(401, None)
            return None, None
        commit = repository.commit_of(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound")
        return repository, commit

    def _refuse(
        self, status: int, code: str | None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._send(status, b"", {**(headers or {}), **({"X-Error-Code": code} if code else {})})

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str], *, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True
