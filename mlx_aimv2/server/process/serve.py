"""The server of the page: one process, reached from this machine alone."""

import asyncio
import logging
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mlx_aimv2.errors import UsageError

from ..app import make_app
from ..gate.bodies import Patience
from ..gate.gate import Gate
from ..gate.keys import Keys
from ..service import Service

LOOPBACK = "127.0.0.1"
PORT = 8765
_HEAD_BYTES = 1 << 16  # of a request: cookies of all programs on this machine come along
_BETWEEN_S = 60  # two requests of a connection; the page asks for its status more often
_ENDING_S = 3  # for answers that are under way
_OPEN_FILES = 4096  # a Mac allows 256, and each connection and each open library takes some


class Connection(H11Protocol):
    """A connection whose request must come in time, its head too."""

    patience_s = Patience.part_s
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def _wait(self) -> None:
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering:
            self._stop_waiting()
        elif self._due is None:
            self._due = self.loop.call_later(self.patience_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


class Server(uvicorn.Server):
    """A server that Ctrl-C, SIGTERM and a closed terminal end as if its work were done."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Inside it these signals end the server; in another thread it runs without them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
        # The protocol is named, or asyncio leaves Nagle's algorithm on: 40 ms for each answer.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def make_server(service: Service, keys: Keys, port: int) -> Server:
    """A server of the page; it writes nothing, so that no token stands in a log."""
    _allow_open_files()
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    config = uvicorn.Config(
        Gate(make_app(service), keys, port),
        http=Connection,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_BETWEEN_S,
        timeout_graceful_shutdown=_ENDING_S,
    )
    return Server(config)


def _allow_open_files() -> None:
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    if now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
