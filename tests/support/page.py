"""A page that runs over a library, on a port of its own, for tests that speak HTTP to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlx_aimv2.server.gate.keys import Keys
from mlx_aimv2.server.process.serve import listen, make_server
from mlx_aimv2.server.service import Service


@dataclass(frozen=True)
class Page:
    """A running page: where it is, and the address that lets one in."""

    address: str
    token: str
    service: Service

    @property
    def url(self) -> str:
        """The address with the token, as the command prints it."""
        return f"{self.address}/?token={self.token}"


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
            yield Page(f"http://127.0.0.1:{port}", keys.printed, service)
        finally:
            server.should_exit = True
            thread.join()
