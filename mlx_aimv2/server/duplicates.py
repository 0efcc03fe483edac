"""Groups of photos that show one picture, and what is picked for removal."""

from itertools import chain
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.library.database.schema import command_for
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.duplicates.pages import Kind, Page
from mlx_aimv2.library.duplicates.picks import PicksPage, page_of_picks
from mlx_aimv2.library.editing.duplicates import WholeGroupError
from mlx_aimv2.library.editing.edited import Edited

from .answers import Body, PageError, as_json, number_in, service_of
from .photos import facts_of
from .service import Hit, Service
from .tags import numbers

_KINDS: dict[str, Kind] = {"exact": "exact", "near": "near"}
_MOST_GROUPS = 100
_MOST_PHOTOS = 24  # of a group, with their facts; of all of it the page has the numbers
_MOST_PICKS = 1000
_RELOAD = "load the page again"


def duplicates(request: Request) -> Response:
    """A page of groups, exact or near, the best photo of each first, and what all come to."""
    service = service_of(request)
    kind = _KINDS.get(request.query_params.get("kind", "exact"))
    if kind is None:
        raise Aimv2Error("duplicates are exact or near", hint="like ?kind=near")
    count = max(number_in(request, "limit", 50, most=_MOST_GROUPS), 1)
    page, groups = Page(), list[dict[str, Any]]()
    if service.path.exists():  # before the first index there are none
        try:
            page = service.duplicate_page(
                kind,
                after=number_in(request, "after", 0) or None,
                count=count,
                decided=request.query_params.get("decided") == "1",
            )
        except UsageError as error:
            raise PageError("gone", str(error), hint=error.hint) from error
        groups = service.look(lambda store: _groups(service, store, page))
    return as_json(
        {
            "total": page.total,
            "copies": page.copies,
            "bytes": page.size_bytes,
            "next": page.next,
            "computing": page.is_computing,
            "groups": groups,
        }
    )


def picks(request: Request) -> Response:
    """The photos that are picked for removal, by path, so many from a place on."""
    service = service_of(request)
    offset = number_in(request, "offset", 0)
    count = number_in(request, "limit", 200, most=_MOST_PICKS)

    def look(store: Store) -> tuple[PicksPage, list[Hit]]:
        found = page_of_picks(store, offset, count)
        return found, service.hits(store, [(id, None) for id in found.ids])

    page, hits = service.look(look) if service.path.exists() else (PicksPage(), [])
    return as_json(
        {
            "total": page.total,
            "bytes": page.size_bytes,
            "in_photos": page.in_photos,
            "changed": page.changed,
            "command": command_for("aimv2 duplicates --picked", service.path),
            "hits": hits,
        }
    )


routes: list[Route] = [
    Route("/api/duplicates", duplicates, methods=["GET"]),
    Route("/api/picks", picks, methods=["GET"]),
]


def pick(service: Service, ids: list[int], body: Body, uuid: str) -> Edited:
    """Pick photos for removal, and carry what is known of them to another, where one is named.

    Errors: PageError where none of a group would be left.
    """
    whole_groups, keep = body.get("whole_groups") is True, body.get("carry_to")
    carry_to = None if keep is None else numbers([keep])[0]
    try:
        return service.pick(ids, whole_groups=whole_groups, carry_to=carry_to, uuid=uuid)
    except WholeGroupError as error:
        raise PageError("whole_group", str(error), hint=error.hint) from error


def not_duplicates(service: Service, body: Body, uuid: str) -> Edited:
    """Say of groups of photos that none of a group is a duplicate of another."""
    groups = body.get("groups")
    if not isinstance(groups, list) or not groups:
        raise Aimv2Error("no groups were named", hint=_RELOAD)
    return service.not_duplicates([numbers(group) for group in groups], uuid=uuid)


def carry(service: Service, body: Body, uuid: str) -> Edited:
    """Give the photo that is kept what people have said of its copies."""
    [keep] = numbers([body.get("keep")])
    return service.carry(keep, numbers(body.get("from")), uuid=uuid)


def _groups(service: Service, store: Store, page: Page) -> list[dict[str, Any]]:
    shown = {group.files[0]: group.files[:_MOST_PHOTOS] for group in page.groups}
    facts = {each["id"]: each for each in facts_of(service, store, [*chain(*shown.values())])}
    return [
        {
            "id": group.files[0],
            "ids": group.files,
            "photos": [
                facts[id] | {"best": id == group.files[0], "alike": alike}
                for id, alike in zip(shown[group.files[0]], group.similarity, strict=False)
                if id in facts
            ],
        }
        for group in page.groups
    ]
