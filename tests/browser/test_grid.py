"""The grid in a browser: its nodes, heights and requests, and that every photo is reached."""

from typing import Any

import pytest

from tests.support.browser import opened, until
from tests.support.page import Page
from tests.support.seen_grid import SEEN, rest
from tests.support.stand_in_timeline import StandInTimeline

MILLION = [3571] * 280  # and a rest without a date: 1,000,000
MOST_PX = 8_000_000

CELLS = "document.querySelectorAll('.cell').length"
TALLEST = """Math.max(...[...document.querySelectorAll('*')].map(
    (one) => Math.max(one.getBoundingClientRect().height, one.scrollHeight)))"""
# As a fling scrolls in a frame; done when the page has heard of it.
SCROLLED = """new Promise((done) => {
    const grid = document.querySelector('.grid');
    grid.addEventListener('scroll', done, {once: true});
    grid.scrollTop += 20_000;
})"""


def fling(page: Any, times: int = 12) -> None:
    """Scrolls faster than anybody reads."""
    page.mouse.move(600, 400)
    for _ in range(times):
        page.mouse.wheel(0, 20_000)


def stop_the_clock(page: Any) -> None:
    """The page's time goes on by ``page.clock.run_for`` alone: how fast a fling is does not depend
    on how busy the machine is.
    """
    page.clock.install(time=0)
    page.clock.pause_at(1000)


def of_a_million(small: bytes) -> StandInTimeline:
    return StandInTimeline(MILLION, undated=1_000_000 - sum(MILLION), picture=small)


def test_a_million_photos_take_few_nodes_and_no_tall_element(
    browser: Any, served: Page, small: bytes
) -> None:
    library = of_a_million(small)
    library.is_holding = True
    with opened(browser, served.url, prepare=library, device_scale_factor=2) as page:
        until(page, CELLS)
        for key in ("PageDown", "End", "PageUp", "Home", "-", "-", "-", "End"):
            page.keyboard.press(key)
            assert page.evaluate(CELLS) <= 120
            assert page.evaluate(TALLEST) <= MOST_PX
        fling(page)
        assert page.evaluate(CELLS) <= 120
        assert page.evaluate(TALLEST) <= MOST_PX


@pytest.mark.parametrize("size", [(2560, 1440), (1440, 2560), (3840, 2160), (320, 480)])
def test_a_large_window_has_no_more_nodes(
    browser: Any, served: Page, small: bytes, size: tuple[int, int]
) -> None:
    library = StandInTimeline([997, 1, 1, 13] * 20, picture=small, is_holding=True)
    window = {"width": size[0], "height": size[1]}
    with opened(browser, served.url, prepare=library, viewport=window) as page:
        until(page, CELLS)
        for key in ["-"] * 16 + ["PageDown"] * 5:
            page.keyboard.press(key)
            assert page.evaluate(CELLS) <= 120


def test_the_oldest_of_a_million_is_reached_by_end_and_by_the_scrubber(
    browser: Any, served: Page, small: bytes
) -> None:
    library = of_a_million(small)
    with opened(browser, served.url, prepare=library, device_scale_factor=2) as page:
        assert page.evaluate("devicePixelRatio") == 2
        rest(page)
        page.keyboard.press("End")
        assert rest(page)[-1]["id"] == library.total
        page.keyboard.press("Home")
        assert rest(page)[0]["id"] == 1
        box = page.locator(".scrubber").bounding_box()
        page.mouse.move(box["x"] + 30, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + 30, box["y"] + box["height"] + 50, steps=7)
        page.mouse.up()
        assert rest(page)[-1]["id"] == library.total
        page.locator(".scrubber").focus()
        page.keyboard.press("Home")
        assert rest(page)[0]["id"] == 1
        page.keyboard.press("End")
        assert rest(page)[-1]["id"] == library.total


def test_every_cell_shows_the_photo_of_its_place(browser: Any, served: Page, small: bytes) -> None:
    """Ids of the stand-in are places from 1, so a place in the rows tells which is right."""
    library = StandInTimeline([37, 1, 2, 997, 5, 5003], undated=11, picture=small)
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        columns = int(page.locator(".grid").get_attribute("aria-colcount"))
        first_of_row = {}
        row, before = 1, 0
        for count in [*library.months, library.undated]:
            row += 1  # the header
            for first in range(0, count, columns):
                first_of_row[row] = before + first + 1
                row += 1
            before += count
        assert page.locator(".grid").get_attribute("aria-rowcount") == str(row - 1)
        for key in ["PageDown"] * 7 + ["End", "PageUp", "PageUp", "Home", "]", "]", "]", "["]:
            page.keyboard.press(key)
            for one in rest(page):
                assert one["id"] == first_of_row[one["row"]] + one["column"] - 1


def test_at_most_six_requests_are_under_way_and_those_of_pictures_that_left_are_given_up(
    browser: Any, served: Page, small: bytes
) -> None:
    library = of_a_million(small)
    library.is_holding = True
    failed: list[str] = []

    def prepare(page: Any) -> None:
        library(page)
        page.on("requestfailed", lambda request: failed.append(request.url))

    with opened(browser, served.url, prepare=prepare) as page:
        until(page, "document.querySelectorAll('.cell img[src]').length === 4")
        first = list(library.thumbs)
        assert len(first) == 4
        page.keyboard.press("End")
        until(page, f"{SEEN}.filter((one) => one.id > {library.total - 100}).length === 4")
        assert len(library.thumbs) == 8
        assert sorted(int(url.split("thumb/")[1].split("?")[0]) for url in failed) == sorted(first)
        library.release()
        assert rest(page)[-1]["id"] == library.total
        fling(page)
        page.keyboard.press("Home")
        rest(page)
    assert library.most_under_way <= 6


def test_a_fling_and_a_jump_ask_for_little_more_than_is_seen(
    browser: Any, served: Page, small: bytes
) -> None:
    library = of_a_million(small)
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        library.thumbs.clear()
        library.parts.clear()
        stop_the_clock(page)
        for _ in range(12):
            page.evaluate(SCROLLED)
            page.clock.run_for(16)
        assert library.thumbs == library.parts == []
        page.locator(".scrubber").focus()
        page.keyboard.press("End")
        page.clock.run_for(200)
        seen = rest(page)
        assert seen[-1]["id"] == library.total
        assert len(library.thumbs) <= 2 * len(seen)
        assert len(library.parts) <= 2


def test_a_drag_of_the_scrubber_asks_for_what_it_ends_at(
    browser: Any, served: Page, small: bytes
) -> None:
    library = of_a_million(small)
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        library.thumbs.clear()
        stop_the_clock(page)
        box = page.locator(".scrubber").bounding_box()
        page.mouse.move(box["x"] + 30, box["y"] + 5)
        page.mouse.down()
        for step in range(1, 30):
            page.mouse.move(box["x"] + 30, box["y"] + box["height"] * step / 30)
            page.clock.run_for(16)
        assert library.thumbs == []
        page.mouse.up()
        page.clock.run_for(200)
        assert len(library.thumbs) <= 2 * len(rest(page))
