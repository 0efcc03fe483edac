"""Tags: their counts, their review, what a selection has; and the photos that an edit is about."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.known_tags import count_by_origin, known_tags
from mlx_aimv2.library.tag_names import tag_key

from .answers import Body, as_json, posted, service_of
from .service import Service

_MOST_IDS = 1_000_000
_MOST_LETTERS = {"tag": 1000, "to": 1000, "words": 1000, "text": 20_000}
_RELOAD = "load the page again"


def tags(request: Request) -> Response:
    """All tags of photos with their counts, and those that vocabularies could give."""
    service = service_of(request)
    version = service.version()
    headers = {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    counts, known = service.look(_counted)
    return as_json({"tags": counts, "known": known, "version": version}, headers=headers)


def of_photos(request: Request, body: Body) -> Response:
    """The tags of a selection, with how many of its photos have each."""
    service = service_of(request)
    ids = photos_meant(service, body)
    count, found = service.look(lambda store: store.tags_among(ids))
    shown = [{"tag": tag, "have": have} for tag, have in found]
    return as_json({"count": count, "tags": shown})


routes: list[Route] = [
    Route("/api/tags", tags, methods=["GET"]),
    Route("/api/tags/of", posted(of_photos), methods=["POST"]),
]


def photos_meant(service: Service, body: Body) -> list[int]:
    """The files that a request names: by their ids, as a search, or as a list of a tag's review.

    Errors: Aimv2Error where it names none, or in several ways; PageError for a search that is gone.
    """
    ways = [name for name in ("ids", "search", "tag_kind") if body.get(name) is not None]
    if len(ways) != 1:
        raise Aimv2Error("no photos were named", hint="select some")
    given = body[ways[0]]
    if ways == ["ids"]:
        return numbers(given)
    raise Aimv2Error("no photos were named", hint="select some")


def numbers(given: Any) -> list[int]:
    """Ids of files. Errors: Aimv2Error for what is none, and for more than a million."""
    if not isinstance(given, list) or not all(type(id) is int and 0 < id < 1 << 63 for id in given):
        raise Aimv2Error("photos are named by their numbers", hint=_RELOAD)
    if len(given) > _MOST_IDS:
        raise Aimv2Error(
            f"{len(given):,} photos at once are too many", hint=f"select {_MOST_IDS:,} at most"
        )
    return given


def text_in(body: Body, name: str) -> str:
    """A text of a request. Errors: Aimv2Error where it is none, or too long."""
    text = body.get(name)
    if not isinstance(text, str):
        raise Aimv2Error(f"{name} is a text", hint=_RELOAD)
    if len(text) > _MOST_LETTERS[name]:
        raise Aimv2Error(
            f"that is {len(text):,} letters long", hint=f"write {_MOST_LETTERS[name]:,} at most"
        )
    return text


def _counted(store: Store) -> tuple[list[dict[str, Any]], list[str]]:
    taught = {tag_key(each.tag): each.tag for each in store.taught_tags()}
    counts = [
        {
            "tag": each.tag,
            "photos": each.photos,
            "origins": each.origins,
            "rejected": each.rejected,
            "taught": tag_key(each.tag) in taught,
        }
        for each in count_by_origin(store)
    ]
    listed = {tag_key(str(each["tag"])) for each in counts}
    counts += [
        {"tag": tag, "photos": 0, "origins": {}, "rejected": 0, "taught": True}
        for key, tag in taught.items()
        if key not in listed
    ]
    listed |= taught.keys()
    known = sorted(tag for key, tag in known_tags(store).items() if key not in listed)
    return counts, known
