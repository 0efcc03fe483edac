"""All photos by date: the months, and what is in each."""

import re

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.library.browsing.timeline import NO_MONTHS, UNDATED

from .answers import PageError, as_json, number_in, service_of

_MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
MOST = 4096  # photos in one answer


def timeline(request: Request) -> Response:
    """How many photos each month has, the newest month first."""
    service = service_of(request)
    version = service.version()
    headers = {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(None, 304, headers)
    found = NO_MONTHS
    if service.path.exists():  # before the first index the page is empty, not broken
        found = service.look(service.timeline.months)
    said = {"version": version, "months": found.months, "undated": found.undated}
    return as_json(said | {"total": found.total}, headers=headers)


def month(request: Request) -> Response:
    """Some photos of a month, as octets: n, then all ids, versions, ratios, flags and days."""
    service, name = service_of(request), request.path_params["month"]
    if name != UNDATED and not _MONTH.fullmatch(name):
        raise PageError("not_found", "there is no such month", hint="load the page again")
    offset = number_in(request, "offset", 0)
    limit = number_in(request, "limit", MOST, most=MOST)
    cells = service.look(
        lambda store: service.cells(
            store, service.timeline.ids(store, name)[offset : offset + limit].tolist()
        )
    )
    columns: list[tuple[str, list[int]]] = [
        ("<u4", [cell.id for cell in cells]),
        ("<u4", [cell.version for cell in cells]),
        ("u1", [cell.ratio for cell in cells]),
        ("u1", [cell.flags for cell in cells]),
        ("u1", [int(cell.day[8:]) if cell.day else 0 for cell in cells]),
    ]
    parts = [np.array(values, kind).tobytes() for kind, values in [("<u4", [len(cells)]), *columns]]
    return Response(b"".join(parts), media_type="application/octet-stream")


routes = [
    Route("/api/timeline", timeline),
    Route("/api/timeline/{month}", month),
]
