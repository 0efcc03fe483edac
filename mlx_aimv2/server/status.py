"""How the library is: its folders, errors, the index that runs."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answers import as_json, service_of


def status(request: Request) -> Response:
    """What the page shows at its edge, asked again and again."""
    service = service_of(request)
    service.follow_model(service.look(lambda store: store.serving()))
    counts, model = service.counts(), service.model.state
    index = {"running": False, "here": False, "done": 0, "left": 0, "per_s": None}
    return as_json(
        {
            "library": service.path.name,
            "version": service.version(),
            "photos": counts.files - counts.in_error - counts.missing - counts.excluded,
            "errors": counts.in_error,
            "missing": counts.missing,
            "waiting": service.waiting_edits(),
            "index": index | {"message": None, "hint": ""},
            "roots": [],
            "model": {
                "name": model.name, "state": model.state, "texts": model.texts,
                "message": model.message or None, "hint": model.hint,
            },
            "problem": None,
        }
    )  # fmt: skip


routes = [Route("/api/status", status)]
