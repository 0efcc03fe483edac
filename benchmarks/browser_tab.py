"""A tab of Chromium that tells when it painted, how long frames took and what memory it holds."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mlx_aimv2.errors import UsageError
from tests.support.browser import CHROMIUMS

# The control: a page with a line of text and a tall, empty place to scroll.
_CONTROL = b"""<!doctype html><title>control</title>
<style>
body { margin: 0 } main { height: 100vh; overflow-y: scroll } div { height: 1000000px }
</style>
<main><p>An empty page<div></div></main>"""

# Cells in sight, each with the id of its picture and whether that is here.
SEEN = """(() => {
  const box = document.querySelector('.grid')?.getBoundingClientRect();
  if (!box) return [];
  return [...document.querySelectorAll('.cell:not([hidden])')].filter((cell) => {
    const own = cell.getBoundingClientRect();
    return own.height && own.bottom > box.top + 1 && own.top < box.bottom - 1;
  }).map((cell) => {
    const picture = cell.querySelector('img');
    const id = picture.getAttribute('src')?.split('/thumb/')[1]?.split('?')[0];
    const isHere = Boolean(id) && picture.complete && picture.naturalWidth > 0;
    return { id, isHere, alt: picture.alt };
  });
})()"""
IS_SETTLED = f"((seen) => seen.length > 0 && seen.every((one) => one.isHere))({SEEN})"
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
# From the key's own time until the first photo that is wanted is seen, and until all in sight are.
_WATCH = """void (window.measured = new Promise((done) => {
  const seen = () => %(seen)s;
  const ids = () => seen().map((one) => one.id).join();
  const before = ids();
  let began = null, first = null;
  performance.clearResourceTimings();
  performance.setResourceTimingBufferSize(10000);
  const begin = ({ key, timeStamp }) => { if (key === %(key)s) began ??= timeStamp; };
  addEventListener('keydown', begin, { capture: true });
  const end = (took) => {
    removeEventListener('keydown', begin, { capture: true });
    done(took);
  };
  const look = () => {
    const took = began === null ? 0 : performance.now() - began;
    const cells = began === null ? [] : seen();
    const isWanted = cells.length > 0 && (%(wanted)s);
    if (isWanted && cells.some((one) => one.isHere)) first ??= took;
    if (isWanted && cells.every((one) => one.isHere)) end([first, took]);
    else if (took > %(late)s) end(null);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}))"""
# Milliseconds of each frame while a place is scrolled, back again at its ends.
_SCROLL = """new Promise((done) => {
  const place = document.querySelector(%(place)s), frames = [];
  let last = null, first = null, at = null, way = 1, stood = 0;
  const step = (now) => {
    if (last !== null) {
      frames.push(now - last);
      // Read once, before anything is moved: read again it would make the page lay itself out.
      const top = place.scrollTop;
      stood = top === at ? stood + 1 : 0;
      if (stood > 5) [way, stood] = [-way, 0];
      at = top;
      place.scrollTop = top + way * %(speed)s * (now - last) / 1000;
    }
    last = now;
    first ??= now;
    if (now - first < %(seconds)s * 1000) requestAnimationFrame(step);
    else done(frames);
  };
  requestAnimationFrame(step);
})"""
_PATIENCE_MS, _LOOK_MS, _LATE_MS = 60_000, 20, 20_000


class Tab:
    """One page of a browser, in a window as notebooks have."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(_PATIENCE_MS)

    def first_paint_s(self, url: str) -> float:
        """Go to an address; from there to the first text or picture that is seen."""
        self.page.goto(url)
        return float(self.until(_PAINTED)) / 1000

    def go(self, place: str) -> None:
        """Go to a place of the page, as its links do."""
        self.page.evaluate(f"void (location.hash = {json.dumps(place)})")

    def until(self, expression: str) -> Any:
        """The value of an expression once it is true. Errors: UsageError where it never is."""
        for _ in range(_PATIENCE_MS // _LOOK_MS):
            if value := self.page.evaluate(expression):
                return value
            self.page.wait_for_timeout(_LOOK_MS)
        raise UsageError(f"the page never came so far: {expression}")

    def key_s(self, key: str, wanted: str, act: Callable[[], None]) -> tuple[float, float]:
        """From a key that ``act`` presses until something is wanted of the photos that are seen and
        the first of their pictures is here, and until all in sight are.

        ``wanted`` is an expression of JavaScript; in it ``seen()`` are the photos that are seen,
        ``ids()`` their numbers, ``before`` those that were seen, and ``began`` is the key's time.
        Errors: UsageError where it never is so.
        """
        watch = {"seen": SEEN, "key": json.dumps(key), "wanted": wanted, "late": str(_LATE_MS)}
        self.page.evaluate(_WATCH % watch)
        act()
        took_ms = self.page.evaluate("window.measured")
        if took_ms is None:
            raise UsageError(f"{key} was pressed, and in {_LATE_MS // 1000} s nothing came of it")
        return took_ms[0] / 1000, took_ms[1] / 1000

    def frames_s(self, place: str, speed: int, seconds: float) -> list[float]:
        """How long frames took while a place was scrolled. Units: pixels a second."""
        how = {"place": json.dumps(place), "speed": speed, "seconds": seconds}
        return [frame / 1000 for frame in self.page.evaluate(_SCROLL % how)]

    def fetch_s(self, route: str, body: object) -> tuple[float, Any]:
        """Seconds until something that was sent is answered, and the answer."""
        sent = f"""(async (body) => {{
          const began = performance.now();
          const answer = await fetch({json.dumps(route)}, {{ method: 'POST', body,
            headers: {{ 'Content-Type': 'application/json', 'X-Aimv2': '1' }} }});
          const said = await answer.json();
          return [performance.now() - began, answer.ok, said];
        }})({json.dumps(json.dumps(body))})"""
        took_ms, is_well, said = self.page.evaluate(sent)
        if not is_well:
            raise UsageError(f"{route} was answered with {said}")
        return took_ms / 1000, said


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser. Errors: UsageError without Playwright or a Chromium."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("this needs playwright", hint="pip install '.[test]'") from error
    path = next((found for name in CHROMIUMS if (found := shutil.which(name))), None)
    if path is None:
        raise UsageError("this needs Chromium or Google Chrome", hint="install one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Any) -> Iterator[Tab]:
    """A tab with an empty cache and no cookies."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as room:
        yield Tab(room.new_page())


@contextmanager
def control_page() -> Iterator[str]:
    """The address of an empty page, served by this process."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(_CONTROL)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def tab_bytes(browser: Any) -> tuple[int, int]:
    """The memory of the largest of the browser's tabs, and what it shares with other processes:
    of that, pictures that were decoded go when memory is short."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    tabs = [each["id"] for each in found if each["type"] == "renderer"]
    return max((own_bytes(each), shared_bytes(each)) for each in tabs)


def own_bytes(process: int) -> int:
    """Memory of a process as Chromium's task manager counts it; on a Mac all that is resident.

    Source: Chromium's private memory footprint, on Linux RssAnon and VmSwap.
    """
    if sys.platform == "darwin":
        said = subprocess.run(
            ["/bin/ps", "-o", "rss=", "-p", str(process)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return 1024 * int(said.stdout)
    return _status(process, "RssAnon") + _status(process, "VmSwap")


def shared_bytes(process: int) -> int:
    """Resident memory of a process that others may map; on a Mac not told."""
    return 0 if sys.platform == "darwin" else _status(process, "RssShmem")


def _status(process: int, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(int(each.split()[1]) * 1024 for each in lines if each.startswith(f"{name}:"))
