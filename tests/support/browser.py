"""A browser that looks at a running page, and fails a test for what its console reports."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def chromium() -> str:
    """A Chromium of this machine; without one, or without Playwright, the test is skipped."""
    pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    return found or pytest.skip("needs Chromium or Google Chrome")


@contextmanager
def launched() -> Iterator[Any]:
    """Playwright's browser, until the end. Nothing is ever downloaded."""
    path = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Any,
    url: str,
    place: str = "#/photos",
    *,
    prepare: Callable[[Any], None] = lambda page: None,
    expected: tuple[str, ...] = (),
    **context: Any,
) -> Iterator[Any]:
    """Playwright's page at a place of the page at ``url``, which has its token.

    ``prepare`` may route requests before any is made. At the end the test fails for what the
    console was told: errors, refusals of the policy, answers that failed; but for those in which
    a text of ``expected`` occurs. ``context`` is what Playwright's contexts take.
    """
    told: list[str] = []
    with browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | context) as room:
        page = room.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: told.append(f"not caught: {error}"))
        page.on(
            "console",
            lambda said: (
                said.type == "error" and told.append(f"{said.text} {said.location['url']}")
            ),
        )
        prepare(page)
        page.goto(url)
        page.goto(f"{page.url.partition('#')[0]}{place}")
        yield page
        # A stand-in that is answering as the room closes would fail in the next test.
        page.unroute_all(behavior="ignoreErrors")
    wrong = [text for text in told if not any(known in text for known in expected)]
    assert not wrong, "\n".join(wrong)


def until(page: Any, expression: str) -> Any:
    """The value of an expression of the page, once it is true.

    Playwright's ``wait_for_function`` makes functions of texts, which the page's policy refuses.
    """
    for _ in range(1500):
        if value := page.evaluate(expression):
            return value
        page.wait_for_timeout(20)
    raise AssertionError(f"never true: {expression}")


def faults_of_access(page: Any) -> list[str]:
    """What axe finds wrong, of the serious kinds, each with the elements that have it."""
    axe = pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    # Not as a script element, which the page's policy refuses.
    page.evaluate(script)
    found = page.evaluate("axe.run()")
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'][:200] for node in fault['nodes']]}"
        for fault in found["violations"]
        if fault["impact"] in {"serious", "critical"}
    ]
