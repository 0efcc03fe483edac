"""The benchmark of the page runs, by its own options and on next to nothing."""

from tests.support.browser import chromium
from tests.support.small_runs import check_run


def test_a_small_run() -> None:
    chromium()  # or it is skipped
    check_run("page", "--rows 300 --runs 1 --minutes 0.02 --seconds 1 --photos 2")
