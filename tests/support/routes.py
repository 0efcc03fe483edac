"""The page's routes over a library, without the gate before them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from mlx_aimv2.server.app import make_app
from mlx_aimv2.server.service import Service


@contextmanager
def routes_over(library: Path) -> Iterator[TestClient]:
    """A client of the routes; ``client.app.state.service`` is what they share."""
    with Service(library) as service:
        yield TestClient(make_app(service))


def said(client: TestClient, address: str, body: object = None, *, status: int = 200) -> Any:
    """The JSON that a route answers, by POST where something is sent."""
    # Escaped, so that half a surrogate pair can be sent too.
    answer = client.get(address) if body is None else client.post(address, content=json.dumps(body))
    assert answer.status_code == status, (address, answer.text)
    return answer.json()
