"""Photos in a browser: by keyboard alone, by ear, and in every state that a library can be in."""

from typing import Any

import pytest

from tests.support.browser import faults_of_access, opened, until
from tests.support.page import Page
from tests.support.seen_grid import SEEN, rest
from tests.support.stand_in_timeline import StandInTimeline

STOPS = "document.querySelectorAll('.grid [tabindex=\"0\"]').length"
SELECTED = "document.querySelectorAll('.cell[aria-selected=\"true\"]:not([hidden])').length"
FOCUS = "Number(/thumb.(\\d+)/.exec(document.activeElement.querySelector('img')?.src)?.[1])"
SAID = "document.getElementById('said').textContent"


@pytest.fixture
def library(small: bytes) -> StandInTimeline:
    """Months whose last rows are not full, and some photos without a date."""
    return StandInTimeline([37, 1, 5, 997, 13], undated=7, picture=small)


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def places(page: Any) -> list[tuple[int, float]]:
    """Each photo in sight, and how far from the top it stands."""
    return [(one["id"], one["top"]) for one in rest(page)]


def test_the_focus_moves_by_arrows_over_months_and_is_one_tab_stop(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        columns = int(page.locator(".grid").get_attribute("aria-colcount"))
        press(page, "ArrowRight", "ArrowRight")
        assert page.evaluate(FOCUS) == 3
        press(page, "ArrowDown")
        assert page.evaluate(FOCUS) == 3 + columns
        assert page.evaluate(STOPS) == 1
        # Over the one photo of the next month, to the month after it.
        press(page, *["ArrowDown"] * (37 // columns))
        rest(page)
        assert page.evaluate(FOCUS) == 38
        press(page, "ArrowDown")
        rest(page)
        assert page.evaluate(FOCUS) == 39
        press(page, "End")
        assert rest(page)[-1]["id"] == library.total == page.evaluate(FOCUS)
        press(page, "Home", "Tab")
        assert page.evaluate("document.activeElement.matches('.scrubber')")
        press(page, "Shift+Tab")
        rest(page)
        assert page.evaluate(FOCUS) == 1


def test_the_focused_photo_stays_a_node_however_far_the_page_scrolls(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        press(page, "ArrowRight")
        page.evaluate("window.focused = document.activeElement")
        row = page.evaluate("focused.parentNode.getAttribute('aria-rowindex')")
        page.mouse.move(600, 400)
        for _ in range(9):
            page.mouse.wheel(0, 1500)
        until(page, f"{SEEN}.every((one) => one.id > 300)")
        assert page.evaluate("document.activeElement === focused && focused.isConnected")
        assert page.evaluate("focused.parentNode.getAttribute('aria-rowindex')") == row
        press(page, "ArrowRight")
        assert 3 in [one["id"] for one in rest(page)]
        assert page.evaluate(FOCUS) == 3


def test_ranges_and_everything_are_selected_and_edited_by_keys(
    browser: Any, served: Page, small: bytes
) -> None:
    library = StandInTimeline([5003, 2, 7001], picture=small)
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        press(page, "x", "ArrowRight", "ArrowRight", " ", "Shift+ArrowRight", "Shift+ArrowRight")
        assert page.evaluate(SELECTED) == 4
        press(page, "Shift+ArrowLeft")
        assert page.evaluate(SELECTED) == 3
        until(page, f"{SAID} === '3 photos selected'")
        press(page, "p")
        toast = page.locator(".toast")
        toast.get_by_text("3 picked for removal").wait_for()
        assert library.edits[0][1]["ids"] == [1, 3, 4]
        press(page, "u")
        toast.get_by_role("button", name="Redo").wait_for()
        assert library.edits[1][0] == "/api/edits/1/undo"
        press(page, "Control+Shift+z")
        toast.get_by_role("button", name="Undo").last.wait_for()
        assert library.edits[2][0] == "/api/edits/2/undo"
        press(page, "Escape")
        assert page.evaluate(SELECTED) == 0
        press(page, "Home", "Shift+End", "p")
        until(page, f"{SAID} === '{library.total} picked for removal. Undo with U'")
        assert library.edits[3][1]["ids"] == list(range(1, library.total + 1))
        press(page, "Escape", "Control+a")
        until(page, f"{SAID} === '12,006 photos selected'")
        press(page, "Home", "x", "p")
        until(page, f"{SAID} === '{library.total - 1} picked for removal. Undo with U'")
        assert library.edits[4][1]["ids"] == list(range(2, library.total + 1))
        uuids = [body["uuid"] for _, body in library.edits]
        assert len(set(uuids)) == len(uuids)


def test_the_pointer_selects_as_everywhere(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        cells = page.locator(".cell:visible")
        cells.nth(1).click(modifiers=["ControlOrMeta"])
        cells.nth(4).click(modifiers=["Shift"])
        assert page.evaluate(SELECTED) == 4
        cells.nth(2).click()
        assert page.evaluate(SELECTED) == 3
        press(page, "Escape")
        cells.nth(0).locator(".check").click()
        assert page.evaluate(SELECTED) == 1


def test_a_date_is_gone_to_and_months_are_stepped_through(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    def top() -> str:
        return str(page.evaluate("document.querySelector('.scrubber').ariaValueText"))

    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        press(page, "]")
        assert top() == "October 2026"
        press(page, "]", "]", "[")
        assert top() == "September 2026"
        press(page, "g")
        page.keyboard.type("no gigantic date")
        press(page, "Enter")
        assert page.locator("dialog").is_visible()
        page.get_by_label("A year, a month or a day").fill("Aug 2026")
        press(page, "Enter")
        until(page, f"{FOCUS} === 44")
        assert top() == "August 2026"
        press(page, "g")
        page.keyboard.type("2026-08-14")
        press(page, "Enter")
        until(page, f"{FOCUS} > 44")
        rest(page)
        until(page, "document.activeElement.querySelector('img').alt.includes('14 August 2026')")


def test_a_day_of_a_large_month_and_the_place_that_was_left_are_found(
    browser: Any, served: Page, small: bytes
) -> None:
    library = StandInTimeline([5003, 9001, 3], picture=small)
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        press(page, "g")
        page.keyboard.type("14 oct 2026")
        press(page, "Enter")
        # Days go down evenly from the 28th: the 14th begins where half of them are over.
        until(page, f"{FOCUS} === {5003 + 4501 + 1}")
        before = rest(page)
        page.goto(f"{page.url.partition('#')[0]}#/history")
        until(page, "!document.querySelector('.grid')")
        page.goto(f"{page.url.partition('#')[0]}#/photos")
        until(page, "document.querySelector('.grid')")
        assert [one["id"] for one in rest(page)] == [one["id"] for one in before]


def test_letters_can_be_switched_off_and_keys_are_shown(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        press(page, "ArrowRight", "?")
        assert page.get_by_role("dialog", name="Keys").get_by_text("Go to a date").is_visible()
        page.get_by_label("Keys of a single letter act").press("Space")
        press(page, "Escape")
        assert page.evaluate(FOCUS) == 2
        press(page, "x", "g", "?", "u")
        assert page.evaluate(SELECTED) == 0
        assert page.locator("dialog").count() == 0
        press(page, " ")
        assert page.evaluate(SELECTED) == 1


def test_photos_are_heard_by_date_and_certain_tags_whatever_these_are(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    library.tag = "<img src=x onerror=alert(1)>"
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        until(page, f"{SEEN}[0].alt.includes('onerror')")
        seen = rest(page)
        heard = "Photo, 28 November 2026, <img src=x onerror=alert(1)>, its drive is not connected"
        assert seen[0]["alt"] == heard
        assert page.locator(".grid img[onerror]").count() == 0


def test_new_photos_wait_for_their_button_and_nothing_moves(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    with opened(browser, served.url, prepare=library) as page:
        rest(page)
        press(page, "]", "]", "]")
        before = places(page)
        library.months[3] += 12
        library.version = "2"
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        button = page.get_by_role("button", name="Show 12 new")
        button.wait_for(timeout=20_000)
        assert places(page) == before
        button.click()
        until(page, "document.querySelector('.new-photos').hidden")
        # The stand-in numbers photos by their places, so the first ones of a month keep theirs.
        assert places(page) == before
        press(page, "End")
        assert rest(page)[-1]["id"] == library.total


def test_an_empty_library_says_what_to_type_and_fills_by_itself(
    browser: Any, served: Page, library: StandInTimeline, small: bytes
) -> None:
    nothing = StandInTimeline([], picture=small)
    with opened(browser, served.url, prepare=nothing) as page:
        page.get_by_text("aimv2 index ~/Pictures").wait_for()
        assert faults_of_access(page) == []
        nothing.months = [3]
        nothing.version = "2"
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        until(page, "document.querySelector('.cell')")
        assert [one["id"] for one in rest(page)] == [1, 2, 3]


def test_a_program_that_is_gone_is_told_and_tried_again(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    # Its waits are told, and over at once.
    soon = """
        window.waits = [];
        const later = setTimeout;
        window.setTimeout = (act, ms, ...more) => {
          const isWait = ms === 1000 || ms === 2000 || ms === 5000;
          if (isWait) waits.push(ms);
          return later(act, isWait ? 1 : ms, ...more);
        };
    """

    def prepare(page: Any) -> None:
        library(page)
        page.add_init_script(soon)

    with opened(browser, served.url, prepare=prepare, expected=("ERR_CONNECTION",)) as page:
        rest(page)
        until(page, f"{SEEN}.every((one) => one.alt.includes('Boat'))")
        library.is_gone = True
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.locator("#banner").get_by_text("does not answer").wait_for()
        until(page, "waits.length > 3")
        assert page.evaluate("waits.slice(0, 4)") == [1000, 2000, 5000, 5000]
        assert faults_of_access(page) == []
        library.is_gone = False
        until(page, "!document.querySelector('#banner').firstChild")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_anybody(
    browser: Any, served: Page, library: StandInTimeline, scheme: str
) -> None:
    library.status = {"index": {"running": True, "here": True, "done": 4120, "left": 9800}}
    with opened(browser, served.url, prepare=library, color_scheme=scheme) as page:
        rest(page)
        assert faults_of_access(page) == []
        press(page, "x", "Shift+ArrowDown")
        assert faults_of_access(page) == []
        press(page, "?")
        assert faults_of_access(page) == []
        press(page, "Escape", "g")
        assert faults_of_access(page) == []


def test_at_200_percent_nothing_is_cut_off(
    browser: Any, served: Page, library: StandInTimeline
) -> None:
    window = {"width": 640, "height": 400}
    with opened(browser, served.url, prepare=library, viewport=window) as page:
        rest(page)
        press(page, "x")
        assert page.evaluate("document.documentElement.scrollWidth") <= 640
        for name in ("Photos", "Status"):
            assert page.get_by_role("link", name=name, exact=True).is_visible()
        box = page.locator(".selection-bar").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 640


def test_less_motion_is_none(browser: Any, served: Page, library: StandInTimeline) -> None:
    with opened(browser, served.url, prepare=library, reduced_motion="reduce") as page:
        rest(page)
        moving = """[...document.querySelectorAll('*')].filter((one) => {
            const style = getComputedStyle(one);
            return parseFloat(style.transitionDuration) > 0 || style.animationName !== 'none';
        }).length"""
        assert page.evaluate(moving) == 0
