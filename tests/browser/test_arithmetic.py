"""The page's own arithmetic, beside Python's: rows of a grid, sets of intervals, typed dates."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import opened
from tests.support.page import Page
from tests.support.stand_in_timeline import StandInTimeline

PLACES = """async ({sections, size}) => {
    const {Layout} = await import('/static/grid/layout.js');
    const layout = new Layout(sections.map(([title, count]) => ({title, count})), size);
    const rows = Array.from({length: layout.rows}, (_, number) => layout.row(number));
    return {
        columns: layout.columns, pitch: layout.pitch, height: layout.height, rows,
        photos: Array.from({length: layout.count}, (_, index) => layout.rowOf(index).row),
        down: Array.from({length: layout.count}, (_, index) => layout.vertical(index, 1)),
        up: Array.from({length: layout.count}, (_, index) => layout.vertical(index, -1)),
        at: rows.map(({top, height}) => [top, top + height / 2, top + height - 0.5].map(
            (y) => layout.rowAt(y).row)),
    };
}"""
INTERVALS = """async (steps) => {
    const {Intervals} = await import('/static/grid/selection.js');
    let set = new Intervals();
    return steps.map(([isIn, from, to]) => {
        set = isIn ? set.with(from, to) : set.without(from, to);
        return {size: set.size, parts: set.parts, members: Array.from(
            {length: 60}, (_, number) => number).filter((number) => set.has(number))};
    });
}"""
DATES = """async (texts) => {
    const {typedDate} = await import('/static/grid/dates.js');
    return texts.map(typedDate);
}"""


@pytest.fixture(scope="module")
def page(browser: Any, served: Page) -> Iterator[Any]:
    with opened(browser, served.url, prepare=StandInTimeline([])) as found:
        yield found


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_where_counting_them_says(page: Any, seed: int) -> None:
    draw = random.Random(seed)
    sections = [("May" if seed % 2 else None, draw.choice([1, 2, 7, 13, 31])) for _ in range(11)]
    size = {"width": 997, "height": 601, "columns": draw.choice([0, 1, 3, 5]), "foot": 0}
    found = page.evaluate(PLACES, {"sections": sections, "size": size})
    columns, pitch = found["columns"], found["pitch"]
    rows: list[list[int]] = []
    tops, top, first = [], 0, 0
    for title, count in sections:
        if title:
            rows.append([])
            tops.append(top)
            top += 44
        for start in range(first, first + count, columns):
            rows.append(list(range(start, min(start + columns, first + count))))
            tops.append(top)
            top += pitch
        first += count
    assert found["height"] == top
    assert [row["top"] for row in found["rows"]] == tops
    assert [row["count"] for row in found["rows"]] == [len(row) for row in rows]
    assert found["at"] == [[number] * 3 for number in range(len(rows))]
    of = {photo: number for number, row in enumerate(rows) for photo in row}
    assert found["photos"] == [of[photo] for photo in range(first)]
    photos = [row for row in rows if row]
    for number, row in enumerate(photos):
        for column, photo in enumerate(row):
            below, above = photos[min(number + 1, len(photos) - 1)], photos[max(number - 1, 0)]
            assert found["down"][photo] == below[min(column, len(below) - 1)]
            assert found["up"][photo] == above[min(column, len(above) - 1)]


def test_intervals_are_sets(page: Any) -> None:
    draw = random.Random(7)
    steps = [(draw.random() < 0.6, *sorted(draw.choices(range(60), k=2))) for _ in range(200)]
    expected: set[int] = set()
    for (is_in, low, high), found in zip(steps, page.evaluate(INTERVALS, steps), strict=True):
        expected = (
            expected | set(range(low, high + 1)) if is_in else expected - set(range(low, high + 1))
        )
        assert found["members"] == sorted(expected)
        assert found["size"] == len(expected)
        # None touches the next: a range that grew is one interval, not many.
        assert all(
            a[1] + 1 < b[0] for a, b in zip(found["parts"], found["parts"][1:], strict=False)
        )


def test_dates_are_read_as_they_are_typed(page: Any) -> None:
    table = {
        "2024": "2024", " 2024-05 ": "2024-05", "2024-05-03": "2024-05-03",
        "2024/5/3": "2024-05-03", "May 2024": "2024-05", "may 2024": "2024-05",
        "2024 dec": "2024-12",
        "3 May 2024": "2024-05-03", "May 3, 2024": "2024-05-03", "3.5.2024": "2024-05-03",
        "05.2024": "2024-05", "": None, "may": None, "yesterday": None, "24": None, "2024-13": None,
        "2024-05-32": None, "2024-05-03-01": None, "3 May": None, "<img>": None,
    }  # fmt: skip
    assert dict(zip(table, page.evaluate(DATES, list(table)), strict=True)) == table
