"""The application: every route of the page, one module a noun."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import Aimv2Error

from . import duplicates, edits, photos, pictures, search, shell, status, tags, timeline
from .answers import as_error
from .service import Service

ROUTES: list[Route] = [
    *shell.routes,
    *status.routes,
    *timeline.routes,
    *search.routes,
    *photos.routes,
    *pictures.routes,
    *edits.routes,
    *tags.routes,
    *duplicates.routes,
]


def make_app(service: Service) -> Starlette:
    """The page over a library."""
    app = Starlette(routes=ROUTES, exception_handlers={Aimv2Error: _failed})
    app.state.service = service
    return app


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, Aimv2Error)
    return as_error(error)
