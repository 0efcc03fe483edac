"""Vectors on disk: what is mapped once is never stale."""

from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import OutputError
from mlx_aimv2.library.database.segments import Halves, Maps, Segments
from mlx_aimv2.library.database.store import Store
from tests.support.synthetic import add_photo, add_set, fill

WIDTH = 5


def rows_like(first: int, count: int) -> Halves:
    return np.arange(first, first + count, dtype=np.float16)[:, None] * np.ones(WIDTH, np.float16)


def test_a_map_that_is_kept_shows_what_was_appended(tmp_path: Path):
    maps: Maps = {}
    written = Segments(tmp_path, WIDTH, 0)
    for rows in (3, 7):
        written.append(rows_like(written.row_count, rows - written.row_count))
        [(first, block)] = Segments(tmp_path, WIDTH, rows, maps).blocks()
        assert first == 0
        np.testing.assert_array_equal(block, rows_like(0, rows))
    [(_, block)] = Segments(tmp_path, WIDTH, 3, maps).blocks()
    np.testing.assert_array_equal(block, rows_like(0, 3))


def test_a_map_is_kept(tmp_path: Path):
    maps: Maps = {}
    Segments(tmp_path, WIDTH, 0).append(rows_like(0, 3))
    [(_, one)], [(_, other)] = (Segments(tmp_path, WIDTH, 3, maps).blocks() for _ in range(2))
    assert np.shares_memory(one, other)


def test_another_file_of_that_name_is_mapped_anew(tmp_path: Path):
    maps: Maps = {}
    segments = Segments(tmp_path / "set", WIDTH, 0, maps)
    segments.cut()
    segments.append(rows_like(0, 3))
    assert segments.take(np.array([2]))[0, 0] == 2
    segments.remove()
    again = Segments(tmp_path / "set", WIDTH, 0)
    again.cut()
    again.append(rows_like(10, 3))
    assert Segments(tmp_path / "set", WIDTH, 3, maps).take(np.array([2]))[0, 0] == 12


@pytest.mark.parametrize("is_mapped", [False, True])
def test_a_file_that_is_gone_is_an_error_mapped_or_not(tmp_path: Path, is_mapped: bool):
    maps: Maps = {}
    segments = Segments(tmp_path / "set", WIDTH, 0, maps)
    segments.cut()
    segments.append(rows_like(0, 3))
    if is_mapped:
        list(segments.blocks())
    segments.remove()
    with pytest.raises(OutputError, match="vectors are missing"):
        list(segments.blocks())


def test_a_store_maps_a_set_once(tmp_path: Path):
    with Store(tmp_path / "library.db", can_write=True) as store:
        vectors = fill(store, add_set(store, WIDTH), rows_like(1, 1), [add_photo(store, "/a.jpg")])
        [(_, one)], [(_, other)] = (store.segments(vectors).blocks() for _ in range(2))
        assert np.shares_memory(one, other)
