"""A page of another port in the same browser, which has the cookie: it gets and does nothing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.server.gate.gate import Gate
from tests.support.browser import opened
from tests.support.page import running_page
from tests.support.synthetic import add_photo

TRIES = """
async ([base, token]) => {
  const shown = (name, where) => new Promise(done => {
    const node = document.createElement(name);
    node.onload = () => done(`${name} ${where}`);
    node.onerror = () => done(null);
    node.src = base + where;
    document.body.append(node);
  });
  const sent = (where, options) => fetch(base + where, {credentials: 'include', ...options})
    .then(answer => answer.type === 'opaque' ? null : `${where} ${answer.status}`, () => null);
  const json = {'X-Aimv2': '1', 'Content-Type': 'application/json'};
  const body = '{"do":"start"}';
  const form = document.createElement('form');
  form.method = 'post';
  form.action = base + '/api/index';
  form.enctype = 'text/plain';
  form.target = 'of the form';
  const frame = document.createElement('iframe');
  frame.name = form.target;
  document.body.append(frame, form);
  await new Promise(done => { frame.onload = done; form.submit(); });
  return [
    await shown('img', '/static/icon.svg'),
    await shown('img', '/thumb/1'),
    await shown('script', '/static/keys.js'),
    await sent('/api/status', {}),
    await sent('/api/status', {mode: 'no-cors'}),
    await sent('/api/index', {method: 'POST', headers: json, body}),
    await sent('/api/index', {method: 'POST', mode: 'no-cors', body}),
    await sent('/?token=' + token, {mode: 'no-cors'}),
  ].filter(found => found !== null);
}
"""


class Stranger(BaseHTTPRequestHandler):
    """Another program's page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another</title><body>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool, int]]:
    """What the gate was asked by pages of other origins: method, path, cookie or not, answer."""
    seen: list[tuple[str, str, bool, int]] = []
    call = Gate.__call__

    async def watched(self: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)

        async def note(message: Message) -> None:
            is_start = message["type"] == "http.response.start"
            if is_start and headers.get("sec-fetch-site") in ("same-site", "cross-site"):
                has_cookie = "cookie" in headers
                seen.append((scope["method"], scope["path"], has_cookie, message["status"]))
            await send(message)

        await call(self, scope, receive, note)

    monkeypatch.setattr(Gate, "__call__", watched)
    return seen


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_port_gets_nothing(
    host: str, stranger: str, browser: Any, tmp_path: Path, asked: list[tuple[str, str, bool, int]]
) -> None:
    with Store(tmp_path / "library.db", can_write=True) as store:
        add_photo(store, "/photos/a.jpg")
    with (
        running_page(tmp_path / "library.db") as served,
        opened(browser, served.url, expected=("/thumb/1",)) as page,  # of a file that is not there
    ):
        other = page.context.new_page()
        other.goto(f"http://{stranger.replace('127.0.0.1', host)}/")
        assert other.evaluate(TRIES, [served.address, served.token]) == []
        assert {status for *_, status in asked} == {403}
        tried = {(method, path) for method, path, *_ in asked}
        assert tried >= {("GET", path) for path in ("/", "/thumb/1", "/static/keys.js")}
        assert tried >= {("GET", "/api/status"), ("POST", "/api/index")}
        if host == "127.0.0.1":  # cookies know no ports: this is what the gate is for
            assert ("POST", "/api/index", True, 403) in asked
        assert not served.service.index_process.state().is_running
        assert page.evaluate("fetch('/api/status').then(answer => answer.status)") == 200
