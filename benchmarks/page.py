"""What the page of a library of 100,000 photos takes, in Chromium: each figure with its limit.

    python -m benchmarks.page [--rows 100000] [--runs 5] [--minutes 10] [--seconds 60]
                              [--photos 200] [--keep FOLDER] [--json]

The page is ``aimv2 browse`` as a child process over a library without pictures
(``made_library``), each photo with a stand-in thumbnail; its model is the demo. Chromium runs
without a window, driven by Playwright, in a tab with an empty cache; seconds are those that the
tab itself counts, from a key's own time until what was asked for is drawn with its pictures.
Beside it an empty control page is opened and scrolled in the same rounds. Then 64 connections ask
for all kinds of things, one after the other and without a pause, for so many seconds; and again
while photos are indexed from the page. Figures are medians. Exits with 1 where a limit is missed.
"""

import argparse
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.browser_tab import (
    IS_SETTLED,
    Tab,
    chromium,
    control_page,
    own_bytes,
    tab,
    tab_bytes,
)
from benchmarks.checks import Check, positive, run
from benchmarks.mixed_load import CONNECTIONS, Load, Told
from benchmarks.served_library import (
    Served,
    add_photos,
    indexed_folder,
    library_with_thumbnails,
    served,
)
from mlx_aimv2.bench.figure import Figure, Timing, seconds
from mlx_aimv2.library.tagging.vocabulary import read_vocabulary

PAINT_S, JUMP_S, SEARCH_S, SIMILAR_S, BULK_S, TEACH_S = 0.5, 0.4, 0.3, 0.15, 0.5, 0.3
FRAMES, TAB_BYTES, P99, GROWTH = 2.0, 300e6, 5.0, 1.1  # times the control's, the idle one's
SPEEDS = (300, 3_000, 30_000, 300_000)  # pixels a second
BULK = 5000
OTHERS = "ids() !== before"
_IS_READY = "(async () => (await (await fetch('/api/status')).json()).model.state === 'ready')()"
_SCROLLED_S, _FLUNG_S, _REST_MS = 2.0, 1.0, 1000
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def timed(name: str, took_s: list[float], at_most: float | None = None) -> Check:
    """The median of some times."""
    return Check(seconds("page", name, Timing(tuple(took_s))), at_most=at_most)


def times(name: str, rounds: list[float], at_most: float) -> Check:
    """The median of some ratios, round by round."""
    return Check(Figure("page", name, median(rounds), "×", about={"rounds": rounds}), None, at_most)


def at_photos(library: Tab, page: Served) -> None:
    """Open the page and wait for the pictures at its top."""
    library.page.goto(page.url)
    library.until(IS_SETTLED)


def paints(browser: Any, page: Served, control: str, runs: int) -> Iterator[Check]:
    """The first thing that is seen, each time in a new tab."""
    ours, theirs = [], []
    for _ in range(-1, runs):
        with tab(browser) as opened:
            ours.append(opened.first_paint_s(page.url))
        with tab(browser) as opened:
            theirs.append(opened.first_paint_s(control))
    yield timed("first contentful paint", ours[1:], PAINT_S)
    yield timed("first contentful paint of the empty control page", theirs[1:])


def frames(browser: Any, page: Served, control: str, runs: int) -> Iterator[Check]:
    """How long frames take while the library is scrolled, against an empty page."""
    with tab(browser) as library, tab(browser) as empty:
        empty.first_paint_s(control)
        at_photos(library, page)
        for speed in SPEEDS:
            ours, theirs, ratios = [], [], []
            for _ in range(runs):
                theirs.append(_p95(empty.frames_s("main", speed, _SCROLLED_S)))
                ours.append(_p95(library.frames_s(".grid", speed, _SCROLLED_S)))
                ratios.append(round(ours[-1] / theirs[-1], 1))  # the tab's clock has 0.1 ms
            yield timed(f"p95 frame at {speed:,} px/s", ours)
            yield timed(f"p95 frame at {speed:,} px/s, control", theirs)
            yield times(f"p95 frame at {speed:,} px/s, against the control", ratios, FRAMES)


def jumps(browser: Any, page: Served, runs: int) -> Iterator[Check]:
    """From a typed date's Enter until its photos are seen, from rest and out of a fling."""
    rng, months = random.Random(runs), Load(page).months
    with tab(browser) as library:
        at_photos(library, page)
        for name in ("a jump to a date", "a jump to a date out of a fling"):
            took = []
            for _ in range(runs):
                if "fling" in name:
                    library.frames_s(".grid", max(SPEEDS), _FLUNG_S)
                else:
                    library.until(IS_SETTLED)
                # Not of those that are on the screen already.
                date = rng.choice(months[len(months) // 4 :])
                library.page.keyboard.press("g")
                library.page.locator("#date").fill(date)
                shown = f"{_MONTHS[int(date[5:]) - 1]} {date[:4]}"
                wanted = f"seen().some((one) => one.alt.includes('{shown}')) && {OTHERS}"
                took.append(library.key_s("Enter", wanted, lambda: _press(library, "Enter"))[1])
            yield timed(name, took, JUMP_S)


def searches(browser: Any, page: Served, runs: int) -> Iterator[Check]:
    """From Enter until the first photos found are seen; each time words that are not known yet."""
    words = [tag.text for tag in read_vocabulary()[: runs + 1]]
    with tab(browser) as library:
        at_photos(library, page)
        ready = (
            "(async () => (await (await fetch('/api/status')).json()).model.state === 'ready')()"
        )
        library.until(ready)
        took, similar = [], []
        for word in words:
            library.go("#/search")
            library.page.locator("#query").fill(word)
            took.append(library.key_s("Enter", OTHERS, lambda: _press(library, "Enter")))
            library.page.locator(".cell:not([hidden])").first.focus()
            similar.append(library.key_s("s", OTHERS, lambda: _press(library, "s")))
    for name, pairs, limit in (
        ("Enter with new words", took, SEARCH_S),
        ("more like this", similar, SIMILAR_S),
    ):
        yield timed(f"{name}, to the first photos", [first for first, _ in pairs[1:]], limit)
        yield timed(f"{name}, to all in sight", [last for _, last in pairs[1:]])


def edits(browser: Any, page: Served, runs: int) -> Iterator[Check]:
    """A tag for thousands of photos, and taking it back, as the page sends them."""
    ids = Load(page).ids(BULK)
    with tab(browser) as library:
        at_photos(library, page)
        tagged, undone = [], []
        for _ in range(-1, runs):
            body = {"uuid": str(uuid.uuid4()), "do": "add", "tag": "Measured", "ids": ids}
            took_s, said = library.fetch_s("/api/edits", body)
            tagged.append(took_s)
            undo = {"uuid": str(uuid.uuid4())}
            undone.append(library.fetch_s(f"/api/edits/{said['edit']}/undo", undo)[0])
        yield timed(f"a tag for {len(ids):,} photos", tagged[1:], BULK_S)
        yield timed("its undo", undone[1:], BULK_S)


def lessons(browser: Any, page: Served, runs: int) -> Iterator[Check]:
    """From a yes to a question until the next ones are seen in their new order."""
    ids = Load(page).ids(40)
    with tab(browser) as library:
        at_photos(library, page)
        taught = {"do": "teach", "tag": "Luna", "yes": ids[:10], "no": ids[20:30], "words": False}
        library.fetch_s("/api/edits", {"uuid": str(uuid.uuid4()), **taught})
        library.go("#/tag/Luna/ask")
        library.until(IS_SETTLED)
        took = []
        answered = (
            "performance.getEntriesByType('resource').some((one) => "
            "one.name.includes('/review') && one.startTime > began)"
        )
        for _ in range(-1, runs):
            library.page.wait_for_timeout(_REST_MS)
            took.append(library.key_s("y", answered, lambda: _press(library, "y"))[0])
        yield timed("a yes until the new order", took[1:], TEACH_S)


def memory(page: Served, control: str, minutes: float) -> Iterator[Check]:
    """What a tab holds after so long of scrolling at all speeds."""
    with chromium() as browser, tab(browser) as empty:
        empty.first_paint_s(control)
        yield Check(Figure("page", "memory of the control's tab", tab_bytes(browser)[0], "B"))
    with chromium() as browser, tab(browser) as library:
        at_photos(library, page)
        end_s = time.monotonic() + 60 * minutes
        while time.monotonic() < end_s:
            for speed in SPEEDS:
                library.frames_s(".grid", speed, min(5.0, 15 * minutes))
        name = f"memory of the tab after {minutes:g} min of scrolling"
        own, shared = tab_bytes(browser)
        yield Check(Figure("page", name, own, "B"), at_most=TAB_BYTES)
        name = "decoded pictures beside it, which go when memory is short"
        yield Check(Figure("page", name, shared, "B"))


def load(page: Served, length_s: float, photos: int) -> Iterator[Check]:
    """64 connections without and with an index beside them."""
    asking, folder = Load(page), indexed_folder(page.library)
    resident: list[int] = []

    def looked() -> bool:
        resident.append(own_bytes(page.process))
        return True

    def is_over() -> bool:
        looked()
        return not asking.get("/api/status")["index"]["running"]

    while asking.get("/api/status")["model"]["state"] == "loading":
        time.sleep(0.1)
    idle = asking.run(length_s / 3, looked)
    add_photos(folder, photos, time.time_ns() % (1 << 32))
    before = asking.get("/api/status")["photos"]
    asking.post("/api/index", {"do": "start"})
    resident.clear()
    busy = asking.run(length_s, is_over)
    indexed = asking.get("/api/status")["photos"] - before
    yield from _answers("idle", idle)
    yield from _answers("while photos are indexed", busy)
    name = f"p99 of {CONNECTIONS} connections while photos are indexed, against idle"
    yield Check(Figure("page", name, busy.p99_s / idle.p99_s, "×"), at_most=P99)
    yield Check(Figure("page", "photos indexed meanwhile", indexed, ""), photos, photos)
    third = max(1, len(resident) // 3)
    growth = median(resident[-third:]) / median(resident[:third])
    name = "memory of the page's process, last third against first"
    yield Check(Figure("page", name, growth, "×"), at_most=GROWTH)
    yield Check(Figure("page", "memory of the page's process", resident[-1], "B"))


def _answers(when: str, told: Told) -> Iterator[Check]:
    name = f"{CONNECTIONS} connections, {when}"
    well = sum(count for status, count in told.statuses.items() if status < 400)
    yield Check(Figure("page", f"{name}: answers", well, ""))
    yield Check(Figure("page", f"{name}: busy (503)", told.statuses.get(503, 0), ""))
    faults = f"{name}: errors {sorted(set(told.faults))[:3] or ''}".rstrip()
    yield Check(Figure("page", faults, len(told.faults), ""), at_most=0)
    yield Check(Figure("page", f"{name}: p99", told.p99_s, "s"))


def figures(options: argparse.Namespace) -> Iterator[Check]:
    """All of them, in the order in which they are printed."""
    runs = options.runs
    with tempfile.TemporaryDirectory() as scratch, control_page() as control:
        library = library_with_thumbnails(options.keep or Path(scratch), options.rows)
        with served(library) as page:
            with chromium() as browser:
                yield from paints(browser, page, control, runs)
                yield from frames(browser, page, control, runs)
                yield from jumps(browser, page, runs)
                yield from searches(browser, page, runs)
                yield from edits(browser, page, runs)
                yield from lessons(browser, page, runs)
            yield from memory(page, control, options.minutes)
            yield from load(page, options.seconds, options.photos)


def _press(library: Tab, key: str) -> None:
    library.page.keyboard.press(key)


def _p95(took_s: list[float]) -> float:
    return quantiles(took_s, n=20)[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=positive, default=100_000)
    parser.add_argument("--runs", type=positive, default=5)
    parser.add_argument("--minutes", type=float, default=10.0, help="of scrolling, for memory")
    parser.add_argument("--seconds", type=float, default=60.0, help="of 64 connections")
    parser.add_argument("--photos", type=positive, default=200, help="that are indexed meanwhile")
    parser.add_argument("--keep", type=Path, help="keep the library here for another run")
    return run(parser, figures)


if __name__ == "__main__":
    raise SystemExit(main())
