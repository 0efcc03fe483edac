"""Pictures: thumbnails, views, originals, and where a word is in them."""

import io
import platform
import re
import subprocess
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import ImageError, UsageError
from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.thumbnails.thumbnail import SMALL, VIEW, WHOLE, Recipe

from .answers import Body, PageError, as_error, as_json, posted, service_of
from .imaging.indexed_file import make_jpeg, name_of, open_indexed, photo_of
from .imaging.located import draw_located
from .imaging.opened import answer_of
from .imaging.recent import Recent
from .imaging.turns import Turns

_FOREVER = "private, max-age=31536000, immutable"
_ASK_AGAIN, _KEEP_NOTHING = "private, no-cache", "no-store"
_FOR_A_WHILE = "private, max-age=600"
_GREY = (128, 128, 128)
# What every browser shows, each as this type whatever is in it; by the format that was decoded.
_TYPES = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif",
}  # fmt: skip
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._()+,=-]")
_FINDER_S = 10


async def thumb(request: Request) -> Response:
    """A photo at 320 px, kept beside the library."""
    service = service_of(request)
    file = await run_in_threadpool(_photo, request)

    def make() -> bytes:
        assert file.hash is not None
        made = service.thumbnails.get(file.hash)  # another request made it meanwhile
        if made is None:
            made = make_jpeg(service, file, SMALL)
            service.thumbnails.put([(file.hash, made)])
        return made

    kept = partial(service.thumbnails.get, file.hash or b"")
    return await _answer(request, file, SMALL, kept, make)


async def view(request: Request) -> Response:
    """A photo at 1600 px; where its file is not at hand, its thumbnail if there is one."""
    service = service_of(request)
    file = await run_in_threadpool(_photo, request)
    views: Recent = request.app.state.views
    key = file.hash, VIEW

    def make() -> bytes:
        made = views.get(key) or make_jpeg(service, file, VIEW)
        views.put(key, made)
        return made

    return await _answer(request, file, VIEW, partial(views.get, key), make)


async def original(request: Request) -> Response:
    """A photo's own file, if browsers show its format; of others a JPEG as large as they are."""
    service, turns = service_of(request), request.app.state.turns
    file = await run_in_threadpool(_photo, request)
    type = _TYPES.get(file.facts.format) if file.facts else None
    tag = f'"{(file.hash or b"").hex()}-{"file" if type else "jpeg"}"'
    name = _UNSAFE.sub("_", name_of(file) if type else f"{Path(name_of(file)).stem}.jpg")
    headers = {
        "ETag": tag,
        "Cache-Control": _ASK_AGAIN,
        "Content-Disposition": f'inline; filename="{name}"',
    }
    if type is not None:
        opened = await run_in_threadpool(open_indexed, service, file)
        return answer_of(request, opened, file.stamp.size_bytes, headers, type)
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    made = await turns.run(request, partial(make_jpeg, service, file, WHOLE))
    return Response(made, 200, headers, media_type="image/jpeg")


async def where(request: Request) -> Response:
    """A photo's view with a word drawn where it is seen best."""
    service, turns = service_of(request), request.app.state.turns
    words = request.query_params.get("words", "")
    file = await run_in_threadpool(_photo, request)
    drawn = await turns.run(request, partial(draw_located, service, file, words))
    return Response(drawn, 200, {"Cache-Control": _FOR_A_WHILE}, media_type="image/jpeg")


def reveal(request: Request, body: Body) -> Response:
    """Show a photo's file in Finder."""
    service, id = service_of(request), body.get("id")
    if platform.system() != "Darwin":
        raise PageError("not_here", "only a Mac has a Finder to show it in")
    if not isinstance(id, int):
        raise UsageError("a photo's number is missing", hint="load the page again")
    file = photo_of(service, id)
    open_indexed(service, file).close()
    subprocess.run(["/usr/bin/open", "-R", file.path_str], check=False, timeout=_FINDER_S)
    return as_json({"revealed": id})


def _photo(request: Request) -> FileRow:
    return photo_of(service_of(request), request.path_params["id"])


async def _answer(
    request: Request,
    file: FileRow,
    recipe: Recipe,
    kept: Callable[[], bytes | None],
    make: Callable[[], bytes],
) -> Response:
    """The picture that is kept, or is made now; a grey one where neither can be."""
    turns: Turns = request.app.state.turns
    if file.hash is None:
        return _placeholder()
    tag = f'"{file.hash.hex()}-{recipe.side_px}-{recipe.version}"'
    asked = request.query_params.get("v")
    headers = {"ETag": tag, "Cache-Control": _FOREVER if _is_of(file, asked) else _ASK_AGAIN}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    try:
        made = await run_in_threadpool(kept) or await turns.run(request, make)
    except PageError as error:
        if error.code == "busy":
            return as_error(error)
        small = service_of(request).thumbnails.get  # as of a drive that is not connected
        made, headers = await run_in_threadpool(small, file.hash), {"Cache-Control": _KEEP_NOTHING}
    except ImageError:
        made = None
    if made is None:
        return _placeholder()
    return Response(made, 200, headers, media_type="image/jpeg")


def _is_of(file: FileRow, asked: str | None) -> bool:
    return bool(asked and file.hash and file.hash.hex()[:8] == asked)


def _placeholder() -> Response:
    headers = {"Cache-Control": _KEEP_NOTHING}
    return Response(_grey(), 404, headers, media_type="image/png")


@cache
def _grey() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), _GREY).save(file, "PNG")
    return file.getvalue()


routes = [
    Route("/thumb/{id:int}", thumb),
    Route("/view/{id:int}", view),
    Route("/original/{id:int}", original),
    Route("/where/{id:int}", where),
    Route("/api/reveal", posted(reveal), methods=["POST"]),
]
