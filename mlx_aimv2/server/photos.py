"""What is known of single photos: their facts, and why a search found them."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.paths import printable
from mlx_aimv2.library.browsing.cells import Flag
from mlx_aimv2.library.browsing.photo_tags import photo_tags
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.shots import shots_of

from .answers import PageError, as_json, said_of, service_of
from .roots import place_of
from .search import kept
from .service import Service

_MOST = 200  # photos in one answer
_LARGEST_ID = 1 << 62


def photos(request: Request) -> Response:
    """The facts of some photos, in their order; of those that are not known there are none."""
    service = service_of(request)
    given = request.query_params.get("ids", "").split(",")
    if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in given):
        raise Aimv2Error("photos are named by their numbers", hint="like ?ids=1,2,3")
    if len(given) > _MOST:
        raise Aimv2Error(f"{len(given)} photos are asked for", hint=f"{_MOST} at most")
    ids = list(dict.fromkeys(map(int, given)))
    return as_json({"photos": service.look(lambda store: facts_of(service, store, ids))})


def facts_of(service: Service, store: Store, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The facts of photos as the page has them, in the order of the ids."""
    roots = service.roots()
    files = store.files_of(ids)
    tags, captions = photo_tags(store, list(files)), store.captions_of(files)
    cells = {cell.id: cell for cell in service.cells(store, list(files))}
    shots = shots_of(store, list(files))
    found = []
    for id in filter(files.__contains__, ids):
        file, caption, facts = files[id], captions.get(id), files[id].facts
        root, folder = place_of(file.path, roots)
        has_place = facts and facts.latitude is not None and facts.longitude is not None
        found.append(
            {
                "id": id,
                "v": f"{cells[id].version:08x}",
                # Of a file whose name another one has now, the part behind a NUL is ours.
                "name": printable(os.path.basename(file.path).partition(b"\0")[0]),  # noqa: PTH119
                "folder": folder,
                "root": root and root.name,
                "online": root is None or root.is_online,
                "date": facts and facts.taken_at,
                "width": facts and facts.width_px,
                "height": facts and facts.height_px,
                "size": file.stamp.size_bytes,
                "format": facts and facts.format,
                "gps": [facts.latitude, facts.longitude] if facts and has_place else None,
                "tags": [
                    {
                        "tag": each.tag,
                        "origins": each.origins,
                        "score": each.score,
                        "verdict": each.verdict,
                    }
                    for each in tags[id].tags
                ],
                "rejected": tags[id].rejected,
                "caption": caption and {"text": caption.text, "origin": caption.origin},
                "picked": bool(cells[id].flags & Flag.PICKED),
                "error": said_of(file),
                "shot": shots.get(id, ()),
                "missing": file.missing_since is not None,
            }
        )
    return found


def why(request: Request) -> Response:
    """How far a photo fits each term of a kept search by itself."""
    service = service_of(request)
    made = kept(service, request.query_params.get("search", ""))
    found = service.why(made, min(request.path_params["id"], _LARGEST_ID))
    if found is None:
        raise PageError("not_found", "there is no such photo", hint="load the page again")
    return as_json(asdict(found))


routes = [
    Route("/api/photos", photos),
    Route("/api/photos/{id:int}/why", why),
]
