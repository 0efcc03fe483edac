"""What is sent: too much, too slowly, not to its end; and requests whose head does not come."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Iterator
from contextlib import closing

import pytest
from starlette.types import Message, Receive

from mlx_aimv2.server.gate import gate
from mlx_aimv2.server.gate.bodies import Patience, limit_of, read_body
from mlx_aimv2.server.gate.refusals import RefusedError
from mlx_aimv2.server.process.serve import Connection
from tests.support.commands import PATIENCE_S
from tests.support.page import Page, running_page

LIMIT = 1009
PATIENT = Patience(PATIENCE_S, PATIENCE_S)


class Sender:
    """A client that sends these parts, each only when it is asked for more."""

    def __init__(self, *parts: bytes, ends: bool = True) -> None:
        self.parts, self.ends, self.asked = list(parts), ends, 0

    async def receive(self) -> Message:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.parts:
            await asyncio.Event().wait()
        body = self.parts.pop(0)
        more = bool(self.parts) or not self.ends
        return {"type": "http.request", "body": body, "more_body": more}


def read(sender: Sender, announced: str = "", patience: Patience = PATIENT) -> bytes:
    async def run() -> bytes:
        receive = await read_body(sender.receive, announced, LIMIT, patience)
        message = await receive()
        assert not message["more_body"]
        body = message["body"]
        assert isinstance(body, bytes)
        return body

    return asyncio.run(run())


def refused(sender: Sender, announced: str = "", patience: Patience = PATIENT) -> int:
    with pytest.raises(RefusedError) as error:
        read(sender, announced, patience)
    return error.value.why.status


def test_a_body_comes_whole_however_it_is_cut() -> None:
    data = bytes(range(251)) * 4
    assert read(Sender(data)) == data
    assert read(Sender(*[data[at : at + 97] for at in range(0, len(data), 97)])) == data
    assert read(Sender(b"")) == b""


def test_as_much_as_the_limit_and_no_more() -> None:
    assert len(read(Sender(b"x" * LIMIT), str(LIMIT))) == LIMIT
    assert refused(Sender(b"x" * (LIMIT + 1))) == 413


@pytest.mark.parametrize("announced", ["1010", "9" * 30, "9" * 5000])
def test_what_is_announced_too_large_is_not_read(announced: str) -> None:
    sender = Sender()
    assert refused(sender, announced) == 413
    assert sender.asked == 0


def test_what_is_not_announced_is_read_up_to_the_limit() -> None:
    sender = Sender(*[b"x" * 100] * 1000)
    assert refused(sender) == 413
    assert sender.asked == 11


def test_a_part_that_does_not_come() -> None:
    assert refused(Sender(b"x", ends=False), "", Patience(0.01, PATIENCE_S)) == 408


def test_parts_that_never_end() -> None:
    drops = Sender(*[b""] * 1_000_000)
    assert refused(drops, "", Patience(PATIENCE_S, 0.05)) == 408


def test_a_body_that_is_cut_off_reaches_no_route() -> None:
    gone: list[Message] = [
        {"type": "http.request", "body": b'{"do":"remove"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return gone.pop(0)

    with pytest.raises(RefusedError):
        asyncio.run(read_body(receive, "", LIMIT, PATIENT))


def test_limits() -> None:
    assert limit_of("GET", "/api/status") == limit_of("GET", "/api/picture") == 0
    assert limit_of("POST", "/api/edits") == 16 << 20
    assert limit_of("POST", "/api/picture") == 64 << 20
    ids = json.dumps({"ids": list(range(10**6, 2 * 10**6))})
    assert len(ids) < limit_of("POST", "/api/edits")  # a million photos at once


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A running page, of a library that is not there."""
    with running_page(tmp_path_factory.mktemp("page") / "library.db") as page:
        yield page


def tell(page: Page, sent: bytes, *, drops: bool = False) -> bytes:
    """All that the page answers until it closes the connection; with ``drops`` more is sent."""
    host, _, port = page.address.removeprefix("http://").partition(":")
    with closing(socket.create_connection((host, int(port)), PATIENCE_S)) as connection:
        connection.sendall(sent)
        answer = b""
        while True:
            try:
                if drops:
                    connection.sendall(b"x")
                    connection.settimeout(0.01)
                part = connection.recv(65536)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return answer
            if not part:
                return answer
            answer += part


def head(page: Page, method: str, path: str, *more: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {page.address.removeprefix('http://')}",
        f"Cookie: {page.cookie()}",
        "X-Aimv2: 1",
        "Content-Type: application/json",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: "])
def test_a_head_that_does_not_come_whole(
    sent: bytes, drops: bool, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "patience_s", 0.05)
    if drops and not sent:
        sent = b"G"
    assert b" 200 " not in tell(page, sent, drops=drops)


def test_a_body_that_stays_out_over_a_real_connection(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_a_hurry(receive: Receive, announced: str, limit: int, _: Patience) -> Awaitable[Receive]:
        return read_body(receive, announced, limit, Patience(0.05, PATIENCE_S))

    monkeypatch.setattr(gate, "read_body", in_a_hurry)
    answer = tell(page, head(page, "POST", "/api/index", "Content-Length: 10") + b'{"d')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"error":"slow"' in answer


@pytest.mark.parametrize("length", ["99999999999", "17000000"])
def test_a_huge_body_over_a_real_connection(length: str, page: Page) -> None:
    answer = tell(page, head(page, "POST", "/api/index", f"Content-Length: {length}") + b"{")
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT"])
def test_what_brings_a_body_where_none_is_taken(method: str, page: Page) -> None:
    answer = tell(page, head(page, method, "/api/status", "Content-Length: 3") + b"abc")
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "sent",
    [b"\0\xff\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
     b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
     b"GET /" + b"a" * 200_000, b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
     b"CONNECT evil.test:80 HTTP/1.1\r\nHost: evil.test\r\n\r\n",
     b"GET / HTTP/1.0\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_request(sent: bytes, page: Page) -> None:
    status = tell(page, sent).split(b" ")[1:2]
    assert status in ([b"400"], [b"403"])
    after = tell(page, head(page, "GET", "/api/status", "Connection: close"))
    assert after.startswith(b"HTTP/1.1 200 ")


def test_connections_are_closed_that_only_wait(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "patience_s", 0.05)
    host, _, port = page.address.removeprefix("http://").partition(":")
    waiting = [socket.create_connection((host, int(port)), PATIENCE_S) for _ in range(70)]
    for each in waiting:
        with closing(each):
            assert each.recv(1) == b""
