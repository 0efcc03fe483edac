"""One photo large: neighbours, facts, tags, captions, all of it by keyboard too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support.browsed import COUNT, HOSTILE, browsed_library, copied
from tests.support.browser import faults_of_access, opened, until
from tests.support.page import Page, running_page

GREY = ("/view/", "/thumb/")
"""Of photos without a picture the answer is 404, which the console tells."""


@pytest.fixture
def served(drawings: Path, tmp_path: Path) -> Iterator[Page]:
    with running_page(copied(drawings, tmp_path)) as page:
        yield page


def ids_of(served: Page) -> list[int]:
    """Ids of the photos as the timeline has them, the newest first."""
    with Library(served.service.path) as library:
        return [
            row[0]
            for row in library.store.rows("SELECT id FROM files ORDER BY taken_at DESC, id DESC")
        ]


def hostile_id(served: Page) -> int:
    return next(
        id for id in ids_of(served) if b"onerror" in served.service.store.files_of([id])[id].path
    )


def facts(page: Any, id: int) -> dict[str, Any]:
    """What the program knows of a photo now."""
    found: dict[str, Any] = page.evaluate(
        f"fetch('/api/photos?ids={id}').then((answer) => answer.json())"
    )["photos"][0]
    return found


def cell(page: Any, id: int) -> Any:
    """The place of a photo in the grid, once its picture is there."""
    return page.locator(f".cell:has(img[src^='/thumb/{id}?'])")


def viewer(page: Any) -> Any:
    return page.get_by_role("dialog")


def shown(page: Any, id: int) -> None:
    """Waits until the viewer shows a photo: its facts and its view."""
    until(
        page,
        f"location.hash === '#/photo/{id}'"
        " && document.querySelector('.viewer aside:not([inert]) h2')"
        f" && document.querySelector('.viewer img.view').src.includes('/view/{id}?')",
    )


def test_enter_opens_arrows_go_on_escape_comes_back(browser: Any, served: Page) -> None:
    ids = ids_of(served)
    with opened(browser, served.url) as page:
        cell(page, ids[0]).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        shown(page, ids[2])
        assert f"3 of {COUNT}" in viewer(page).inner_text()
        page.keyboard.press("ArrowRight")
        shown(page, ids[3])
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        shown(page, ids[1])
        page.keyboard.press("End")
        shown(page, ids[-1])
        page.keyboard.press("ArrowRight")  # there is no further one
        page.keyboard.press("Home")
        shown(page, ids[0])
        page.keyboard.press("ArrowRight")
        shown(page, ids[1])
        page.keyboard.press("Escape")
        until(page, "document.activeElement.matches('.cell') && location.hash === '#/photos'")
        assert page.locator(".cell:focus img").get_attribute("src").startswith(f"/thumb/{ids[1]}?")
        page.go_back()  # Back does not open the photo again
        assert not viewer(page).is_visible()


def test_the_thumbnail_is_there_at_once_and_two_neighbours_are_fetched(
    browser: Any, served: Page
) -> None:
    ids = ids_of(served)
    views: list[str] = []
    held: list[Any] = []

    def hold(route: Any) -> None:
        views.append(route.request.url.partition("?")[0].rpartition("/")[2])
        if len(views) == 1:
            held.append(route)  # the first view does not come before it is let go
        else:
            route.continue_()

    with opened(browser, served.url, prepare=lambda page: page.route("**/view/**", hold)) as page:
        cell(page, ids[1]).click()
        shown(page, ids[1])
        until(page, "document.querySelector('.viewer img.thumb').naturalWidth > 0")
        assert views == [str(ids[1])]  # nothing is fetched ahead of what is looked at
        held[0].continue_()
        until(page, "!document.querySelector('.viewer img.view.coming')")
        for _ in range(100):
            if len(views) == 3:
                break
            page.wait_for_timeout(20)
        assert sorted(views[1:]) == sorted([str(ids[0]), str(ids[2])])


def test_the_focus_stays_in_the_viewer(browser: Any, served: Page) -> None:
    id = ids_of(served)[0]
    with opened(browser, served.url, f"#/photo/{id}") as page:
        shown(page, id)
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.closest('#rail, #main, #skip')") is None
            reached.add(page.evaluate("document.activeElement.textContent.trim()"))
        assert {"‹ Back", "More like this", "Original", "Write one", "Look"} <= reached


def test_facts_are_read(browser: Any, served: Page) -> None:
    ids = ids_of(served)
    with opened(browser, served.url, f"#/photo/{ids[0]}") as page:
        shown(page, ids[0])
        known = facts(page, ids[0])
        text = viewer(page).inner_text()
        assert known["name"] in text
        assert "128 × 128" in text
        assert known["format"] in text
        assert known["date"][:4] in text
        original = page.get_by_role("link", name="Original")
        assert original.get_attribute("target") == "_blank"
        assert original.get_attribute("href") == f"/original/{ids[0]}"
        assert page.locator(".viewer img.view").get_attribute("alt").startswith("Photo, ")


def test_a_caption_is_written_and_undone_by_keyboard(browser: Any, served: Page) -> None:
    id = ids_of(served)[0]
    with opened(browser, served.url, f"#/photo/{id}") as page:
        shown(page, id)
        page.keyboard.press("c")
        text = "Luna at the sea, <b>2024</b>"
        page.keyboard.type(text)
        page.keyboard.press("Control+Enter")
        until(page, "document.querySelector('.caption .words')")
        assert "Luna at the sea, <b>2024</b>" in viewer(page).inner_text()
        assert facts(page, id)["caption"] == {
            "text": "Luna at the sea, <b>2024</b>",
            "origin": "you",
        }
        assert page.evaluate("document.activeElement.id") == "edit-caption"
        page.keyboard.press("u")
        until(page, "!document.querySelector('.caption .words')")
        assert facts(page, id)["caption"] is None


def test_what_was_typed_is_kept_when_the_photo_is_left(browser: Any, served: Page) -> None:
    ids = ids_of(served)
    with opened(browser, served.url) as page:
        cell(page, ids[0]).click()
        shown(page, ids[0])
        page.get_by_role("button", name="Write one").click()
        page.keyboard.type("Not saved yet")
        page.get_by_role("button", name="Next photo").click()
        shown(page, ids[1])
        until(page, "document.querySelector('.toast')")
        assert facts(page, ids[0])["caption"]["text"] == "Not saved yet"
        assert facts(page, ids[1])["caption"] is None
        page.keyboard.press("c")
        page.keyboard.type("Thrown away")
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowLeft")
        shown(page, ids[0])
        assert facts(page, ids[1])["caption"] is None


def test_own_words_are_taken_back_and_no_caption_is_said(browser: Any, served: Page) -> None:
    id = hostile_id(served)
    with opened(browser, served.url, f"#/photo/{id}") as page:
        shown(page, id)
        assert facts(page, id)["caption"]["origin"] == "you"
        page.get_by_role("button", name="Edit", exact=True).click()
        page.get_by_role("button", name="Take mine back").click()
        page.get_by_role("button", name="Write one").wait_for()
        assert facts(page, id)["caption"] is None
        page.keyboard.press("u")
        page.get_by_role("button", name="Edit", exact=True).click()
        page.get_by_role("button", name="No caption").click()
        page.get_by_role("button", name="Write one").wait_for()
        assert facts(page, id)["caption"] is None


def test_a_tag_is_confirmed_rejected_and_taken_back(browser: Any, served: Page) -> None:
    id, tag = ids_of(served)[0], "Places|Sea"
    with Store(served.service.path, can_write=True) as store:
        store.add_tags("vocabulary demo", [(id, tag, 0.625)])
    name = tag.replace("|", " › ")
    with opened(browser, served.url, f"#/photo/{id}") as page:
        shown(page, id)
        row = page.get_by_role("listitem").filter(has_text=name)
        assert "suggested demo" in row.inner_text()
        assert row.locator("output").inner_text() == "0.62"
        page.get_by_role("button", name=f"Yes, {name}").focus()
        page.keyboard.press("Enter")
        until(page, "document.querySelector('.tags').textContent.includes('confirmed')")
        assert tag_of(facts(page, id), tag)["verdict"] == "confirmed"
        # The button that was pressed is gone: the focus is in the same row, and goes on with it.
        until(page, f"document.activeElement.ariaLabel === 'No, not {name}'")
        page.keyboard.press("Enter")
        until(page, f"document.activeElement.ariaLabel === 'Say yes to {name}'")
        assert facts(page, id)["rejected"] == [tag]
        page.keyboard.press("u")
        page.get_by_role("button", name=f"No, not {name}").wait_for()
        assert facts(page, id)["rejected"] == []


def tag_of(photo: dict[str, Any], tag: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in photo["tags"] if each["tag"] == tag)
    return found


def test_space_picks_and_picks_no_more(browser: Any, served: Page) -> None:
    id = ids_of(served)[3]
    with opened(browser, served.url, f"#/photo/{id}") as page:
        shown(page, id)
        page.keyboard.press("Space")
        page.get_by_role("button", name="Pick for removal", pressed=True).wait_for()
        assert facts(page, id)["picked"]
        page.get_by_role("button", name="Pick for removal").focus()
        page.keyboard.press("Space")  # the button under the focus has it, once
        page.get_by_role("button", name="Pick for removal", pressed=False).wait_for()
        assert not facts(page, id)["picked"]


def test_where_a_word_is_lies_over_the_photo(browser: Any, served: Page) -> None:
    id = ids_of(served)[0]
    with opened(browser, served.url, f"#/photo/{id}") as page:
        shown(page, id)
        page.get_by_label("Word to look for in this photo").fill("boat")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('.viewer img.overlay').naturalWidth > 0")
        overlay = page.locator(".viewer img.overlay")
        assert overlay.is_visible()
        page.get_by_label("Strength").fill("40")
        assert overlay.evaluate("(image) => image.style.opacity") == "0.4"
        page.keyboard.press("h")
        assert overlay.is_hidden()
        page.keyboard.press("h")
        assert overlay.is_visible()
        page.get_by_label("Word to look for in this photo").fill("")
        page.keyboard.press("Enter")
        assert overlay.is_hidden()


def test_hostile_words_are_words(browser: Any, served: Page) -> None:
    id = hostile_id(served)
    with opened(browser, served.url, f"#/photo/{id}") as page:
        shown(page, id)
        assert viewer(page).inner_text().count(HOSTILE) >= 3  # its name, its tag, its caption
        assert page.evaluate("window.pwned") is None
        assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, served: Page, scheme: Any) -> None:
    id = hostile_id(served)
    with opened(browser, served.url, f"#/photo/{id}", color_scheme=scheme) as page:
        shown(page, id)
        assert faults_of_access(page) == []
        page.keyboard.press("c")
        assert faults_of_access(page) == []


def test_a_photo_that_is_not_there_says_so(browser: Any, served: Page) -> None:
    with opened(browser, served.url, "#/photo/999999", expected=("/999999",)) as page:
        page.get_by_text("the library has no photo 999999").wait_for()
        page.keyboard.press("Escape")
        until(page, "document.querySelector('#over').hidden")


def test_a_drive_that_is_not_connected_leaves_what_is_kept(browser: Any, tmp_path: Path) -> None:
    library = browsed_library(tmp_path)
    (tmp_path / "album").rename(tmp_path / "elsewhere")
    with running_page(library) as served:
        id = ids_of(served)[0]
        with opened(browser, served.url, f"#/photo/{id}", expected=GREY) as page:
            page.get_by_text("album is not connected.").wait_for()
            until(page, "document.querySelector('.viewer img.thumb').naturalWidth > 4")


def test_a_photo_that_cannot_be_read_has_its_reason(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    with Library(tmp_path / "library.db") as library:
        library.index(tmp_path / "album", model="demo")
    with running_page(tmp_path / "library.db") as served:
        id = ids_of(served)[0]
        with opened(browser, served.url, f"#/photo/{id}", expected=GREY) as page:
            page.get_by_text("This photo cannot be read.").first.wait_for()
            reason = facts(page, id)["error"]["message"]
            assert reason in viewer(page).inner_text()
