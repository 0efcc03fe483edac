"""The library's state on its screen: folders, errors, an index started and stopped there."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.library.library import Library
from mlx_aimv2.server.process import index_process
from tests.support.albums import make_album
from tests.support.browser import faults_of_access, opened
from tests.support.page import running_page

HOSTILE = "<img src=x onerror=window.caught=1>.jpg"
# Tells that 3 of 12 photos are read, and runs until it is stopped.
_SLOW = (
    'import signal; print(\'{"progress": "read", "count": 3, "of": 12}\', flush=True); '
    "signal.signal(signal.SIGINT, lambda *_: exit(130)); signal.pause()"
)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Photos in an album, one that is none, and a drive that is away."""
    make_album(tmp_path / "Pictures", 3)
    (tmp_path / "Pictures" / HOSTILE).write_bytes(b"no picture")
    make_album(tmp_path / "Archive", 2, first=10)
    path = tmp_path / "library.db"
    with Library(path) as opened_library:
        opened_library.index([tmp_path / "Pictures", tmp_path / "Archive"], model="demo")
    (tmp_path / "Archive").rename(tmp_path / "unplugged")
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_folders_drives_errors_and_the_model_are_told(
    browser: Any, library: Path, theme: str
) -> None:
    with (
        running_page(library) as served,
        opened(browser, served.url, "#/status", color_scheme=theme) as page,
    ):
        roots = page.locator(".roots li")
        roots.filter(has_text="Pictures").get_by_text("connected", exact=True).wait_for()
        roots.filter(has_text="Archive").get_by_text("not connected").wait_for()
        page.get_by_text(HOSTILE, exact=True).wait_for()
        page.locator(".errors").get_by_text("is not a picture").wait_for()
        assert page.evaluate("window.caught") is None
        page.get_by_text("library.db.thumbs").wait_for()
        assert faults_of_access(page) == []


def test_an_index_is_started_by_a_key_and_its_photos_are_counted(
    browser: Any, library: Path, tmp_path: Path
) -> None:
    make_album(tmp_path / "Pictures", 2, first=20)
    with running_page(library) as served, opened(browser, served.url, "#/status") as page:
        count = page.locator("header p")
        before = int(re.search(r"(\d+) photos?", count.inner_text())[1])  # type: ignore[index]
        page.keyboard.press("i")
        page.locator("header", has_text=f"{before + 2} photos").wait_for(timeout=120_000)
        page.get_by_role("button", name="Start an index").wait_for(timeout=120_000)


def test_an_index_tells_how_far_it_is_and_is_stopped_by_a_key(
    browser: Any, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_process, "_AIMV2", (sys.executable, "-c", _SLOW))
    with running_page(library) as served, opened(browser, served.url, "#/status") as page:
        page.get_by_role("button", name="Start an index").wait_for()
        page.keyboard.press("i")
        page.get_by_text("3 of 12 photos").wait_for()
        assert page.get_by_role("progressbar").get_attribute("value") == "3"
        assert faults_of_access(page) == []
        page.get_by_role("button", name="Stop the index").wait_for()
        page.keyboard.press("i")
        page.get_by_role("button", name="Start an index").wait_for()
        assert not served.service.index_process.state().is_running


def test_an_empty_library_says_what_to_type(browser: Any, tmp_path: Path) -> None:
    with (
        running_page(tmp_path / "none.db") as served,
        opened(browser, served.url, "#/status") as page,
    ):
        page.get_by_text("aimv2 index ~/Pictures").first.wait_for()
        assert page.get_by_role("button", name="Start an index").count() == 0
        assert faults_of_access(page) == []
