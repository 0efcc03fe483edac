"""What requests bring and answers carry: JSON both ways, errors with their hints."""

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mlx_aimv2.errors import Aimv2Error, LockedError, OutputError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.library.database.photos import FileRow

from .service import Service

STATUS = {"gone": 410, "not_found": 404, "changed": 409, "whole_group": 409, "offline": 404,
          "busy": 503, "library": 503, "not_here": 501}  # fmt: skip
Body = dict[str, Any]


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


def posted(answer: Callable[[Request, Body], Response]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for what is sent as a JSON object; it answers in a thread of its own.

    Errors: Aimv2Error, answered with 422, for what is no such object.
    """

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request, _parsed(await request.body()))

    return endpoint


def _parsed(body: bytes) -> Body:
    try:
        data = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Aimv2Error("what was sent is no JSON object", hint="load the page again")
    return data


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and infinities


def number_in(request: Request, name: str, default: int, *, most: int = 1 << 62) -> int:
    """A number of the address, like ?offset=200, at most ``most``. Errors: Aimv2Error."""
    given = request.query_params.get(name, str(default))
    if not (given.isascii() and given.isdigit()):
        raise Aimv2Error(f"{name} is no number", hint="load the page again")
    return min(int(given[:19]), most)


def as_json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON. NaN is refused: no browser reads it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half a surrogate pair, as a text that was sent may hold, is escaped, which JSON allows.
    body = text.encode("utf-8", "backslashreplace")
    return Response(body, status, headers, media_type="application/json")


def as_error(error: Aimv2Error, told: Callable[[str], str] = str) -> Response:
    """An error as the page shows it: 422 for what was asked wrongly, else as its code says.

    ``told`` makes of its message what the page shows; a hint is to be typed as it is.
    """
    match error:
        case PageError():
            code = error.code
        case LockedError():
            code = "busy"
        case OutputError():  # it is not there, newer than this program, damaged, or the disk full
            code = "library"
        case _:
            code = "invalid"
    said = {"error": code, "message": told(str(error)), "hint": error.hint}
    return as_json(said, STATUS.get(code, 422))


def said_of(file: FileRow) -> dict[str, str] | None:
    """Why a file could not be read, without the folder that it is in; None if it could."""
    if not file.error:
        return None
    folder, name = os.path.split(file.path)
    texts = [file.error, file.error_hint or ""]
    message, hint = [
        text.replace(printable(file.path), printable(name)).replace(f"{printable(folder)}/", "")
        for text in texts
    ]
    return {"message": message, "hint": hint}
