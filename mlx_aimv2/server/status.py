"""How the library is: its folders, errors, the index that runs."""

import hashlib
import os
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.paths import printable
from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.database.store import Store

from .answers import Body, PageError, as_json, number_in, posted, said_of, service_of
from .roots import place_of
from .service import Service

_MOST_ERRORS = 1000


def status(request: Request) -> Response:
    """What the page shows at its edge, asked again and again: 304 while nothing changes."""
    told = _status(service_of(request))
    answer = as_json(told)
    tag = f'"{hashlib.blake2b(bytes(answer.body), digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    answer.headers.update(headers)
    return answer


def errors(request: Request) -> Response:
    """Photos that cannot be read, with the reasons, by their ids."""
    service = service_of(request)
    after = number_in(request, "after", 0)
    limit = max(number_in(request, "limit", 100, most=_MOST_ERRORS), 1)
    files = service.look(partial(_in_error, after=after, limit=limit + 1))
    roots = service.roots()
    shown = [
        {
            "id": file.id,
            "name": printable(os.path.basename(file.path)),  # noqa: PTH119  (pathlib takes no bytes)
            "folder": place_of(file.path, roots)[1],
            **(said_of(file) or {}),
        }
        for file in files[:limit]
    ]
    return as_json({"errors": shown, "next": files[limit - 1].id if len(files) > limit else None})


def index(request: Request, body: Body) -> Response:
    """Start or stop the index; answers with the status."""
    service = service_of(request)
    match body.get("do"):
        case "start":
            writer = service.index_process.other_writer()
            if writer is not None:
                hint = "wait until it ends, or stop it in its terminal"
                raise PageError("busy", f"process {writer} writes the library", hint=hint)
            problem = service.overview().problem
            if problem is not None and not service.path.exists():
                raise Aimv2Error(problem["message"], hint=problem["hint"])
            service.index_process.start()
        case "stop":
            service.index_process.stop()
        case _:
            raise Aimv2Error("do is start or stop", hint="load the page again")
    return as_json(_status(service))


routes = [
    Route("/api/status", status),
    Route("/api/errors", errors),
    Route("/api/index", posted(index), methods=["POST"]),
]


def _in_error(store: Store, after: int, limit: int) -> list[FileRow]:
    ids = store.rows(
        "SELECT id FROM files WHERE error IS NOT NULL AND missing_since IS NULL AND id > ? "
        "ORDER BY id LIMIT ?", (after, limit),
    )  # fmt: skip
    files = store.files_of(id for (id,) in ids)
    return [files[id] for (id,) in ids]


def _status(service: Service) -> dict[str, Any]:
    seen = service.overview()
    index, model = service.index_process.state(), service.model.state
    counts = seen.counts
    return {
        "library": printable(service.path.name),
        "version": service.version(),
        "photos": counts.files - counts.in_error - counts.missing - counts.excluded,
        "errors": counts.in_error,
        "missing": counts.missing,
        "waiting": seen.waiting,
        "index": {
            "running": index.is_running, "here": index.is_here,
            "done": index.done, "left": index.left, "per_s": index.per_s,
            "message": index.message, "hint": index.hint,
        },
        "roots": [
            {
                "id": root.id, "name": root.name, "online": root.is_online,
                "photos": seen.photos.get(root.path, 0),
            }
            for root in (service.roots() if seen.problem is None else ())
        ],
        "model": {
            "name": model.name, "state": model.state, "texts": model.texts,
            "message": model.message or None, "hint": model.hint,
        },
        "problem": seen.problem,
    }  # fmt: skip
