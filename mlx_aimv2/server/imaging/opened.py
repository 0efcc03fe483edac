"""An open file as an answer, or the range of it that was asked for."""

import re
from collections.abc import Iterator, Mapping
from typing import IO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

_BLOCK_BYTES = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def answer_of(
    request: Request, file: IO[bytes], size: int, headers: dict[str, str], media_type: str
) -> Response:
    """An open file, which is closed at the end: all of it, a range, or that it is known already.

    Units: size in bytes. ``headers`` have its ETag.
    """
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        file.close()
        return Response(None, 304, headers)
    asked = _asked(request, headers["ETag"], size)
    if asked is not None and asked[0] >= asked[1]:
        file.close()
        return Response(None, 416, {"Content-Range": f"bytes */{size}"})
    start, end = asked or (0, size)
    headers |= {"Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    if asked:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    count = 0 if request.method == "HEAD" else end - start
    return _Opened(file, _blocks(file, start, count), 206 if asked else 200, headers, media_type)


class _Opened(StreamingResponse):
    """A file that is sent from where it was opened, whatever is at its path by now."""

    def __init__(
        self, file: IO[bytes], blocks: Iterator[bytes], status: int, headers: Mapping[str, str],
        media_type: str,
    ) -> None:  # fmt: skip
        super().__init__(blocks, status, headers, media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _asked(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """First byte and end of the range that is asked for; None where all of the file is.

    Several ranges, or what is none, are answered with the whole, as RFC 9110 allows.
    """
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or request.headers.get("if-range", tag) != tag:
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if last else None
    end = min(size, int(last) + 1) if last else size
    return None if last and int(last) < int(first) else (int(first), end)


def _blocks(file: IO[bytes], start: int, count: int) -> Iterator[bytes]:
    file.seek(start)
    while count:
        block = file.read(min(count, _BLOCK_BYTES))
        if not block:  # cut off meanwhile: the browser sees that less comes than was said
            return
        count -= len(block)
        yield block
