"""Searching in the browser: words, chips, likeness, pictures and reasons, all by keyboard too."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mlx_aimv2.library.search.kept import Kept
from tests.support.browsed import HOSTILE, copied
from tests.support.browser import faults_of_access, opened, until
from tests.support.page import Page, running_page

IS_FOUND = (
    "document.querySelector('.search .summary strong') && document.querySelector('.cell img[src]')"
)


@pytest.fixture(scope="module")
def served(drawings: Path) -> Iterator[Page]:
    """The page; what a test edits is its own affair, and searches are the same before and after."""
    with running_page(drawings) as page:
        yield page


def box(page: Any) -> Any:
    return page.get_by_label("Search for")


def chips(page: Any) -> list[str]:
    """What was understood."""
    found: list[str] = page.locator(".understood .chip > span").all_inner_texts()
    return found


def found(page: Any) -> int:
    """Waits for photos; how many are above the line."""
    until(page, IS_FOUND)
    return int(page.locator(".search .summary strong").inner_text().split()[0])


def asked(page: Any) -> list[dict[str, Any]]:
    """Every search that the page asks for from now on."""
    bodies: list[dict[str, Any]] = []

    def hear(request: Any) -> None:
        if request.url.endswith("/api/search"):
            bodies.append(request.post_data_json)

    page.on("request", hear)
    return bodies


TYPE = """(texts) => {
  const box = document.querySelector('#query');
  for (const text of texts) {
    box.value = text;
    box.dispatchEvent(new InputEvent('input', {bubbles: true}));
  }
}"""


def test_words_are_searched_once_typing_pauses_and_at_once_by_enter(
    browser: Any, served: Page
) -> None:
    with opened(browser, served.url, "#/search") as page:
        until(page, "document.activeElement.id === 'query'")
        bodies = asked(page)
        page.evaluate(TYPE, ["b", "bo", "boa", "boat"])  # without a pause, however slow all is
        assert found(page) > 0
        assert [body["q"] for body in bodies] == ["boat"]
        assert chips(page) == ["boat"]
        assert "q=boat" in page.url
        assert page.get_by_text("line 0.5").is_visible()
        page.keyboard.type(" - night")
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.understood .chip').length === 2")
        assert chips(page) == ["boat", "− night"]
        assert box(page).input_value() == "boat - night"


def test_a_search_that_nobody_waits_for_is_given_up(browser: Any, served: Page) -> None:
    given_up: list[str] = []

    def answer(route: Any) -> None:
        if route.request.post_data_json["q"] != "owl":  # the one before never ends by itself
            route.continue_()

    with opened(browser, served.url, "#/search") as page:
        page.on("requestfailed", lambda request: given_up.append(request.post_data_json["q"]))
        page.route("**/api/search", answer)
        box(page).wait_for()
        page.evaluate(TYPE, ["owl"])
        page.keyboard.press("Enter")
        page.get_by_text("Searching…").wait_for()
        page.evaluate(TYPE, ["boat"])
        page.keyboard.press("Enter")
        assert found(page) > 0
        assert chips(page) == ["boat"]
        assert given_up == ["owl"]


def test_back_leads_to_the_search_before(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?q=boat") as page:
        first = found(page)
        box(page).fill("owl")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('.understood')?.textContent.includes('owl')")
        page.go_back()
        until(page, "document.querySelector('.understood')?.textContent.includes('boat')")
        assert box(page).input_value() == "boat"
        assert found(page) == first
        page.reload()
        assert found(page) == first


def test_chips_are_taken_away_one_by_one(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?q=boat+%2B+sea+-+night+--since+2024") as page:
        found(page)
        assert chips(page) == ["boat", "sea", "− night", "from 2024"]
        page.get_by_role("button", name="Remove: sea").click()
        until(page, "document.querySelectorAll('.understood .chip').length === 3")
        assert chips(page) == ["boat", "− night", "from 2024"]
        # The next chip has the focus: the keyboard takes one away after the other.
        assert page.evaluate("document.activeElement.ariaLabel") == "Remove: − night"
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.understood .chip').length === 2")
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.understood .chip').length === 1")
        assert box(page).input_value().split() == ["boat"]


def test_filters_without_typing_options(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?q=boat") as page:
        found(page)
        bodies = asked(page)
        page.get_by_role("button", name="Filters").click()
        page.keyboard.type("2024")
        page.keyboard.press("Tab")
        until(page, "document.querySelectorAll('.understood .chip').length === 2")
        assert bodies[-1]["since"] == "2024"
        page.get_by_label("Without the tag").fill("lun")
        page.get_by_role("option", name="Luna").wait_for()
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.understood .chip').length === 3")
        assert bodies[-1]["not_tags"] == ["Luna"]
        page.get_by_label("One of each picture").check()
        until(page, "location.hash.includes('unique=1')")
        page.get_by_role("button", name="Newest first").click()
        until(page, "location.hash.includes('sort=date')")
        assert bodies[-1]["sort"] == "date"
        assert bodies[-1]["unique"] is True


def test_less_likely_ones_are_folded(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?q=boat") as page:
        above = found(page)
        less = page.get_by_role("button", name="Less likely")
        below = int(less.inner_text().split()[2])
        assert less.get_attribute("aria-expanded") == "false"
        assert page.locator(".cell:visible").count() == above
        page.keyboard.press("Tab")
        page.locator(".cell").first.focus()
        page.keyboard.press("l")
        page.get_by_role("heading", name="Less likely").wait_for()
        assert less.get_attribute("aria-expanded") == "true"
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "query"
        page.keyboard.press("Escape")
        assert box(page).input_value() == "boat"
        page.keyboard.press("End")
        until(
            page,
            "document.activeElement.matches('.cell') && document.activeElement.innerText.trim()",
        )
        last = page.evaluate("document.activeElement.querySelector('.score').textContent")
        assert float(last) < 0.5
        assert above + below > above


def test_nothing_fits_says_the_best_and_shows_it(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?q=a+shopping+list") as page:
        page.get_by_role("heading", name="Nothing fits").wait_for()
        show = page.get_by_role("button", name="Show from")
        assert show.inner_text().split()[2] in page.locator(".nothing").inner_text()
        show.click()
        until(page, "document.activeElement.matches('.cell')")
        page.get_by_role("heading", name="Less likely").wait_for()


def test_all_results_are_tagged_and_it_is_undone(
    browser: Any, drawings: Path, tmp_path: Path
) -> None:
    with (
        running_page(copied(drawings, tmp_path)) as served,
        opened(browser, served.url, "#/search?q=boat", expected=("410",)) as page,
    ):
        above = found(page)
        box(page).focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Control+a")
        page.get_by_text(f"{above} selected").wait_for()
        served.service.searches = Kept("t")  # as after half an hour
        page.keyboard.press("t")
        page.get_by_label("Add a tag").fill("Regatta")
        page.keyboard.press("Enter")
        page.get_by_text(f"Regatta added to {above} photo").first.wait_for()
        page.get_by_role("button", name="Done").click()
        assert {each.tag: each.photos for each in served.service.tags()}["Regatta"] == above
        with page.expect_response("**/undo") as undone:
            page.keyboard.press("u")
        assert undone.value.ok
        assert "Regatta" not in {each.tag for each in served.service.tags()}


def test_more_like_one_and_several_photos(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?tags=Luna") as page:
        found(page)
        box(page).focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("s")
        until(
            page, "document.querySelector('.understood')?.textContent.includes('like this photo')"
        )
        assert found(page) > 10
        page.locator(".cell").first.focus()
        page.keyboard.press("x")
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("s")
        until(page, "document.querySelectorAll('.understood .chip.like').length === 2")
        assert page.locator(".understood img").count() == 2


def test_a_picture_is_dropped_and_pasted(browser: Any, served: Page, drawings: Path) -> None:
    picture = next((drawings.parent / "album").glob("0003-*"))
    data = list(picture.read_bytes())
    give = """([data, kind]) => {
      const given = new DataTransfer();
      given.items.add(new File([new Uint8Array(data)], 'a.jpg', {type: 'image/jpeg'}));
      const more = {bubbles: true, cancelable: true};
      const target = document.querySelector('.search');
      target.dispatchEvent(kind === 'paste'
        ? new ClipboardEvent(kind, {...more, clipboardData: given})
        : new DragEvent(kind, {...more, dataTransfer: given}));
    }"""
    expected = ("/api/picture",)  # of what is no picture
    with opened(browser, served.url, "#/search", expected=expected) as page:
        for kind in ("drop", "paste"):
            page.goto(f"{page.url.partition('#')[0]}#/search")
            until(page, "document.querySelector('.search .nothing')")
            page.evaluate(give, [data, kind])
            assert found(page) > 0
            assert chips(page) == ["like this picture"]
            until(page, "document.querySelector('.understood img').naturalWidth > 0")
            page.locator(".cell").first.focus()
            score = page.evaluate("document.activeElement.querySelector('.score').textContent")
            assert float(score) > 0.95  # the photo itself
        page.get_by_role("button", name="By a picture…").wait_for()
        page.evaluate(give, [[1, 2, 3], "drop"])
        page.locator(".toast.bad").wait_for()


def test_why_a_photo_was_found(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?q=boat+-+2:night") as page:
        found(page)
        box(page).focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("w")
        dialog = page.get_by_role("dialog", name="Why this photo")
        dialog.wait_for()
        text = dialog.inner_text()
        assert "boat" in text
        assert "Taken away: 2:night" in text
        score = page.locator(".why .term.sum output").inner_text()
        page.keyboard.press("Escape")
        until(page, "document.activeElement.matches('.cell')")
        assert page.evaluate("document.activeElement.querySelector('.score').textContent") == score


def test_a_search_that_is_gone_is_asked_again_silently(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?q=boat", expected=("410",)) as page:
        found(page)
        bodies = asked(page)
        served.service.searches = Kept("t")
        box(page).focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("w")
        page.get_by_role("dialog", name="Why this photo").wait_for()
        assert [body["q"] for body in bodies] == ["boat"]
        assert page.locator(".toast").count() == 0


def test_wrong_options_are_told_and_nothing_typed_is_opened(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?q=--nonsense", expected=("/api/search",)) as page:
        page.get_by_role("heading", name="--nonsense is no option of a search").wait_for()
        box(page).fill("/etc/hosts")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nothing fits").wait_for()
        assert chips(page) == ["/etc/hosts"]  # words like others
        page.goto(f"{page.url.partition('#')[0]}#/search?q=boat&since=never")
        page.get_by_role("heading", name="'never' is no date").wait_for()
        page.get_by_label("From").fill("2024-05")
        page.keyboard.press("Enter")
        assert found(page) > 0


def with_model(page: Any, **state: Any) -> None:
    """Lets the page hear of another state of the checkpoint."""

    def answer(route: Any) -> None:
        status = route.fetch().json()
        status["model"] |= state
        route.fulfill(json=status)

    page.route("**/api/status", answer)


def test_a_checkpoint_without_a_text_tower(browser: Any, served: Page) -> None:
    def textless(page: Any) -> None:
        with_model(page, state="ready", texts=False)

    with opened(browser, served.url, "#/search", prepare=textless) as page:
        page.get_by_text("Pictures only").first.wait_for()
        assert box(page).get_attribute("placeholder").startswith("Pictures only")
        page.get_by_role("button", name="Choose a picture…").wait_for()
        assert not page.get_by_role("button", name="boat", exact=True).is_visible()
        page.goto(f"{page.url.partition('#')[0]}#/search?like=1")
        assert found(page) > 0


def test_a_search_that_failed_is_made_again_once_the_checkpoint_is_here(
    browser: Any, served: Page
) -> None:
    is_here = False

    def answer(route: Any) -> None:
        away = {"error": "library", "message": "the checkpoint is away", "hint": "wait"}
        if is_here:
            route.continue_()
        else:
            route.fulfill(status=503, json=away)

    def loading(page: Any) -> None:
        with_model(page, state="loading")
        page.route("**/api/search", answer)

    place = "#/search?q=boat"
    with opened(browser, served.url, place, prepare=loading, expected=("503",)) as page:
        page.get_by_role("heading", name="the checkpoint is away").wait_for()
        page.get_by_text("The checkpoint is loading").wait_for()
        is_here = True
        page.unroute("**/api/status")
        assert found(page) > 0  # nobody pressed a key
        assert not page.get_by_text("The checkpoint is loading").is_visible()


def test_hostile_words_are_words(browser: Any, served: Page) -> None:
    place = "#/search?" + urlencode({"tags": HOSTILE})
    with opened(browser, served.url, place) as page:
        assert found(page) == 1
        assert chips(page) == [f"tag {HOSTILE}"]
        box(page).fill(json.dumps(HOSTILE))
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.understood .chip').length === 2")
        assert chips(page)[0] == HOSTILE
        assert page.evaluate("window.pwned") is None
        assert page.locator("img[src=x]").count() == 0


def test_a_photo_of_a_search_is_opened_and_left_by_keyboard(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/search?like=1") as page:
        found(page)
        box(page).focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('.viewer aside:not([inert]) h2')")
        page.keyboard.press("ArrowRight")
        until(page, "document.querySelector('.viewer').textContent.includes('3 of')")
        page.keyboard.press("w")
        page.get_by_role("dialog", name="Why this photo").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        until(
            page, "location.hash.startsWith('#/search') && document.activeElement.matches('.cell')"
        )
        page.keyboard.press("Enter")
        until(page, "document.querySelector('.viewer')?.textContent.includes('3 of')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, served: Page, scheme: Any) -> None:
    with opened(browser, served.url, "#/search?q=boat+-+night", color_scheme=scheme) as page:
        found(page)
        page.get_by_role("button", name="Filters").click()
        page.get_by_role("button", name="Less likely").click()
        assert faults_of_access(page) == []
        box(page).fill("a shopping list")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nothing fits").wait_for()
        assert faults_of_access(page) == []
