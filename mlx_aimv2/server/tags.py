"""Tags: their counts, their review, what a selection has; and the photos that an edit is about."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.known_tags import count_by_origin, known_tags
from mlx_aimv2.library.tag_names import tag_key
from mlx_aimv2.library.teaching.confidence import SURE
from mlx_aimv2.library.teaching.review import Review, Scored

from .answers import Body, PageError, as_json, number_in, posted, service_of
from .search import ids_above_line
from .service import Service

KINDS = ("sure", "ask", "no")
_MOST_IDS = 1_000_000
_MOST_HITS = 1000
_REVIEWS_KEPT = 8
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


def review(request: Request) -> Response:
    """Photos of one tag: those that have it, in doubt, or said no to, page by page."""
    service, kind = service_of(request), request.query_params.get("kind", "sure")
    offset = number_in(request, "offset", 0)
    limit = number_in(request, "limit", 200, most=_MOST_HITS)
    if kind not in KINDS:
        raise Aimv2Error("there is no such list of photos", hint=_RELOAD)
    found = _review_of(service, request.path_params["tag"])
    photos = _of_kind(found, kind)
    hits = service.look(lambda store: service.hits(store, photos[offset : offset + limit]))
    return as_json(
        {
            "kind": kind,
            "tag": found.tag,
            "total": len(photos),
            "hits": hits,
            "counts": {each: len(_of_kind(found, each)) for each in KINDS},
            "verdicts": found.verdicts,
            "taught": found.taught and {**asdict(found.taught), "line": SURE},
        }
    )


routes: list[Route] = [
    Route("/api/tags", tags, methods=["GET"]),
    Route("/api/tags/{tag:path}/review", review, methods=["GET"]),
    Route("/api/tags/of", posted(of_photos), methods=["POST"]),
]


def _review_of(service: Service, tag: str) -> Review:
    """The review of a tag, kept until the library changes. Errors: PageError for one not known."""
    version = service.version()
    known = service.reviews.get(tag)
    if known is None or known[0] != version:
        try:
            known = version, service.review(tag)
        except UsageError as error:
            raise PageError("not_found", str(error), hint=error.hint) from error
        while len(service.reviews) >= _REVIEWS_KEPT:
            service.reviews.pop(next(iter(service.reviews)), None)
        service.reviews[tag] = known
    return known[1]


def _of_kind(review: Review, kind: str) -> Scored:
    return {"sure": review.sure, "ask": review.ask, "no": review.no}[kind]


def photos_meant(service: Service, body: Body) -> list[int]:
    """The files that a request names: by their ids, as a search, or as a list of a tag's review.

    Errors: Aimv2Error where it names none, or in several ways; PageError for a search that is gone.
    """
    ways = [name for name in ("ids", "search", "tag_kind") if body.get(name) is not None]
    if len(ways) != 1:
        raise Aimv2Error("no photos were named", hint="select some")
    given = body[ways[0]]
    match ways[0], given:
        case "ids", _:
            return numbers(given)
        case "search", str():
            return ids_above_line(service, given)
        case "tag_kind", [str() as tag, "sure" | "ask" | "no" as kind]:
            return [id for id, _ in _of_kind(_review_of(service, tag), kind)]
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
