"""Requests that are refused: what the answer says, as JSON to the page, as a page to a person."""

from dataclasses import dataclass
from html import escape

from starlette.responses import Response

from ..answers import as_json


@dataclass(frozen=True)
class Refusal:
    """Why no route gets to see a request. ``error`` is its name for the page."""

    status: int
    error: str
    message: str
    hint: str


class RefusedError(Exception):
    """Raised where a request is refused."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why.message)
        self.why = why


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>aimv2 browse</title>
<h1>{message}</h1>
<p>{hint}</p>
</html>
"""

HOST = Refusal(
    403, "host", "This is not the address of the page.",
    "Open the address that aimv2 browse has printed; through ssh -L the port is the same on both "
    "sides.",
)  # fmt: skip
ORIGIN = Refusal(
    403, "origin", "Another site asked for this, and was refused.",
    "Open the address that aimv2 browse has printed, in a new tab.",
)  # fmt: skip
TOKEN = Refusal(
    401, "token", "This browser has no key to the page.",
    "Open the address that aimv2 browse has printed: it ends with ?token= and the key. Each start "
    "of the command makes another one.",
)  # fmt: skip
HEADER = Refusal(
    403, "origin", "Only the page itself may change anything.",
    "Programs send the header X-Aimv2: 1 and the page's cookie.",
)  # fmt: skip
TYPE = Refusal(
    415, "type", "This is not JSON.", "Send it with the header Content-Type: application/json."
)
SLOW = Refusal(
    408, "slow", "The rest of the request did not come.", "Look at the network, and try again."
)


def too_large(limit_bytes: int) -> Refusal:
    """The refusal of a body above a limit."""
    takes = f"at most {limit_bytes >> 20} MB" if limit_bytes else "nothing"
    return Refusal(
        413, "too_large", f"This is too large: {takes} may be sent there.",
        "Take a smaller picture, or do it in several parts.",
    )  # fmt: skip


def answer(refusal: Refusal, path: str) -> Response:
    """The answer to a refused request; the connection ends, for its body is not read."""
    headers = {"Connection": "close"}
    if path.startswith("/api/"):
        said = {"error": refusal.error, "message": refusal.message, "hint": refusal.hint}
        return as_json(said, refusal.status, headers)
    page = _PAGE.format(message=escape(refusal.message), hint=escape(refusal.hint))
    return Response(page, refusal.status, headers, media_type="text/html")
