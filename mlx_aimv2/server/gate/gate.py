"""The gate that every request passes, of images and static files too.

Against pages of other sites and ports in the same browser (their requests carry the cookie too:
SameSite knows no ports), names that lead here by a DNS of theirs, and other users of this machine.
"""

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .bodies import PICTURE_PATH, Patience, limit_of, read_body
from .keys import Keys
from .refusals import HEADER, HOST, ORIGIN, TOKEN, TYPE, RefusedError, answer

_SAFE = ("GET", "HEAD")
# What the page may load: itself. Trusted Types: no text becomes markup, whatever names hold.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """The application behind its checks, on a port of this machine."""

    def __init__(
        self, app: ASGIApp, keys: Keys, port: int, patience: Patience | None = None
    ) -> None:
        self._app = app
        self._keys = keys
        self._patience = patience or Patience()
        self._hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        if scope["type"] != "http":
            return
        path, headers = scope["path"], Headers(scope=scope)

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                _seal(MutableHeaders(scope=message))
            await send(message)

        try:
            self._check_origin(scope["method"], headers)
            entered = self._enter(scope)
            if entered is not None:
                await entered(scope, receive, sealed)
                return
            if not self._keys.know(headers.get("cookie", "")):
                raise RefusedError(TOKEN)
            _check_edit(scope["method"], path, headers)
            announced = headers.get("content-length", "")
            limit = limit_of(scope["method"], path)
            receive = await read_body(receive, announced, limit, self._patience)
        except RefusedError as refused:
            await answer(refused.why, path)(scope, receive, sealed)
            return
        await self._app(scope, receive, sealed)

    def _check_origin(self, method: str, headers: Mapping[str, str]) -> None:
        """Errors: RefusedError for another host's name, and where another page asks.

        ``Sec-Fetch-Site`` cannot be set by a page; none is of a person who typed the address, or
        of a program. ``Origin`` serves browsers that do not send it.
        """
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            raise RefusedError(HOST)
        site = headers.get("sec-fetch-site", "same-origin")
        if site != "same-origin" and not (site == "none" and method in _SAFE):
            raise RefusedError(ORIGIN)
        if headers.get("origin", f"http://{host}").lower() != f"http://{host}":
            raise RefusedError(ORIGIN)

    def _enter(self, scope: Scope) -> Response | None:
        """The exchange of an address's token for the cookie; None where there is none.

        It leads to a clean address, so that no history, picture or list of tabs has the token.
        Errors: RefusedError for a wrong token, unless the browser has the cookie already.
        """
        if scope["path"] != "/" or scope["method"] != "GET":
            return None
        query = scope["query_string"].decode("ascii", "replace")
        given = parse_qs(query, keep_blank_values=True, max_num_fields=None).get("token")
        if given is None:
            return None
        cookie = self._keys.admit(given[0])
        headers = {"Location": "/"}
        if cookie is not None:
            headers["Set-Cookie"] = cookie
        elif not self._keys.know(Headers(scope=scope).get("cookie", "")):
            raise RefusedError(TOKEN)
        return Response(None, 303, headers)


def _check_edit(method: str, path: str, headers: Mapping[str, str]) -> None:
    """Errors: RefusedError for a change that a form, or a page without leave to ask, could send."""
    if method in _SAFE:
        return
    if headers.get("x-aimv2") != "1":
        raise RefusedError(HEADER)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if path != PICTURE_PATH and kind != "application/json":
        raise RefusedError(TYPE)


def _seal(headers: MutableHeaders) -> None:
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-store")
