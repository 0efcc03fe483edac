"""The application: every route of the page, one module a noun."""

import sys
import traceback
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlx_aimv2.errors import Aimv2Error

from . import duplicates, edits, photos, pictures, search, shell, status, tags, timeline
from .answers import as_error, as_json, service_of
from .imaging.recent import Recent
from .imaging.turns import Turns
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
_LONGEST_PATH = 4000  # characters; a number of more digits than Python reads is no photo's


def make_app(service: Service) -> Starlette:
    """The page over a library: its routes alone, without the gate before them."""
    app = Starlette(
        routes=ROUTES,
        exception_handlers={Aimv2Error: _failed, HTTPException: _refused},
        middleware=[Middleware(Faults)],
    )
    app.router.redirect_slashes = False
    app.state.service = service
    app.state.turns, app.state.views = Turns(), Recent()
    return app


class Faults:
    """Faults of this program: told once each on stderr, and answered with 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._told: set[tuple[str, str, int]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def watched(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            if len(scope["path"]) > _LONGEST_PATH:
                raise HTTPException(404)
            await self._app(scope, receive, watched)
        except HTTPException as error:
            await _as_http_error(error)(scope, receive, send)
        except Exception as error:
            self._tell(error)
            if has_started:  # the answer is cut off, and the browser must see that
                raise
            said = {
                "error": "fault",
                "message": "this is a fault of aimv2, not yours",
                "hint": "the terminal in which aimv2 browse runs tells more; report it, please",
            }
            await as_json(said, 503)(scope, receive, send)

    def _tell(self, error: Exception) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = type(error).__name__, last.filename, last.lineno or 0
        if place not in self._told:
            self._told.add(place)
            traceback.print_exception(error, file=sys.stderr)


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, Aimv2Error)
    return as_error(error, told=service_of(request).without_folder)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _as_http_error(error)


def _as_http_error(error: HTTPException) -> Response:
    """What the router itself says: no such route, another method."""
    reason = HTTPStatus(error.status_code).phrase.lower()
    said = {"error": reason.replace(" ", "_"), "message": reason, "hint": "load the page again"}
    return as_json(said, error.status_code, error.headers)
