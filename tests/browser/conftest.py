"""One browser for all tests that look at the page."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import launched


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Playwright's browser, or the test is skipped with a reason."""
    with launched() as found:
        yield found
