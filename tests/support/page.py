"""A page that runs over a library, on a port of its own, for tests that speak HTTP to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlx_aimv2.server.gate.keys import Keys
from mlx_aimv2.server.process.serve import LOOPBACK, listen, make_server
from mlx_aimv2.server.service import Service


@dataclass(frozen=True)
class Page:
    """A running page: where it is, and what lets one in."""

    address: str
    keys: Keys
    service: Service

    @property
    def token(self) -> str:
        """What stands in the address that the command prints."""
        return self.keys.printed

    @property
    def url(self) -> str:
        """The address with the token, as the command prints it."""
        return f"{self.address}/?token={self.token}"

    def cookie(self) -> str:
        """The cookie that a browser has for the token: its name and value."""
        cookie = self.keys.admit(self.token)
        assert cookie is not None
        return cookie.partition(";")[0]


@contextmanager
def running_page(library: Path) -> Iterator[Page]:
    """A page over a library in a thread of this process, on a free port, until the end."""
    with Service(library) as service, listen(0) as listener:
        port = listener.getsockname()[1]
        keys = Keys(port)
        server = make_server(service, keys, port)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Page(f"http://{LOOPBACK}:{port}", keys, service)
        finally:
            server.should_exit = True
            thread.join()
