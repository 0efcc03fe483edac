"""A thousand requests that nobody would make: no route fails at one, and nothing leaks."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from mlx_aimv2.library.library import Library
from mlx_aimv2.server.app import ROUTES, make_app
from mlx_aimv2.server.gate.gate import HEADERS, Gate
from mlx_aimv2.server.gate.keys import Keys
from mlx_aimv2.server.service import Service
from tests.support.albums import make_album

PORT = 8765
REQUESTS = 1000
HOSTILE = [
    "", " ", "x", "0", "1", "2", "-1", "1.5", "1e9", str(1 << 62), str(1 << 63), str(1 << 64),
    "9" * 400, "nan", "inf", "null", "true", "[]", "{}", "../..", "/etc/passwd", "..%2f..", "\0",
    "\n", "é", "😀", "\ud800", "\u202e", "<img src=x onerror=alert(1)>", "'; DROP TABLE files; --",
    "%", "%s", "{0}", "a" * 1000, "1,2,3", "1,,2", ",".join(map(str, range(500))), "p1", "s1",
    "s999", "2026-11", "2026-13", "undated", "Boat", "Animals|Dog", "|", "tag:Boat", "+", "-",
    "red boat - night", "2:dog + tag:Boat", "--since 2023", "--library /tmp/other.db", "~", "-x",
    "sure", "ask", "no", "exact", "near", "best", "date",
]  # fmt: skip
BUSY = {"busy", "library", "not_here"}  # another process writes; no Mac
DEEDS = [
    "add", "remove", "confirm", "reject", "rename", "merge", "caption", "teach", "pick", "unpick",
    "not_duplicates", "carry", "start?", "stop",
]  # fmt: skip
FIELDS = [
    "q", "like", "pictures", "tags", "not_tags", "since", "until", "sort", "min", "unique",
    "captions_only", "uuid", "do", "ids", "search", "tag_kind", "tag", "to", "text", "yes", "no",
    "words", "groups", "keep", "from", "id", "after", "limit", "offset", "kind", "v", "before",
    "date",
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of drawings in a folder with a name that is found if it leaks.

    Its own place is in commands that are to be typed.
    """
    place = tmp_path_factory.mktemp("requests")
    make_album(place / "secret place/album", 7)
    Library(place / "library.db").index(place / "secret place/album", model="demo")
    return place / "library.db"


@pytest.fixture
def asked(library: Path) -> Iterator[tuple[TestClient, Keys]]:
    keys = Keys(PORT)
    with Service(library) as service:
        address = f"http://127.0.0.1:{PORT}"
        client = TestClient(Gate(make_app(service), keys, PORT), base_url=address)
        client.get(f"/?token={keys.printed}")
        yield client, keys


class Chance:
    """What is sent, drawn from what is known of the routes and from what is hostile."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        draw = self._random
        kinds = ["text"] * 4 + ["number"] * 3 + ["deed", "none", "true"] + ["list"] * (3 - depth)
        match draw.choice(kinds):
            case "text":
                return draw.choice(HOSTILE)
            case "number":
                return draw.choice([0, 1, 2, 3, 7, -1, 1.5, 1e308, 10**9, 1 << 63, 10**30])
            case "deed":
                return draw.choice(DEEDS)
            case "list":
                return [self.value(depth + 1) for _ in range(draw.randrange(4))]
            case kind:
                return None if kind == "none" else draw.random() < 0.5

    def plausible(self, name: str) -> Any:
        draw = self._random
        ids = [draw.randrange(1, 9) for _ in range(draw.randrange(5))]
        text = draw.choice(["Boat", "Sea", "a boat", "Animals|Dog"])
        known = {
            **dict.fromkeys(("ids", "like", "yes", "no", "from"), ids),
            **dict.fromkeys(("keep", "id"), draw.randrange(1, 9)),
            **dict.fromkeys(("tag", "to", "text", "words"), text),
            "tags": [text],
            "not_tags": [text],
            "uuid": f"{draw.getrandbits(128):032x}",
            "do": draw.choice(DEEDS),
            "q": draw.choice(["red car", "car - night", "tag:Boat", "--since 2020 house"]),
            "search": f"s{draw.randrange(4)}",
            "tag_kind": [text, draw.choice(["sure", "ask", "no"])],
            "groups": [[1, 2], [3]],
            "sort": draw.choice(["best", "date"]),
        }
        return known[name] if name in known else self.value()

    def body(self) -> bytes:
        draw = self._random
        if draw.random() < 0.05:
            return draw.choice([b"", b"{", b"[]", b"1", b"NaN", b'{"a":NaN}', b"\xff", b"[" * 9999])
        fields = draw.sample(FIELDS, draw.randrange(7)) + ["do", "uuid"] * (draw.random() < 0.6)
        sent = {
            name: self.plausible(name) if draw.random() < 0.7 else self.value() for name in fields
        }
        return json.dumps(sent).encode()

    def address(self, path: str) -> str:
        draw = self._random

        def fill(match: re.Match[str]) -> str:
            if ":int" in match[0]:
                return draw.choice(["0", "1", "3", "7", "99", str(1 << 62), str(1 << 63), "9" * 99])
            text = draw.choice([*HOSTILE, "Boat", "2026-11", "s1", "main.js"])
            return quote(text.encode("utf-8", "replace"), safe="/" if draw.random() < 0.3 else "")

        path = re.sub(r"{\w+(:\w+)?}", fill, path)
        names = draw.sample(FIELDS, draw.randrange(4))
        values = [quote(str(draw.choice(HOSTILE)).encode("utf-8", "replace")) for _ in names]
        pairs = "&".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
        return f"{path}?{pairs}" if pairs else path


def requests(seed: int) -> Iterator[tuple[str, str, bytes]]:
    chance = Chance(seed)
    draw = random.Random(seed)
    for _ in range(REQUESTS):
        route = draw.choice(ROUTES)
        methods = (
            sorted(route.methods or ()) if draw.random() < 0.95 else ["PUT", "DELETE", "PATCH"]
        )
        method = draw.choice(methods)
        body = chance.body() if method == "POST" else b""
        yield method, chance.address(route.path), body


@pytest.mark.filterwarnings("default::mlx_aimv2.errors.Aimv2Warning")  # of words that were cut
def test_a_thousand_requests(
    asked: tuple[TestClient, Keys], library: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client, keys = asked
    session = client.cookies[keys.cookie]
    headers = {"X-Aimv2": "1", "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    statuses = set()
    for method, address, body in requests(7):
        answer = client.request(
            method, address, content=body, headers=headers, follow_redirects=False
        )
        what = f"{method} {address} {body[:300]!r}: {answer.status_code} {answer.content[:300]!r}"
        statuses.add(answer.status_code)
        assert answer.status_code < 500 or answer.json()["error"] in BUSY, what
        assert b"secret place" not in answer.content, what
        assert b"Traceback" not in answer.content and b'"fault"' not in answer.content, what
        if method != "HEAD" and answer.headers.get("content-type") == "application/json":
            answer.json()
        for secret in (keys.printed, session):
            assert secret not in answer.text and secret not in str(answer.headers), what
        assert set(map(str.lower, HEADERS)) <= set(answer.headers), what
    assert {200, 404, 405, 422} <= statuses
    written = capfd.readouterr()
    assert written.out == ""
    assert "Traceback" not in written.err
    assert keys.printed not in written.err and session not in written.err
    with Library(library) as kept:
        assert kept.store.check() == []
        assert kept.counts().files == 7
