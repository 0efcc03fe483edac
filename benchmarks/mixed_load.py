"""Many connections that ask a page for all kinds of things, one after the other."""

import asyncio
import json
import random
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks.served_library import Served

CONNECTIONS = 64
BUSY = 503
_OF_EDITS = "Content-Type: application/json\r\nX-Aimv2: 1\r\n"
_WORDS = ("boat", "dog", "house", "red car", "snow", "beach", "tree - night", "pizza")


@dataclass
class Told:
    """What came back: seconds of each answer, and how many had which status."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def p99_s(self) -> float:
        return sorted(self.seconds)[int(0.99 * (len(self.seconds) - 1))]

    def add(self, asked: str, status: int, took_s: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds.append(took_s)
        if status >= 400 and status != BUSY:
            self.faults.append(f"{status} {asked}")


@dataclass(frozen=True)
class Asked:
    """One request; with a body it is a POST."""

    path: str
    body: Any = None


class Load:
    """Requests as pages make them, most of them for thumbnails."""

    def __init__(self, page: Served) -> None:
        self._page = page
        self._cookie = _cookie(page.url)
        months = self.get("/api/timeline")["months"]
        self.months = [month for month, _ in months]
        self._ids = self.ids()

    def get(self, path: str) -> Any:
        """The JSON of a route."""
        return json.loads(self._octets(path))

    def post(self, path: str, body: object) -> Any:
        """The JSON that is answered to something sent."""
        data = json.dumps(body).encode()
        headers = self._headers() | {"Content-Type": "application/json", "X-Aimv2": "1"}
        request = urllib.request.Request(self._page.address + path, data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def run(self, seconds: float, is_over: Callable[[], bool]) -> Told:
        """Ask for so long, and on until something is over, which is asked twice a second."""
        return asyncio.run(self._run(seconds, is_over))

    async def _run(self, seconds: float, is_over: Callable[[], bool]) -> Told:
        told, ends = Told(), asyncio.Event()
        clients = [
            asyncio.create_task(self._ask_on(told, random.Random(number), ends))
            for number in range(CONNECTIONS)
        ]
        end_s = time.perf_counter() + seconds
        while not await asyncio.to_thread(is_over) or time.perf_counter() < end_s:
            await asyncio.sleep(0.5)
        ends.set()
        await asyncio.gather(*clients)
        return told

    async def _ask_on(self, told: Told, rng: random.Random, ends: asyncio.Event) -> None:
        connection: Connection | None = None
        while not ends.is_set():
            asked = self._choose(rng)
            began_s = time.perf_counter()
            try:
                if connection is None:
                    connection = await Connection.to(self._page.address, self._headers())
                status = await connection.ask(asked)
            except (OSError, EOFError) as error:
                told.faults.append(f"{type(error).__name__} {asked.path}")
                connection = None
                continue
            told.add(asked.path, status, time.perf_counter() - began_s)
        if connection is not None:
            connection.close()

    def _choose(self, rng: random.Random) -> Asked:
        ids = rng.sample(self._ids, min(30, len(self._ids)))
        kinds: dict[Callable[[], Asked], int] = {
            lambda: Asked(f"/thumb/{ids[0]}"): 60,
            lambda: Asked(f"/view/{ids[0]}"): 4,
            lambda: Asked("/api/status"): 8,
            lambda: Asked("/api/timeline"): 3,
            lambda: Asked(f"/api/timeline/{rng.choice(self.months)}"): 6,
            lambda: Asked(f"/api/photos?ids={','.join(map(str, ids))}"): 8,
            lambda: Asked("/api/search", {"q": rng.choice(_WORDS)}): 4,
            lambda: Asked("/api/search", {"like": ids[:1]}): 3,
            lambda: Asked("/api/tags"): 1,
            lambda: Asked("/api/edits", _edit(rng, ids[:5])): 3,
        }
        return rng.choices(list(kinds), list(kinds.values()))[0]()

    def ids(self, count: int = 1 << 62) -> list[int]:
        """Photos of the timeline, the newest first; without a count of some months."""
        ids: list[int] = []
        step = 1 if count < 1 << 62 else max(1, len(self.months) // 20)
        for month in self.months[::step]:
            octets = self._octets(f"/api/timeline/{month}")
            (number,) = struct.unpack_from("<I", octets)
            ids += struct.unpack_from(f"<{number}I", octets, 4)
            if len(ids) >= count:
                break
        return ids[:count]

    def _octets(self, path: str) -> bytes:
        request = urllib.request.Request(self._page.address + path, headers=self._headers())
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())

    def _headers(self) -> dict[str, str]:
        origin = {"Origin": self._page.address, "Sec-Fetch-Site": "same-origin"}
        return {"Cookie": self._cookie, **origin}


class Connection:
    """A connection that is kept, as browsers keep theirs."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str
    ) -> None:
        self._reader, self._writer, self._head = reader, writer, head

    @classmethod
    async def to(cls, address: str, headers: dict[str, str]) -> "Connection":
        """A connection to a page. Errors: OSError."""
        parts = urlsplit(address)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        lines = {"Host": parts.netloc, **headers}
        return cls(reader, writer, "".join(f"{name}: {text}\r\n" for name, text in lines.items()))

    async def ask(self, asked: Asked) -> int:
        """The status that is answered. Errors: OSError and EOFError where none is."""
        body, more = b"", ""
        if asked.body is not None:
            body = json.dumps(asked.body).encode()
            more = (
                f"Content-Type: application/json\r\nX-Aimv2: 1\r\nContent-Length: {len(body)}\r\n"
            )
        verb = "GET" if asked.body is None else "POST"
        self._writer.write(
            f"{verb} {asked.path} HTTP/1.1\r\n{self._head}{more}\r\n".encode() + body
        )
        await self._writer.drain()
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = head.partition("content-length:")[2].split("\r\n")[0]
        if size:
            await self._reader.readexactly(int(size))
        return int(head.split(maxsplit=2)[1])

    def close(self) -> None:
        """Close it."""
        self._writer.close()


def _edit(rng: random.Random, ids: list[int]) -> dict[str, object]:
    tag = f"Measured {rng.randrange(20)}"
    return {"uuid": f"{rng.getrandbits(128):032x}", "do": "add", "tag": tag, "ids": ids}


def _cookie(url: str) -> str:
    """What the page's token is exchanged for."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    try:
        with urllib.request.build_opener(Stay).open(url) as answer:
            given = answer.headers["Set-Cookie"]
    except urllib.error.HTTPError as error:  # a redirect, which is not followed
        given = error.headers["Set-Cookie"]
    return str(given).partition(";")[0]
