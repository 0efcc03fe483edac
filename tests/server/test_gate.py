"""The gate: every route of the page, asked by every kind of sender, with and without the cookie."""

import asyncio
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient, WebSocketDisconnect
from starlette.types import Receive, Scope, Send

from mlx_aimv2.server.app import ROUTES
from mlx_aimv2.server.gate.gate import HEADERS, Gate
from mlx_aimv2.server.gate.keys import Keys

PORT = 8765
OWN = f"http://127.0.0.1:{PORT}"
# What browsers, and what is none, say of where a request comes from.
SENDERS = {
    "the page": {"Sec-Fetch-Site": "same-origin", "Origin": OWN},
    "a page on another port": {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8766"},
    "a page of another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"},
    "a frame without origin": {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    "the address bar": {"Sec-Fetch-Site": "none"},
    "an old browser, the page": {"Origin": OWN},
    "an old browser, another port": {"Origin": "http://127.0.0.1:8766"},
    "an old browser, no origin": {"Origin": "null"},
    "curl": {},
}
MAY_READ = {"the page", "the address bar", "an old browser, the page", "curl"}
MAY_EDIT = MAY_READ - {"the address bar"}
EDIT = {"X-Aimv2": "1", "Content-Type": "application/json"}


class Recorder:
    """Stands where the routes stand: what came through the gate."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.came.append((scope["method"], scope["path"], message["body"]))
        await Response(b"private")(scope, receive, send)


class Browser:
    """Something that asks, and whether it was heard."""

    def __init__(self) -> None:
        self.keys, self.inside = Keys(PORT), Recorder()
        self.gate = Gate(self.inside, self.keys, PORT)
        self.client = TestClient(self.gate, base_url=OWN, follow_redirects=False)

    def enter(self) -> None:
        assert self.client.get(f"/?token={self.keys.printed}").status_code == 303

    def ask(self, method: str, path: str, **options: Any) -> Response:
        before = len(self.inside.came)
        answer = self.client.request(method, path, **options)
        self.was_heard = len(self.inside.came) > before
        assert (answer.status_code < 400) == self.was_heard
        check_headers(answer)
        return answer


def check_headers(answer: Response) -> None:
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.fixture
def browser() -> Iterator[Browser]:
    yield Browser()


def every_route() -> list[tuple[str, str]]:
    """Methods and paths of all routes there are, their numbers and names filled in."""
    found = []
    for route in ROUTES:
        path = re.sub(r"{\w+:int}", "1", route.path)
        path = re.sub(r"{\w+(:\w+)?}", "x", path)
        found += [(method, path) for method in sorted(route.methods or ())]
    return found


def test_routes_are_there() -> None:
    found = every_route()
    for expected in (("GET", "/"), ("GET", "/static/x"), ("GET", "/api/status"),
                     ("POST", "/api/index")):  # fmt: skip
        assert expected in found
    assert not [path for _, path in found if "{" in path]


@pytest.mark.parametrize("has_token", [True, False])
@pytest.mark.parametrize("sender", SENDERS)
def test_who_is_heard(sender: str, has_token: bool, browser: Browser) -> None:
    if has_token:
        browser.enter()
    for method, path in [*every_route(), ("GET", "/nowhere"), ("POST", "/"), ("PUT", "/api/x")]:
        reads = method in ("GET", "HEAD")
        headers = SENDERS[sender] | ({} if reads else EDIT)
        answer = browser.ask(method, path, headers=headers)
        is_welcome = sender in (MAY_READ if reads else MAY_EDIT)
        expected = 403 if not is_welcome else 200 if has_token else 401
        assert answer.status_code == expected, (method, path)


@pytest.mark.parametrize(
    "host",
    ["evil.test", "evil.test:8765", "127.0.0.1", "127.0.0.1:8766", "127.0.0.1.evil.test:8765",
     "192.168.0.7:8765", "localhost:8765.evil.test", "", "[::1]", "0.0.0.0:8765"],
)  # fmt: skip
def test_a_name_that_leads_here_by_a_strangers_dns_is_refused(host: str, browser: Browser) -> None:
    browser.enter()
    cookie = {"Cookie": f"{browser.keys.cookie}={browser.client.cookies[browser.keys.cookie]}"}
    for path in ("/", "/api/status", "/thumb/1", f"/?token={browser.keys.printed}"):
        answer = browser.ask("GET", path, headers={"Host": host, **cookie})
        assert answer.status_code == 403
        assert browser.keys.printed not in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765",
                                  "[::1]:8765"])  # fmt: skip
def test_names_of_this_machine_are_not(host: str, browser: Browser) -> None:
    browser.enter()
    cookie = {"Cookie": f"{browser.keys.cookie}={browser.client.cookies[browser.keys.cookie]}"}
    headers = {"Host": host, "Origin": f"http://{host.lower()}", **cookie}
    assert browser.ask("GET", "/api/status", headers=headers).status_code == 200


def test_a_token_is_exchanged_for_a_cookie_that_scripts_cannot_read(browser: Browser) -> None:
    answer = browser.client.get(f"/?token={browser.keys.printed}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"aimv2-{PORT}=")
    assert cookie.endswith("; HttpOnly; SameSite=Strict; Path=/")
    assert browser.keys.printed not in cookie + answer.headers["location"] + answer.text
    check_headers(answer)
    assert not browser.inside.came


def test_the_printed_token_lets_in_again_and_the_opened_one_does_not(browser: Browser) -> None:
    once = browser.keys.once
    for token, expected in ((once, 303), (once, 401), (browser.keys.printed, 303),
                            (browser.keys.printed, 303)):  # fmt: skip
        browser.client.cookies.clear()
        assert browser.client.get(f"/?token={token}").status_code == expected


def test_a_spent_token_leads_on_where_the_cookie_is_there(browser: Browser) -> None:
    once = browser.keys.once
    assert browser.client.get(f"/?token={once}").status_code == 303
    again = browser.client.get(f"/?token={once}")
    assert (again.status_code, "set-cookie" in again.headers) == (303, False)


@pytest.mark.parametrize("token", ["", "x", "%00", "é", "%ff%fe", "a" * 60_000, "x&token=y"])
def test_wrong_tokens(token: str, browser: Browser) -> None:
    answer = browser.client.get(f"/?token={token}")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_token_is_taken_by_no_other_route_and_method(browser: Browser) -> None:
    for method, path in (("GET", "/api/status"), ("GET", "/static/main.js"), ("HEAD", "/"),
                         ("POST", "/")):  # fmt: skip
        asked = browser.ask(method, f"{path}?token={browser.keys.printed}", headers=EDIT)
        assert asked.status_code == 401
        assert "set-cookie" not in asked.headers


@pytest.mark.parametrize(
    "cookies",
    ["", "aimv2-8765", "aimv2-8765=", "aimv2-8765=x", "aimv2-8766={}", "aimv2-8765={}x", "x={}",
     ";;;=;", "aimv2-8765=\xe9"],
)  # fmt: skip
def test_other_cookies(cookies: str, browser: Browser) -> None:
    browser.enter()
    session = browser.client.cookies[browser.keys.cookie]
    browser.client.cookies.clear()
    sent = cookies.format(session).encode("latin-1")
    assert browser.ask("GET", "/", headers=[(b"cookie", sent)]).status_code == 401
    right = f"aimv2-8765=x; other=1; aimv2-8765={session}"  # of another path, set by another port
    assert browser.ask("GET", "/", headers={"Cookie": right}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 403),
        ({"Content-Type": "application/json"}, 403),
        ({"X-Aimv2": "0", "Content-Type": "application/json"}, 403),
        ({"X-Aimv2": "1"}, 415),
        ({"X-Aimv2": "1", "Content-Type": "text/plain"}, 415),
        ({"X-Aimv2": "1", "Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"X-Aimv2": "1", "Content-Type": "Application/JSON; charset=utf-8"}, 200),
    ],
)
def test_what_a_form_could_send_is_no_edit(
    headers: dict[str, str], expected: int, browser: Browser
) -> None:
    browser.enter()
    answer = browser.ask("POST", "/api/edits", content=b"{}", headers=headers)
    assert answer.status_code == expected


def test_a_picture_may_be_of_any_type(browser: Browser) -> None:
    browser.enter()
    headers = {"X-Aimv2": "1", "Content-Type": "image/heic"}
    assert browser.ask("POST", "/api/picture", content=b"x", headers=headers).status_code == 200
    assert browser.inside.came[-1] == ("POST", "/api/picture", b"x")


def test_refusals_are_json_for_the_page_and_a_page_for_a_person(browser: Browser) -> None:
    said = browser.ask("GET", "/api/status").json()
    assert set(said) == {"error", "message", "hint"}
    assert said["error"] == "token"
    page = browser.ask("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    assert "?token=" in page.text
    assert not re.search(r"<(script|style|link|img)|style=| on\w+=", page.text)


def test_a_routes_own_headers_stay_but_those_of_the_gate() -> None:
    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {"Cache-Control": "private", "Referrer-Policy": "unsafe-url", "X-Own": "1"}
        await Response(b"", headers=headers)(scope, receive, send)

    keys = Keys(PORT)
    client = TestClient(Gate(inside, keys, PORT), base_url=OWN)
    answer = client.get(f"/?token={keys.printed}")
    check_headers(answer)
    assert (answer.headers["cache-control"], answer.headers["x-own"]) == ("private", "1")


def test_each_run_has_other_keys() -> None:
    first, second = Keys(PORT), Keys(PORT)
    tokens = {first.printed, first.once, second.printed, second.once}
    assert len(tokens) == 4
    assert min(map(len, tokens)) >= 43  # 256 bits
    assert first.admit(second.printed) is None
    cookie = second.admit(second.printed)
    assert cookie is not None
    assert not first.know(cookie.partition(";")[0])


def test_heads_of_chance(browser: Browser) -> None:
    """Whatever bytes the headers and the address hold, the gate refuses or lets through."""
    browser.enter()
    session = f"{browser.keys.cookie}={browser.client.cookies[browser.keys.cookie]}".encode()
    browser.client.cookies.clear()
    draw = random.Random(7)
    names = [b"host", b"origin", b"cookie", b"sec-fetch-site", b"content-type", b"content-length",
             b"x-aimv2"]  # fmt: skip
    known = [b"127.0.0.1:8765", OWN.encode(), session, b"same-origin", b"none", b"1", b"null", b""]
    heard = 0
    for _ in range(1000):
        headers = [(b"host", b"127.0.0.1:8765"), (b"cookie", session)] * (draw.random() < 0.5)
        for _ in range(draw.randrange(4)):
            noise = draw.randbytes(draw.randrange(40))
            headers.append((draw.choice(names), draw.choice([*known, noise])))
        scope = {
            "type": "http", "method": draw.choice(["GET", "HEAD", "POST", "OPTIONS", "\xe9"]),
            "path": draw.choice(["/", "/api/status", "/\udc80\0", ""]), "headers": headers,
            "query_string": draw.choice([b"", b"token=" + draw.randbytes(20), b"token=%ff&;&=&"]),
        }  # fmt: skip
        told: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any, told: list[Any] = told) -> None:
            told.append(message)

        before = len(browser.inside.came)
        asyncio.run(browser.gate(scope, receive, send))
        was_heard = len(browser.inside.came) > before
        assert told[0]["status"] in ({200} if was_heard else {303, 401, 403, 413, 415})
        assert not was_heard or session in [value for _, value in headers]
        heard += was_heard
    assert 0 < heard < 1000


def test_other_protocols_are_not_spoken(browser: Browser) -> None:
    with pytest.raises(WebSocketDisconnect), browser.client.websocket_connect("/"):
        pass
    assert not browser.inside.came
