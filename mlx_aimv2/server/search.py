"""Searches, kept for a while so that their photos come page by page."""

from dataclasses import asdict
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.library.browsing.asked import Asked, Chip
from mlx_aimv2.library.browsing.browsable import Search

from .answers import Body, PageError, as_json, number_in, posted, service_of
from .service import Hit, Service

PAGE = 200  # hits
_SCORE_DIGITS = 6
_NO_PHOTO = ("00000000", None, 64, 16)  # of a photo that went after the search: unreadable


def search(request: Request, body: Body) -> Response:
    """Make a search: what was understood, how many photos fit, and the first of them."""
    service = service_of(request)
    asked = Asked.from_body(body)
    name, made = service.ask(asked)
    found = made.listing
    return as_json(
        {
            "search": name,
            "total": found.found,
            "below": len(found.ids) - found.found,
            "best": _rounded(found.best),
            "line": found.line,
            "has_scores": bool(made.terms),
            "notes": made.notes,
            "understood": [_as_chip(each) for each in asked.chips()],
            "hits": hits_of(service, made, 0, PAGE),
        }
    )


def page(request: Request) -> Response:
    """More photos of a search: those above its line first, then those below it."""
    service = service_of(request)
    made = kept(service, request.path_params["name"])
    offset = number_in(request, "offset", 0)
    limit = number_in(request, "limit", PAGE, most=PAGE)
    return as_json({"hits": hits_of(service, made, offset, limit)})


async def picture(request: Request) -> Response:
    """Take a picture to search by; nothing of it is written to the disk."""
    service = service_of(request)
    data = await request.body()
    return as_json({"picture": await run_in_threadpool(service.send_picture, data)})


def kept(service: Service, name: str) -> Search:
    """A search that is kept. Errors: PageError ``gone``."""
    found = service.searches.get(name)
    if found is None:
        raise PageError("gone", "this search is kept no more", hint="search again")
    return found


def ids_above_line(service: Service, name: str) -> list[int]:
    """All photos that a kept search found. Errors: PageError ``gone``."""
    listing = kept(service, name).listing
    return [int(id) for id in listing.ids[: listing.found]]


def hits_of(service: Service, made: Search, offset: int, limit: int) -> list[Hit]:
    """Some of the photos of a search, one for each place."""
    found = made.listing.part(offset, offset + limit)
    known = {hit[0]: hit for hit in service.look(lambda store: service.hits(store, found))}
    version, day, ratio, flags = _NO_PHOTO
    return [known.get(id, (id, version, _rounded(score), day, ratio, flags)) for id, score in found]


def _as_chip(chip: Chip) -> dict[str, Any]:
    said = {"kind": chip.kind, "text": chip.text, "without": asdict(chip.without)}
    return said if chip.id is None else said | {"id": chip.id}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, _SCORE_DIGITS)


routes = [
    Route("/api/search", posted(search), methods=["POST"]),
    Route("/api/search/{name}", page),
    Route("/api/picture", picture, methods=["POST"]),
]
