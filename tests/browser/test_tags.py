"""Tags in a browser: given to a selection, reviewed, renamed, merged, taken back; all by keys."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.library.library import Library
from mlx_aimv2.server.service import Service
from tests.support.albums import make_album
from tests.support.browser import faults_of_access, opened, until
from tests.support.page import running_page

HOSTILE = "<img src=x onerror=window.caught=1>"
SNOW = "Weather|Snow"
SNOW_SURE = "#/tag/Weather%7CSnow/sure"
SEEN = "document.querySelectorAll('.cell img[src]').length"
FOCUSED = "document.activeElement.querySelector?.('img')?.getAttribute('src')?.match(/\\d+/)?.[0]"


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of drawings with the tags of the demo's vocabulary."""
    folder = tmp_path_factory.mktemp("tagged")
    make_album(folder / "album", 32)
    with Library(folder / "library.db") as library:
        library.index([folder / "album"], model="demo")
        library.tag()
    return folder


@pytest.fixture
def library(tagged: Path, tmp_path: Path) -> Path:
    """A copy of that library; its photos stay where they are."""
    for path in tagged.glob("library.db*"):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tmp_path / path.name)
    return tmp_path / "library.db"


def have(library: Library, tag: str) -> int:
    """How many photos have a tag."""
    return sum(each.photos for each in library.tags() if each.tag == tag)


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def said(page: Any, text: str) -> None:
    """Wait until the live region has said a text."""
    page.locator("#said", has_text=text).wait_for(state="attached")


def in_grid(page: Any) -> None:
    """Put the focus into the grid once it shows photos."""
    until(page, SEEN)
    page.locator(".cell[tabindex='0']").focus()


def test_a_range_is_selected_and_tagged_and_that_is_undone_and_redone_by_keys(
    browser: Any, library: Path
) -> None:
    with running_page(library) as served, opened(browser, served.url) as page:
        in_grid(page)
        press(page, "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "t")
        page.get_by_label("Add a tag to 3 photos").wait_for()
        page.keyboard.type("holi")
        page.get_by_role("option", name="holi").wait_for()
        press(page, "Enter")
        page.get_by_role("checkbox", name="holi all").wait_for()
        assert have(served.service, "holi") == 3
        page.locator("dialog .said", has_text="holi added to 3 photos. Undo with U").wait_for(
            state="attached"
        )
        press(page, "Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        assert page.evaluate("document.activeElement.className") == "cell"
        press(page, "u")
        page.get_by_role("button", name="Redo").wait_for()
        assert have(served.service, "holi") == 0
        press(page, "ControlOrMeta+Shift+z")
        page.get_by_role("button", name="Undo").wait_for()
        said(page, "holi added to 3 photos")
        assert have(served.service, "holi") == 3


def test_a_tag_is_completed_from_those_that_are_known(browser: Any, library: Path) -> None:
    with running_page(library) as served, opened(browser, served.url) as page:
        in_grid(page)
        before = have(served.service, SNOW)
        first = page.evaluate(FOCUSED)
        press(page, "t")
        page.keyboard.type("sno")
        page.get_by_role("option", name="Weather › Snow").wait_for()
        press(page, "Enter")
        page.get_by_role("checkbox", name="Weather › Snow").wait_for()
        page.locator("dialog .tag-said", has_text="Snow").wait_for()
        facts = served.service.look(lambda store: store.tags_of(int(first)))
        assert facts[SNOW] == "you"
        assert have(served.service, SNOW) in {before, before + 1}


def test_three_states_tell_what_all_some_and_none_of_a_selection_have(
    browser: Any, library: Path
) -> None:
    with running_page(library) as served, opened(browser, served.url) as page:
        in_grid(page)
        press(page, "t")
        page.keyboard.type("Attic")
        press(page, "Enter")
        box = page.get_by_role("checkbox", name="Attic")
        box.wait_for()
        press(page, "Escape", "Shift+ArrowRight", "Shift+ArrowRight", "t")
        box.filter(has_text="1 of 3").wait_for()
        assert box.get_attribute("aria-checked") == "mixed"
        assert faults_of_access(page) == []
        box.focus()
        for state, count in (("true", 3), ("false", 0), ("true", 3)):
            press(page, "Space")
            page.locator(f"[role=checkbox][aria-checked={state}]", has_text="Attic").wait_for()
            assert have(served.service, "Attic") == count
        for name, count in (("Undo", 0), ("Redo", 3)):
            page.get_by_role("dialog").get_by_role("button", name=name).click()
            box.filter(has_text="all" if count else "none").wait_for()
            assert have(served.service, "Attic") == count


def test_all_results_of_a_search_are_tagged_without_naming_their_photos(
    browser: Any, library: Path
) -> None:
    sent: list[str] = []
    with (
        running_page(library) as served,
        opened(browser, served.url, "#/search?q=snow") as page,
    ):
        page.on("request", lambda request: sent.append(request.post_data or ""))
        in_grid(page)
        press(page, "ControlOrMeta+a", "t")
        page.get_by_label("Add a tag to").wait_for()
        page.keyboard.type("Winter")
        press(page, "Enter")
        page.get_by_role("checkbox", name="Winter all").wait_for()
        (edit,) = [text for text in sent if '"do":"add"' in text]
        assert '"search":' in edit
        assert '"ids"' not in edit
        assert have(served.service, "Winter") > 1


def test_all_photos_of_a_review_are_answered_at_once(browser: Any, library: Path) -> None:
    with running_page(library) as served, opened(browser, served.url, SNOW_SURE) as page:
        in_grid(page)
        assert have(served.service, SNOW) > 1
        press(page, "ControlOrMeta+a", "n")
        page.get_by_text("No photo has Weather › Snow").wait_for()
        until(page, "document.querySelector('[aria-current=page] b').textContent === '0'")
        assert have(served.service, SNOW) == 0


def test_yes_and_no_move_on_and_a_no_stays_after_tagging_anew(browser: Any, library: Path) -> None:
    with running_page(library) as served, opened(browser, served.url, SNOW_SURE) as page:
        in_grid(page)
        before = have(served.service, SNOW)
        rejected = page.evaluate(FOCUSED)
        press(page, "n")
        page.locator(".toast", has_text="rejected").wait_for()
        confirmed = page.evaluate(FOCUSED)
        assert confirmed not in {None, rejected}
        press(page, "y")
        page.locator(".toast", has_text="confirmed").wait_for()
        assert have(served.service, SNOW) == before - 1
        served.service.tag()
        assert have(served.service, SNOW) == before - 1
        press(page, "3")
        until(page, f"document.querySelector('.cell img[src*=\"/{rejected}?\"]') !== null")
        assert faults_of_access(page) == []
        page.go_back()
        in_grid(page)
        assert page.locator(f".cell img[src*='/{rejected}?']").count() == 0
        press(page, "u", "u")
        until(page, f"document.querySelector('.cell img[src*=\"/{rejected}?\"]') !== null")
        assert have(served.service, SNOW) == before


def test_answers_in_a_row_are_each_of_another_photo(browser: Any, library: Path) -> None:
    with running_page(library) as served, opened(browser, served.url, SNOW_SURE) as page:
        in_grid(page)
        press(page, "y", "n", "y")  # faster than the library answers
        page.locator(".tabs a", has_text="Said no").get_by_text("1", exact=True).wait_for()
        words = served.service.look(lambda store: store.verdicts_on(SNOW))
        assert sorted(words.values()) == ["confirmed", "confirmed", "rejected"]


def test_an_answer_that_waits_for_an_index_is_not_asked_again_and_can_be_undone(
    browser: Any, library: Path
) -> None:
    sent: list[str] = []
    waits = {"edit": None, "changed": 1, "skipped": 0, "waiting": True, "said": "kept",
             "errors": [], "version": "1"}  # fmt: skip

    def keep(route: Any) -> None:
        sent.append(route.request.url.partition("/api/")[2])
        sent.append(route.request.post_data_json["uuid"])
        route.fulfill(json=waits)

    def tell(route: Any) -> None:
        route.fulfill(json=route.fetch().json() | {"waiting": 1})

    def prepare(page: Any) -> None:
        page.route("**/api/edits**", keep)
        page.route("**/api/edits/*/undo", keep)
        page.route("**/api/status", tell)

    with (
        running_page(library) as served,
        opened(browser, served.url, SNOW_SURE, prepare=prepare) as page,
    ):
        in_grid(page)
        answered = page.evaluate(FOCUSED)
        cell = page.locator(f".cell img[src*='/{answered}?']")
        with page.expect_request_finished(lambda request: "/review?" in request.url):
            press(page, "n")
        page.locator(".toast", has_text="An index is running").wait_for()
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
        assert cell.count() == 0
        press(page, "u")
        cell.wait_for()
        assert sent[2] == f"edits/{sent[1]}/undo"


def test_a_tag_is_taught_from_a_selection_and_its_questions_answered(
    browser: Any, library: Path
) -> None:
    with running_page(library) as served, opened(browser, served.url) as page:
        in_grid(page)
        press(page, "Shift+ArrowRight", "Shift+ArrowRight", "e")
        page.get_by_label("These 3 photos are").wait_for()
        page.keyboard.type("Luna")
        press(page, "Enter")
        assert "no face recognition" in page.get_by_role("dialog").inner_text()
        assert faults_of_access(page) == []
        press(page, "Tab", "ArrowUp")
        assert page.get_by_label("The photos alone").is_checked()
        press(page, "Enter")
        known = page.get_by_role("group", name="What is known of the tag")
        known.get_by_text("3 yes, 0 no").wait_for()
        in_grid(page)
        assert "%" not in page.locator(".foot").first.inner_text()
        asked = page.evaluate(FOCUSED)
        press(page, "y")
        known.get_by_text("4 yes, 0 no").wait_for()
        assert page.evaluate(FOCUSED) not in {None, asked}
        asked = page.evaluate(FOCUSED)
        press(page, "n")
        known.get_by_text("4 yes, 1 no").wait_for()
        press(page, "u")
        known.get_by_text("4 yes, 0 no").wait_for()
        until(page, f"{FOCUSED} === {asked!r}")
        page.goto(page.url.replace("#/tag/Luna/ask", "#/tags"))
        page.get_by_role("link", name="Questions about Luna").wait_for()


def test_tags_are_renamed_and_merged_by_keys_and_both_are_undone(
    browser: Any, library: Path
) -> None:
    with running_page(library) as served, opened(browser, served.url, "#/tags") as page:
        service = served.service
        snow, meadow = have(service, SNOW), have(service, "Landscape|Meadow")
        find(page, "Snow")
        press(page, "r")
        page.get_by_label("New name").wait_for()
        page.keyboard.type("Weather › Flakes")
        page.get_by_text("get the new name").wait_for()
        press(page, "Enter", "Enter")
        page.get_by_role("dialog").wait_for(state="detached")
        assert (have(service, SNOW), have(service, "Weather|Flakes")) == (0, snow)
        find(page, "Flakes")
        press(page, "x")
        find(page, "Meadow")
        press(page, "x", "m")
        page.get_by_text("All of them are").wait_for()
        page.keyboard.type("Outside")
        page.get_by_text("become Outside").wait_for()
        assert faults_of_access(page) == []
        press(page, "Enter", "Enter")
        page.get_by_role("dialog").wait_for(state="detached")
        assert max(snow, meadow) <= have(service, "Outside") <= snow + meadow
        page.goto(page.url.replace("#/tags", "#/history"))
        page.locator(".history li").first.wait_for()
        press(page, "u")
        page.locator(".history .undone").first.wait_for()
        assert have(service, "Landscape|Meadow") == meadow
        press(page, "u")
        until(page, "document.querySelectorAll('.history .undone').length === 2")
        assert have(service, SNOW) == snow


def find(page: Any, text: str) -> None:
    """Go to a tag's row of the list by keys."""
    page.get_by_placeholder("Find a tag").wait_for()
    press(page, "f")
    page.keyboard.type(text)
    until(page, "document.querySelectorAll('tbody tr').length < 3")
    page.locator("tbody tr", has_text=text).first.wait_for()
    press(page, "ArrowDown")


def test_history_undoes_an_edit_after_a_restart_and_says_why_it_cannot(
    browser: Any, library: Path
) -> None:
    with Service(library) as service:
        service.edit_tags("add", "Attic", [1, 2])
        service.rename_tag("Attic", "Loft")
    expected = ("409",)
    with (
        running_page(library) as served,
        opened(browser, served.url, "#/history", expected=expected) as page,
    ):
        row = page.locator(".history li", has_text="Attic added to 2 photos")
        row.wait_for()
        assert faults_of_access(page) == []
        row.focus()
        press(page, "Enter")
        page.locator(".toast", has_text="has another name since").wait_for()
        assert have(served.service, "Loft") == 2
        press(page, "ArrowUp", "Enter")
        page.locator(".undone", has_text="Attic to Loft").wait_for()
        row.focus()
        press(page, "Enter")
        page.locator(".undone", has_text="Attic added").wait_for()
        assert have(served.service, "Attic") == 0
        page.get_by_role("button", name="Redo: undone: Attic added").click()
        page.locator(".toast").get_by_role("button", name="Undo", exact=True).wait_for()
        assert have(served.service, "Attic") == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_names_are_texts_everywhere(browser: Any, library: Path, theme: str) -> None:
    with Service(library) as service:
        service.edit_tags("add", f"{HOSTILE}|<b>a/b?c#d", [1, 2])
    with (
        running_page(library) as served,
        opened(browser, served.url, "#/tags", color_scheme=theme) as page,
    ):
        page.get_by_role("link", name=HOSTILE).wait_for()
        assert faults_of_access(page) == []
        find(page, "onerror")
        press(page, "Enter")
        in_grid(page)
        assert page.locator(".cell img[src]").count() == 2
        press(page, "t")
        page.keyboard.type("<img")
        page.get_by_role("option", name=HOSTILE).wait_for()
        press(page, "Escape", "Escape", "n")
        page.locator(".toast", has_text="rejected for 1 photo").wait_for()
        page.goto(page.url.partition("#")[0] + "#/history")
        page.locator(".history li", has_text=HOSTILE).first.wait_for()
        assert faults_of_access(page) == []
        assert page.evaluate("window.caught") is None
        assert page.locator("img[onerror], b:has-text('a/b')").count() == 0


def test_a_library_without_tags_says_how_to_get_some(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with Library(path) as library:
        library.index(make_album(tmp_path / "album", 1), model="demo")
    with running_page(path) as served, opened(browser, served.url, "#/tags") as page:
        page.get_by_text("No tags yet").wait_for()
        assert faults_of_access(page) == []
