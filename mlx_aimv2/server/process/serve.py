"""The server of the page: one process, reached from this machine alone."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from mlx_aimv2.errors import UsageError

LOOPBACK = "127.0.0.1"
PORT = 8765
_ENDING_S = 3  # for answers that are under way


class Server(uvicorn.Server):
    """A server that Ctrl-C and SIGTERM end as if its work were done."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Inside it the two signals end the server; it may run in another thread, without them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ending = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self._end) for each in ending}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit  # the second time: at once
        self.should_exit = True


def listen(port: int | None) -> socket.socket:
    """A socket of this machine on a port; without one on 8765, or on a free one.

    Errors: UsageError for a port that is taken or may not be had.
    """
    for each in (PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, each))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            reason = error.strerror
    raise UsageError(
        f"port {port} cannot be used: {reason}",
        hint="stop what uses it, choose another, or leave --port out for a free one",
    )


def make_server(app: ASGIApp) -> Server:
    """A server of the application; it writes nothing, so that no token stands in a log."""
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    logging.getLogger("uvicorn").propagate = False
    config = uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None,
        access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=_ENDING_S,
    )  # fmt: skip
    return Server(config)
