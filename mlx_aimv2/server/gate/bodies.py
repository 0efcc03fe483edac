"""What a request brings, read to its end before a route sees it: not too large, not too slow."""

import asyncio
from dataclasses import dataclass

from starlette.types import Message, Receive

from .refusals import SLOW, RefusedError, too_large

PICTURE_PATH = "/api/picture"
_PICTURE_BYTES = 64 << 20
_EDIT_BYTES = 16 << 20


@dataclass(frozen=True)
class Patience:
    """How long to wait for a body. Units: seconds, for the next part and for the whole."""

    part_s: float = 15
    whole_s: float = 120


def limit_of(method: str, path: str) -> int:
    """How many bytes a request may bring."""
    if method != "POST":
        return 0
    return _PICTURE_BYTES if path == PICTURE_PATH else _EDIT_BYTES


async def read_body(receive: Receive, announced: str, limit: int, patience: Patience) -> Receive:
    """Read a body; returns what gives it to a route, then tells when the client goes.

    ``announced`` is the Content-Length, if any.
    Errors: RefusedError for what is too large, known as soon as may be, and for what stays out.
    """
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise RefusedError(too_large(limit))
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(patience.whole_s):
            while True:
                async with asyncio.timeout(patience.part_s):
                    message = await receive()
                if message["type"] != "http.request":
                    raise RefusedError(SLOW)  # the client has gone, and nobody hears this
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise RefusedError(too_large(limit))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise RefusedError(SLOW) from None
    waiting: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def give() -> Message:
        return waiting.pop() if waiting else await receive()

    return give
