"""The one page and its static files."""

import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answers import PageError

STATIC = Path(__file__).parent / "static"
# What is served, each as this type whatever the system says; licences and notes are not.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
# Of letters, and none begins with a dot: no name leads out of the folder.
_NAME = re.compile(r"([a-z][\w-]*/)*[a-z][\w-]*\.\w+", re.ASCII)
_LONGEST = 100


async def shell(request: Request) -> Response:
    """The page itself: the same file at whatever place in it one is."""
    return _answer(request, "index.html")


async def static(request: Request) -> Response:
    """A file of the page, of those that this package has."""
    return _answer(request, request.path_params["name"])


def _answer(request: Request, name: str) -> Response:
    file = STATIC / name
    is_ours = len(name) <= _LONGEST and _NAME.fullmatch(name) is not None
    if not is_ours or file.suffix not in TYPES or not file.is_file():
        raise PageError("not_found", "the page has no such file", hint="load the page again")
    data = file.read_bytes()
    tag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(data, 200, headers, media_type=TYPES[file.suffix])


routes = [
    Route("/", shell),
    Route("/static/{name:path}", static),
]
