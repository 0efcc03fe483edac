"""Faults of the program itself: told in the terminal, once each, and never a 500."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mlx_aimv2.errors import Aimv2Error, LockedError, OutputError, UsageError
from mlx_aimv2.server import app as module
from mlx_aimv2.server.answers import Body, PageError, as_json, posted
from mlx_aimv2.server.gate.gate import Gate
from mlx_aimv2.server.gate.keys import Keys
from mlx_aimv2.server.service import Service

Client = Callable[..., TestClient]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of an application whose one route, /api/x, is this function."""

    def make(route: Callable[..., object]) -> TestClient:
        routes = [Route("/api/x", route, methods=["GET", "POST"])]
        monkeypatch.setattr(module, "ROUTES", routes)
        return TestClient(module.make_app(Service(tmp_path / "library.db")))

    return make


def test_a_fault_is_told_once_and_answered(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    def route(request: Request) -> Response:
        raise ZeroDivisionError("a private thing")

    asking = client(route)
    for _ in range(3):
        answer = asking.get("/api/x?token=secret")
        assert (answer.status_code, answer.json()["error"]) == (503, "fault")
        assert "private" not in answer.text and "Traceback" not in answer.text
    told = capsys.readouterr().err
    assert told.count("ZeroDivisionError: a private thing") == 1
    assert "secret" not in told


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), KeyError("x"), OSError(28, "x"),
                                   UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")])  # fmt: skip
def test_whatever_it_is(error: Exception, client: Client) -> None:
    async def route(request: Request) -> Response:
        raise error

    assert client(route).get("/api/x").status_code == 503


def test_an_answer_that_breaks_off_is_seen_to(client: Client) -> None:
    async def parts():  # type: ignore[no-untyped-def]
        yield b"half"
        await asyncio.sleep(0)
        raise ZeroDivisionError

    asking = client(lambda request: StreamingResponse(parts()))
    with pytest.raises(ZeroDivisionError):
        asking.get("/api/x")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UsageError("x"), 422, "invalid"),
        (Aimv2Error("x", hint="y"), 422, "invalid"),
        (OutputError("x"), 503, "library"),
        (LockedError("x"), 503, "busy"),
        (PageError("gone", "x"), 410, "gone"),
        (PageError("changed", "x"), 409, "changed"),
        (PageError("offline", "x"), 404, "offline"),
    ],
)
def test_errors_that_are_meant(error: Aimv2Error, status: int, code: str, client: Client) -> None:
    def route(request: Request) -> Response:
        raise error

    answer = client(route).get("/api/x")
    assert answer.status_code == status
    assert answer.json() == {"error": code, "message": "x", "hint": error.hint}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"null", b"{", b"\xff", b'{"a":NaN}', b'{"a":Infinity}',
             b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_what_is_no_object_reaches_no_route(body: bytes, client: Client) -> None:
    asking = client(posted(lambda request, body: pytest.fail("it did")))
    answer = asking.post("/api/x", content=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")


def test_any_text_comes_back_as_it_was_sent(client: Client) -> None:
    def echo(request: Request, body: Body) -> Response:
        return as_json(body)

    for text in ("é😀", "\ud800", '"\\\n\0\u2028', "<img src=x onerror=alert(1)>"):
        sent = json.dumps({"a": text}).encode()
        assert client(posted(echo)).post("/api/x", content=sent).json() == {"a": text}


def test_no_number_that_is_none_leaves() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"score": float("nan")})


def test_a_path_of_endless_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUTES", [Route("/thumb/{id:int}", lambda request: Response())])
    asking = TestClient(module.make_app(Service("/nowhere/library.db")))
    assert asking.get(f"/thumb/{'9' * 4300}").status_code == 404
    assert asking.get(f"/thumb/{'9' * 30}").status_code == 200


def test_faults_pass_the_gate_as_well(client: Client) -> None:
    def route(request: Request) -> Response:
        raise ZeroDivisionError

    keys = Keys(8765)
    asking = TestClient(Gate(client(route).app, keys, 8765), base_url="http://127.0.0.1:8765")
    asking.get(f"/?token={keys.printed}")
    answer = asking.get("/api/x")
    assert answer.status_code == 503
    assert answer.headers["cache-control"] == "no-store"
