"""A library of any size as the browser hears of it: months by arithmetic, one small picture."""

import json
import struct
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

NEWEST = 2026 * 12 + 10  # November 2026, in months


@dataclass
class StandInTimeline:
    """Routes ``/api/timeline``, ``/api/photos`` and ``/thumb``, and counts what is asked for.

    ``months`` has the photos of each month, the newest first; ids are the places from 1.
    """

    months: list[int]
    undated: int = 0
    picture: bytes = b""
    is_holding: bool = False
    thumbs: list[int] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    under_way: set[Any] = field(default_factory=set)
    most_under_way: int = 0
    held: list[Any] = field(default_factory=list)
    version: str = "1"
    status: dict[str, Any] = field(default_factory=dict)
    tag: str = "Boat"
    edits: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    is_gone: bool = False

    def __call__(self, page: Any) -> None:
        """Takes the place of the server for a Playwright page."""
        page.on("request", self._began)
        for name in ("requestfinished", "requestfailed"):
            page.on(name, self._ended)
        page.route("**/api/timeline", lambda route: route.fulfill(json=self.timeline()))
        page.route("**/api/timeline/*", self._part)
        page.route("**/api/photos?*", self._photos)
        page.route("**/api/status", self._status)
        page.route("**/api/edits**", self._edit)
        page.route("**/thumb/*", self._thumb)

    @property
    def total(self) -> int:
        """Photos of all months, with those that have no date."""
        return sum(self.months) + self.undated

    def names(self) -> list[str]:
        """Each month as the wire has it."""
        numbers = [NEWEST - place for place in range(len(self.months))]
        return [f"{number // 12}-{number % 12 + 1:02}" for number in numbers]

    def timeline(self) -> dict[str, Any]:
        """The answer of ``/api/timeline``."""
        return {
            "version": self.version,
            "months": list(zip(self.names(), self.months, strict=True)),
            "undated": self.undated,
            "total": self.total,
        }

    def state(self) -> dict[str, Any]:
        """The answer of ``/api/status``."""
        return {
            "library": "library.db", "version": self.version, "photos": self.total, "errors": 0,
            "missing": 0, "waiting": 0, "roots": [], "problem": None,
            "index": {
                "running": False, "here": False, "done": 0, "left": 0, "per_s": None,
                "message": None, "hint": "",
            },
            "model": {
                "name": "demo", "state": "ready", "texts": True, "message": None, "hint": "",
            },
        } | self.status  # fmt: skip

    def release(self) -> None:
        """Answers the thumbnails that were held; those given up meanwhile are nobody's."""
        self.is_holding = False
        for route in self.held:
            route.fulfill(body=self.picture, content_type="image/jpeg")
        self.held.clear()

    def _began(self, request: Any) -> None:
        if "/api/" in request.url or "/thumb/" in request.url:
            self.under_way.add(request)
            self.most_under_way = max(self.most_under_way, len(self.under_way))

    def _ended(self, request: Any) -> None:
        self.under_way.discard(request)

    def _part(self, route: Any) -> None:
        url = urlsplit(route.request.url)
        month = url.path.rpartition("/")[2]
        self.parts.append(month)
        asked = parse_qs(url.query)
        offset, limit = int(asked["offset"][0]), int(asked["limit"][0])
        if month == "undated":
            before, count = sum(self.months), self.undated
        else:
            place = self.names().index(month)
            before, count = sum(self.months[:place]), self.months[place]
        n = max(0, min(limit, count - offset))
        ids = np.arange(n, dtype="<u4") + before + offset + 1
        days = 28 - (np.arange(n) + offset) * 28 // max(count, 1) if month != "undated" else ids * 0
        ratios = np.where(ids % 3 == 0, 43, 96)
        body = b"".join(
            (
                struct.pack("<I", n), ids.tobytes(), ids.tobytes(), ratios.astype("u1").tobytes(),
                (ids % 32).astype("u1").tobytes(), days.astype("u1").tobytes(),
            )
        )  # fmt: skip
        route.fulfill(body=body, content_type="application/octet-stream")

    def _status(self, route: Any) -> None:
        if self.is_gone:
            route.abort("connectionrefused")
        else:
            route.fulfill(json=self.state())

    def _edit(self, route: Any) -> None:
        if route.request.method == "GET":
            route.fulfill(json={"edits": [], "next": None})
            return
        body = route.request.post_data_json
        self.edits.append((urlsplit(route.request.url).path, body))
        count = len(body.get("ids", []))
        answer = {"edit": len(self.edits), "changed": count, "skipped": 0, "waiting": False}
        said = f"{count} picked for removal" if body.get("do") else "Undone"
        route.fulfill(json=answer | {"said": said, "errors": [], "version": self.version})

    def _photos(self, route: Any) -> None:
        ids = parse_qs(urlsplit(route.request.url).query)["ids"][0].split(",")
        added = {"tag": self.tag, "origins": ["you"], "score": None, "verdict": "added"}
        guess = {"tag": "Guess", "origins": ["demo"], "score": 0.9, "verdict": None}
        photos = [{"id": int(one), "tags": [added, guess]} for one in ids]
        route.fulfill(body=json.dumps({"photos": photos}), content_type="application/json")

    def _thumb(self, route: Any) -> None:
        self.thumbs.append(int(urlsplit(route.request.url).path.rpartition("/")[2]))
        if self.is_holding:
            self.held.append(route)
        else:
            route.fulfill(body=self.picture, content_type="image/jpeg")
