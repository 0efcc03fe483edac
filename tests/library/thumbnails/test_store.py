"""Thumbnails beside a library: a cache that nothing depends on, within its limit."""

import multiprocessing
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlx_aimv2.errors import Aimv2Warning
from mlx_aimv2.library.thumbnails.store import Thumbnails, thumbnails_path
from mlx_aimv2.library.thumbnails.thumbnail import SMALL, Recipe
from tests.support.users import as_ordinary_user


def content(number: int) -> bytes:
    return number.to_bytes(16, "big")


def jpeg(number: int, size_bytes: int = 1000) -> bytes:
    return number.to_bytes(8, "big") + os.urandom(size_bytes - 8)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
def kept(library: Path) -> Iterator[Thumbnails]:
    thumbnails = Thumbnails(library)
    yield thumbnails
    thumbnails.close()


def test_what_is_put_is_there(kept: Thumbnails) -> None:
    made = {content(number): jpeg(number) for number in range(7)}
    kept.put(list(made.items()))
    assert {hash: kept.get(hash) for hash in made} == made
    assert kept.has(content(3))
    assert not kept.has(content(7))
    assert kept.get(content(7)) is None
    assert kept.size_bytes == 7 * 1000


def test_reading_makes_no_file(kept: Thumbnails) -> None:
    assert kept.get(content(1)) is None
    assert not kept.has(content(1))
    assert kept.size_bytes == 0
    kept.put([])
    assert not kept.path.exists()


def test_the_first_one_stays_and_is_counted_once(kept: Thumbnails) -> None:
    kept.put([(content(1), b"first"), (content(1), b"second")])
    kept.put([(content(1), b"third")])
    assert kept.get(content(1)) == b"first"
    assert kept.size_bytes == len(b"first")


def test_recipes_and_sides_are_apart(kept: Thumbnails, library: Path) -> None:
    kept.put([(content(1), b"now")])
    others = [
        Thumbnails(library, recipe=Recipe(SMALL.side_px, SMALL.quality, version=2)),
        Thumbnails(library, recipe=Recipe(1600, SMALL.quality)),
    ]
    for other in others:
        assert other.get(content(1)) is None
        other.put([(content(1), b"other")])
        assert other.get(content(1)) == b"other"
        other.close()
    assert kept.get(content(1)) == b"now"


def test_what_was_read_longest_ago_goes_first(library: Path) -> None:
    kept = Thumbnails(library, limit_bytes=5000)
    for number in range(5):
        kept.put([(content(number), jpeg(number))])
    for number in (0, 2):
        kept.get(content(number))
    kept.put([(content(number), jpeg(number)) for number in (5, 6)])
    assert [number for number in range(7) if kept.has(content(number))] == [0, 2, 4, 5, 6]
    assert kept.size_bytes == 5000
    kept.put([(content(9), jpeg(9, 6000))])
    assert kept.size_bytes <= 5000
    kept.close()


def test_what_was_read_by_a_program_that_ended_stays_too(library: Path) -> None:
    kept = Thumbnails(library, limit_bytes=3000)
    kept.put([(content(number), jpeg(number)) for number in range(3)])
    reader = Thumbnails(library)
    assert reader.get(content(0))
    reader.close()
    kept.put([(content(3), jpeg(3))])
    assert [number for number in range(4) if kept.has(content(number))] == [0, 2, 3]
    kept.close()


def test_forgotten_contents_leave_no_pixel_behind(kept: Thumbnails) -> None:
    kept.put([(content(number), b"secret%d" % number * 900) for number in range(4)])
    kept.keep_only({content(1), content(3)}.__contains__)
    assert [number for number in range(4) if kept.has(content(number))] == [1, 3]
    assert kept.size_bytes == 2 * 7 * 900
    data = kept.path.read_bytes()
    assert b"secret1" in data
    assert b"secret0" not in data
    assert b"secret2" not in data


def test_it_may_be_deleted_while_it_is_used(kept: Thumbnails) -> None:
    kept.put([(content(1), b"first")])
    assert kept.get(content(1))
    kept.path.unlink()
    assert kept.get(content(1)) is None
    kept.put([(content(2), b"second")])
    assert kept.get(content(2)) == b"second"
    assert kept.size_bytes == len(b"second")


@pytest.mark.parametrize("reads", [True, False])
def test_another_file_in_its_place_is_another(
    kept: Thumbnails, library: Path, tmp_path: Path, reads: bool
) -> None:
    kept.put([(content(1), b"first")])
    other = Thumbnails(tmp_path / "other.db")
    other.put([(content(1), b"other")])
    other.close()
    other.path.replace(kept.path)
    if reads:
        assert kept.get(content(1)) == b"other"
    kept.put([(content(2), b"second")])
    reader = Thumbnails(library)
    assert reader.get(content(2)) == b"second"
    reader.close()


@pytest.mark.parametrize("damage", ["no database", "first page", "cut off"])
def test_a_damaged_file_is_made_anew_and_said_once(library: Path, damage: str) -> None:
    kept = Thumbnails(library)
    kept.put([(content(number), jpeg(number, 9000)) for number in range(50)])
    kept.close()
    data = bytearray(kept.path.read_bytes())
    if damage == "no database":
        data[:] = b"no database" * 5000
    elif damage == "first page":
        data[100:4096] = b"\xff" * 3996
    else:
        del data[8192:]
    kept.path.write_bytes(data)
    with pytest.warns(Aimv2Warning, match=r"library\.db\.thumbs") as said:
        for number in range(50):
            kept.get(content(number))
        kept.put([(content(99), b"new")])
        assert kept.get(content(99)) == b"new"
    assert len(said) == 1
    kept.close()


def test_a_picture_with_another_byte_is_none(kept: Thumbnails) -> None:
    kept.put([(content(1), b"picture"), (content(2), b"other")])
    kept.close()
    data = kept.path.read_bytes()
    assert data.count(b"picture") == 1
    kept.path.write_bytes(data.replace(b"picture", b"pixture"))
    assert kept.get(content(1)) is None
    assert kept.get(content(2)) == b"other"
    kept.put([(content(1), b"picture")])
    assert kept.get(content(1)) == b"picture"


def test_where_no_file_can_be_there_is_none_and_that_is_said_once(library: Path) -> None:
    thumbnails_path(library).mkdir()
    kept = Thumbnails(library)
    with pytest.warns(Aimv2Warning, match="cannot be used") as said:
        for number in range(3):
            kept.put([(content(number), jpeg(number))])
            assert kept.get(content(number)) is None
    assert len(said) == 1
    kept.close()


@as_ordinary_user
def test_who_may_not_write_reads(library: Path, kept: Thumbnails) -> None:
    kept.put([(content(1), b"first")])
    kept.close()
    kept.path.chmod(0o400)
    library.parent.chmod(0o500)
    try:
        reader = Thumbnails(library)
        assert reader.get(content(1)) == b"first"
        reader.close()  # what was read cannot be noted, which is no matter
        with pytest.warns(Aimv2Warning, match="readonly"):
            reader.put([(content(2), b"second")])
        reader.close()
    finally:
        library.parent.chmod(0o700)


def test_a_file_of_a_newer_layout_is_shared_with_it(library: Path, kept: Thumbnails) -> None:
    with sqlite3.connect(kept.path) as other:
        other.execute("CREATE TABLE thumbnails_2 (x)")
    other.close()
    kept.put([(content(1), b"first")])
    assert kept.get(content(1)) == b"first"
    with sqlite3.connect(kept.path) as other:
        assert other.execute("SELECT count(*) FROM thumbnails_2").fetchone() == (0,)
    other.close()


def test_threads_share_it(kept: Thumbnails) -> None:
    def use(number: int) -> bool:
        kept.put([(content(number), jpeg(number))])
        kept.put([(content(0), b"x" * 500)])
        return kept.get(content(number)) is not None

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(1, 100)))
    assert kept.size_bytes == 99 * 1000 + 500


def _fill(library: Path, first: int) -> None:
    kept = Thumbnails(library)
    for number in range(first, first + 60):
        kept.put([(content(number), jpeg(number)), (content(1000 + number % 7), b"x" * 500)])
        assert kept.get(content(number))
    kept.close()


def test_two_processes_share_it(library: Path, kept: Thumbnails) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_fill, args=(library, first)) for first in (100, 200)]
    for process in processes:
        process.start()
    _fill(library, 300)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert kept.size_bytes == 180 * 1000 + 7 * 500


def test_a_forked_process_opens_its_own(kept: Thumbnails) -> None:
    kept.put([(content(1), b"first")])
    child = os.fork()
    if not child:
        os._exit(0 if kept.get(content(1)) == b"first" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept.get(content(1)) == b"first"
