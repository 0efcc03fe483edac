"""One browser for all tests that look at the page, and what several of them look at."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.browsed import browsed_library
from tests.support.browser import launched
from tests.support.page import Page, running_page


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Playwright's browser, or the test is skipped with a reason."""
    with launched() as found:
        yield found


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page's files, over no library: what a library answers is a stand-in's."""
    with running_page(tmp_path_factory.mktemp("page") / "library.db") as page:
        yield page


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of drawings that no test changes; one of them has hostile words all over it."""
    return browsed_library(tmp_path_factory.mktemp("drawings"))


@pytest.fixture(scope="session")
def small() -> bytes:
    """A picture as thumbnails are."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((96, 64)).save(file, "JPEG")
    return file.getvalue()
