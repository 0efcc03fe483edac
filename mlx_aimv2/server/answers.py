"""What requests bring and answers carry: JSON both ways, errors with their hints."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mlx_aimv2.errors import Aimv2Error

from .service import Service

STATUS = {"gone": 410, "not_found": 404, "changed": 409, "offline": 404, "busy": 503}


class PageError(Aimv2Error):
    """An answer that is an error; ``code`` is its name for the page, one of ``STATUS``."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


def service_of(request: Request) -> Service:
    """The library that the page shows."""
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


def as_json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON. NaN is refused: no browser reads it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text.encode(), status, headers, media_type="application/json")


def as_error(error: Aimv2Error) -> Response:
    """An error as the page shows it: 422 for what was asked wrongly, else as its code says."""
    code = error.code if isinstance(error, PageError) else "invalid"
    said = {"error": code, "message": str(error), "hint": error.hint}
    return as_json(said, STATUS.get(code, 422))
