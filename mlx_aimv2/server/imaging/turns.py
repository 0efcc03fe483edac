"""Turns to decode: a few pictures at a time, and few who wait."""

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request

from mlx_aimv2.device import available_cores

from ..answers import PageError

T = TypeVar("T")

_MOST_WAITING = 256


class Turns:
    """Work for one request after another, in threads of its own, so that the rest stays quick.

    Who is gone by the time it is their turn costs nothing.
    """

    def __init__(self, together: int | None = None, most_waiting: int = _MOST_WAITING) -> None:
        together = together or max(2, available_cores() // 2)
        self._turn, self._threads = (anyio.CapacityLimiter(together) for _ in range(2))
        self._most_waiting = most_waiting
        self._waiting = 0

    async def run(self, request: Request, work: Callable[[], T]) -> T | None:
        """What some work gives; None where nobody waits for it any more.

        Errors: PageError "busy" where too many wait; those of the work.
        """
        if self._waiting >= self._most_waiting:
            raise PageError("busy", "too many pictures are being made", hint="try again")
        self._waiting += 1
        try:
            await request.body()  # what comes behind it is that the client has gone
            async with self._turn:
                if await request.is_disconnected():
                    return None
                return await run_sync(work, limiter=self._threads)
        finally:
            self._waiting -= 1
