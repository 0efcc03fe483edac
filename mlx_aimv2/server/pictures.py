"""Pictures: thumbnails, views, originals, and where a word is in them."""

import io
from collections.abc import Callable
from functools import cache, partial

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import ImageError
from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.thumbnails.thumbnail import SMALL, VIEW, Recipe

from .answers import PageError, as_error, service_of
from .imaging.indexed_file import make_jpeg
from .imaging.recent import Recent
from .imaging.turns import Turns

_FOREVER = "private, max-age=31536000, immutable"
_ASK_AGAIN, _KEEP_NOTHING = "private, no-cache", "no-store"
_GREY = (128, 128, 128)


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


def _photo(request: Request) -> FileRow:
    """The photo that is asked for. Errors: PageError "not_found"."""
    id = request.path_params["id"]
    found = service_of(request).look(lambda store: store.files_of([id])).get(id)
    if found is None:
        raise PageError("not_found", f"the library has no photo {id}", hint="load the page again")
    return found


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
]
