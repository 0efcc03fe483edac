"""Duplicates sorted in the browser, and what was picked found by the command line."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.duplicates import pages
from mlx_aimv2.library.library import Library
from tests.support.albums import make_album
from tests.support.browser import faults_of_access, opened, until
from tests.support.commands import run
from tests.support.page import Page, running_page
from tests.support.synthetic import FACTS

HOSTILE = "<img src=x onerror=window.caught=1>.jpg"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """000 is there twice more, once under a hostile name; 001 and 002 have smaller copies."""
    monkeypatch.setattr(pages, "_SOON_S", 600.0)  # however slow the machine is
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    album = tmp_path / "album"
    photos = make_album(album, 4, side_px=224)
    (album / "copies").mkdir()
    for name in ("same.jpg", HOSTILE):
        shutil.copy(photos[0], album / "copies" / name)
    for photo in photos[1:3]:
        with Image.open(photo) as image:
            image.resize((112, 112)).save(album / "copies" / f"small-{photo.name}", quality=80)
    path = tmp_path / "library.db"
    with Library(path) as index:
        index.index([album], model="demo")
        index.edit_tags("add", "Luna", album / "copies" / "small-001.jpg")
    return path


@pytest.fixture
def page_of(library: Path) -> Iterator[Page]:
    with running_page(library) as served:
        yield served


def picked(library: Path) -> list[str]:
    """What the command lists, as xargs takes it apart."""
    outcome = run("duplicates", "--picked", "-0", f"--library={library}")
    assert outcome.code == 0
    return [os.fsdecode(name).rpartition("/")[2] for name in outcome.stdout.split(b"\0")[:-1]]


def toast(page: Any, text: str) -> None:
    page.locator("#toasts").get_by_text(text).wait_for()


def test_duplicates_are_sorted_and_the_picks_found_by_the_command_line(
    browser: Any, page_of: Page, library: Path
) -> None:
    before = sorted((library.parent / "album").rglob("*"))
    with opened(browser, page_of.url, "#/duplicates") as page:
        group = page.get_by_role("article", name="Group 1")
        group.get_by_text("Best").wait_for()
        # The best and the one of the hostile name are kept.
        group.get_by_role("button", name=f"Keep {HOSTILE}").click()
        group.get_by_role("button", name="Keep 2, pick 1").click()
        page.get_by_text("2 files kept, 1 picked for removal").wait_for()
        assert picked(library) == ["same.jpg"]
        page.get_by_role("button", name="Undo", exact=True).click()
        page.get_by_role("button", name="Keep 1, pick 2").wait_for()
        assert picked(library) == []
        page.get_by_role("link", name="Near").click()
        page.get_by_role("article", name="Group 2").get_by_role(
            "button", name="Keep 1, pick 1"
        ).click()
        page.get_by_role("link", name="Picked for removal").click()
        page.get_by_text("1 file, ").wait_for()
        page.get_by_text("The list on the command line").click()
        shown = page.locator(".command code").first.inner_text()
        assert shown == f"aimv2 duplicates --picked --library {library}"
        assert picked(library) == ["small-002.jpg"]
        assert page.evaluate("window.caught") is None
    assert sorted((library.parent / "album").rglob("*")) == before


def test_the_same_by_keyboard_alone(browser: Any, page_of: Page, library: Path) -> None:
    with opened(browser, page_of.url, "#/duplicates/near") as page:
        page.locator("[data-photo]").first.wait_for()
        for key in ("ArrowRight", "ArrowUp"):  # the small copy of the first group
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
            "small-001.jpg"
        )
        page.keyboard.press("ArrowLeft")
        for _ in range(3):
            page.keyboard.press("p")  # its original goes instead
        page.keyboard.press("Shift+ArrowUp")
        page.get_by_text("1 file kept, 1 picked for removal").wait_for()
        assert picked(library) == ["001.jpg"]
        until(page, "document.activeElement.getAttribute('aria-label')?.startsWith('002.jpg')")
        page.keyboard.press("Shift+ArrowUp")
        page.get_by_text("1 file kept, 1 picked for removal").nth(1).wait_for()
        assert picked(library) == ["001.jpg", "small-002.jpg"]
        for _ in range(2):
            page.keyboard.press("u")
        page.get_by_role("article", name="Group 2").get_by_text("Best").wait_for()
        assert picked(library) == []
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowLeft")
        until(page, "document.activeElement.getAttribute('aria-label')?.startsWith('001.jpg')")
        page.keyboard.press("Enter")  # one over the other, large
        page.get_by_text("1 of 2", exact=True).wait_for()
        page.keyboard.press("ArrowRight")
        page.get_by_text("2 of 2", exact=True).wait_for()
        page.keyboard.press("Escape")
        small = "document.activeElement.getAttribute('aria-label')?.startsWith('small-001.jpg')"
        until(page, small)
        page.keyboard.press("?")
        page.get_by_role("dialog").get_by_text("Confirm the group and go on").wait_for()


def test_no_duplicates_are_remembered_and_what_is_known_is_carried_over(
    browser: Any, page_of: Page, library: Path
) -> None:
    with opened(browser, page_of.url, "#/duplicates/near") as page:
        page.get_by_label("Carry tags, stars and dates over").check()
        page.get_by_role("article", name="Group 1").get_by_role("button", name="Keep 1").click()
        toast(page, "1 file picked for removal, 1 tag carried over")
        until(page, "document.activeElement.getAttribute('aria-label')?.startsWith('002.jpg')")
        page.keyboard.press("n")
        page.get_by_role("article", name="Group 2").get_by_text("Not duplicates").wait_for()
        page.reload()
        page.get_by_text("No near copies to decide on").wait_for()
        page.get_by_role("link", name="Exact").click()
        for name in ("same.jpg", HOSTILE):
            page.get_by_role("button", name=f"Keep {name}").click()
        page.get_by_role("button", name="Keep all").click()
        page.get_by_text("All kept, for good").wait_for()
        page.reload()
        page.get_by_text("No exact copies to decide on").wait_for()
    with Store(library) as store:
        [kept] = store.files("path = ?", (os.fsencode(library.parent / "album" / "001.jpg"),))
        assert store.tags_of(kept.id) == {"Luna": "you"}


def test_none_of_a_group_is_left_only_where_that_is_meant(
    browser: Any, page_of: Page, library: Path
) -> None:
    with opened(browser, page_of.url, "#/duplicates/exact") as page:
        page.locator("[data-photo]").first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Shift+ArrowUp")
        toast(page, "None of this group would be left.")
        assert picked(library) == []
        page.get_by_role("button", name="Pick all 3").click()
        page.get_by_text("0 files kept, 3 picked for removal").wait_for()
        assert sorted(picked(library)) == sorted(["000.jpg", "same.jpg", HOSTILE])


def test_photos_are_taken_off_the_list(browser: Any, page_of: Page, library: Path) -> None:
    album = library.parent / "album"
    with Library(library) as opened_library:
        opened_library.pick([album / "003.jpg", album / "copies" / "same.jpg"])
    with opened(browser, page_of.url, "#/picks") as page:
        page.get_by_text("2 files, ").wait_for()
        page.locator(".cell").nth(1).focus()
        page.keyboard.press("x")
        page.get_by_role("button", name="Take off the list").click()
        page.get_by_text("1 file, ").wait_for()
        assert picked(library) == ["003.jpg"]
        page.locator(".cell").first.focus()
        page.keyboard.press("p")
        page.get_by_text("Nothing is picked for removal").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(browser: Any, page_of: Page, library: Path, theme: str) -> None:
    with Library(library) as opened_library:
        opened_library.pick(library.parent / "album" / "003.jpg")
    with opened(browser, page_of.url, "#/duplicates/exact", color_scheme=theme) as page:
        page.locator("[data-photo]").first.wait_for()
        assert faults_of_access(page) == []
        page.goto(f"{page_of.address}/#/picks")
        page.locator(".cell").first.wait_for()
        page.get_by_text("The list on the command line").click()
        assert faults_of_access(page) == []


def test_groups_come_in_pages(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with Store(path, can_write=True) as store, store.transaction():
        for number in range(60):
            for name in "ab":
                photo = f"/nowhere/{number:02}{name}.jpg".encode()
                store.add_file(photo, Stamp(1000, 1), hash=b"%16d" % number, facts=FACTS)
        for number in range(100):  # a large group: not all of it is shown
            photo = f"/nowhere/z{number:02}.jpg".encode()
            store.add_file(photo, Stamp(1000, 1), hash=b"%16d" % 99, facts=FACTS)
    with (
        running_page(path) as served,
        opened(browser, served.url, "#/duplicates", expected=("404",)) as page,
    ):
        page.get_by_text("61 groups to decide, 159 copies").wait_for()
        for first in (1, 25, 49):
            page.get_by_role("heading", name=f"Group {first}", exact=True).wait_for()
            assert page.locator(".dup-group").count() == min(24, 62 - first)
            if first < 49:
                page.get_by_role("button", name="Next groups").click()
        last = page.locator(".dup-group").last
        assert last.locator("[data-photo]").count() == 24
        last.get_by_role("button", name="Keep 1, pick 99").click()
        page.get_by_text("1 file kept, 99 picked for removal").wait_for()
        page.get_by_text("60 groups to decide, 60 copies").wait_for()
